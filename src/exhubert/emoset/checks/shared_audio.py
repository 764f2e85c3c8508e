"""Finds the same audio in two corpora by comparing their files, before any of it is decoded."""

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import datasets

from ..dealing.partition import LeakageError
from ..listing import Listing
from ..record import Utterance
from ..recording import same_recording
from .duplicates import FILE_KEYS, content_hash, identical
from .overlaps import overlap, part_of

_logger = datasets.logging.get_logger(__name__)


def check_shared_audio(listings: Mapping[str, Listing], built: Iterable[Mapping[str, Any]] = ()) -> None:
    """Compares the files of several corpora with each other.

    Equal recordings in one partition are allowed, with a warning: they count twice, but spoil no evaluation.

    Args:
        listings: The listing of each corpus.
        built: The recordings of corpora that were built before, as `file_hashes` returned them.

    Raises:
        LeakageError: The same recording, or overlapping parts of it, are in two partitions.
        ValueError: Two corpora read the same files.
    """
    shared = [*_shared(listings), *_built_before(listings, built)]
    if leaking := [pair for pair in shared if pair.leaks]:
        raise LeakageError(
            f"{len(leaking)} recordings are the same in two corpora, and stand in two partitions: "
            f"{'; '.join(map(str, leaking[:10]))}. Build only one of the corpora (delete the folder of one that was "
            "built before), or give such recordings the same partition."
        )
    if twice := [pair for pair in shared if pair.same_file]:
        raise ValueError(
            f"{len(twice)} recordings are read from the same files by two corpora, such as {twice[0]}. "
            "Build only one of the corpora."
        )
    if shared:
        _logger.warning(
            "%d recordings are the same in two corpora, such as %s; they count twice.", len(shared), shared[0]
        )


def file_hashes(listing: Listing, unusable: Container[str] = ()) -> Iterator[dict[str, Any]]:
    """Yields the size and the hash of the file of each utterance, by which `check_shared_audio` knows them again.

    Args:
        listing: The corpus.
        unusable: Source files to leave out.
    """
    for item in listing.utterances:
        if item.size and item.source_file not in unusable:
            record = item.record
            row = {"utterance_id": item.utterance_id, "partition": item.partition, "size": item.size}
            row |= {"sha1": content_hash(item), "start": record.start, "end": record.end, "channel": record.channel}
            yield row


@dataclass(frozen=True)
class _Shared:
    """The same audio in two corpora, with the id and the partition of each utterance."""

    ids: tuple[str, str]
    partitions: tuple[str, str]
    same_file: bool = False

    @property
    def leaks(self) -> bool:
        return self.partitions[0] != self.partitions[1]

    def __str__(self) -> str:
        first, second = (f"{name} ({part})" for name, part in zip(self.ids, self.partitions, strict=True))
        return f"{first} and {second}"


def _shared(listings: Mapping[str, Listing]) -> Iterator[_Shared]:
    """Yields the utterances of two corpora that share audio, because their files are equal and their parts overlap."""
    if len(listings) < 2:
        return
    by_file = _by_file(listings)
    files = [items[0] for items in by_file.values()]
    for group in identical(files, FILE_KEYS):
        items = [item for file in group for item in by_file[file.record.recording]]
        if len({item.corpus for item in items}) > 1:
            for first, item in combinations(items, 2):
                if first.corpus != item.corpus and overlap(part_of(first.record), part_of(item.record)):
                    ids, parts = (first.utterance_id, item.utterance_id), (first.partition, item.partition)
                    yield _Shared(ids, parts, same_recording(first.record, item.record))


def _built_before(listings: Mapping[str, Listing], built: Iterable[Mapping[str, Any]]) -> Iterator[_Shared]:
    """Yields the utterances that share audio with those of corpora that were built before."""
    known: dict[tuple[int, str], list[Mapping[str, Any]]] = {}
    for row in built:
        known.setdefault((row["size"], row["sha1"]), []).append(row)
    if not known:
        return
    sizes = {size for size, _ in known}
    for items in _by_file(listings).values():
        size = items[0].size
        if size not in sizes:
            continue
        for row in known.get((size, content_hash(items[0])), []):
            for item in items:
                if overlap((row["start"], row["end"], row["channel"]), part_of(item.record)):
                    yield _Shared((row["utterance_id"], item.utterance_id), (row["partition"], item.partition))


def _by_file(listings: Mapping[str, Listing]) -> dict[str, list[Utterance]]:
    result: dict[str, list[Utterance]] = {}
    for listing in listings.values():
        for item in listing.utterances:
            if item.size:
                result.setdefault(item.record.recording, []).append(item)
    return result

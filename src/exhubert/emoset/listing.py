"""Lists the utterances of a corpus without decoding audio: class, partition and id, with duplicates set aside."""

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import datasets

from ..audio import AudioError, read_audio
from ..labels import SIX_CLASSES
from .catalog import CatalogEntry, catalog, entry, with_scheme
from .partition import check_leakage, partition
from .readers import read
from .readers.manifest import find_manifest
from .record import Record

_FORM = 1  # bump when unchanged recordings would yield different rows
_SAMPLE = 4096  # bytes that distinguish most recordings

FEATURES = datasets.Features(
    {
        # a plain struct: the Audio feature needs torchcodec even to write; cast_column("audio", Audio()) reads it
        "audio": {"bytes": datasets.Value("binary"), "path": datasets.Value("string")},
        "corpus": datasets.Value("string"),
        "utterance_id": datasets.Value("string"),
        "speaker": datasets.Value("string"),
        "gender": datasets.Value("string"),
        "language": datasets.Value("string"),
        "raw_label": datasets.Value("string"),
        "label": datasets.ClassLabel(names=list(SIX_CLASSES)),
        "arousal": datasets.Value("string"),
        "valence": datasets.Value("string"),
        "partition": datasets.Value("string"),
        "duration": datasets.Value("float32"),
        "source_sampling_rate": datasets.Value("int32"),
        "source_file": datasets.Value("string"),
        "start": datasets.Value("float32"),
        "end": datasets.Value("float32"),
        "text": datasets.Value("string"),
    }
)


@dataclass(frozen=True, slots=True)
class Utterance:
    """A record with its id, class and partition, all known before its audio is read.

    Attributes:
        record: The record from the reader.
        source_file: Path of the recording relative to the corpus's folder.
        size: Size of the recording in bytes; None if there is no such file.
        modified: Time of the recording's last change, in ns; None likewise.
        utterance_id: Id that is the same on every machine.
        class_name: One of the six classes.
        partition: `train`, `validation` or `test`.
    """

    record: Record
    source_file: str
    size: int | None
    modified: int | None
    utterance_id: str
    class_name: str
    partition: str


@dataclass(frozen=True)
class Listing:
    """The contents of a corpus, before any audio is decoded.

    Attributes:
        entry: The catalog entry, with the label map used.
        root: Folder of the corpus.
        utterances: Utterances to build.
        rejected: Utterances set aside, with the reason: `{"file", "raw_label", "reason"}`.
        dropped: Raw labels that map to no class, with their counts.
        rule: The rule that made the partitions, see `exhubert.emoset.partition`.
    """

    entry: CatalogEntry
    root: Path
    utterances: list[Utterance]
    rejected: list[dict[str, str]]
    dropped: dict[str, int]
    rule: str

    @cached_property
    def fingerprint(self) -> str:
        """Hash that changes with any file, label, partition or catalog fact, and with the form of the rows."""
        facts = (FEATURES, _FORM, self.entry, self.rejected, self.dropped, self.rule)
        digest = hashlib.sha256(repr(facts).encode())
        names = [item.name for item in fields(Record) if item.name != "file"]
        for item in self.utterances:
            record = [getattr(item.record, name) for name in names]
            values = (item.source_file, item.size, item.modified, item.class_name, item.partition, *record)
            digest.update(repr(values).encode())
        return digest.hexdigest()


def corpus_entry(corpus: str, root: Path) -> CatalogEntry:
    """Returns the catalog entry of a corpus, or that of `manifest` for your own corpus under any other name."""
    if corpus not in catalog() and find_manifest(root):
        return replace(entry("manifest"), id=corpus, name=corpus)
    return entry(corpus)


def list_corpus(corpus: str, root: str | Path, seed: int = 0, scheme: str | Path = "default") -> Listing:
    """Lists a corpus, maps its labels, sets duplicates aside and partitions it by speaker. Decodes no audio.

    Args:
        corpus: Id in the catalog, or any name for a folder with a manifest.
        root: Folder of the corpus.
        seed: Seed of the partition.
        scheme: Label map, see `exhubert.emoset.catalog.with_scheme`.

    Raises:
        KeyError: The catalog has no such corpus.
        FileNotFoundError: The folder is missing, or contains no file in the corpus's layout.
        ValueError: No utterance has a label that maps to a class, or the scheme is invalid.
        LeakageError: A speaker, or the same recording, is in two partitions.
    """
    root = Path(root)
    facts = with_scheme(corpus_entry(corpus, root), scheme)
    records = list(read(corpus if corpus in catalog() else "manifest", root))
    classes = [facts.class_of(record.raw_label, record.valence) for record in records]
    dropped = Counter(record.raw_label for record, name in zip(records, classes, strict=True) if name is None)
    if len(records) == dropped.total():
        raise ValueError(
            f"{facts.name}: none of the labels {', '.join(sorted(dropped)[:20])} maps to a class. Use the class names "
            f"({', '.join(SIX_CLASSES)}), English emotion words, or a label scheme of your own."
        )
    pairs = [(record, name) for record, name in zip(records, classes, strict=True) if name is not None]
    parts, rule = partition(
        [record for record, _ in pairs],
        [name for _, name in pairs],
        seed,
        trust_official=bool(find_manifest(root)),
    )
    check_leakage([record.speaker for record, _ in pairs], parts, f"speakers of {facts.name}")
    files = [_relative_path(root, record.file) for record, _ in pairs]
    ids = _utterance_ids(facts.id, files, [record for record, _ in pairs])
    utterances = [
        Utterance(record, file, *_size_and_change(record.file), name, label, part)
        for (record, label), file, name, part in zip(pairs, files, ids, parts, strict=True)
    ]
    rejected = [
        rejection(root, record, f"its label maps to no class: {record.raw_label}")
        for record, name in zip(records, classes, strict=True)
        if name is None
    ]
    unique, duplicates = _without_duplicates(root, utterances)
    return Listing(facts, root, unique, rejected + duplicates, dict(sorted(dropped.items())), rule)


def _without_duplicates(root: Path, utterances: list[Utterance]) -> tuple[list[Utterance], list[dict[str, str]]]:
    """Keeps the first of recordings that are identical byte for byte or listed twice, and rejects the others.

    Raises:
        LeakageError: The same recording is in two partitions; dropping one of them would hide a mistake.
    """
    duplicates, rejected = set(), []
    for first, *others in identical(utterances, (_span, *FILE_KEYS)):
        for item in others:
            pair = f"{first.utterance_id} = {item.utterance_id}"
            check_leakage([pair] * 2, [first.partition, item.partition], "recordings with the same audio")
            duplicates.add(id(item))
            rejected.append(rejection(root, item.record, f"the same recording as {first.utterance_id}"))
    return [item for item in utterances if id(item) not in duplicates], rejected


def identical(utterances: list[Utterance], keys: Sequence[Callable[[Utterance], Any]]) -> list[list[Utterance]]:
    """Groups recordings that are identical in all keys; the cheap ones come first, for most recordings differ in them.

    Damaged and silent files stay alone: failed downloads are often equal, and the builder rejects each of them.
    """
    groups = [utterances]
    for key in keys:
        groups = [part for group in groups for part in _group_by(group, key)]
    alone = [[item] for group in groups if len(group) > 1 and not _holds_sound(group[0]) for item in group]
    known = {id(item) for (item,) in alone}
    return [group for group in groups if id(group[0]) not in known] + alone


def _holds_sound(item: Utterance) -> bool:
    record = item.record
    try:
        samples, _ = read_audio(record.file, record.start, record.end, record.channel)
    except (AudioError, OSError):
        return False
    return bool(samples.any())


def _group_by(items: list[Utterance], key: Callable[[Utterance], Any]) -> list[list[Utterance]]:
    if len(items) < 2:
        return [items] if items else []
    groups: dict[Any, list[Utterance]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return list(groups.values())


def _span(item: Utterance) -> tuple:
    return _size(item), item.record.start, item.record.end


def _size(item: Utterance) -> int | str:
    return item.size or item.source_file


def _sample(item: Utterance) -> bytes | str:
    """Returns bytes from the middle of the file."""
    if not item.size:
        return item.source_file
    with item.record.file.open("rb", buffering=0) as stream:
        stream.seek(item.size // 2)
        return stream.read(_SAMPLE)


def content_hash(item: Utterance) -> str:
    """Returns a hash of the whole file."""
    if not item.size:
        return item.source_file
    with item.record.file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha1").hexdigest()


FILE_KEYS = (_size, _sample, content_hash)


def _size_and_change(file: Path) -> tuple[int | None, int | None]:
    try:
        status = file.stat()
    except OSError:
        return None, None
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else (None, None)


def rejection(root: Path, record: Record, reason: str) -> dict[str, str]:
    """Returns a line of `rejected.jsonl`; its paths are relative, so that they are the same on every machine."""
    reason = reason.replace(f"{root}{os.sep}", "")
    return {"file": _relative_path(root, record.file), "raw_label": record.raw_label, "reason": reason}


def _relative_path(root: Path, file: Path) -> str:
    """Returns the path of a file relative to the root, even if a manifest names a file outside of it."""
    path, prefix = file.as_posix(), f"{root.as_posix()}/"
    inside = path.startswith(prefix) and ".." not in path
    return path.removeprefix(prefix) if inside else Path(os.path.relpath(file, root)).as_posix()


def _utterance_ids(corpus: str, files: list[str], records: list[Record]) -> list[str]:
    """Ids that are the same on every machine: corpus, path and part, with the suffix only if two files need it."""
    parts = [
        f"#{record.start or 0:.3f}-{record.end or 0:.3f}" if record.start is not None or record.end else ""
        for record in records
    ]
    stems = [file.removesuffix(PurePosixPath(file).suffix) for file in files]
    short_ids = [f"{corpus}/{stem}{part}" for stem, part in zip(stems, parts, strict=True)]
    files_by_id: dict[str, set[str]] = {}
    for name, file in zip(short_ids, files, strict=True):
        files_by_id.setdefault(name, set()).add(file)
    return [
        name if len(files_by_id[name]) == 1 else f"{corpus}/{file}{part}"
        for name, file, part in zip(short_ids, files, parts, strict=True)
    ]

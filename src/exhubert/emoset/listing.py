"""Lists a corpus before any audio is decoded: labels, partitions, names of utterances, duplicates."""

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import datasets

from ..labels import SIX_CLASSES
from .catalog import CatalogEntry, catalog, entry, with_scheme
from .partition import check_leakage, partition
from .readers import read
from .readers.manifest import find_manifest
from .record import Record

_FORM = 1  # bump when unchanged recordings would yield different rows
_SAMPLE = 4096  # bytes that tell most recordings apart

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
    """A record with everything that is decided before its audio is read.

    Attributes:
        record: What the reader found.
        source_file: The recording's path relative to the corpus's folder.
        size: Of the recording in bytes; None where it isn't there.
        modified: Time of its last change, in ns.
        utterance_id: Its stable name.
        class_name: One of the six.
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
    """What a corpus holds, before any audio is decoded.

    Attributes:
        entry: The corpus's facts and the label map used.
        root: Its folder.
        utterances: What will be built.
        rejected: What won't be, with the reason: `{"file", "raw_label", "reason"}`.
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
        """Changes whenever a file, a label, a partition, a fact of the catalog or the form of the rows does."""
        facts = (FEATURES, _FORM, self.entry, self.rejected, self.dropped, self.rule)
        digest = hashlib.sha256(repr(facts).encode())
        names = [item.name for item in fields(Record) if item.name != "file"]
        for item in self.utterances:
            record = [getattr(item.record, name) for name in names]
            known = (item.source_file, item.size, item.modified, item.class_name, item.partition, *record)
            digest.update(repr(known).encode())
        return digest.hexdigest()


def corpus_entry(corpus: str, root: Path) -> CatalogEntry:
    """The entry of a corpus; a folder with a manifest may carry any other name and is then a corpus of your own."""
    if corpus not in catalog() and find_manifest(root):
        return replace(entry("manifest"), id=corpus, name=corpus)
    return entry(corpus)


def list_corpus(corpus: str, root: str | Path, seed: int = 0, scheme: str | Path = "default") -> Listing:
    """Lists a corpus, maps its labels, sets duplicates aside and partitions it by speaker. Decodes no audio.

    Args:
        corpus: Id in the catalog, or any name for a folder with a manifest.
        root: The corpus's own folder.
        seed: Of the partition.
        scheme: Label map, see `exhubert.emoset.catalog.with_scheme`.

    Raises:
        KeyError: The catalog has no such corpus.
        FileNotFoundError: The folder is missing or holds nothing in the corpus's layout.
        ValueError: No utterance has a label that maps to a class, or the scheme is wrong.
        LeakageError: A speaker, or the same recording, stands in two partitions.
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
    kept = [(record, name) for record, name in zip(records, classes, strict=True) if name is not None]
    parts, rule = partition(
        [record for record, _ in kept],
        [name for _, name in kept],
        seed,
        trust_official=bool(find_manifest(root)),
    )
    check_leakage([record.speaker for record, _ in kept], parts, f"speakers of {facts.name}")
    files = [_below(root, record.file) for record, _ in kept]
    ids = _utterance_ids(facts.id, files, [record for record, _ in kept])
    utterances = [
        Utterance(record, file, *_size_and_change(record.file), name, label, part)
        for (record, label), file, name, part in zip(kept, files, ids, parts, strict=True)
    ]
    rejected = [
        rejection(root, record, f"its label maps to no class: {record.raw_label}")
        for record, name in zip(records, classes, strict=True)
        if name is None
    ]
    unique, repeated = _without_duplicates(root, utterances)
    return Listing(facts, root, unique, rejected + repeated, dict(sorted(dropped.items())), rule)


def _without_duplicates(root: Path, utterances: list[Utterance]) -> tuple[list[Utterance], list[dict[str, str]]]:
    """Keeps the first of each recording that is there twice byte for byte, or listed twice.

    Raises:
        LeakageError: The same recording is in two partitions, so that dropping one of them would hide a mistake.
    """
    groups = [utterances]
    for alike in (_span, _sample, _content):  # most recordings differ in what is cheap to look at
        groups = [part for group in groups for part in _divided(group, alike)]
    repeated, rejected = set(), []
    for first, *others in groups:
        for item in others:
            check_leakage([first.utterance_id] * 2, [first.partition, item.partition], "recordings with the same audio")
            repeated.add(id(item))
            rejected.append(rejection(root, item.record, f"the same recording as {first.utterance_id}"))
    return [item for item in utterances if id(item) not in repeated], rejected


def _divided(items: list[Utterance], alike: Callable[[Utterance], Any]) -> list[list[Utterance]]:
    if len(items) < 2:
        return [items] if items else []
    groups: dict[Any, list[Utterance]] = {}
    for item in items:
        groups.setdefault(alike(item), []).append(item)
    return list(groups.values())


def _span(item: Utterance) -> tuple:
    return item.size or item.source_file, item.record.start, item.record.end


def _sample(item: Utterance) -> bytes | str:
    """A piece from the middle of the file."""
    if not item.size:
        return item.source_file
    with item.record.file.open("rb", buffering=0) as stream:
        stream.seek(item.size // 2)
        return stream.read(_SAMPLE)


def _content(item: Utterance) -> str:
    """A hash of the whole file."""
    if not item.size:
        return item.source_file
    with item.record.file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha1").hexdigest()


def _size_and_change(file: Path) -> tuple[int | None, int | None]:
    try:
        status = file.stat()
    except OSError:
        return None, None
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else (None, None)


def rejection(root: Path, record: Record, reason: str) -> dict[str, str]:
    """A line of `rejected.jsonl`; its paths are relative, so that they mean the same on every machine."""
    reason = reason.replace(f"{root}{os.sep}", "")
    return {"file": _below(root, record.file), "raw_label": record.raw_label, "reason": reason}


def _below(root: Path, file: Path) -> str:
    """Path of a file relative to the root, also where a manifest leads out of it."""
    path, above = file.as_posix(), f"{root.as_posix()}/"
    inside = path.startswith(above) and ".." not in path
    return path.removeprefix(above) if inside else Path(os.path.relpath(file, root)).as_posix()


def _utterance_ids(corpus: str, files: list[str], records: list[Record]) -> list[str]:
    """Names that stay the same on every machine: corpus, path and part; with the file's ending where it tells apart."""
    parts = [
        f"#{record.start or 0:.3f}-{record.end or 0:.3f}" if record.start is not None or record.end else ""
        for record in records
    ]
    stems = [file.removesuffix(PurePosixPath(file).suffix) for file in files]
    short = [f"{corpus}/{stem}{part}" for stem, part in zip(stems, parts, strict=True)]
    endings: dict[str, set[str]] = {}
    for name, file in zip(short, files, strict=True):
        endings.setdefault(name, set()).add(file)
    return [
        name if len(endings[name]) == 1 else f"{corpus}/{file}{part}"
        for name, file, part in zip(short, files, parts, strict=True)
    ]

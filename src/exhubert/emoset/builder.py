"""The `datasets` builder: one corpus on disk becomes rows of 16 kHz audio with one of six classes."""

import hashlib
import json
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
from datasets.builder import Key

from ..audio import AudioError, encode_flac, read_audio, resample
from ..labels import SIX_CLASSES, arousal_valence
from .catalog import CatalogEntry, catalog, entry, with_scheme
from .partition import PARTITIONS, check_leakage, partition
from .readers import read
from .readers.manifest import find_manifest
from .record import Record
from .sources import find_corpora

# 25 ms make one HuBERT frame; half an hour is a recording somebody forgot to cut.
SHORTEST, LONGEST = 0.025, 1800.0
_SILENCE = 1e-4
_FORM = 1  # raised when rows of the same recordings come out otherwise
_ROWS_AT_ONCE = 100
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


@dataclass
class EmoSetPlusPlusConfig(datasets.BuilderConfig):
    """What to build.

    Attributes:
        name: A corpus; several, separated by commas; or `all` that are found.
        root: The folder of the one corpus, or the place where several are found.
        seed: Of the partition.
        scheme: Label map, see `exhubert.emoset.catalog.with_scheme`.
        rejected_dir: Where lists of unusable recordings are written; None to count none.
    """

    root: str = ""
    seed: int = 0
    scheme: str = "default"
    rejected_dir: str | None = None


class EmoSetPlusPlus(datasets.ArrowBasedBuilder):
    """Builds corpora of EmoSet++ the way any `datasets` builder does.

    `exhubert.emoset.build` builds them one by one into one folder, and resumes; this is for those who want the builder.

    Args:
        config_name: A corpus of the catalog, or any name for a folder with a manifest; several corpora, as in
            `"emo_db,urdu"`; or `"all"` that are found.
        root: The folder of the one corpus; for several, a place that `exhubert.emoset.sources.find_corpora` takes.
        seed: Of the partition.
        scheme: Label map, see `exhubert.emoset.catalog.with_scheme`.
        **kwargs: Passed on, such as `cache_dir`.

    Example:

        builder = EmoSetPlusPlus(config_name="emo_db", root="corpora/emo_db", cache_dir="cache")
        builder.download_and_prepare()
        dataset = builder.as_dataset()
    """

    VERSION = datasets.Version("1.0.0")
    BUILDER_CONFIG_CLASS = EmoSetPlusPlusConfig

    def __init__(
        self, *args, config_name: str, root: str | Path, seed: int = 0, scheme: str | Path = "default", **kwargs
    ):
        if config_name == "all" or "," in config_name:
            found = find_corpora(root, None if config_name == "all" else config_name.split(",")).found
        else:
            found = {config_name: Path(root)}
        self.listings = {name: list_corpus(name, folder, seed, scheme) for name, folder in found.items()}
        # the cache key of datasets covers neither code nor files, so both go in here
        content = "".join(listing.fingerprint for listing in self.listings.values())
        kwargs.setdefault("hash", hashlib.sha256(content.encode()).hexdigest())
        kwargs.setdefault("dataset_name", "emoset_plus_plus")
        super().__init__(*args, config_name=config_name, root=str(root), seed=seed, scheme=str(scheme), **kwargs)

    def _info(self) -> datasets.DatasetInfo:
        facts = [listing.entry for listing in self.listings.values()]
        return datasets.DatasetInfo(
            description=f"{', '.join(entry.full_name for entry in facts)}, as part of EmoSet++ with six classes.",
            features=FEATURES,
            homepage="; ".join(entry.homepage for entry in facts),
            license="; ".join(f"{entry.name}: {entry.licence}" for entry in facts),
            citation="; ".join(entry.reference for entry in facts),
        )

    def _listing_of(self, item: Utterance) -> Listing:
        return self.listings[item.utterance_id.partition("/")[0]]

    def _split_generators(self, dl_manager) -> list[datasets.SplitGenerator]:
        utterances = [item for listing in self.listings.values() for item in listing.utterances]
        by_partition = {name: [item for item in utterances if item.partition == name] for name in PARTITIONS}
        return [
            datasets.SplitGenerator(name=name, gen_kwargs={"utterances": utterances})
            for name, utterances in by_partition.items()
            if utterances
        ]

    def _generate_tables(self, utterances: list[Utterance]) -> Iterator[tuple[Key, pa.Table]]:
        rejected = []
        waiting = iter(utterances)
        for number in range(-(-len(utterances) // _ROWS_AT_ONCE)):
            rows = []
            for item in islice(waiting, _ROWS_AT_ONCE):
                try:
                    rows.append(self._row(item))
                except (AudioError, OSError) as error:
                    rejected.append(rejection(self._listing_of(item).root, item.record, str(error)))
            if rows:
                yield Key(0, number), pa.Table.from_pylist(rows, schema=FEATURES.arrow_schema)
        if rejected and self.config.rejected_dir:
            path = Path(self.config.rejected_dir) / f"{utterances[0].partition}-{os.getpid()}.jsonl"
            with path.open("a", encoding="utf-8") as stream:
                stream.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in rejected)

    def _row(self, item: Utterance) -> dict[str, Any]:
        record = item.record
        samples, rate = read_audio(record.file, record.start, record.end, record.channel)
        check_usable(samples, rate, str(record.file))
        arousal, valence = arousal_valence(item.class_name)
        listing = self._listing_of(item)
        corpus = listing.entry.id
        return {
            "audio": {"bytes": encode_flac(resample(samples, rate)), "path": f"{item.utterance_id}.flac"},
            "corpus": corpus,
            "utterance_id": item.utterance_id,
            "speaker": f"{corpus}/{record.speaker}" if record.speaker is not None else None,
            "gender": record.gender,
            "language": record.language or listing.entry.languages[0],
            "raw_label": record.raw_label,
            "label": SIX_CLASSES.index(item.class_name),
            "arousal": arousal,
            "valence": valence,
            "partition": item.partition,
            "duration": len(samples) / rate,
            "source_sampling_rate": rate,
            "source_file": item.source_file,
            "start": record.start,
            "end": record.end,
            "text": record.text,
        }


def check_usable(samples: np.ndarray, rate: int, name: str) -> None:
    """Raises `AudioError` for recordings no model can learn from: too short, absurdly long, or silent."""
    seconds = len(samples) / rate
    if not SHORTEST <= seconds <= LONGEST:
        raise AudioError(f"{name}: lasts {seconds:.3f} s; expected {SHORTEST} to {LONGEST:.0f} s.")
    if np.abs(samples).max() < _SILENCE:
        raise AudioError(f"{name}: the recording is silent (largest sample {np.abs(samples).max():.1e} of 1).")

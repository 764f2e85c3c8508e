"""The `datasets` builder: one corpus on disk becomes rows of 16 kHz audio with one of six classes."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from ..audio import AudioError, encode_flac, read_audio, resample
from ..labels import SIX_CLASSES, arousal_valence
from .catalog import CatalogEntry, catalog, entry
from .partition import PARTITIONS, check_leakage, partition
from .readers import read
from .record import Record

# 25 ms make one HuBERT frame; half an hour is a recording somebody forgot to cut.
SHORTEST, LONGEST = 0.025, 1800.0
_SILENCE = 1e-4

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


@dataclass(frozen=True)
class Utterance:
    """A record with everything that is decided before its audio is read."""

    record: Record
    utterance_id: str
    class_name: str
    partition: str


@dataclass(frozen=True)
class Listing:
    """What a corpus holds, before any audio is read.

    Attributes:
        entry: The corpus's facts and label map.
        root: Its folder.
        utterances: What will be built.
        dropped: Raw labels that map to no class, with their counts.
        rule: The rule that made the partitions, see `exhubert.emoset.partition`.
    """

    entry: CatalogEntry
    root: Path
    utterances: list[Utterance]
    dropped: dict[str, int]
    rule: str

    @property
    def fingerprint(self) -> str:
        """Changes whenever a file, a label, a partition or the form of the rows does."""
        digest = hashlib.sha256(repr(FEATURES).encode())
        for item in self.utterances:
            file = item.record.file
            stat = file.stat() if file.is_file() else None
            state = (stat.st_size, stat.st_mtime_ns) if stat else None
            digest.update(repr((asdict(item) | {"record": asdict(item.record)}, state)).encode())
        return digest.hexdigest()


def corpus_entry(corpus: str, root: Path) -> CatalogEntry:
    """The entry of a corpus; a folder with a manifest may carry any other name and is then a corpus of your own."""
    if corpus not in catalog() and any((root / name).is_file() for name in ("manifest.csv", "manifest.tsv")):
        return replace(entry("manifest"), id=corpus, name=corpus)
    return entry(corpus)


def list_corpus(corpus: str, root: str | Path, seed: int = 0) -> Listing:
    """Lists a corpus, maps its labels and partitions it by speaker. Reads no audio.

    Args:
        corpus: Id in the catalog, or any name for a folder with a manifest.
        root: The corpus's own folder.
        seed: Of the partition.

    Raises:
        KeyError: The catalog has no such corpus.
        FileNotFoundError: The folder is missing or holds nothing in the corpus's layout.
        ValueError: No utterance has a label that maps to a class, or two utterances have the same id.
        LeakageError: A speaker stands in two partitions.
    """
    root = Path(root)
    facts = corpus_entry(corpus, root)
    records = list(read(corpus if corpus in catalog() else "manifest", root))
    kept = [(record, name) for record in records if (name := facts.class_of(record.raw_label))]
    dropped = Counter(record.raw_label for record in records if not facts.class_of(record.raw_label))
    if not kept:
        raise ValueError(
            f"{facts.name}: none of the labels {', '.join(sorted(dropped)[:20])} maps to a class. Use the class names "
            f"({', '.join(SIX_CLASSES)}) or English emotion words."
        )
    speakers = [record.speaker for record, _ in kept]
    parts, rule = partition(
        [name for _, name in kept],
        speakers,
        [record.language for record, _ in kept],
        [record.partition for record, _ in kept],
        seed,
    )
    check_leakage(speakers, parts, f"speakers of {facts.name}")
    utterances = [
        Utterance(record, _utterance_id(facts.id, root, record), name, part)
        for (record, name), part in zip(kept, parts, strict=True)
    ]
    repeated = [name for name, count in Counter(item.utterance_id for item in utterances).items() if count > 1]
    if repeated:
        raise ValueError(f"{facts.name}: listed more than once: {', '.join(repeated[:10])}.")
    return Listing(facts, root, utterances, dict(sorted(dropped.items())), rule)


@dataclass
class EmoSetPlusPlusConfig(datasets.BuilderConfig):
    """One corpus to build.

    Attributes:
        root: The corpus's own folder.
        seed: Of the partition.
        rejected_dir: Where lists of unusable recordings are written; None to count none.
    """

    root: str = ""
    seed: int = 0
    rejected_dir: str | None = None


class EmoSetPlusPlus(datasets.GeneratorBasedBuilder):
    """Builds one corpus of EmoSet++: `EmoSetPlusPlus(config_name="emo_db", root="corpora/emo_db")`.

    Example:

        builder = EmoSetPlusPlus(config_name="emo_db", root="corpora/emo_db", cache_dir="cache")
        builder.download_and_prepare()
        dataset = builder.as_dataset()
    """

    VERSION = datasets.Version("1.0.0")
    BUILDER_CONFIG_CLASS = EmoSetPlusPlusConfig

    def __init__(self, *args, config_name: str, root: str | Path, seed: int = 0, **kwargs):
        self.listing = list_corpus(config_name, root, seed)
        # the cache key of datasets covers neither code nor files, so both go in here
        kwargs.setdefault("hash", self.listing.fingerprint)
        kwargs.setdefault("dataset_name", "emoset_plus_plus")
        super().__init__(*args, config_name=config_name, root=str(root), seed=seed, **kwargs)

    def _info(self) -> datasets.DatasetInfo:
        facts = self.listing.entry
        return datasets.DatasetInfo(
            description=f"{facts.full_name}, as part of EmoSet++ with six classes.",
            features=FEATURES,
            homepage=facts.homepage,
            license=facts.licence,
            citation=facts.reference,
        )

    def _split_generators(self, dl_manager) -> list[datasets.SplitGenerator]:
        by_partition = {name: [u for u in self.listing.utterances if u.partition == name] for name in PARTITIONS}
        return [
            datasets.SplitGenerator(name=name, gen_kwargs={"utterances": utterances})
            for name, utterances in by_partition.items()
            if utterances
        ]

    def _generate_examples(self, utterances: list[Utterance]) -> Iterator[tuple[str, dict[str, Any]]]:
        rejected = []
        for item in utterances:
            try:
                yield item.utterance_id, self._row(item)
            except (AudioError, OSError) as error:
                record = item.record
                rejected.append({"file": str(record.file), "raw_label": record.raw_label, "reason": str(error)})
        if rejected and self.config.rejected_dir:
            path = Path(self.config.rejected_dir) / f"{utterances[0].partition}-{os.getpid()}.jsonl"
            with path.open("a", encoding="utf-8") as stream:
                stream.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in rejected)

    def _row(self, item: Utterance) -> dict[str, Any]:
        record = item.record
        samples, rate = read_audio(record.file, record.start, record.end)
        check_usable(samples, rate, str(record.file))
        arousal, valence = arousal_valence(item.class_name)
        corpus = self.listing.entry.id
        return {
            "audio": {"bytes": encode_flac(resample(samples, rate)), "path": f"{item.utterance_id}.flac"},
            "corpus": corpus,
            "utterance_id": item.utterance_id,
            "speaker": f"{corpus}/{record.speaker}" if record.speaker is not None else None,
            "gender": record.gender,
            "language": record.language or self.listing.entry.languages[0],
            "raw_label": record.raw_label,
            "label": item.class_name,
            "arousal": arousal,
            "valence": valence,
            "partition": item.partition,
            "duration": len(samples) / rate,
            "source_sampling_rate": rate,
            "source_file": record.file.relative_to(self.listing.root).as_posix(),
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


def _utterance_id(corpus: str, root: Path, record: Record) -> str:
    stem = record.file.relative_to(root).with_suffix("").as_posix()
    part = f"#{record.start or 0:.3f}-{record.end or 0:.3f}" if record.start is not None or record.end else ""
    return f"{corpus}/{stem}{part}"

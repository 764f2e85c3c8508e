"""A `datasets` builder that turns corpora on disk into rows of 16 kHz audio with one of six emotion classes."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
from datasets.builder import Key

from ..audio import AudioError, encode_flac, resample
from ..audio_windows import sound_frames
from ..labels import SIX_CLASSES, arousal_valence
from .catalog import EMOSET, Places, use_catalog
from .catalog.column_map import Columns, Scale
from .checks.shared_audio import check_shared_audio
from .dealing.partition import PARTITIONS
from .hub_dataset import local_folder
from .listing import FEATURES, Listing, list_corpora, rejection
from .record import Utterance
from .recording import read_record, recording_name
from .sources import find_corpora
from .writing import failures_raised

_logger = datasets.logging.get_logger(__name__)
# In seconds: 25 ms is one HuBERT frame; a recording over half an hour was probably never cut.
SHORTEST, LONGEST = 0.025, 1800.0
_SILENCE = 1e-4  # far below what prediction calls silent, so that quiet recordings stay in a dataset
_MOST_ROWS, _MOST_BYTES = 1000, 8_000_000  # of a row group


@dataclass
class EmoSetPlusPlusConfig(datasets.BuilderConfig):
    """Configuration of `EmoSetPlusPlus`.

    Attributes:
        name: A corpus; several corpora, separated by commas; `emoset++` for those of the paper's 37 that are found; or
            `all` for every corpus found.
        root: Folder of the one corpus, or the place of several.
        seed: Seed of the partition.
        scheme: Label map, see `exhubert.emoset.catalog.with_scheme`.
        encoding: Encoding of manifests and annotation files; None to find it out.
        rejected_dir: Folder for the lists of unusable recordings; None to write none.
    """

    root: str = ""
    seed: int = 0
    scheme: str = "default"
    encoding: str | None = None
    rejected_dir: str | None = None


class EmoSetPlusPlus(datasets.ArrowBasedBuilder):
    """A `datasets` builder for corpora of EmoSet++.

    Most users want `exhubert.emoset.build`, which builds corpora one by one into one folder, and resumes.

    Args:
        config_name: A corpus of the catalog, or any name for a folder with a manifest; several corpora, as in
            `"emo_db,urdu"`; `"emoset++"` for those of the paper's 37 that are found; or `"all"` for every corpus found.
        root: Folder of the one corpus; for several, a place that `exhubert.emoset.sources.find_corpora` takes.
        seed: Seed of the partition.
        scheme: Label map, see `exhubert.emoset.catalog.with_scheme`.
        encoding: Encoding of manifests and annotation files; found out by default.
        columns: Columns of tables with other than usual names, see `exhubert.emoset.build`.
        rating_scale: Lowest and highest value of ratings, likewise.
        catalog: Folders with YAML files of corpora of your own, see `exhubert.emoset.catalog.catalog`.
        listings: The corpora as `exhubert.emoset.listing.list_corpora` lists them, if that is done already.
        **kwargs: Passed to `datasets.ArrowBasedBuilder`, such as `cache_dir`.

    Example:

        builder = EmoSetPlusPlus(config_name="emo_db", root="corpora/emo_db", cache_dir="cache")
        builder.download_and_prepare()
        dataset = builder.as_dataset()
    """

    VERSION = datasets.Version("1.0.0")
    BUILDER_CONFIG_CLASS = EmoSetPlusPlusConfig
    DEFAULT_WRITER_BATCH_SIZE = _MOST_ROWS  # so that `_batches` alone divides the rows

    def __init__(
        self,
        *args,
        config_name: str,
        root: str | Path,
        seed: int = 0,
        scheme: str | Path = "default",
        encoding: str | None = None,
        columns: Columns | Mapping[str, Columns] | None = None,
        rating_scale: Scale | Mapping[str, Scale] | None = None,
        catalog: Places | None = None,
        listings: Mapping[str, Listing] | None = None,
        **kwargs,
    ):
        with use_catalog(catalog):
            if config_name == "all" or "," in config_name or config_name.lower() == EMOSET:
                sources = find_corpora(root, None if config_name == "all" else config_name.split(","))
                folders = sources.found
                for folder in sources.doubtful if config_name == "all" else []:
                    _logger.warning("%s: %s", folder, sources.reasons[folder])
            else:
                folders = {config_name: local_folder(root)}
            if listings is None:
                listings = list_corpora(
                    folders, seed, scheme, encoding=encoding, columns=columns, rating_scale=rating_scale
                )
                check_shared_audio(listings)
        self.listings = dict(listings)
        # the cache key of `datasets` covers neither code nor files; the fingerprints cover both
        content = "".join(listing.fingerprint for listing in self.listings.values())
        kwargs.setdefault("hash", hashlib.sha256(content.encode()).hexdigest())
        kwargs.setdefault("dataset_name", "emoset_plus_plus")
        settings = {"root": str(root), "seed": seed, "scheme": str(scheme), "encoding": encoding}
        super().__init__(*args, config_name=config_name, **settings, **kwargs)

    def _info(self) -> datasets.DatasetInfo:
        entries = [listing.entry for listing in self.listings.values()]
        return datasets.DatasetInfo(
            description=f"{', '.join(entry.full_name for entry in entries)}, with the six classes of EmoSet++.",
            features=FEATURES,
            homepage="; ".join(entry.homepage for entry in entries),
            license="; ".join(f"{entry.name}: {entry.licence}" for entry in entries),
            citation="; ".join(entry.reference for entry in entries),
        )

    def _listing_of(self, item: Utterance) -> Listing:
        return self.listings[item.corpus]

    def _split_generators(self, dl_manager) -> list[datasets.SplitGenerator]:
        utterances = [item for listing in self.listings.values() for item in listing.utterances]
        by_partition = {name: [item for item in utterances if item.partition == name] for name in PARTITIONS}
        return [
            datasets.SplitGenerator(name=name, gen_kwargs={"utterances": utterances})
            for name, utterances in by_partition.items()
            if utterances
        ]

    def _prepare_split_single(self, *args, **kwargs):
        with failures_raised():  # here, because this runs in each process
            yield from super()._prepare_split_single(*args, **kwargs)

    def _generate_tables(self, utterances: list[Utterance]) -> Iterator[tuple[Key, pa.Table]]:
        rejected: list[dict[str, str]] = []
        for number, rows in enumerate(_batches(self._rows(utterances, rejected))):
            yield Key(0, number), pa.Table.from_pylist(rows, schema=FEATURES.arrow_schema)
        if rejected and self.config.rejected_dir:
            path = Path(self.config.rejected_dir) / f"{utterances[0].partition}-{os.getpid()}.jsonl"
            with path.open("a", encoding="utf-8") as stream:
                stream.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in rejected)

    def _rows(self, utterances: list[Utterance], rejected: list[dict[str, str]]) -> Iterator[dict[str, Any]]:
        for item in utterances:
            try:
                yield self._row(item)
            except (AudioError, OSError) as error:
                rejected.append(rejection(self._listing_of(item).root, item.record, str(error)))

    def _row(self, item: Utterance) -> dict[str, Any]:
        record = item.record
        samples, rate = read_record(record)
        check_usable(samples, rate, recording_name(record))
        arousal, valence = arousal_valence(item.class_name) if item.class_name else (None, None)
        listing = self._listing_of(item)
        corpus = listing.entry.id
        return {
            "audio": {"bytes": encode_flac(resample(samples, rate)), "path": f"{item.utterance_id}.flac"},
            "corpus": corpus,
            "utterance_id": item.utterance_id,
            "speaker": f"{corpus}/{record.speaker}" if record.speaker is not None else None,
            "gender": record.gender,
            "age": record.age,
            "language": record.language or listing.entry.languages[0],
            "raw_label": record.raw_label or None,
            "emotion": listing.entry.emotion_of(record.raw_label, record.language),
            "label": SIX_CLASSES.index(item.class_name) if item.class_name else None,
            "arousal": arousal,
            "valence": valence,
            "partition": item.partition,
            "published_partition": record.partition,
            "duration": len(samples) / rate,
            "source_sampling_rate": rate,
            "source_file": item.source_file,
            "start": record.start,
            "end": record.end,
            "channel": record.channel,
            "session": record.session,
            "dialogue": record.dialogue,
            "text": record.text,
            "intensity": record.intensity,
            "take": record.take,
            "sentiment": record.sentiment,
            "arousal_rating": record.arousal,
            "valence_rating": record.valence,
            "dominance_rating": record.dominance,
            "rating_scale": record.rating_scale,
            "votes": [asdict(vote) for vote in record.votes],
            "other": record.other,
        }


def _batches(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Groups rows until they are many or large. Many small groups would take memory, as parquet describes each."""
    batch: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += len(row["audio"]["bytes"])
        if len(batch) == _MOST_ROWS or size > _MOST_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def check_usable(samples: np.ndarray, rate: int, name: str) -> None:
    """Raises `AudioError` for recordings no model can learn from: too short, absurdly long, or silent."""
    seconds = len(samples) / rate
    if not SHORTEST <= seconds <= LONGEST:
        raise AudioError(f"{name}: lasts {seconds:.3f} s; expected {SHORTEST} to {LONGEST:.0f} s.")
    if all(np.abs(frames).max() < _SILENCE for frames in sound_frames(samples, rate)):
        raise AudioError(
            f"{name}: the recording is silent (largest sample {np.abs(samples).max():.1e} of 1, offset included)."
        )

"""Builds corpora into one dataset, with a folder of parquet shards for each corpus, and loads it."""

import hashlib
import io
import json
import re
import shutil
import tempfile
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import soundfile
from filelock import FileLock, Timeout

from ..audio_windows import SAMPLING_RATE
from ..files import read_json
from ..labels import SIX_CLASSES
from ..records import BuildSummary
from ..targets import check_target, entries, has_keys, refuse_foreign, remove_own
from .builder import EmoSetPlusPlus
from .catalog import Places, use_catalog
from .catalog.column_map import Columns, Scale
from .checks.shared_audio import check_shared_audio, file_hashes
from .dealing.partition import PARTITIONS, check_leakage
from .hub_dataset import local_folder
from .labelling.label_spaces import Labels
from .labelling.rated import COLUMNS, label_facts, rated_only, scaled_ratings
from .labelling.relabel import Chosen, choose
from .labelling.scheme import SCHEMES, scheme_facts
from .listing import FEATURES, Listing, list_corpora
from .writing import room_required

HASHES = "files.json"
_REJECTED = "rejected.jsonl"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_LOCK = ".lock"
_LIBRARIES = ("exhubert", "datasets", "numpy", "pyarrow", "soundfile", "soxr")  # those that decide on the rows
_CORPUS_FILES = re.compile(r"emoset_plus_plus-[\w-]+\.(parquet|arrow)|(files|summary)\.json|rejected\.jsonl")
_WORK_FILES = re.compile(
    rf"{_CORPUS_FILES.pattern}|(train|validation|test)-\d+\.jsonl|parquet[\w.]*\.lock|dataset_info\.json|LICENSE"
)


def build(
    roots: Mapping[str, str | Path],
    output: str | Path,
    *,
    seed: int = 0,
    num_proc: int | None = None,
    scheme: str | Path = "default",
    encoding: str | Mapping[str, str] | None = None,
    columns: Columns | Mapping[str, Columns] | None = None,
    rating_scale: Scale | Mapping[str, Scale] | None = None,
    catalog: Places | None = None,
    strict: bool = False,
) -> dict[str, BuildSummary]:
    """Builds corpora into `output`, one folder each, and returns their summaries.

    A corpus that was already built from the same files with the same labels and partitions is kept. While corpora are
    being built, their folders end in `.incomplete`, which `load` never reads; they replace those of an earlier build
    when all are built and checked, and not if a check fails. Unusable recordings are listed with the reason in the
    corpus's `rejected.jsonl`, and the build continues. Recordings that two corpora hold in the same partition are kept,
    with a warning.

    Args:
        roots: Folder of each corpus, by its id in the catalog; any other name for a corpus of your own, such as a
            folder with a manifest or a Hugging Face dataset. `hf://owner/name` is downloaded from the hub.
        output: Folder of the dataset.
        seed: Seed of the partitions.
        num_proc: Number of processes that decode; one by default.
        scheme: Label map, see `exhubert.emoset.catalog.with_scheme`.
        encoding: Encoding of manifests and annotation files, or that of each corpus, by its id. Otherwise a file is
            read as UTF-8, or in the encoding in which most of the recordings it names exist.
        columns: Columns of tables of your own with other than usual names, such as `{"label": "emo"}`, or those of
            each corpus, by its id. Fields are those of `exhubert.emoset.catalog.column_map.FIELDS`.
        rating_scale: Lowest and highest value of the ratings of arousal, valence and dominance, or those of each
            corpus, by its id.
        catalog: Folders with YAML files of corpora of your own, see `exhubert.emoset.catalog.catalog`.
        strict: Raise an error if anything is set aside.

    Returns:
        The summary of each corpus, by its id; also stored in `output/summary.json`. A source that divides into several
        corpora has one for each of them.

    Raises:
        KeyError, FileNotFoundError, ValueError: A corpus can't be listed, see `exhubert.emoset.listing.list_corpora`;
            none of its recordings is usable; or, with `strict`, one of them isn't; or two corpora read the same files.
        TargetError: The output is, contains or lies inside a source, or holds something that `build` didn't write at a
            place that it would write to.
        LeakageError: A speaker, or the same audio, is in two partitions. Identical files are found before any work,
            other files with the same audio after it.
        OSError: The disk is full, or the output can't be written.
        TimeoutError: Another build is writing to the same folder.
    """
    output = Path(output)
    for corpus in roots:
        if not _NAME.fullmatch(corpus):
            raise ValueError(f"{corpus!r} can't name a corpus; use letters, digits, _ and -.")
    roots = {corpus: local_folder(root) for corpus, root in roots.items()}
    check_output(output, [*roots.values(), *([scheme] if scheme not in SCHEMES else [])], roots)
    with use_catalog(catalog):
        listings = list_corpora(roots, seed, scheme, encoding=encoding, columns=columns, rating_scale=rating_scale)
    # a manifest may name recordings outside of its folder, and a source may hold several corpora
    paths = (item.record.path for listing in listings.values() for item in listing.utterances)
    check_output(output, (path for path, _ in groupby(paths)), listings)  # they are in order
    check_shared_audio(listings, _built(output, listings))
    # datasets only keeps locks in its cache, since the shards are written to the output
    with tempfile.TemporaryDirectory(prefix="exhubert-", ignore_cleanup_errors=True) as cache:
        builders = {
            corpus: EmoSetPlusPlus(
                config_name=corpus,
                root=listing.root,
                seed=seed,
                scheme=scheme,
                listings={corpus: listing},
                cache_dir=cache,
                rejected_dir=str(output / f"{corpus}.incomplete"),
            )
            for corpus, listing in listings.items()
        }
        output.mkdir(parents=True, exist_ok=True)
        try:
            with room_required(output), FileLock(output / _LOCK, timeout=1):
                return _build_all(builders, output, num_proc, strict)
        except Timeout as error:
            raise TimeoutError(
                f"Another build is writing to {output}; wait for it, or choose another folder."
            ) from error


def check_output(output: str | Path, sources: Iterable[str | Path], corpora: Iterable[str] = ()) -> None:
    """Raises `TargetError` unless `build` can write `corpora` into a folder without loss; writes nothing.

    Args:
        output: Folder of the dataset.
        sources: What is read: folders of corpora, the place they were found in, files.
        corpora: Ids of the corpora that will be built.
    """
    output = check_target("--output", output, sources, own=_is_dataset, folder=True)
    refuse_foreign("--output", output / _LOCK, own=False)
    refuse_foreign("--output", output / BuildSummary.file, _is_summary(output / BuildSummary.file))
    for corpus in corpora:
        for folder, own in ((output / corpus, _is_corpus), (output / f"{corpus}.incomplete", _is_work)):
            refuse_foreign("--output", folder, own(folder))


def _is_dataset(folder: Path) -> bool:
    if _is_summary(folder / BuildSummary.file):
        return True
    parts = [path for path in entries(folder) if path.name not in (_LOCK, ".cache")]
    # stopped before there was a summary
    return not parts or any(map(_is_corpus, parts)) or any(map(_is_work, folder.glob("*.incomplete")))


def _is_summary(path: Path) -> bool:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and all(
        isinstance(facts, dict) and "partitions" in facts for facts in content.values()
    )


def _is_built(folder: Path) -> bool:
    return has_keys(folder / BuildSummary.file, "partitions", "label_map")


def _is_corpus(folder: Path) -> bool:
    """Whether a folder holds a built corpus and nothing else."""
    return _is_built(folder) and all(_CORPUS_FILES.fullmatch(path.name) and path.is_file() for path in entries(folder))


def _is_work(folder: Path) -> bool:
    """Whether a folder holds what an interrupted build leaves and nothing else."""
    parts = ("parquet", "parquet.incomplete", folder.name.removesuffix(".incomplete"))
    return folder.is_dir() and all(
        _WORK_FILES.fullmatch(path.name) or (path.is_dir() and path.name in parts) for path in folder.rglob("*")
    )


def _build_all(
    builders: Mapping[str, EmoSetPlusPlus], output: Path, num_proc: int | None, strict: bool
) -> dict[str, BuildSummary]:
    folders = {
        corpus: _build_corpus(builder, builder.listings[corpus], output / corpus, num_proc, strict)
        for corpus, builder in builders.items()
    }
    _check_content([*folders.values(), *_others(output, folders)])
    # `load` requires the summary, so there is none while corpora are replaced
    (output / BuildSummary.file).unlink(missing_ok=True)
    for corpus, folder in folders.items():
        if folder != output / corpus:
            _replace(output / corpus, folder)
        remove_own("--output", output / f"{corpus}.incomplete", _is_work)
    names = sorted([*folders, *(path.name for path in _others(output, folders))])
    summaries = {corpus: BuildSummary.load(output / corpus) for corpus in names}
    BuildSummary.save_all(summaries, output)
    return {corpus: summaries[corpus] for corpus in builders}


def _replace(target: Path, built: Path) -> None:
    """Puts a corpus in the place of an earlier one; wherever this is stopped, the next build goes on."""
    refuse_foreign("--output", target, _is_corpus(target))
    if target.is_symlink():
        target.unlink()
    elif target.exists():
        # not deleted in its place: half a corpus couldn't be told from somebody else's folder
        target.rename(built.with_name("parquet"))
    built.rename(target)


def load(
    folder: str | Path,
    corpora: Sequence[str] | None = None,
    languages: Sequence[str] | None = None,
    labels: Labels = "six",
    *,
    classes: Sequence[str] | None = None,
    keep_unlabelled: bool = False,
) -> datasets.DatasetDict:
    """Loads a built dataset as a `DatasetDict` of train, validation and test, without empty partitions.

    The column `label` has the classes of a label space, for which nothing is built again. Utterances without a class in
    it are left out, and a notice says how many of which labels. The column `audio` holds FLAC, which [`decode`]
    decodes; with torchcodec, `cast_column("audio", datasets.Audio())` makes rows decode it.

    Example:

        load("data/emoset", labels="four")["train"].features["label"].names
        # ['anger', 'happiness', 'neutral', 'sadness']

    Args:
        folder: The `output` of `build`.
        corpora: Load only these corpora.
        languages: Load only utterances in these languages (BCP-47).
        labels: The label space: `six`, `native`, `four`, `arousal`, `valence`, `alternative`, `corpus_valence`, or your
            own YAML file; see `exhubert.emoset.labelling.label_spaces.read_space`.
        classes: Class names in logit order, such as those of a model; by default in the order of the space. Where the
            data decide on the classes (`native`), utterances of other classes are left out.
        keep_unlabelled: Keep utterances without a class; their `label` is null.

    Raises:
        FileNotFoundError: The folder holds no finished dataset, or lacks a requested corpus.
        ValueError: No utterance is in the requested languages, or has a class; or the label space doesn't exist, isn't
            valid, or has other classes.
    """
    return load_labelled(folder, corpora, languages, labels, classes=classes, keep_unlabelled=keep_unlabelled)[0]


def load_labelled(
    folder: str | Path,
    corpora: Sequence[str] | None = None,
    languages: Sequence[str] | None = None,
    labels: Labels = "six",
    **options: Any,
) -> tuple[datasets.DatasetDict, Chosen]:
    """Loads a built dataset as [`load`] does, and also returns what the choice of the label space did to it."""
    folder = Path(folder)
    summaries = BuildSummary.load_all(folder)
    names = sorted(summaries)
    if missing := sorted(set(corpora or ()) - set(names)):
        raise FileNotFoundError(f"{folder} holds {', '.join(names)}, but not {', '.join(missing)}; build it first.")
    files = {
        part: [str(path) for name in corpora or names for path in sorted((folder / name).glob(f"*-{part}*.parquet"))]
        for part in PARTITIONS
    }
    data_files = {part: paths for part, paths in files.items() if paths}
    if not data_files:
        raise FileNotFoundError(f"{folder} lacks the shards of {', '.join(corpora or names)}; build it again.")
    # corpora built by an earlier version may lack columns, which are then null; decoding would need torchcodec
    features = datasets.Features(FEATURES | {"audio": datasets.Audio(SAMPLING_RATE, decode=False)})
    result = datasets.load_dataset("parquet", data_files=data_files, features=features)
    return choose(result, summaries, labels, languages=languages, source=folder, **options)


def _build_corpus(builder: EmoSetPlusPlus, listing: Listing, target: Path, num_proc: int | None, strict: bool) -> Path:
    """Builds a corpus, unless that is done, and returns the folder that holds it: `target`, or one that replaces it."""
    work = target.with_name(target.name + ".incomplete")
    result = work / target.name
    for folder in (target, result):
        if (folder / BuildSummary.file).is_file():
            summary = BuildSummary.load(folder)
            if summary.fingerprint == listing.fingerprint and not (strict and summary.rejected):
                return folder
    remove_own("--output", work, _is_work)
    result.mkdir(parents=True)
    builder.download_and_prepare(str(work / "parquet"), file_format="parquet", num_proc=num_proc)
    for shard in (work / "parquet").glob("*.parquet"):
        if pq.read_metadata(shard).num_rows:
            shard.rename(result / shard.name)
    shutil.rmtree(work / "parquet")
    failures = [line for path in sorted(work.glob("*.jsonl")) for line in path.read_text("utf-8").splitlines()]
    for path in [*work.glob("*.jsonl"), *work.glob("*.lock")]:
        path.unlink()
    rejected = sorted(listing.rejected + [json.loads(line) for line in failures], key=lambda line: line["file"])
    lines = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in rejected)
    (result / _REJECTED).write_text(lines, encoding="utf-8")
    first = "".join(f"The first: {line['file']}: {line['reason'].rstrip('.')}." for line in rejected[:1])
    if strict and rejected:
        raise ValueError(
            f"{listing.entry.name}: {len(rejected)} recordings can't be used, and --strict makes that an error. "
            f"{first} All are in {result / _REJECTED}."
        )
    if not list(result.glob("*.parquet")):
        raise ValueError(f"{listing.entry.name}: no recording can be used. {first} All are in {result / _REJECTED}.")
    _write_rows(result / HASHES, file_hashes(listing, {line["file"] for line in rejected}))
    _summary(builder, listing, result, rejected).save(result)
    return result


def _write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Writes a JSON list of rows one by one, since all of them together take more memory than anything else."""
    with path.open("w", encoding="utf-8") as stream:
        stream.write("[")
        for number, row in enumerate(rows):
            stream.write(f"{',' if number else ''}\n{json.dumps(row, indent=0)}")
        stream.write("\n]")


def _others(output: Path, corpora: Iterable[str]) -> list[Path]:
    """Returns the folders of the corpora in `output` that are none of `corpora`."""
    return [
        path
        for path in entries(output)
        if path.name not in corpora and not path.name.endswith(".incomplete") and _is_built(path)
    ]


def _built(output: Path, corpora: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Yields the files of the corpora that an earlier build left in `output`; an old version stored none."""
    for folder in _others(output, corpora):
        if (folder / HASHES).is_file():
            yield from read_json(folder / HASHES)


def _summary(builder: EmoSetPlusPlus, listing: Listing, folder: Path, rejected: list[dict[str, str]]) -> BuildSummary:
    partitions: dict[str, Any] = {}
    seconds, unnamed = 0.0, 0
    for part in PARTITIONS:
        rows = [
            pq.read_table(path, columns=["label", "speaker", "duration"])
            for path in sorted(folder.glob(f"*-{part}*.parquet"))
        ]
        speakers, classes, utterances = set(), Counter[int | None](), 0
        for table in rows:
            seconds += pc.sum(table["duration"]).as_py() or 0.0
            unnamed += table["speaker"].null_count
            utterances += table.num_rows
            speakers.update(pc.unique(table["speaker"].drop_null()).to_pylist())
            classes.update({row["values"]: row["counts"] for row in pc.value_counts(table["label"]).to_pylist()})
        partitions[part] = {
            "utterances": utterances,
            "speakers": sorted(speakers),
            "classes": {name: classes[number] for number, name in enumerate(SIX_CLASSES)},
            "without_class": classes[None],
        }
    rated = _rated(folder)
    counts = Counter(name for part in partitions.values() for name in part["speakers"])
    divided = sorted(name for name, number in counts.items() if number > 1)
    return BuildSummary(
        name=listing.entry.name,
        licence=listing.entry.licence,
        redistribution=listing.entry.redistribution,
        kind=listing.entry.kind,
        utterances=sum(part["utterances"] for part in partitions.values()),
        hours=round(seconds / 3600, 3),
        partition_rule=listing.rule,
        speaker_independent=unnamed == 0 and not divided,
        partitions=partitions,
        rejected=len(rejected),
        dropped_labels=listing.dropped,
        label_map={raw: asdict(facts) for raw, facts in listing.entry.labels.items()},
        fingerprint=listing.fingerprint,
        unnamed=unnamed,
        divided_speakers=divided,
        merged_speakers=listing.merged_speakers,
        not_speakers=listing.not_speakers,
        rated=rated.total(),
        rated_without_scale=rated[False],
        seed=builder.config.seed,
        scheme=scheme_facts(builder.config.scheme),
        versions={name: version(name) for name in _LIBRARIES},
        catalog_sha256=_hash_of(asdict(listing.entry)),
        notes=listing.notes,
    )


def _rated(folder: Path) -> Counter[bool]:
    """Number of utterances that have ratings on their scale instead of a label, by whether the scale is known."""
    result = Counter[bool]()
    for path in sorted(folder.glob("*.parquet")):
        with pq.ParquetFile(path, pre_buffer=False) as file:
            for batch in file.iter_batches(columns=list(COLUMNS), use_threads=False):
                facts = label_facts(pa.Table.from_batches([batch]))
                is_scaled = facts["scale_low"].notna()
                usable = ~is_scaled | scaled_ratings(facts).notna().any(axis=1)
                result.update(is_scaled[rated_only(facts) & usable].tolist())
    return result


def _hash_of(facts: Mapping[str, Any]) -> str:
    """SHA-256 of facts, the same on every machine."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _check_content(folders: Iterable[Path]) -> None:
    """Raises `LeakageError` if the same audio is in two partitions, within a corpus or across corpora."""
    paths = sorted(path for folder in folders for path in folder.glob("*.parquet"))
    hashes, places = array("q"), array("b")  # a few bytes for each row; whole hashes only of those that may be equal
    for content, part in _cells(paths, "audio", "partition"):
        hashes.append(int.from_bytes(_hash(content)[:8], signed=True))
        places.append(PARTITIONS.index(part))
    keys, parts = np.frombuffer(hashes, np.int64), np.frombuffer(places, np.int8)
    pairs = np.unique(np.stack([keys, parts.astype(np.int64)]), axis=1)[0]
    several = pairs[1:][pairs[1:] == pairs[:-1]]
    doubtful = set(np.flatnonzero(np.isin(keys, several)).tolist())
    if not doubtful:
        return
    names: dict[bytes, list[tuple[str, str]]] = {}
    for row, (content, name, part) in enumerate(_cells(paths, "audio", "utterance_id", "partition")):
        if row in doubtful:
            names.setdefault(_hash(content), []).append((name, part))
    shown = [(" = ".join(name for name, _ in own[:2]), part) for own in names.values() for _, part in own]
    check_leakage(
        [name for name, _ in shown],
        [part for _, part in shown],
        "recordings with the same audio",
        advice="Build only one of two corpora that share recordings (delete the folder of one that was built before); "
        "within one, correct the partition column or the speaker names.",
    )


def _cells(paths: Iterable[Path], *columns: str) -> Iterator[tuple]:
    for path in paths:
        # buffers would keep the whole file, and threads a part of it each
        with pq.ParquetFile(path, pre_buffer=False) as file:
            for batch in file.iter_batches(64, columns=columns, use_threads=False):
                yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _hash(audio: Mapping[str, Any]) -> bytes:
    return hashlib.sha1(audio["bytes"]).digest()


def decode(audio: Mapping[str, Any]) -> np.ndarray:
    """Decodes an `audio` cell of a built dataset to `(samples,)`, float32, 16 kHz."""
    samples, _ = soundfile.read(io.BytesIO(audio["bytes"]), dtype="float32")
    return samples

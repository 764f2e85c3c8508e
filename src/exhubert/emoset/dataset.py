"""Builds corpora into one dataset, with a folder of parquet shards for each corpus, and loads it."""

import hashlib
import io
import json
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow.parquet as pq
import soundfile
from filelock import FileLock, Timeout

from ..labels import SIX_CLASSES
from ..records import BuildSummary
from ..targets import check_target, entries, has_keys, refuse_foreign, remove_own
from .builder import EmoSetPlusPlus
from .catalog import SCHEMES
from .listing import Listing
from .partition import PARTITIONS, check_leakage

_REJECTED = "rejected.jsonl"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_LOCK = ".lock"
_CORPUS_FILES = re.compile(r"emoset_plus_plus-[\w-]+\.(parquet|arrow)|rejected\.jsonl|summary\.json")
_WORK_FILES = re.compile(
    rf"{_CORPUS_FILES.pattern}|(train|validation|test)-\d+\.jsonl|parquet[\w.]*\.lock|dataset_info\.json"
)


def build(
    roots: Mapping[str, str | Path],
    output: str | Path,
    *,
    seed: int = 0,
    num_proc: int | None = None,
    scheme: str | Path = "default",
    strict: bool = False,
) -> dict[str, BuildSummary]:
    """Builds corpora into `output`, one folder each, and returns their summaries.

    A corpus that was already built from the same files with the same labels and partitions is kept. While a corpus is
    being built, its folder ends in `.incomplete`, which `load` never reads. Unusable recordings are listed with the
    reason in the corpus's `rejected.jsonl`, and the build continues.

    Args:
        roots: Folder of each corpus, by its id in the catalog; any other name for a folder with a manifest.
        output: Folder of the dataset.
        seed: Seed of the partitions.
        num_proc: Number of processes that decode; one by default.
        scheme: Label map, see `exhubert.emoset.catalog.with_scheme`.
        strict: Raise an error if anything is set aside.

    Returns:
        The summary of each corpus, by its id; also stored in `output/summary.json`.

    Raises:
        KeyError, FileNotFoundError, ValueError: A corpus can't be listed, see `exhubert.emoset.listing.list_corpus`;
            none of its recordings is usable; or, with `strict`, one of them isn't.
        TargetError: The output is, contains or lies inside a source, or holds something that `build` didn't write at a
            place that it would write to.
        LeakageError: A speaker, or the same audio, is in two partitions.
        TimeoutError: Another build is writing to the same folder.
    """
    output = Path(output)
    for corpus in roots:
        if not _NAME.fullmatch(corpus):
            raise ValueError(f"{corpus!r} can't name a corpus; use letters, digits, _ and -.")
    check_output(output, [*roots.values(), *([scheme] if scheme not in SCHEMES else [])], roots)
    # datasets only keeps locks in its cache, since the shards are written to the output
    with tempfile.TemporaryDirectory(prefix="exhubert-", ignore_cleanup_errors=True) as cache:
        builders = {
            corpus: EmoSetPlusPlus(
                config_name=corpus,
                root=root,
                seed=seed,
                scheme=scheme,
                cache_dir=cache,
                rejected_dir=str(output / f"{corpus}.incomplete"),
            )
            for corpus, root in roots.items()
        }
        listings = [builder.listings[corpus] for corpus, builder in builders.items()]
        # a manifest may name recordings outside of its folder
        check_output(output, {item.record.file for listing in listings for item in listing.utterances})
        output.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(output / _LOCK, timeout=1):
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
    for corpus in corpora:
        for folder, own in ((output / corpus, _is_corpus), (output / f"{corpus}.incomplete", _is_work)):
            refuse_foreign("--output", folder, own(folder))


def _is_dataset(folder: Path) -> bool:
    if (folder / BuildSummary.file).exists():
        return _is_summary(folder / BuildSummary.file)
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


def _corpora(folder: Path) -> list[str]:
    """Names of the corpora in a dataset, whatever else lies there."""
    return [path.name for path in entries(folder) if not path.name.endswith(".incomplete") and _is_corpus(path)]


def _is_corpus(folder: Path) -> bool:
    """Whether a folder holds a built corpus and nothing else."""
    return has_keys(folder / BuildSummary.file, "partitions", "label_map") and all(
        _CORPUS_FILES.fullmatch(path.name) and path.is_file() for path in entries(folder)
    )


def _is_work(folder: Path) -> bool:
    """Whether a folder holds what an interrupted build leaves and nothing else."""
    return folder.is_dir() and all(
        _WORK_FILES.fullmatch(path.name) or (path.is_dir() and path.name in ("parquet", "parquet.incomplete"))
        for path in folder.rglob("*")
    )


def _build_all(
    builders: Mapping[str, EmoSetPlusPlus], output: Path, num_proc: int | None, strict: bool
) -> dict[str, BuildSummary]:
    # `load` requires the summary, so it is written only after all checks
    (output / BuildSummary.file).unlink(missing_ok=True)
    for corpus, builder in builders.items():
        _build_corpus(builder, builder.listings[corpus], output / corpus, num_proc, strict)
    _check_content(output)
    names = _corpora(output)
    summaries = {corpus: BuildSummary.load(output / corpus) for corpus in names}
    BuildSummary.save_all(summaries, output)
    return {corpus: summaries[corpus] for corpus in builders}


def load(
    folder: str | Path, corpora: Sequence[str] | None = None, languages: Sequence[str] | None = None
) -> datasets.DatasetDict:
    """Loads a built dataset as a `DatasetDict` of train, validation and test, without empty partitions.

    Args:
        folder: The `output` of `build`.
        corpora: Load only these corpora.
        languages: Load only utterances in these languages (BCP-47).

    Raises:
        FileNotFoundError: The folder holds no finished dataset, or lacks a requested corpus.
        ValueError: No utterance is in the requested languages.
    """
    folder = Path(folder)
    names = sorted(BuildSummary.load_all(folder))
    if missing := sorted(set(corpora or ()) - set(names)):
        raise FileNotFoundError(f"{folder} holds {', '.join(names)}, but not {', '.join(missing)}; build it first.")
    files = {
        part: [str(path) for name in corpora or names for path in sorted((folder / name).glob(f"*-{part}*.parquet"))]
        for part in PARTITIONS
    }
    data_files = {part: paths for part, paths in files.items() if paths}
    result = datasets.load_dataset("parquet", data_files=data_files)
    if languages:
        wanted = set(languages)
        result = result.filter(lambda language: language in wanted, input_columns="language")
        result = datasets.DatasetDict({part: rows for part, rows in result.items() if len(rows)})
    if not result:
        raise ValueError(f"No utterance of {folder} is in the languages {', '.join(languages or ())}.")
    return result


def _build_corpus(builder: EmoSetPlusPlus, listing: Listing, target: Path, num_proc: int | None, strict: bool) -> None:
    work = target.with_name(target.name + ".incomplete")
    remove_own("--output", work, _is_work)
    if (target / BuildSummary.file).is_file():
        summary = BuildSummary.load(target)
        if summary.fingerprint == listing.fingerprint and not (strict and summary.rejected):
            return
    work.mkdir(parents=True)
    builder.download_and_prepare(str(work / "parquet"), file_format="parquet", num_proc=num_proc)
    for shard in (work / "parquet").glob("*.parquet"):
        if pq.read_metadata(shard).num_rows:
            shard.rename(work / shard.name)
    shutil.rmtree(work / "parquet")
    failures = [line for path in sorted(work.glob("*.jsonl")) for line in path.read_text("utf-8").splitlines()]
    for path in [*work.glob("*.jsonl"), *work.glob("*.lock")]:
        path.unlink()
    rejected = sorted(listing.rejected + [json.loads(line) for line in failures], key=lambda line: line["file"])
    lines = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in rejected)
    (work / _REJECTED).write_text(lines, encoding="utf-8")
    if strict and rejected:
        raise ValueError(
            f"{listing.entry.name}: {len(rejected)} recordings can't be used, and --strict makes that an error. "
            f"The first: {rejected[0]['file']}: {rejected[0]['reason']} All are in {work / _REJECTED}."
        )
    if not list(work.glob("*.parquet")):
        raise ValueError(f"{listing.entry.name}: no recording can be used; the reasons are in {work / _REJECTED}.")
    _summary(listing, work, rejected).save(work)
    remove_own("--output", target, _is_corpus)
    work.rename(target)


def _summary(listing: Listing, folder: Path, rejected: list[dict[str, str]]) -> BuildSummary:
    partitions: dict[str, Any] = {}
    seconds, unnamed = 0.0, 0
    for part in PARTITIONS:
        rows = []
        for path in sorted(folder.glob(f"*-{part}*.parquet")):
            rows += pq.read_table(path, columns=["label", "speaker", "duration"]).to_pylist()
        seconds += sum(row["duration"] for row in rows)
        unnamed += sum(row["speaker"] is None for row in rows)
        counts = Counter(SIX_CLASSES[row["label"]] for row in rows)
        partitions[part] = {
            "utterances": len(rows),
            "speakers": sorted({row["speaker"] for row in rows if row["speaker"]}),
            "classes": {name: counts[name] for name in SIX_CLASSES},
        }
    return BuildSummary(
        name=listing.entry.name,
        licence=listing.entry.licence,
        redistribution=listing.entry.redistribution,
        kind=listing.entry.kind,
        utterances=sum(part["utterances"] for part in partitions.values()),
        hours=round(seconds / 3600, 3),
        partition_rule=listing.rule,
        speaker_independent=unnamed == 0,
        partitions=partitions,
        rejected=len(rejected),
        dropped_labels=listing.dropped,
        label_map={raw: asdict(facts) for raw, facts in listing.entry.labels.items()},
        fingerprint=listing.fingerprint,
    )


def _check_content(folder: Path) -> None:
    """Raises `LeakageError` if the same audio is in two partitions, within a corpus or across corpora."""
    keys, parts = [], []
    for path in (path for corpus in _corpora(folder) for path in sorted((folder / corpus).glob("*.parquet"))):
        for batch in pq.ParquetFile(path).iter_batches(64, columns=["audio", "partition"]):
            for row in batch.to_pylist():
                keys.append((hashlib.sha1(row["audio"]["bytes"]).hexdigest(), row["audio"]["path"]))
                parts.append(row["partition"])
    names: dict[str, str] = {}
    for digest, name in keys:
        names.setdefault(digest, name)
    check_leakage([names[digest] for digest, _ in keys], parts, "recordings with the same audio")


def decode(audio: Mapping[str, Any]) -> np.ndarray:
    """Decodes an `audio` cell of a built dataset to `(samples,)`, float32, 16 kHz."""
    samples, _ = soundfile.read(io.BytesIO(audio["bytes"]), dtype="float32")
    return samples

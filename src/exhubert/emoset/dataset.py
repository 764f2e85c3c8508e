"""Building: every corpus asked for becomes a folder of parquet shards, and together they make one dataset."""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq

from ..labels import SIX_CLASSES
from .builder import EmoSetPlusPlus
from .partition import PARTITIONS, check_leakage

_SUMMARY = "summary.json"
_REJECTED = "rejected.jsonl"


def build(
    roots: Mapping[str, str | Path], output: str | Path, *, seed: int = 0, num_proc: int | None = None
) -> dict[str, Any]:
    """Builds corpora into `output`, one folder each, and returns the summary.

    A corpus that is already there, built from the same files with the same labels and partitions, is kept. One that
    is being built lives in a folder ending in `.incomplete`, which `load` never reads. Unusable recordings are listed
    with the reason in the corpus's `rejected.jsonl`, and the build goes on.

    Args:
        roots: Folder of each corpus, by its id in the catalog; any other name for a folder with a `manifest.csv`.
        output: Folder of the dataset.
        seed: Of the partitions.
        num_proc: Processes that decode; one by default.

    Returns:
        For each corpus its counts by partition and class, speakers, hours, rejected recordings, dropped labels and
        partition rule. The same is in `output/summary.json`.

    Raises:
        KeyError, FileNotFoundError, ValueError: A corpus can't be listed; see `exhubert.emoset.builder.list_corpus`.
        LeakageError: A speaker, or the same audio, stands in two partitions.
    """
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    (output / _SUMMARY).unlink(missing_ok=True)  # it comes back when everything is checked, and `load` asks for it
    for corpus, root in roots.items():
        builder = EmoSetPlusPlus(
            config_name=corpus,
            root=root,
            seed=seed,
            cache_dir=str(output / ".cache"),
            rejected_dir=str(output / f"{corpus}.incomplete"),
        )
        _build_corpus(builder, output / corpus, num_proc)
    shutil.rmtree(output / ".cache", ignore_errors=True)
    _check_content(output)
    built = sorted(path.parent.name for path in output.glob(f"*/{_SUMMARY}"))
    summary = {corpus: json.loads((output / corpus / _SUMMARY).read_text(encoding="utf-8")) for corpus in built}
    _write_json(output / _SUMMARY, summary)
    return {corpus: summary[corpus] for corpus in roots}


def load(
    folder: str | Path, corpora: Sequence[str] | None = None, languages: Sequence[str] | None = None
) -> datasets.DatasetDict:
    """Opens a built dataset: `DatasetDict` of train, validation and test, as far as they hold rows.

    Args:
        folder: What `build` was given as output.
        corpora: Only these corpora.
        languages: Only utterances in these languages (BCP-47).

    Raises:
        FileNotFoundError: The folder holds no built corpus, or not one that was asked for.
        ValueError: No row is left.
    """
    folder = Path(folder)
    if not (folder / _SUMMARY).is_file():
        raise FileNotFoundError(f"{folder} holds no finished dataset; build it, or go on with recipes/build_emoset.py.")
    built = sorted(json.loads((folder / _SUMMARY).read_text(encoding="utf-8")))
    if missing := sorted(set(corpora or ()) - set(built)):
        raise FileNotFoundError(f"{folder} holds {', '.join(built)}, but not {', '.join(missing)}; build it first.")
    files = {
        part: [str(path) for name in corpora or built for path in sorted((folder / name).glob(f"*-{part}*.parquet"))]
        for part in PARTITIONS
    }
    present = {part: paths for part, paths in files.items() if paths}
    result = datasets.load_dataset("parquet", data_files=present)
    if languages:
        wanted = set(languages)
        result = result.filter(lambda language: language in wanted, input_columns="language")
        result = datasets.DatasetDict({part: rows for part, rows in result.items() if len(rows)})
    if not result:
        raise ValueError(f"No utterance of {folder} is in the languages {', '.join(languages or ())}.")
    return result


def _build_corpus(builder: EmoSetPlusPlus, target: Path, num_proc: int | None) -> dict[str, Any]:
    listing = builder.listing
    if (target / _SUMMARY).is_file():
        summary = json.loads((target / _SUMMARY).read_text(encoding="utf-8"))
        if summary["fingerprint"] == listing.fingerprint:
            return summary
    work = target.with_name(target.name + ".incomplete")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    builder.download_and_prepare(str(work / "parquet"), file_format="parquet", num_proc=num_proc)
    for shard in (work / "parquet").glob("*.parquet"):
        shard.rename(work / shard.name)
    shutil.rmtree(work / "parquet")
    rejected = [line for path in sorted(work.glob("*.jsonl")) for line in path.read_text("utf-8").splitlines()]
    for path in [*work.glob("*.jsonl"), *work.glob("*.lock")]:
        path.unlink()
    (work / _REJECTED).write_text("".join(f"{line}\n" for line in sorted(rejected)), encoding="utf-8")
    summary = _summary(builder, work, [json.loads(line) for line in rejected])
    _write_json(work / _SUMMARY, summary)
    shutil.rmtree(target, ignore_errors=True)
    work.rename(target)
    return summary


def _summary(builder: EmoSetPlusPlus, folder: Path, rejected: list[dict[str, str]]) -> dict[str, Any]:
    listing = builder.listing
    partitions: dict[str, Any] = {}
    seconds = 0.0
    for part in PARTITIONS:
        rows = []
        for path in sorted(folder.glob(f"*-{part}*.parquet")):
            rows += pq.read_table(path, columns=["label", "speaker", "duration"]).to_pylist()
        seconds += sum(row["duration"] for row in rows)
        counts = Counter(SIX_CLASSES[row["label"]] for row in rows)
        partitions[part] = {
            "utterances": len(rows),
            "speakers": sorted({row["speaker"] for row in rows if row["speaker"]}),
            "classes": {name: counts[name] for name in SIX_CLASSES},
        }
    return {
        "name": listing.entry.name,
        "licence": listing.entry.licence,
        "kind": listing.entry.kind,
        "utterances": sum(part["utterances"] for part in partitions.values()),
        "hours": round(seconds / 3600, 3),
        "partition_rule": listing.rule,
        "speaker_independent": listing.rule in ("speaker", "official", "official+speaker"),
        "partitions": partitions,
        "rejected": len(rejected),
        "dropped_labels": listing.dropped,
        "label_map": {raw: asdict(facts) for raw, facts in listing.entry.labels.items()},
        "fingerprint": listing.fingerprint,
    }


def _write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes a file that is there whole or not at all."""
    part = path.with_suffix(".incomplete")
    part.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(path)


def _check_content(folder: Path) -> None:
    """No recording may stand in two partitions, in whichever corpora."""
    keys, parts = [], []
    for path in sorted(folder.glob("*/*.parquet")):
        if path.parent.name.endswith(".incomplete"):
            continue
        for batch in pq.ParquetFile(path).iter_batches(64, columns=["audio", "partition"]):
            for row in batch.to_pylist():
                keys.append((hashlib.sha1(row["audio"]["bytes"]).hexdigest(), row["audio"]["path"]))
                parts.append(row["partition"])
    names: dict[str, str] = {}
    for digest, name in keys:
        names.setdefault(digest, name)
    check_leakage([names[digest] for digest, _ in keys], parts, "recordings with the same audio")

"""Finds the files of a Hugging Face dataset on disk, with their splits, configurations and names of classes."""

import json
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml

from ...search import files_in
from ..audio_rows import ARROW, PARQUET, Rows
from .columns import EVALUATION, PARTITIONS

logger = logging.getLogger(__name__)

_TABLES = (*PARQUET, *ARROW)
_CACHES = re.compile(r"(?:cache-|tmp|indices)", re.IGNORECASE)  # what `datasets` keeps beside the rows
_SHARD = re.compile(
    r"(?:^|[-_.])(?:part|shard|data|dataset)?[-_.]?\d+(?:-of-\d+)?(?:-[0-9a-f]{8,})?$|^(?:data|dataset)$"
)
_NUMBERED = re.compile(r"(.+)-(\d+)-of-(\d{1,6})(?:-[0-9a-f]{8,})?$")
_DEPTH, _MOST_ENTRIES = 3, 20_000  # of folders in which datasets are looked for
STATE, _DICT, _INFO, _INFOS = "state.json", "dataset_dict.json", "dataset_info.json", "dataset_infos.json"
_FOLDERS = ("data", "default")  # whose names say nothing


@dataclass(frozen=True)
class Feature:
    """What a dataset says of one column.

    Attributes:
        kind: Its type in `datasets`, in lower case, such as `audio` or `image`; empty if unknown.
        classes: Names of its classes, if it has numbers for them.
    """

    kind: str = ""
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataFile:
    """One parquet or Arrow file of a dataset.

    Attributes:
        path: The file.
        split: Word for the split; None if nothing names one.
        config: Configuration of the dataset; None if there is only one.
        features: Columns that its metadata describes.
        chosen: Numbers of the rows that belong to the dataset; None for all.
    """

    path: Path
    split: str | None = None
    config: str | None = None
    features: Mapping[str, Feature] = field(default_factory=dict)
    chosen: np.ndarray | None = None


def is_partition_word(word: str) -> bool:
    """Whether a word names a partition, such as `train`, `valid` or `dev`."""
    return word.lower() in PARTITIONS or word.lower() in EVALUATION


def first_table(root: Path) -> Path | None:
    """Returns a parquet or Arrow file at most three folders below `root`; looks at no more than 20,000 entries."""
    waiting, entries = [(root, 0)], 0
    for folder, depth in waiting:
        tables, folders = [], []
        try:
            with os.scandir(folder) as content:
                for item in content:
                    entries += 1
                    if entries > _MOST_ENTRIES:
                        break
                    if item.name.startswith("."):
                        continue
                    if _is_table(item.name):
                        tables.append(item.name)
                    elif item.is_dir() and depth < _DEPTH:
                        folders.append(item.name)
        except OSError:
            continue
        if tables:
            return folder / min(tables)
        waiting += [(folder / name, depth + 1) for name in sorted(folders, key=lambda name: (name != "data", name))]
    return None


def _is_table(name: str) -> bool:
    return name.lower().endswith(_TABLES) and not _CACHES.match(name) and not name.startswith(".")


def holds_parts(root: Path) -> bool:
    """Whether a folder itself is a dataset, of which the folders below it are only splits or configurations."""
    if any((root / name).is_file() for name in (STATE, _DICT, _INFOS)) or _snapshot(root) != root or _card(root):
        return True
    if any(_is_table(path.name) for path in root.iterdir() if path.is_file()):
        return True
    folders = [path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".") and first_table(path)]
    return bool(folders) and all(path.name.lower() in _FOLDERS or is_partition_word(path.name) for path in folders)


def data_files(root: Path) -> list[DataFile]:
    """Returns the files of a dataset: what `save_to_disk` wrote, what its README.md lists, or all there are.

    Raises:
        ValueError: A description of the dataset can't be read.
    """
    root = _snapshot(root)
    found, described = list(_saved(root)), {}
    if not found:
        described = _described(root)
        found = list(_listed(root)) or [_placed(root, path) for path in _tables(root)]
    several = len({file.config for file in found}) > 1
    return [
        replace(
            file,
            config=file.config if several else None,
            features={
                **described.get((file.config or "").partition("/")[0], described.get(None, {})),
                **_near(file.path),
            },
        )
        for file in found
    ]


def missing_shards(paths: Iterable[Path]) -> list[str]:
    """Returns the names of files that are missing among those numbered such as `train-00000-of-00004.parquet`."""
    present: dict[tuple[Path, str, str], set[int]] = {}
    for path in paths:
        if match := _NUMBERED.match(path.stem):
            present.setdefault((path.parent, match[1], match[3]), set()).add(int(match[2]))
    return [
        f"{name}-{number:05}-of-{total}"
        for (_, name, total), numbers in sorted(present.items())
        for number in range(int(total))
        if number not in numbers
    ]


def _snapshot(root: Path) -> Path:
    """Returns the newest snapshot if a folder is a repository in the cache of huggingface_hub."""
    snapshots = root / "snapshots"
    if not snapshots.is_dir():
        return root
    main = root / "refs" / "main"
    named = snapshots / main.read_text().strip() if main.is_file() else snapshots / ""
    folders = [path for path in snapshots.iterdir() if path.is_dir()]
    if named in folders or not folders:
        return named
    return max(folders, key=lambda path: path.stat().st_mtime_ns)


def _tables(root: Path) -> Iterator[Path]:
    for path in files_in(root):
        if _is_table(path.name) and not any(part.startswith(".") for part in path.relative_to(root).parts):
            yield path


def _saved(root: Path) -> Iterator[DataFile]:
    """Yields the files of the datasets that `save_to_disk` wrote below a folder."""
    for path in files_in(root, STATE):
        state = _json(path)
        if not isinstance(state.get("_data_files"), list):
            continue
        folder = path.parent
        parts = folder.relative_to(root).parts
        listed = _json(folder.parent / _DICT).get("splits") if (folder.parent / _DICT).is_file() else None
        if listed and folder.name not in listed:
            continue  # left over from a dataset that was saved here before
        if listed or (parts and is_partition_word(folder.name)):
            (split, rest), parts = _split_of(folder.name), parts[:-1]
        else:
            split, rest = _split_of(re.sub(r"\[.*", "", str(state.get("_split") or "")))
        config = "/".join([*parts, *rest]) or None
        files = [folder / item["filename"] for item in state["_data_files"]]
        indices = [folder / item["filename"] for item in state.get("_indices_data_files") or ()]
        if state.get("_indices_files"):  # of datasets before 2.0
            indices = [folder / item["filename"] for item in state["_indices_files"]]
        for file, chosen in zip(files, _chosen(files, indices), strict=True):
            yield DataFile(file, split, config, chosen=chosen)


def _chosen(files: Sequence[Path], indices: Sequence[Path]) -> list[np.ndarray | None]:
    """Returns the rows of each file that an index over all of them names."""
    if not indices:
        return [None] * len(files)
    numbers = np.concatenate(
        [batch.column(0).to_numpy() for path in indices for _, batch in _whole(path)] or [np.zeros(0, dtype=np.int64)]
    )
    numbers = np.unique(numbers.astype(np.int64))
    ends = np.cumsum([Rows(path).number for path in files])
    starts = np.concatenate([[0], ends[:-1]])
    return [numbers[(numbers >= start) & (numbers < end)] - start for start, end in zip(starts, ends, strict=True)]


def _whole(path: Path) -> Iterator[tuple[int, pa.RecordBatch]]:
    rows = Rows(path)
    yield from rows.batches(rows.schema.names[:1], 100_000)


def _listed(root: Path) -> Iterator[DataFile]:
    """Yields the files that the `configs` of README.md name, and no file twice."""
    from datasets.data_files import sanitize_patterns  # slow to import, and most commands need no dataset

    seen: set[Path] = set()
    for config in _card(root).get("configs") or ():
        if not isinstance(config, Mapping) or not config.get("data_files"):
            continue
        try:
            patterns = sanitize_patterns(config["data_files"])
        except (KeyError, TypeError, ValueError):
            logger.warning("%s: the data_files of a configuration aren't understood.", root / "README.md")
            continue
        named = isinstance(config["data_files"], Mapping) or any(
            isinstance(item, Mapping) for item in config["data_files"]
        )  # else all of it is called train
        for split, globs in patterns.items():
            paths = {path for glob in globs for path in _matching(root, str(glob)) if _is_table(path.name)}
            for path in sorted(paths - seen):
                word, rest = _split_of(str(split)) if named else (_placed(root, path).split, [])
                yield DataFile(path, word, "/".join([str(config.get("config_name", "default")), *rest]))
            seen |= paths


def _matching(root: Path, pattern: str) -> list[Path]:
    try:
        return [path for path in root.glob(pattern) if path.is_file()]
    except (NotImplementedError, ValueError):  # an address or an absolute path
        return []


def _placed(root: Path, path: Path) -> DataFile:
    """Takes the split and the configuration of a file from its path, as the hub does: `en/train-00000-of-00002`."""
    folders = list(path.relative_to(root).parts[:-1])
    split, rest = _split_of(_SHARD.sub("", path.name[: -len(path.suffix)]))
    if split is None or not is_partition_word(split):
        named = [number for number, folder in enumerate(folders) if partition_word(folder)]
        if named:
            split, more = _split_of(folders.pop(named[-1]))
            rest = [*rest, *more]
    else:
        folders = [folder for folder in folders if not is_partition_word(folder)]
    config = [folder for folder in folders if folder.lower() not in _FOLDERS]
    return DataFile(path, split, "/".join([*config, *rest]) or None)


def _split_of(name: str) -> tuple[str | None, list[str]]:
    """Returns the word for a partition in the name of a split such as `crema_d_train`, and what else the name says.

    A name without such a word is all split, and empty if it says nothing.
    """
    word = partition_word(name)
    if word is None:
        return name or None, []
    rest = re.sub(rf"(?:^|[-_.\s]+){word}(?=[-_.\s]|$)", "", name, flags=re.IGNORECASE).strip("-_. ")
    return word, [rest] if rest and rest.lower() != "partial" else []


def partition_word(name: str) -> str | None:
    """Returns the only word for a partition in a name such as `emotions_train`."""
    words = {word for word in re.split(r"[-_.\s]+", name.lower()) if is_partition_word(word)}
    return words.pop() if len(words) == 1 else None


def features_of(schema: pa.Schema) -> dict[str, Feature]:
    """Returns what the metadata of a parquet or Arrow file says of its columns."""
    try:
        content = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        return _of_info(content.get("info") or {})
    except (AttributeError, ValueError):
        return {}


def _near(path: Path) -> dict[str, Feature]:
    info = path.parent / _INFO
    return _of_info(_json(info)) if info.is_file() else {}


def _described(root: Path) -> dict[str | None, dict[str, Feature]]:
    """Returns the columns of each configuration, from README.md and files of descriptions; None for the only one."""
    found: dict[str | None, dict[str, Feature]] = {}
    if (root / _INFOS).is_file():
        found |= {name: _of_info(info) for name, info in _json(root / _INFOS).items() if isinstance(info, Mapping)}
    if (root / _INFO).is_file():
        found[None] = _of_info(_json(root / _INFO))
    infos = _card(root).get("dataset_info") or ()
    for info in [infos] if isinstance(infos, Mapping) else infos:
        if isinstance(info, Mapping):
            found[info.get("config_name")] = _of_info(info)
    if found and None not in found:
        # if all configurations say the same of a column, it holds for files of none
        every = [features.items() for features in found.values()]
        found[None] = dict(item for item in every[0] if all(item in other for other in every))
    return found


def _of_info(info: Mapping[str, Any]) -> dict[str, Feature]:
    features = info.get("features") or {}
    if isinstance(features, Mapping):
        return {str(name): _feature(spec) for name, spec in features.items()}
    named = (item for item in features if isinstance(item, Mapping) and "name" in item)
    return {str(item["name"]): _feature(item) for item in named}


def _feature(spec: Any) -> Feature:
    """Understands a column in the form of dataset_info.json and in that of README.md; of a list, its elements."""
    if isinstance(spec, list):
        return _feature(spec[0]) if spec else Feature()
    if not isinstance(spec, Mapping):
        return Feature(str(spec).lower())
    if isinstance(spec.get("class_label"), Mapping) or spec.get("_type") == "ClassLabel":
        names = (spec.get("class_label") or spec).get("names") or ()
        if isinstance(names, Mapping):
            names = [names[key] for key in sorted(names, key=int)]
        return Feature("classlabel", tuple(map(str, names)))
    for inner in ("feature", "list", "sequence", "dtype"):
        if spec.get(inner) and spec.get("_type") != "Value":
            return _feature(spec[inner])
    return Feature(str(spec.get("_type", spec.get("dtype", ""))).lower())


def card_language(root: Path) -> str | None:
    """Returns the language of a dataset's recordings, if its README.md names exactly one."""
    languages = _head(_snapshot(root)).get("language")
    names = [languages] if isinstance(languages, str) else languages if isinstance(languages, list) else []
    return str(names[0]) if len(names) == 1 else None


def facts_of_card(root: Path) -> dict[str, str]:
    """Returns the fields of `CatalogEntry` that a dataset's README.md tells: its licence and title."""
    head = _head(_snapshot(root))
    licence = head.get("license")
    words = [*(licence if isinstance(licence, list) else [licence]), head.get("license_name"), head.get("license_link")]
    terms = " ".join(word for word in words if isinstance(word, str) and word not in ("other", "unknown"))
    title = head.get("pretty_name")
    facts = {"licence": terms, "full_name": title if isinstance(title, str) else ""}
    return {name: value for name, value in facts.items() if value}


def _card(root: Path) -> Mapping[str, Any]:
    """Returns what README.md says of the files and columns; empty if nothing."""
    return {name: value for name, value in _head(root).items() if name in ("configs", "dataset_info") and value}


def _head(root: Path) -> Mapping[str, Any]:
    """Returns the YAML at the beginning of README.md; empty if there is none."""
    path = root / "README.md"
    if not path.is_file():
        return {}
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    head = re.match(r"\s*---\s*\n(.*?)\n---\s*(?:\n|$)", text, re.DOTALL)
    try:
        content = yaml.safe_load(head[1]) if head else None
    except yaml.YAMLError:
        logger.warning("%s: the YAML at its beginning can't be read, so that names of classes may be missing.", path)
        return {}
    return content if isinstance(content, Mapping) else {}


def _json(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} isn't valid JSON ({error}); it may have been cut off or edited.") from error
    return content if isinstance(content, Mapping) else {}


def partitions_of(names: Iterable[str]) -> dict[str, str]:
    """Returns the partition of each name of a split that has a word for one; `eval` is validation, unless another is.

    >>> partitions_of(["train", "valid", "Eval", "fold1", "test_clean"])
    {'eval': 'validation', 'test_clean': 'test', 'train': 'train', 'valid': 'validation'}
    """
    single = {name: word for name in {name.lower() for name in names} if (word := partition_word(name))}
    known = {PARTITIONS[word] for word in single.values() if word in PARTITIONS}
    evaluation = "test" if "validation" in known and "test" not in known else "validation"
    return {name: PARTITIONS.get(word, evaluation) for name, word in sorted(single.items())}

"""Reader for your own corpora: a manifest is a table of recordings with their labels and speakers."""

import ast
import json
import logging
import math
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from ...labels import VALENCES, class_of_word, word_languages
from ..catalog import CatalogEntry
from ..catalog.column_map import Columns
from ..record import Record
from .columns import (
    CHANNELS,
    EVALUATION,
    PARTITIONS,
    RATINGS,
    UNKNOWN,
    as_number,
    columns_of,
    gender_of,
    is_header,
    known,
    number_of,
    partition_word,
    seconds_per_unit,
    unused_columns,
    with_evaluation,
    with_suggestion,
)
from .dataset_values import language_of
from .recordings import Recordings, exists, near
from .table import Table, parquet_columns, read_tables
from .votes import VoteColumns, mean_rating, most_frequent

logger = logging.getLogger(__name__)

# audformat and pandas write `0 days 00:00:01.250000`, subtitles `00:00:01,250`
_CLOCK = re.compile(r"(?:(\d+) days?)?(?:(?:^| )(\d{1,2}):([0-5]\d):([0-5]\d(?:\.\d+)?))?")
_REMEMBERED = 2**14  # different cells of a column
_FIELDS_OF = {"file": "path", "label": "raw_label"}  # the fields of columns that have another name
_METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
_SUFFIXES = (".csv", ".tsv", ".jsonl")
_NAMES = ("manifest.csv", "manifest.tsv", "manifest.jsonl", "manifest.xlsx", "manifest.json", "manifest.txt")
# a table for each partition: EmoNet's train.csv, val.csv and test.csv, Common Voice's dev.tsv
_OF_PARTITIONS = {f"{word}{suffix}": part for word, part in PARTITIONS.items() for suffix in (".csv", ".tsv")}


def find_manifest(root: Path) -> dict[Path, str | None]:
    """Returns the manifest tables of a folder, each with the partition it stands for; empty if there are none."""
    files = _files_by_lower_name(root)
    for name in _NAMES:
        path = files.get(name)
        if path and (path.suffix.lower() not in (".json", ".txt") or _is_manifest(path)):
            return {path: None}
    tables: dict[Path, str | None] = {files[name]: part for name, part in _OF_PARTITIONS.items() if name in files}
    tables = {table: partition for table, partition in tables.items() if _is_manifest(table)}
    return tables or _audio_folder(root)


def find_tables(root: Path) -> dict[Path, str | None]:
    """Returns the manifest tables of a folder as [`find_manifest`], or else tables with names of their own.

    These are named after a partition besides other words, or are the only one that lists recordings.
    """
    return find_manifest(root) or _other_tables(root)


def _audio_folder(root: Path) -> dict[Path, str | None]:
    """Returns the metadata of an audio folder of `datasets`: one table, or one in each folder of a partition."""
    if metadata := _metadata(root):
        return {metadata: None}
    folders = [path for place in (root, root / "data") if place.is_dir() for path in sorted(place.iterdir())]
    found: dict[Path, str | None] = {}
    for folder in folders:
        partition = PARTITIONS.get(folder.name.lower())
        if partition and (metadata := _metadata(folder)):
            found[metadata] = partition
    # `datasets` calls data without splits `train`
    return dict.fromkeys(found) if set(found.values()) == {"train"} else found


def _metadata(folder: Path) -> Path | None:
    paths = (folder / name for name in _METADATA)
    return next((path for path in paths if path.is_file() and _is_manifest(path)), None)


def _other_tables(root: Path) -> dict[Path, str | None]:
    tables = possible_tables(root)
    parts = {path: PARTITIONS.get(partition_word(path.stem) or "") for path in tables}
    named = {path: part for path, part in parts.items() if part}
    if len(set(named.values())) > 1:
        return dict(named)
    # publishers' tables rarely name the speakers beside recordings at their place
    lists = [path for path in tables if _is_manifest(path, "speaker") and names_recordings(path)]
    return {lists[0]: None} if len(lists) == 1 else {}


def names_recordings(path: Path) -> bool:
    """Whether the first recording that a table names exists."""
    try:
        (table,) = read_tables(path, is_header)
        index = columns_of(table)["file"]
        cells = next((cells for _, cells in table.rows), None)
    except ValueError:
        return False
    return cells is not None and exists(near(path.parent).find(_name(cells[index])))


def possible_tables(root: Path) -> list[Path]:
    """Returns the tables in a folder that have columns for recordings and labels, whatever their names."""
    paths = sorted(root.iterdir()) if root.is_dir() else []
    return [path for path in paths if path.suffix.lower() in _SUFFIXES and path.is_file() and _is_manifest(path)]


def _files_by_lower_name(root: Path) -> dict[str, Path]:
    paths = sorted(root.iterdir()) if root.is_dir() else []
    names = {*_NAMES, *_OF_PARTITIONS}
    return {path.name.lower(): path for path in paths if path.name.lower() in names and path.is_file()}


def _is_manifest(table: Path, *needed: str) -> bool:
    """Whether a table with a common name, such as train.csv, has columns for the recording and its label."""
    if table.suffix.lower() == ".parquet":
        try:
            return is_header(parquet_columns(table), needed=needed)
        except ValueError:
            return False
    with table.open("rb") as stream:
        # names of columns are ASCII, so that NUL bytes, quotes and a byte order mark are all that encodings add
        start = stream.read(4096).replace(b"\0", b"").decode("latin-1")
    if table.suffix.lower() in (".json", ".jsonl"):
        return is_header(re.findall(r'"([^"]+)"\s*:', start), needed=needed)
    return is_header(re.split(r"[,;\t|]", start.lstrip().partition("\n")[0]), needed=needed)


def read_manifest(facts: CatalogEntry, root: Path, encoding: str | None = None) -> Iterator[Record]:
    """Reads `manifest.csv`, `.tsv`, `.txt`, `.jsonl`, `.json` or `.xlsx` with the columns `file,label[,speaker,...]`.

    Columns may have other common names in any case, such as `path` and `emotion`; columns that aren't used are logged
    and kept in `Record.other`.
    `file` is relative to the manifest; `start`, `end` and `duration` are seconds, or times such as `00:00:01.25`;
    `channel` is counted from 0, or is `left` or `right`; the other columns are those of `Record`. Empty cells mean
    unknown. Without a manifest, one table for each partition is read, such as `train.csv`, `dev.csv` and
    `test.csv`, or the `metadata.csv`, `.jsonl` or `.parquet` of an audio folder of `datasets`, at the top or in its
    folders `train`, `test` and so on; or the only table with columns for the recording, its label and its speaker.
    Utterances without a label are kept with an empty one; without a column for labels or ratings, they are the most
    frequent answer and the mean rating of the listeners in `facts.votes`.

    Args:
        facts: Catalog entry of the corpus; its `columns` name the columns with other names.
        root: Folder with the manifest.
        encoding: Encoding of the manifest. By default UTF-8, or the encoding in which most of the files exist.

    Raises:
        FileNotFoundError: The folder has no manifest.
        ValueError: A column is missing or ambiguous, or a cell is invalid; the message names the line.
    """
    paths = find_tables(root)
    if not paths:
        raise FileNotFoundError(
            f"{root} holds no manifest: expected {', '.join((*_NAMES, *_METADATA))}, or train.csv, val.csv and "
            "test.csv, with columns file,label and, if known, speaker."
        )
    others = [path.name for name, path in _files_by_lower_name(root).items() if name in _NAMES and path not in paths]
    if others:
        logger.warning(
            f"{root} holds several manifests; {', '.join(p.name for p in paths)} is read, {', '.join(others)} not."
        )
    parts = []
    for path, partition in paths.items():
        recordings = near(path.parent)
        header = partial(is_header, mapped=facts.columns)
        fit = partial(_fit, recordings=recordings, mapped=facts.columns)
        for table in read_tables(path, header, encoding, fit):
            parts.append(_Part(table, facts, recordings, partition))
    unused = dict.fromkeys(with_suggestion(name, part.columns) for part in parts for name in part.others)
    if unused:
        logger.warning(
            f"{', '.join(map(str, paths))}: these columns aren't used, but kept in the column `other` of the dataset: "
            f"{', '.join(unused)}."
        )
    words = {word for part in parts for word in part.partition_words()}
    channels: set[int | None] = set()
    for part in parts:
        for record in part.records(with_evaluation(words)):
            channels.add(record.channel)
            yield record
    if {1, 2} <= channels and 0 not in channels:
        names = ", ".join(map(str, paths))
        raise ValueError(
            f"{names}: the channels are 1 and 2, never 0, but are counted from 0. Write 0 and 1, or left and right."
        )


class _Part:
    """One table of a manifest.

    Args:
        table: The table.
        facts: Catalog entry of the corpus.
        recordings: The files that it names.
        partition: The partition of all of its rows; None if a column tells, or nothing.

    Attributes:
        columns: The columns that have a meaning.
        others: The columns that have none.
    """

    def __init__(self, table: Table, facts: CatalogEntry, recordings: Recordings, partition: str | None):
        self.table, self.facts, self.recordings, self.partition = table, facts, recordings, partition
        self.votes = VoteColumns(facts.votes, table.columns, table.source)
        self.columns = columns_of(table, facts.columns, needs_label=not facts.votes)
        unused = unused_columns(table, self.columns)
        self.others = {name: index for name, index in unused.items() if index not in self.votes.indices}

        # as in the audio folders of `datasets`, whose partitions are folders
        self.by_folder = not partition and "partition" not in self.columns and Path(table.source).name in _METADATA
        if self.by_folder:
            found = {_partition_of_folder(name) for name in table.values[self.columns["file"]]}
            self.by_folder = None not in found and len(found) > 1

    def partition_words(self) -> set[str | None]:
        index = self.columns.get("partition")
        return {partition_word(text) for text in self.table.values[index]} if index is not None else set()

    def records(self, partitions: Mapping[str, str]) -> Iterator[Record]:
        """Yields the rows; equal cells become the same object, so that a million rows fit into memory."""
        convert = {name: lru_cache(_REMEMBERED)(self._converter(name, partitions)) for name in self.columns}
        plan = [(_FIELDS_OF.get(name, name), index, convert[name]) for name, index in self.columns.items()]
        others = lru_cache(_REMEMBERED)(self._other) if self.others else None
        positions = list(self.others.values())
        for where, cells in self.table.rows:
            try:
                values = {name: function(cells[index]) for name, index, function in plan}
                if self.by_folder:
                    values["partition"] = _partition_of_folder(cells[self.columns["file"]])
                if self.votes.indices:
                    values["votes"] = self.votes.votes(cells)
                yield self._record(values, others(*(cells[index] for index in positions)) if others else None)
            except ValueError as error:
                raise ValueError(f"{where}: {error}") from error

    def _record(self, values: dict[str, Any], other: str | None) -> Record:
        if values["path"] is None:
            raise ValueError("file must not be empty.")
        votes = values.get("votes", ())
        values["raw_label"] = (values.get("raw_label") or "") if "label" in self.columns else most_frequent(votes)
        duration = values.pop("duration", None)
        if duration is not None and values["start"] is not None:
            values["end"] = values["start"] + duration
        if self.partition:
            values["partition"] = self.partition
        values |= {name: mean_rating(votes, name) for name in RATINGS if votes and values.get(name) is None}
        if any(values.get(name) is not None for name in RATINGS):
            values["rating_scale"] = self.facts.rating_scale
        return Record(other=other, **values)

    def _other(self, *cells: str) -> str | None:
        values = {name: cell for name, cell in zip(self.others, cells, strict=True) if cell not in UNKNOWN}
        return json.dumps(values, ensure_ascii=False) if values else None

    def _unit(self, column: str) -> float:
        return seconds_per_unit(self.table.columns[self.columns[column]]) if column in self.columns else 1.0

    def _converter(self, column: str, partitions: Mapping[str, str]) -> Callable[[str], Any]:
        """Returns the function that turns a cell of a column into a value; None for unknown ones."""
        converters: dict[str, Callable[[str], Any]] = {
            "file": lambda cell: self.recordings.find(_name(cell)),
            "partition": partial(_partition, partitions=partitions),
            "channel": _channel,
            "gender": gender_of,
            "label": _label,
            "language": language_of,
            "sentiment": lambda cell: cell.lower() if cell.lower() in VALENCES else cell,
            **{name: partial(_seconds, column=name, unit=self._unit(name)) for name in ("start", "end", "duration")},
            **{name: partial(as_number, what=name) for name in RATINGS},
        }
        convert = converters.get(column, str)
        return lambda cell: convert(cell) if known(column, cell) else None


def _name(cell: str) -> str:
    """Returns the path of a recording in a cell, also from a map of its path and its bytes as `datasets` writes it."""
    if not cell.startswith("{"):
        return cell
    try:
        return str(json.loads(cell).get("path") or cell)
    except ValueError:
        return cell


def _partition_of_folder(name: str) -> str | None:
    """Returns the partition after which one of the folders of a recording is named."""
    folders = name.replace("\\", "/").lower().split("/")[:-1]
    return next((PARTITIONS[folder] for folder in folders if folder in PARTITIONS), None)


def _partition(cell: str, partitions: Mapping[str, str]) -> str:
    word = partition_word(cell)
    if word is None or word not in partitions:
        doubt = " (here it may mean validation or test)" if word in EVALUATION else ""
        raise ValueError(f"partition is {cell!r}{doubt}, expected train, validation or test, or nothing.")
    return partitions[word]


def _label(cell: str) -> str:
    """Returns a label; that of a list with one, and all of a list of several, as pandas and JSON write them."""
    if not (cell.startswith("[") and cell.endswith("]")):
        return cell
    try:
        values = ast.literal_eval(cell)
    except (SyntaxError, ValueError):
        return cell
    return ", ".join(map(str, values))


def _channel(cell: str) -> int:
    number = CHANNELS.get(cell.lower(), cell)
    # spreadsheets and pandas write whole numbers as 1.0
    if not re.fullmatch(r"[0-9]+(\.0+)?", number):
        raise ValueError(f"channel is {cell!r}, expected its number, counted from 0, or left or right.")
    return int(number.partition(".")[0])


def _seconds(cell: str, column: str, unit: float = 1.0) -> float:
    number = number_of(cell)
    if number is not None:
        seconds = number * unit
    else:
        match = _CLOCK.fullmatch(cell.replace(",", ".", 1))
        days, hours, minutes, rest = (float(part or 0) for part in match.groups()) if match else [math.nan] * 4
        seconds = ((days * 24 + hours) * 60 + minutes) * 60 + rest
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(f"{column} is {cell!r}, expected seconds such as 1.25, or 00:00:01.25.")
    return seconds


def _fit(table: Table, recordings: Recordings, mapped: Columns) -> float:
    """Share of the names beyond ASCII that files have, or else of the labels that are known words; else a half."""
    columns = columns_of(table, mapped, needs_label=False)
    names = table.values[columns["file"]]
    labels = table.values[columns["label"]] if "label" in columns else ()
    right = [exists(recordings.find(name)) for name in names if not name.isascii()] or [
        class_of_word(label, word_languages()) is not None for label in labels if not label.isascii()
    ]
    return sum(right) / len(right) if right else 0.5

"""Reader for your own corpora: a manifest is a table of recordings with their labels and speakers."""

import logging
import math
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from ...labels import VALENCES, class_of_word, word_languages
from ..catalog import CatalogEntry
from ..column_map import Columns
from ..record import Record
from .by_name import GENDERS
from .columns import EVALUATION, PARTITIONS, TEXTS, columns_of, is_header, is_number, unused_columns, values_of
from .table import Table, read_tables

logger = logging.getLogger(__name__)

_CHANNELS = {"left": "0", "l": "0", "a": "0", "right": "1", "r": "1", "b": "1"}  # A and B are the sides of a call
# audformat and pandas write `0 days 00:00:01.250000`, subtitles `00:00:01,250`
_CLOCK = re.compile(r"(?:(\d+) days?)?(?:(?:^| )(\d{1,2}):([0-5]\d):([0-5]\d(?:\.\d+)?))?")
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
    tables = {files[name]: partition for name, partition in _OF_PARTITIONS.items() if name in files}
    return {table: partition for table, partition in tables.items() if _is_manifest(table)}


def _files_by_lower_name(root: Path) -> dict[str, Path]:
    paths = sorted(root.iterdir()) if root.is_dir() else []
    names = {*_NAMES, *_OF_PARTITIONS}
    return {path.name.lower(): path for path in paths if path.name.lower() in names and path.is_file()}


def _is_manifest(table: Path) -> bool:
    """Whether a table with a common name, such as train.csv, has columns for the recording and its label."""
    with table.open("rb") as stream:
        # names of columns are ASCII, so that NUL bytes, quotes and a byte order mark are all that encodings add
        start = stream.read(4096).replace(b"\0", b"").decode("latin-1")
    if table.suffix.lower() == ".json":
        return is_header(re.findall(r'"([^"]+)"\s*:', start))
    return is_header(re.split(r"[,;\t|]", start.lstrip().partition("\n")[0]))


def read_manifest(facts: CatalogEntry, root: Path, encoding: str | None = None) -> Iterator[Record]:
    """Reads `manifest.csv`, `.tsv`, `.txt`, `.jsonl`, `.json` or `.xlsx` with the columns `file,label[,speaker,...]`.

    Columns may have other common names in any case, such as `path` and `emotion`; columns that aren't used are logged.
    `file` is relative to the manifest; `start`, `end` and `duration` are seconds, or times such as `00:00:01.25`;
    `channel` is counted from 0, or is `left` or `right`; the other columns are those of `Record`. Empty cells mean
    unknown. Without a manifest, one table for each partition is read, such as `train.csv`, `dev.csv` and
    `test.csv`.

    Args:
        facts: Catalog entry of the corpus; its `columns` name the columns with other names.
        root: Folder with the manifest.
        encoding: Encoding of the manifest. By default UTF-8, or the encoding in which most of the files exist.

    Raises:
        FileNotFoundError: The folder has no manifest.
        ValueError: A column is missing or ambiguous, or a cell is invalid; the message names the line.
    """
    paths = find_manifest(root)
    if not paths:
        raise FileNotFoundError(
            f"{root} holds no manifest: expected {', '.join(_NAMES)}, or train.csv, val.csv and test.csv, with columns "
            "file,label and, if known, speaker."
        )
    others = [path.name for name, path in _files_by_lower_name(root).items() if name in _NAMES and path not in paths]
    if others:
        logger.warning(
            f"{root} holds several manifests; {', '.join(p.name for p in paths)} is read, {', '.join(others)} not."
        )
    recordings = _Recordings(root, facts.columns)
    has_columns = partial(is_header, mapped=facts.columns)
    rows: list[tuple[str, dict[str, str]]] = []
    unused: dict[str, None] = {}
    for path, partition in paths.items():
        for table in read_tables(path, has_columns, encoding, recordings.fit):
            columns = columns_of(table, facts.columns)
            unused |= dict.fromkeys(unused_columns(table, columns))
            given = {"partition": partition} if partition else {}
            rows += [(where, given | values_of(cells, columns)) for where, cells in table.rows]
    if unused:
        logger.warning(f"{', '.join(map(str, paths))}: these columns aren't used: {', '.join(unused)}.")
    partitions = PARTITIONS | _evaluation(cells.get("partition", "").lower() for _, cells in rows)
    records = [_record(recordings, cells, partitions, where) for where, cells in rows]
    channels = {record.channel for record in records}
    if {1, 2} <= channels and 0 not in channels:
        names = ", ".join(map(str, paths))
        raise ValueError(
            f"{names}: the channels are 1 and 2, never 0, but are counted from 0. Write 0 and 1, or left and right."
        )
    yield from records


def _evaluation(words: Iterable[str]) -> dict[str, str]:
    """Returns what `eval` means beside the other words for partitions; empty if nothing tells."""
    others = {PARTITIONS.get(word) for word in words}
    rest = {"validation", "test"} - others
    return dict.fromkeys(EVALUATION, rest.pop()) if len(rest) == 1 else {}


def _record(recordings: "_Recordings", cells: Mapping[str, str], partitions: Mapping[str, str], where: str) -> Record:
    if "file" not in cells or "label" not in cells:
        raise ValueError(f"{where}: file and label must not be empty.")
    partition = cells.get("partition")
    if partition and partition.lower() not in partitions:
        doubt = " (here it may mean validation or test)" if partition.lower() in EVALUATION else ""
        raise ValueError(f"{where}: partition is {partition!r}{doubt}, expected train, validation or test, or nothing.")
    start = _seconds(cells.get("start"), "start", where)
    end = _seconds(cells.get("end"), "end", where)
    duration = _seconds(cells.get("duration"), "duration", where)
    if start is not None and duration is not None:
        end = start + duration
    texts: dict[str, Any] = {name: cells.get(name) for name in TEXTS}
    for name, words in (("gender", GENDERS), ("sentiment", dict(zip(VALENCES, VALENCES, strict=True)))):
        texts[name] = words.get((texts[name] or "").lower(), texts[name])
    return Record(
        path=str(recordings.find(cells["file"])),
        raw_label=cells["label"],
        speaker=cells.get("speaker"),
        start=start,
        end=end,
        channel=_channel(cells.get("channel"), where),
        partition=partitions[partition.lower()] if partition else None,
        **texts,
    )


def _channel(cell: str | None, where: str) -> int | None:
    if cell is None:
        return None
    number = _CHANNELS.get(cell.lower(), cell)
    # spreadsheets and pandas write whole numbers as 1.0
    if not re.fullmatch(r"[0-9]+(\.0+)?", number):
        raise ValueError(f"{where}: channel is {cell!r}, expected its number, counted from 0, or left or right.")
    return int(number.partition(".")[0])


def _seconds(cell: str | None, column: str, where: str) -> float | None:
    if cell is None:
        return None
    number = cell.replace(",", ".", 1)
    if is_number(number):
        seconds = float(number)
    else:
        match = _CLOCK.fullmatch(number)
        days, hours, minutes, rest = (float(part or 0) for part in match.groups()) if match else [math.nan] * 4
        seconds = ((days * 24 + hours) * 60 + minutes) * 60 + rest
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(f"{where}: {column} is {cell!r}, expected seconds such as 1.25, or 00:00:01.25.")
    return seconds


class _Recordings:
    """Finds the recordings that a manifest names, also if their names are written in another way on disk."""

    def __init__(self, root: Path, mapped: Columns) -> None:
        self.root = root
        self.mapped = mapped

    def find(self, name: str) -> Path:
        """Returns the file of a name; the name itself below the root if there is no such file.

        The name may have backslashes, another Unicode form (macOS decomposes accents), or another case if only one
        file has it.
        """
        if _exists(path := self.root / name):
            return path
        name = name.replace("\\", "/")
        similar = self._by_form.get(_form(name).casefold(), [])
        same = [path for path in similar if _form(path) == _form(name)]
        return self.root / (same[0] if same else similar[0] if len(similar) == 1 else name)

    def fit(self, table: Table) -> float:
        """Share of the names beyond ASCII that files have, or else of the labels that are known words; else a half."""
        columns = columns_of(table, self.mapped)
        names = {cells[columns["file"]] for _, cells in table.rows}
        labels = {cells[columns["label"]] for _, cells in table.rows}
        right = [_exists(self.find(name)) for name in names if not name.isascii()] or [
            class_of_word(label, word_languages()) is not None for label in labels if not label.isascii()
        ]
        return sum(right) / len(right) if right else 0.5

    @cached_property
    def _by_form(self) -> dict[str, list[str]]:
        """Paths of all files relative to the root, by their normal form."""
        result: dict[str, list[str]] = {}
        for folder, _, names in os.walk(self.root):
            for name in names:
                path = Path(folder, name).relative_to(self.root).as_posix()
                result.setdefault(_form(path).casefold(), []).append(path)
        return result


def _exists(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long for a name, or with a NUL
        return False


def _form(path: str) -> str:
    return unicodedata.normalize("NFC", os.path.normpath(path))

"""Reader for your own corpora: a manifest is a table of recordings with their labels and speakers."""

import csv
import io
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..record import Record
from .text import decode_text

PARTITIONS = {"train": "train", "validation": "validation", "val": "validation", "dev": "validation", "test": "test"}
_NAMES = ("manifest.csv", "manifest.tsv", "manifest.jsonl")
_EMONET = {"train.csv": "train", "val.csv": "validation", "test.csv": "test"}
_CHANNELS = {"left": "0", "l": "0", "right": "1", "r": "1"}
_TEXTS = ("gender", "language", "text", "session", "dialogue", "intensity", "take", "valence", "group")


def find_manifest(root: Path) -> dict[Path, str | None]:
    """Returns the manifest tables of a folder, each with the partition it stands for; empty if there are none."""
    for name in _NAMES:
        if (root / name).is_file():
            return {root / name: None}
    tables = {root / name: partition for name, partition in _EMONET.items() if (root / name).is_file()}
    return {table: partition for table, partition in tables.items() if _is_manifest(table)}


def _is_manifest(table: Path) -> bool:
    """Whether a table with a common name, such as train.csv, has the columns `file` and `label`."""
    with table.open("rb") as stream:
        header = decode_text(stream.read(4096)).partition("\n")[0]
    return {"file", "label"} <= {cell.strip(' "\r\ufeff') for cell in re.split("[,;]", header)}


def read_manifest(root: Path) -> Iterator[Record]:
    """Reads `manifest.csv`, `.tsv` or `.jsonl` with the columns `file,label[,speaker,start,end,partition,...]`.

    `file` is relative to the manifest; `start` and `end` are seconds; `channel` is counted from 0, or is `left` or
    `right`; the other columns are those of `Record`. Empty
    cells mean unknown. Without a manifest, EmoNet's `train.csv`, `val.csv` and `test.csv` (`file,label`) are read.

    Raises:
        FileNotFoundError: The folder has no manifest.
        ValueError: A column is missing, or a cell is invalid; the message names the line.
    """
    tables = find_manifest(root)
    if not tables:
        raise FileNotFoundError(
            f"{root} holds no manifest: expected {', '.join(_NAMES)}, or EmoNet's {', '.join(_EMONET)}, with columns "
            "file,label and, if known, speaker."
        )
    for table, partition in tables.items():
        yield from _read_table(root, table, partition)


def _read_table(root: Path, path: Path, partition: str | None) -> Iterator[Record]:
    rows = _json_lines(path) if path.suffix == ".jsonl" else _table(path)
    for number, row in rows:
        yield _record(root, row, partition, f"{path}, line {number}")


def _table(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with io.StringIO(decode_text(path.read_bytes()), newline="") as stream:
        header = stream.readline()
        stream.seek(0)
        delimiter = "\t" if path.suffix == ".tsv" else ";" if ";" in header and "," not in header else ","
        rows = csv.DictReader(stream, delimiter=delimiter)
        columns = rows.fieldnames = [name.strip() for name in rows.fieldnames or []]
        if missing := [column for column in ("file", "label") if column not in columns]:
            raise ValueError(
                f"{path}: the column {' and '.join(missing)} is missing; found {', '.join(columns) or 'no header'}. "
                "Expected file,label,speaker and, if known, start,end,partition,gender,language,text."
            )
        for row in rows:
            yield rows.line_num, row


def _json_lines(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(decode_text(path.read_bytes()).split("\n"), start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"{path}, line {number}: not a JSON object ({error.msg}).") from error
            if not isinstance(row, dict):
                raise ValueError(f"{path}, line {number}: expected a JSON object, found {type(row).__name__}.")
            yield number, row


def _record(root: Path, row: Mapping[str, Any], partition: str | None, where: str) -> Record:
    cells = {key: str(value).strip() for key, value in row.items() if isinstance(key, str) and value is not None}
    cells = {key: value for key, value in cells.items() if value}
    if "file" not in cells or "label" not in cells:
        raise ValueError(f"{where}: file and label must not be empty.")
    partition = cells.get("partition") or partition
    if partition and partition.lower() not in PARTITIONS:
        raise ValueError(f"{where}: partition is {partition!r}, expected train, validation or test, or nothing.")
    texts: dict[str, Any] = {name: cells.get(name) for name in _TEXTS}
    return Record(
        file=root / cells["file"],
        raw_label=cells["label"],
        speaker=cells.get("speaker"),
        start=_seconds(cells.get("start"), "start", where),
        end=_seconds(cells.get("end"), "end", where),
        channel=_channel(cells.get("channel"), where),
        partition=PARTITIONS[partition.lower()] if partition else None,
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
    try:
        seconds = float(cell)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(f"{where}: {column} is {cell!r}, expected seconds such as 1.25.")
    return seconds

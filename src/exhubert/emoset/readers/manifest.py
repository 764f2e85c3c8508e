"""The generic manifest: a table of your own that names each recording, its label and its speaker."""

import csv
from collections.abc import Iterator
from pathlib import Path

from ..record import Record

PARTITIONS = {"train": "train", "validation": "validation", "val": "validation", "dev": "validation", "test": "test"}
_NAMES = ("manifest.csv", "manifest.tsv")
_TEXTS = ("gender", "language", "text", "session", "intensity", "take")


def read_manifest(root: Path) -> Iterator[Record]:
    """Reads `manifest.csv` (or `.tsv`) with the columns `file,label[,speaker,start,end,partition,...]`.

    `file` is relative to the manifest; `start` and `end` are seconds; the other columns are those of `Record`. Empty
    cells are unknown.

    Raises:
        FileNotFoundError: The folder holds no manifest.
        ValueError: A column is missing, or a cell can't be read; the message names the line.
    """
    path = next((root / name for name in _NAMES if (root / name).is_file()), None)
    if path is None:
        raise FileNotFoundError(f"{root} holds no manifest: expected {' or '.join(_NAMES)} with file,label,speaker.")
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.DictReader(stream, delimiter="\t" if path.suffix == ".tsv" else ",")
        found = rows.fieldnames or []
        if missing := [column for column in ("file", "label") if column not in found]:
            raise ValueError(
                f"{path}: the column {' and '.join(missing)} is missing; found {', '.join(found) or 'no header'}. "
                "Expected file,label,speaker and where known start,end,partition,gender,language,text."
            )
        for row in rows:
            yield _record(root, row, f"{path}, line {rows.line_num}")


def _record(root: Path, row: dict[str, str | None], where: str) -> Record:
    cells = {key: value.strip() or None if value else None for key, value in row.items() if isinstance(key, str)}
    if not cells["file"] or not cells["label"]:
        raise ValueError(f"{where}: file and label must not be empty.")
    partition = cells.get("partition")
    if partition and partition.lower() not in PARTITIONS:
        raise ValueError(f"{where}: partition is {partition!r}, expected train, validation or test, or nothing.")
    return Record(
        file=root / cells["file"],
        raw_label=cells["label"],
        speaker=cells.get("speaker"),
        start=_seconds(cells.get("start"), "start", where),
        end=_seconds(cells.get("end"), "end", where),
        partition=PARTITIONS[partition.lower()] if partition else None,
        **{name: cells.get(name) for name in _TEXTS},
    )


def _seconds(cell: str | None, column: str, where: str) -> float | None:
    try:
        return float(cell) if cell else None
    except ValueError as error:
        raise ValueError(f"{where}: {column} is {cell!r}, expected seconds such as 1.25.") from error

"""Reads tables as spreadsheets, pandas and text editors save them, in any encoding."""

import csv
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .text import read_text

_DELIMITERS = (",", ";", "\t", "|")
_EXCEL_DELIMITER = re.compile(r'"?sep=(.)"? *', re.IGNORECASE)  # the first line may name the delimiter for Excel


@dataclass(frozen=True)
class Table:
    """A table whose cells are texts.

    Attributes:
        source: Path of the file, with the sheet of a spreadsheet.
        columns: Names of the columns; empty if there is no header.
        rows: Name of the row for messages, such as `manifest.csv, line 2`, and one cell for each column. Rows without
            any value are left out.
    """

    source: str
    columns: list[str]
    rows: list[tuple[str, list[str]]]


Header = Callable[[Sequence[str]], bool]


def read_tables(
    path: Path, is_header: Header, encoding: str | None = None, fit: Callable[[Table], float] | None = None
) -> list[Table]:
    """Reads a table from `.csv`, `.tsv`, `.txt`, `.jsonl`, `.json` (a list of objects) or `.xlsx`.

    Args:
        path: The file.
        is_header: Whether column names are the ones expected; it decides on the delimiter, and on sheets to read.
        encoding: Encoding of the file, if known.
        fit: Share of what is right in a table, to find the encoding; see `exhubert.emoset.readers.text.decode_text`.

    Returns:
        One table; of a spreadsheet, all sheets with such column names, or the first sheet if there is none.

    Raises:
        ValueError: A row or the encoding is broken, or openpyxl isn't installed; the message names the line.
    """
    kind = path.suffix.lower()
    if kind == ".xlsx":
        return _sheets(path, is_header)
    parse = _json if kind in (".json", ".jsonl") else _delimited

    def fit_of_text(text: str) -> float:
        try:
            return fit(parse(path, text, is_header)) if fit else 0.5
        except ValueError:
            return 0.0

    return [parse(path, read_text(path, encoding, fit=fit_of_text if fit else None), is_header)]


def _delimited(path: Path, text: str, is_header: Header) -> Table:
    first = re.match(r"[^\r\n]*", text)
    forced = _EXCEL_DELIMITER.fullmatch(first[0]) if first else None
    headers = {}
    for delimiter in [forced[1]] if forced else _DELIMITERS:
        try:
            headers[delimiter] = _header(_rows(path, text, delimiter), is_header)
        except ValueError:  # quotes don't match at this delimiter
            headers[delimiter] = 0, []
    delimiter = max(headers, key=lambda name: (is_header(headers[name][1]), len(headers[name][1])))
    start, columns = headers[delimiter]
    rows = []
    for number, cells in _rows(path, text, delimiter):
        is_comment = cells[0].startswith("#") and not any(cells[1:])
        if number <= start or cells == columns or is_comment:
            continue
        if any(cells[len(columns) :]):
            raise ValueError(
                f"{path}, line {number}: {len(cells)} cells, but {len(columns)} columns ({', '.join(columns)}). Put "
                f"cells that contain {delimiter!r} in double quotes."
            )
        rows.append((f"{path}, line {number}", [*cells, *[""] * len(columns)][: len(columns)]))
    return Table(str(path), columns, rows)


def _header(rows: Iterable[tuple[int, list[str]]], is_header: Header) -> tuple[int, list[str]]:
    """Returns the line number and the cells of the first row that is neither a comment nor Excel's `sep=;`."""
    for number, cells in rows:
        if is_header(cells) or not (cells[0].lower().startswith(("#", "sep="))):
            return number, cells
    return 0, []


def _rows(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yields the cells of each row that isn't empty, with the number of its first line."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    number = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield number, [cell.strip() for cell in cells]
            number = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(
            f"{path}, line {number}: the double quotes don't match ({error}). A quoted cell ends before the next "
            f"{delimiter!r}; quotes in it are doubled."
        ) from error


def _json(path: Path, text: str, is_header: Header) -> Table:
    rows = []
    for where, row in _objects(path, text):
        if not isinstance(row, dict):
            raise ValueError(f"{where}: expected a JSON object, found {type(row).__name__}.")
        if row and all(isinstance(value, dict) for value in row.values()):
            raise ValueError(
                f'{where}: the object holds columns, not a row; pandas writes rows with to_json(..., orient="records").'
            )
        rows.append((where, {name.strip(): _cell(value) for name, value in row.items()}))
    columns = list(dict.fromkeys(name for _, row in rows for name in row))
    return Table(str(path), columns, [(where, [row.get(name, "") for name in columns]) for where, row in rows])


def _objects(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    where = str(path)
    try:
        if path.suffix.lower() == ".json" and text.lstrip().startswith("["):
            yield from ((f"{path}, row {number}", value) for number, value in enumerate(json.loads(text), start=1))
            return
        for number, line in enumerate(text.split("\n"), start=1):
            where = f"{path}, line {number}"
            if line.strip():
                yield where, json.loads(line)
    except json.JSONDecodeError as error:
        hint = (
            " A table in .json is a list of objects, or one object on each line."
            if path.suffix.lower() == ".json"
            else ""
        )
        raise ValueError(f"{where}: not a JSON object ({error.msg}).{hint}") from error


def _sheets(path: Path, is_header: Header) -> list[Table]:
    try:
        import openpyxl
    except ImportError as error:
        raise ValueError(
            f"{path}: reading a spreadsheet needs openpyxl: pip install 'exhubert[corpora]', or save it as csv."
        ) from error
    try:
        book = openpyxl.load_workbook(path, data_only=True)
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise ValueError(f"{path} isn't a spreadsheet that openpyxl reads ({error}); save it as csv.") from error
    tables = []
    for sheet in book.worksheets:
        cells = enumerate(([_cell(value) for value in row] for row in sheet.iter_rows(values_only=True)), start=1)
        rows = [(number, row) for number, row in cells if any(row)]
        start, columns = _header(rows, is_header)
        source = f"{path}, sheet {sheet.title}"
        kept = [(f"{source}, row {number}", row) for number, row in rows if number > start and row != columns]
        tables.append(Table(source, columns, kept))
    return [table for table in tables if is_header(table.columns)] or tables[:1]


def _cell(value: Any) -> str:
    """Returns the text of a value; numbers that spreadsheets and pandas store as floats are whole again."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return (json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else str(value)).strip()

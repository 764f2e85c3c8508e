"""Reads tables as spreadsheets, pandas and text editors save them, in any encoding."""

import csv
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from .text import encoding_of

_DELIMITERS = (",", ";", "\t", "|")
_EXCEL_DELIMITER = re.compile(r'"?sep=(.)"? *', re.IGNORECASE)  # the first line may name the delimiter for Excel
_ROWS_AT_ONCE = 4096
_MOST_VALUES = 10_000


Row = tuple[str, list[str]]


@dataclass(frozen=True)
class Table:
    """A table whose cells are texts.

    Attributes:
        source: Path of the file, with the sheet of a spreadsheet.
        columns: Names of the columns; empty if there is no header.
        rows: Name of the row for messages, such as `manifest.csv, line 2`, and one cell for each column. Rows without
            any value are left out. Large files are read again each time, row by row.
    """

    source: str
    columns: list[str]
    rows: Iterable[Row]

    @cached_property
    def values(self) -> list[set[str]]:
        """The different cells of each column, as they stand; of more than ten thousand, the first ones."""
        result: list[set[str]] = [set() for _ in self.columns]
        rows = iter(self.rows)
        while part := list(islice(rows, _ROWS_AT_ONCE)):
            for values, column in zip(result, zip(*(cells for _, cells in part), strict=True), strict=True):
                if len(values) < _MOST_VALUES:
                    values.update(column)
        return result


Header = Callable[[Sequence[str]], bool]
Lines = Callable[[], Iterable[str]]  # of a text, each time from the first one on


@dataclass(frozen=True)
class _Rows:
    """Rows that are read again each time they are iterated over."""

    read: Callable[[], Iterator[Row]]

    def __iter__(self) -> Iterator[Row]:
        return self.read()


def read_tables(
    path: Path, is_header: Header, encoding: str | None = None, fit: Callable[[Table], float] | None = None
) -> list[Table]:
    """Reads a table from `.csv`, `.tsv`, `.txt`, `.jsonl`, `.json` (a list of objects), `.parquet` or `.xlsx`.

    Args:
        path: The file.
        is_header: Whether column names are the ones expected; it decides on the delimiter, and on sheets to read.
        encoding: Encoding of the file, if known.
        fit: Share of what is right in a table, to find the encoding; see `exhubert.emoset.readers.text.encoding_of`.

    Returns:
        One table; of a spreadsheet, all sheets with such column names, or the first sheet if there is none.

    Raises:
        ValueError: A row or the encoding is broken, or openpyxl isn't installed; the message names the line. For a row,
            it may be raised only when the row is read.
    """
    kind = path.suffix.lower()
    if kind == ".xlsx":
        return _sheets(path, is_header)
    if kind == ".parquet":
        return [_parquet(path)]
    parse = _json if kind in (".json", ".jsonl") else _delimited

    def fit_of_text(text: str) -> float:
        try:
            return fit(parse(path, lambda: io.StringIO(text, newline=""), is_header)) if fit else 0.5
        except ValueError:
            return 0.0

    name, start = encoding_of(path.read_bytes(), path, encoding, fit=fit_of_text if fit else None)
    return [parse(path, lambda: _lines(path, name, start), is_header)]


def _lines(path: Path, encoding: str, start: int) -> Iterator[str]:
    with path.open("rb") as stream:
        stream.seek(start)
        yield from io.TextIOWrapper(stream, encoding, newline="")


def _delimited(path: Path, lines: Lines, is_header: Header) -> Table:
    first = next(iter(lines()), "").rstrip("\r\n")
    forced = _EXCEL_DELIMITER.fullmatch(first)
    headers = {}
    for delimiter in [forced[1]] if forced else _DELIMITERS:
        try:
            headers[delimiter] = _header(_cells(path, lines(), delimiter), is_header)
        except ValueError:  # quotes don't match at this delimiter
            headers[delimiter] = 0, []
    delimiter = max(headers, key=lambda name: (is_header(headers[name][1]), len(headers[name][1])))
    start, columns = headers[delimiter]
    return Table(str(path), columns, _Rows(lambda: _below(path, lines(), delimiter, start, columns)))


def _below(path: Path, lines: Iterable[str], delimiter: str, start: int, columns: list[str]) -> Iterator[Row]:
    """Yields the rows below the header, which is in line `start`."""
    width = len(columns)
    for number, cells in _cells(path, lines, delimiter):
        is_comment = cells[0][:1] == "#" and not any(cells[1:])
        if number <= start or cells == columns or is_comment:
            continue
        if len(cells) != width:
            if any(cells[width:]):
                raise ValueError(
                    f"{path}, line {number}: {len(cells)} cells, but {width} columns ({', '.join(columns)}). Put "
                    f"cells that contain {delimiter!r} in double quotes."
                )
            cells = [*cells, *[""] * width][:width]
        yield f"{path}, line {number}", cells


def _header(rows: Iterable[tuple[int, list[str]]], is_header: Header) -> tuple[int, list[str]]:
    """Returns the line number and the cells of the first row that is neither a comment nor Excel's `sep=;`."""
    for number, cells in rows:
        if is_header(cells) or not (cells[0].lower().startswith(("#", "sep="))):
            return number, cells
    return 0, []


def _cells(path: Path, lines: Iterable[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yields the cells of each row that isn't empty, with the number of its first line."""
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    number = 1
    try:
        for texts in reader:
            cells = list(map(str.strip, texts))
            if any(cells):
                yield number, cells
            number = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(
            f"{path}, line {number}: the double quotes don't match ({error}). A quoted cell ends before the next "
            f"{delimiter!r}; quotes in it are doubled."
        ) from error


def parquet_columns(path: Path) -> list[str]:
    """Returns the names of the columns of a parquet file.

    Raises:
        ValueError: The file isn't a parquet file.
    """
    import pyarrow as pa  # slow to import, and few tables are parquet
    import pyarrow.parquet as pq

    try:
        return pq.read_schema(path).names
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} isn't a parquet file that pyarrow reads ({error}).") from error


def _parquet(path: Path) -> Table:
    def rows() -> Iterator[Row]:
        import pyarrow.parquet as pq

        number = 0
        for batch in pq.ParquetFile(path, pre_buffer=False).iter_batches(_ROWS_AT_ONCE):
            for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                number += 1
                if any(cells := list(map(_cell, values))):
                    yield f"{path}, row {number}", cells

    return Table(str(path), parquet_columns(path), _Rows(rows))


def _json(path: Path, lines: Lines, is_header: Header) -> Table:
    names: dict[str, None] = {}
    for _, row in _json_rows(path, lines()):
        names |= dict.fromkeys(row)
    columns = list(names)

    def rows() -> Iterator[Row]:
        for where, row in _json_rows(path, lines()):
            yield where, [_cell(row.get(name)) for name in columns]

    return Table(str(path), columns, _Rows(rows))


def _json_rows(path: Path, lines: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    for where, row in _objects(path, lines):
        if not isinstance(row, dict):
            raise ValueError(f"{where}: expected a JSON object, found {type(row).__name__}.")
        if row and all(isinstance(value, dict) for value in row.values()):
            raise ValueError(
                f'{where}: the object holds columns, not a row; pandas writes rows with to_json(..., orient="records").'
            )
        yield where, {name.strip(): value for name, value in row.items()}


def _objects(path: Path, lines: Iterable[str]) -> Iterator[tuple[str, Any]]:
    where = str(path)
    try:
        if path.suffix.lower() == ".json":
            text = "".join(lines)
            if text.lstrip().startswith("["):
                yield from ((f"{path}, row {number}", value) for number, value in enumerate(json.loads(text), start=1))
                return
            lines = text.split("\n")
        for number, line in enumerate(lines, start=1):
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

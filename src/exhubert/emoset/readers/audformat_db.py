"""audformat databases on disk: a header such as `db.yaml`, and each table beside it as `db.NAME.csv` or `.parquet`."""

import csv
import logging
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from .text import read_text

logger = logging.getLogger(__name__)

# audformat's own loader builds whatever Python object a header names
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_KEY = re.compile(r"^ {0,4}(source|usage|tables):", re.MULTILINE)
_TABLE_SUFFIXES = (".parquet", ".csv", ".pkl")
_VERSION = re.compile(r"v?\d[\w.]*|[0-9a-f]{8}")  # folders of audb's cache: emodb/1.4.1/d3b62a9b
_FAILURES = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
_INSTALL = "reading an audformat database needs the library audformat: pip install 'exhubert[corpora]'"

Key = tuple[str, float | None, float | None]  # file, start and end in seconds


def find_database(root: Path) -> Path | None:
    """Returns the header of the database in a folder; None if there is none.

    The header may also be in the only sub-folder if that is a version, as in the cache of audb. Its content tells it
    from another `db.yaml`.
    """
    while True:
        # a folder may hold 100,000 recordings, for which iterdir takes ten times as long
        names = os.listdir(root) if root.is_dir() else []  # noqa: PTH208
        stems = {"db", *(name.partition(".")[0] for name in names if name.endswith(_TABLE_SUFFIXES))}
        headers = sorted(name for name in names if name.endswith((".yaml", ".yml")) and Path(name).stem in stems)
        if header := next((root / name for name in headers if _is_header(root / name)), None):
            return header
        folders = [name for name in names if not name.startswith(".")]
        if len(folders) != 1 or not _VERSION.fullmatch(folders[0]):
            return None
        root /= folders[0]


def _is_header(path: Path) -> bool:
    try:
        text = path.read_bytes().decode("utf-8", "replace")
    except OSError:
        return False
    return {"source", "usage", "tables"} <= set(_KEY.findall(text))


def facts_of_database(root: Path) -> dict[str, Any]:
    """Returns the fields of `CatalogEntry` that the header of a database tells, such as `name` and `licence`.

    Empty if the header can't be read; [`Database`] says why.
    """
    path = find_database(root)
    try:
        header = read_header(path) if path else {}
    except ValueError:
        return {}
    licence = " ".join(f"{header[key]}" for key in ("license", "license_url") if header.get(key))
    languages = [language_tag(str(language)) for language in header.get("languages") or []]
    facts = {
        "name": header.get("name"),
        "full_name": header.get("name"),
        "licence": licence,
        "homepage": header.get("source"),
        "reference": header.get("author"),
        "notes": [str(header["description"])] if header.get("description") else None,
        # words of all languages are known, but rows are in no language that the tables don't name
        "languages": languages if len(languages) < 2 else ["und", *languages],
    }
    return {name: value if isinstance(value, list) else str(value) for name, value in facts.items() if value}


def language_tag(language: str) -> str:
    """Returns the BCP-47 tag of a language by its ISO 639 code or English name; other tags as they are."""
    try:
        import iso639
    except ImportError:
        return language
    try:
        found = iso639.Lang(language if len(language) < 4 else language.title())
    except iso639.exceptions.InvalidLanguageValue:
        return language
    return found.pt1 or found.pt3 or language


def read_header(path: Path) -> dict[str, Any]:
    """Reads the header of a database.

    Raises:
        ValueError: It isn't YAML, holds Python objects, or isn't a header.
    """
    try:
        content = yaml.load(read_text(path), _LOADER)
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or error
        raise ValueError(f"{path} can't be read ({problem}); expected YAML as audformat writes it.") from error
    if isinstance(content, Mapping) and len(content) == 1:  # as audformat wrote it before version 0.2
        name, inner = next(iter(content.items()))
        content = {"name": name, **inner} if isinstance(inner, Mapping) else inner
    if not isinstance(content, Mapping):
        raise ValueError(f"{path} isn't a header of an audformat database; expected name, source, usage and tables.")
    return {str(key): value for key, value in content.items()}


class Database:
    """A database, whose tables are read when they are needed. Pickled tables are never read: they could run code.

    Args:
        path: The header.
        encoding: Encoding of the CSV tables; found out by default.

    Attributes:
        path: The header.
        tables: The tables of recordings (`filewise` and `segmented`) in the header, by name.
        misc_tables: The other tables, likewise.
        schemes: Schemes of columns, likewise.
        raters: Raters, likewise.
        splits: Splits, likewise.

    Raises:
        ValueError: audformat isn't installed, or can't read the header; the message names the file.
    """

    def __init__(self, path: Path, encoding: str | None = None) -> None:
        self.path = path
        self.encoding = encoding
        header = read_header(path)
        parts = {name: _named(path, header, name) for name in ("tables", "misc_tables", "schemes", "raters", "splits")}
        self.tables, self.misc_tables, self.schemes, self.raters, self.splits = parts.values()
        self._frames: dict[str, Any] = {}
        self._keys: dict[str, list[Key]] = {}
        try:
            import audformat
        except ImportError as error:
            raise ValueError(f"{path}: {_INSTALL}") from error
        # audformat would drop values that a scheme doesn't list, and needs tables of labels for it, so both are ours
        schemes = {name: {k: v for k, v in scheme.items() if k != "labels"} for name, scheme in self.schemes.items()}
        for name, scheme in schemes.items():
            scheme.setdefault("dtype", _dtype(self.schemes[name].get("labels")))
        try:
            self._database = audformat.Database.load_header_from_yaml({"name": "db", **header, "schemes": schemes})
        except _FAILURES as error:
            raise ValueError(f"{path}: audformat can't read this header ({error}).") from error

    def columns(self, table: str) -> dict[str, dict[str, Any]]:
        """Returns the columns of a table in the header, by name."""
        columns = (self.tables.get(table) or self.misc_tables[table]).get("columns") or {}
        return {str(name): dict(column or {}) for name, column in columns.items()}

    def levels(self, table: str) -> list[str]:
        """Returns the names of the columns of a table that are its index, such as `file`, `start` and `end`."""
        if table in self.misc_tables:
            return [str(name) for name in self.misc_tables[table].get("levels") or []]
        segmented = self.tables[table].get("type") == "segmented"
        return ["file", "start", "end"] if segmented else ["file"]

    def values(self, table: str, column: str) -> list[Any]:
        """Returns the values of a column as Python's: times in seconds, None for those that are missing."""
        import pandas as pd

        frame = self._frame(table)
        is_index = column in self.levels(table)
        series = pd.Series(frame.index.get_level_values(column)) if is_index else frame[column]
        missing = series.isna().tolist()
        if pd.api.types.is_timedelta64_dtype(series):
            series = series.dt.total_seconds()
        values = series.tolist()
        if series.dtype == object:  # parquet has lists as arrays
            values = [value.tolist() if hasattr(value, "tolist") else value for value in values]
        return [None if gone else value for value, gone in zip(values, missing, strict=True)]

    def keys(self, table: str) -> list[Key]:
        """Returns the file, start and end of each row; start and end are None for a whole file."""
        if table not in self._keys:
            files = [str(name) for name in self.values(table, "file")]
            starts: list[float | None] = [None] * len(files)
            ends = starts
            if {"start", "end"} <= set(self.levels(table)):
                starts, ends = self.values(table, "start"), self.values(table, "end")
            keys = zip(files, starts, ends, strict=True)
            self._keys[table] = [(file, start if start or end else None, end) for file, start, end in keys]
        return self._keys[table]

    def labels(self, scheme: str | None) -> dict[Any, Any]:
        """Returns what a scheme tells about each of its labels: a text, a map of properties, or None."""
        if scheme not in self._labels:
            self._labels[scheme] = dict(self._labels_of(self.schemes.get(scheme or "", {}).get("labels")))
        return self._labels[scheme]

    @cached_property
    def _labels(self) -> dict[str | None, dict[Any, Any]]:
        return {}

    def _labels_of(self, labels: Any) -> Iterator[tuple[Any, Any]]:
        if isinstance(labels, Mapping):
            yield from labels.items()
        elif isinstance(labels, list):
            yield from ((label, None) for label in labels)
        elif isinstance(labels, str) and labels in self.misc_tables:
            names = list(self.columns(labels))
            columns = [self.values(labels, name) for name in names]
            for number, label in enumerate(self.values(labels, self.levels(labels)[0])):
                yield label, {name: column[number] for name, column in zip(names, columns, strict=True)}

    def _frame(self, table: str) -> Any:
        if table not in self._frames:
            source = self._file(table)
            loaded = self._database[table]
            # in a folder of its own, for audformat would take a pickle beside it
            with tempfile.TemporaryDirectory() as folder:
                copy = Path(folder, f"table{source.suffix}")
                try:
                    if source.suffix == ".csv":
                        copy.write_text(self._checked(table, source), encoding="utf-8", newline="")
                    else:
                        copy.symlink_to(source.resolve())
                    loaded.load(str(copy.with_suffix("")))
                except (*_FAILURES, OSError) as error:
                    if str(source) in str(error):
                        raise
                    hint = " Times are written as 0 days 00:00:01.25." if "start" in self.levels(table) else ""
                    raise ValueError(f"{source}: audformat can't read this table ({error}).{hint}") from error
            self._frames[table] = loaded.df
        return self._frames[table]

    def _file(self, table: str) -> Path:
        names = [f"{self.path.stem}.{table}{suffix}" for suffix in _TABLE_SUFFIXES]
        files = [path for path in (self.path.with_name(name) for name in names) if path.is_file()]
        if not files:
            raise ValueError(f"{self.path} has a table {table}, but there is no {' or '.join(names[:2])} beside it.")
        if files[0].suffix == ".pkl":
            raise ValueError(
                f"{files[0]}: the table {table} is only there as a pickle, which isn't read because it could run code. "
                'Save it as a table: audformat.Database.load(FOLDER).save(FOLDER, storage_format="parquet").'
            )
        return files[0]

    def _checked(self, table: str, path: Path) -> str:
        """Returns the text of a CSV table; puts the columns in the header into its order, by which they are read."""
        text = read_text(path, self.encoding)
        found = next(csv.reader([text.partition("\n")[0].rstrip("\r")]), [])
        levels, columns = self.levels(table), list(self.columns(table))
        if found[: len(levels)] != levels or not set(columns) <= set(found):
            raise ValueError(
                f"{path}: expected the columns {', '.join([*levels, *columns])}, as {self.path.name} names them; found "
                f"{', '.join(found) or 'none'}."
            )
        if unknown := [name for name in found if name not in (*levels, *columns)]:
            logger.warning(f"{path}: these columns aren't used, for {self.path.name} lacks them: {', '.join(unknown)}.")
        for name in found[len(levels) :]:
            if name in columns:
                self._database[table].columns.move_to_end(name)
        return text


def _named(path: Path, header: Mapping[str, Any], part: str) -> dict[str, dict[str, Any]]:
    content = header.get(part) or {}
    if not isinstance(content, Mapping) or not all(isinstance(value, Mapping | None) for value in content.values()):
        raise ValueError(f"{path}: {part} is no map of names to facts.")
    return {str(name): dict(value or {}) for name, value in content.items()}


def _dtype(labels: Any) -> str:
    first = next(iter(labels), "") if isinstance(labels, list | Mapping) else ""
    return {bool: "bool", int: "int", float: "float"}.get(type(first), "str")

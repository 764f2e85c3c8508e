"""What readers of annotation files share: tables, lines and JSON in any encoding, and recordings found by name."""

import json
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ...search import SUFFIXES, files_in
from .by_name import files, one_container
from .table import read_tables
from .text import read_text

logger = logging.getLogger(__name__)


def by_stem(root: Path) -> dict[str, Path]:
    """Returns the recordings below a folder by their names without suffix, one container of each."""
    chosen = one_container(((path.stem, path) for path in files(root, SUFFIXES)), (".wav",))
    return {path.stem: path for path in reversed(chosen)}


def known_rows(root: Path, name: str, columns: tuple[str, ...], encoding: str | None) -> list[dict[str, str]]:
    """Returns the rows of a table that a corpus may have; none, with a warning, if it isn't what it should be."""
    path = next(files_in(root, name), None)
    try:
        return list(read_rows(path, columns, encoding)) if path else []
    except ValueError as error:
        logger.warning(f"{error} It isn't used.")
        return []


def read_rows(path: Path, columns: tuple[str, ...], encoding: str | None) -> Iterator[dict[str, str]]:
    """Yields the rows of a table that must have certain columns, with the names of all columns in lower case."""

    def missing(names: Iterable[str]) -> list[str]:
        return sorted(set(columns) - {name.lower() for name in names})

    for table in read_tables(path, lambda names: not missing(names), encoding):
        if missing(table.columns):
            expected, found = ", ".join(columns), ", ".join(table.columns)
            raise ValueError(f"{table.source}: expected the columns {expected}; found {found or 'none'}.")
        for _, cells in table.rows:
            yield dict(zip((name.lower() for name in table.columns), cells, strict=True))


def read_json(path: Path, encoding: str | None) -> Any:
    try:
        return json.loads(read_text(path, encoding))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} isn't valid JSON ({error}); it may have been cut off or edited.") from error


def read_lines(path: Path, encoding: str | None) -> list[str]:
    # a stray byte in a transcript or comment is no reason to refuse the corpus
    return read_text(path, encoding, errors="replace").splitlines()

"""Reads lists of utterances that users have, and finds the utterances of a dataset that their names mean."""

import json
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..catalog.corpus_names import plain
from ..readers.table import read_tables
from ..readers.text import read_text

# Names of columns and keys, without case and punctuation, in the order in which they are tried: a path tells more
# than a key.
_PATHS = (
    *("utteranceid", "sourcefile", "wav", "wavpath", "path", "file", "filename", "filepath", "relativepath", "audio"),
    *("audiopath", "audiofile", "audiofilepath", "wavfile", "recording", "fname"),
)
_KEYS = ("key", "id", "utt", "uttid", "utterance", "segmentid", "name", "stem")
_STARTS = ("start", "starttime", "begin", "begintime", "onset", "starts")
_NEAR = 0.02  # s; starts are rounded


@dataclass(frozen=True)
class Entry:
    """An utterance that a list names.

    Attributes:
        names: Its names, the most telling one first.
        start: Start of the utterance in its recording in seconds, if the list says so.
    """

    names: tuple[str, ...]
    start: float | None = None


@dataclass
class Found:
    """What the names of a list mean.

    Attributes:
        rows: Row numbers of the utterances.
        names: Number of different entries.
        missing: Names that no utterance has.
        ambiguous: Names that may mean several utterances, or that share an utterance with a name of another place.
    """

    rows: list[int] = field(default_factory=list)
    names: int = 0
    missing: list[str] = field(default_factory=list)
    ambiguous: list[str] = field(default_factory=list)


def read_list(path: Path) -> list[Entry]:
    """Reads a list: `.jsonl` or `.json` with objects or names, `.csv`, `.tsv` or `.xlsx`, or a name on each line.

    Objects and rows name an utterance by a path (`wav`, `wav_path`, `file`, `path`, ...) or a key (`key`, `id`, ...).

    Raises:
        ValueError: The list is empty, or a row has no such name; the message names the line.
    """
    return list(dict.fromkeys(entry for entry, _ in read_rows(path)))


def read_rows(path: Path) -> list[tuple[Entry, dict[str, Any]]]:
    """Reads a list like [`read_list`], and what else it says about each utterance, by column."""
    rows = list(_json_rows(path) if path.suffix.lower() in (".json", ".jsonl") else _table_rows(path))
    if not rows:
        raise ValueError(f"{path} names no utterance.")
    return rows


def _table_rows(path: Path) -> Iterator[tuple[Entry, dict[str, Any]]]:
    for table in read_tables(path, lambda columns: any(map(is_name, columns))):
        if any(map(is_name, table.columns)):
            for where, cells in table.rows:
                values = dict(zip(table.columns, cells, strict=True))
                yield _entry(values, where), values
        elif len(table.columns) < 2 or path.suffix.lower() not in (".csv", ".tsv", ".xlsx"):
            for cells in (table.columns, *(cells for _, cells in table.rows)):
                if any(cells):
                    yield _line_entry(cells), {}
        else:
            raise ValueError(
                f"{table.source}: no column names utterances; found {', '.join(table.columns)}. Expected one called "
                "file, path, wav or key, or one name on each line."
            )


def _line_entry(cells: Sequence[str]) -> Entry:
    """The utterance that a line without a header names: the whole line, its first word, or a path at its end."""
    words = [word for cell in cells for word in cell.split()]
    last = words[-1:] if re.search(r"[/\\.]", words[-1]) else []
    return Entry(tuple(dict.fromkeys([cells[0], words[0], *last])))


def _json_rows(path: Path) -> Iterator[tuple[Entry, dict[str, Any]]]:
    text = read_text(path)
    try:
        values = [(str(path), json.loads(text))] if text.strip() else []
    except json.JSONDecodeError:
        values = list(_lines(path, text))
    if len(values) == 1 and isinstance(values[0][1], list):
        values = [(f"{path}, no. {number}", item) for number, item in enumerate(values[0][1], start=1)]
    elif len(values) == 1 and isinstance(values[0][1], dict):
        # EmoBox's and SpeechBrain's .json: an object for each key
        objects = values[0][1]
        if objects and all(isinstance(item, dict) for item in objects.values()):
            values = [(f"{path}, {key}", {"key": key, **item}) for key, item in objects.items()]
    for where, value in values:
        if isinstance(value, str) and value:
            yield Entry((value,)), {}
        elif isinstance(value, dict):
            yield _entry(value, where), value
        else:
            raise ValueError(f"{where}: expected an object or a name, found {type(value).__name__}.")


def _lines(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield f"{path}, line {number}", json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"{path}, line {number}: not a JSON object ({error.msg}).") from error


def _entry(values: Mapping[str, Any], where: str) -> Entry:
    by_name = {plain(name): value for name, value in values.items()}
    names = [_name(by_name[key]) for key in (*_PATHS, *_KEYS) if key in by_name]
    # EmoBox's keys begin with the name of the dataset: emodb-03a01Fa
    dataset = f"{by_name.get('dataset') or ''}"
    keys = [_name(by_name[key]) for key in _KEYS if key in by_name]
    names += [re.sub(rf"^{re.escape(dataset)}[-_/.]", "", key) for key in keys if dataset]
    names = [name for name in dict.fromkeys(names) if name]
    if not names:
        raise ValueError(
            f"{where}: nothing names the utterance; found {', '.join(values) or 'no key'}. Expected file, path, wav or "
            "key."
        )
    start = next((number for key in _STARTS if (number := _number(by_name.get(key))) is not None), None)
    return Entry(tuple(names), start)


def _name(value: Any) -> str:
    value = value.get("path") if isinstance(value, dict) else value
    return value.strip() if isinstance(value, str) else str(value) if isinstance(value, int) else ""


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def is_name(column: str) -> bool:
    """Whether a column of a list is one that names utterances."""
    return plain(column) in (*_PATHS, *_KEYS)


class NameIndex:
    """Finds utterances by their ids, or by their recordings: by as much of the end of a path as tells them apart.

    Case, backslashes, forms of Unicode and the ending of the file don't matter. The name of a recording that has
    several utterances means all of them.

    Args:
        corpora: Corpus of each utterance.
        ids: Id of each utterance.
        files: `source_file` of each utterance.
        starts: Start of each utterance in its recording, in seconds; None or NaN at the start of the recording.

    >>> index = NameIndex(["mine"] * 3, ["mine/a/1", "mine/b/1", "mine/b/2"], ["a/1.wav", "b/1.wav", "b/2.wav"])
    >>> index.rows_of("2"), index.rows_of("downloads/Mine/B/1.flac"), index.rows_of("1"), index.rows_of("3")
    ([2], [1], None, [])
    """

    def __init__(
        self,
        corpora: Sequence[str],
        ids: Sequence[str],
        files: Sequence[str],
        starts: Sequence[float | None] | None = None,
    ):
        self.starts = [0.0 if start is None or math.isnan(start) else start for start in starts or [None] * len(ids)]
        self._places: dict[str, dict[tuple[str, ...], list[int]]] = {}
        for row, (corpus, name, file) in enumerate(zip(corpora, ids, files, strict=True)):
            # the id first: it means one utterance, while a file may have several
            paths = {_parts(name): None, _parts(f"{corpus}/{file}"): None}
            paths |= dict.fromkeys(_without_ending(path) for path in list(paths)[1:])
            for path in paths:
                self._places.setdefault(path[0], {}).setdefault(path, []).append(row)

    def rows_of(self, name: str) -> list[int] | None:
        """Row numbers of the utterances that a name means; None if it may mean different ones."""
        path = _parts(name)
        for variant in dict.fromkeys((path, _without_ending(path))):
            places = self._places.get(variant[0], {})
            lengths = {place: _common(place, variant) for place in places}
            longest = max(lengths.values(), default=0)
            best = [place for place, length in lengths.items() if length == longest]
            meant = {tuple(places[place]) for place in best}
            if len(meant) == 1:
                return list(meant.pop())
            if meant:
                return None
        return []

    def _first_of(self, names: Sequence[str]) -> tuple[list[int], bool]:
        """Rows of the first name that means any; and whether one before it may mean several."""
        doubtful = False
        for name in names:
            if rows := self.rows_of(name):
                return rows, doubtful
            doubtful = doubtful or rows is None
        return [], doubtful

    def find(self, entries: Iterable[Entry]) -> Found:
        """The utterances that entries mean. Names of two places can't mean the same one."""
        found = Found()
        owners: dict[int, list[str]] = {}
        for entry in entries:
            found.names += 1
            rows, doubtful = self._first_of(entry.names)
            if len(rows) > 1 and entry.start is not None:
                rows = [row for row in rows if abs(self.starts[row] - entry.start) < _NEAR]
            if rows:
                for row in rows:
                    owners.setdefault(row, []).append(entry.names[0])
            else:
                (found.ambiguous if doubtful else found.missing).append(entry.names[0])
        for row, names in owners.items():
            paths = sorted((_without_ending(_parts(name)) for name in names), key=len)
            if all(paths[-1][: len(path)] == path for path in paths):
                found.rows.append(row)
            else:
                found.ambiguous += names
        found.ambiguous = list(dict.fromkeys(found.ambiguous))
        found.rows.sort()
        return found


def _parts(name: str) -> tuple[str, ...]:
    """Parts of a path from its end, in one form."""
    plain = unicodedata.normalize("NFC", name).casefold().replace("\\", "/")
    return tuple(part for part in reversed(plain.split("/")) if part not in ("", ".")) or ("",)


def _without_ending(path: tuple[str, ...]) -> tuple[str, ...]:
    return (re.sub(r"(?<=.)\.[^.]*$", "", path[0]), *path[1:])


def _common(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """Number of equal parts from the start."""
    length = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        length += 1
    return length

"""The map of columns: which column of somebody's table or dataset fills which field of a record."""

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..labelling.scheme import ALL_CORPORA, nearest
from ..record import Record

# Other names of fields, and fields of tables that aren't fields of `Record`.
_ALIASES = {
    "path": "file",
    "audio": "file",
    "raw_label": "label",
    "emotion": "label",
    "split": "partition",
    "activation": "arousal",
    "transcript": "text",
    "dataset": "corpus",
}
_NO_COLUMNS = ("path", "raw_label", "row", "column", "name", "votes", "rating_scale", "other")
FIELDS = (
    "file",
    "label",
    "duration",
    "tables",  # which of an audformat database to read
    *(item.name for item in dataclasses.fields(Record) if item.name not in _NO_COLUMNS),
)
_FIELD = re.compile(r",(?=\s*\w+\s*=)")  # a comma within the name of a column isn't followed by `field=`

# The column of each field, by the name of the field.
Columns = Mapping[str, str]
Scale = tuple[float, float]


def column_field(name: str) -> str:
    """Returns the field that a key of a map of columns means: `label` for `emotion`."""
    return _ALIASES.get(name, name)


def unknown_fields(columns: Columns) -> list[str]:
    """Returns a sentence for each key of a map that is no field; empty for a valid map.

    >>> unknown_fields({"speeker": "who"})
    ['speeker is no field that a column can fill. Did you mean speaker?']
    """
    every = f" Expected one of {', '.join(FIELDS)}."
    return [
        f"{name} is no field that a column can fill.{nearest(name, [*FIELDS, *_ALIASES]) or every}"
        for name in columns
        if column_field(name) not in FIELDS
    ]


def find_columns(columns: Columns, names: Sequence[str], source: str) -> dict[str, str]:
    """Returns the column of each mapped field of a table or dataset.

    Args:
        columns: The map, such as `CatalogEntry.columns`.
        names: Names of the columns that exist. Another case and spaces around a name don't matter.
        source: The table or dataset, for messages.

    Returns:
        The name of the column as it exists, by field. Fields have the names of `FIELDS`: `file` for the recording,
        `label` for its raw label.

    Raises:
        ValueError: A key is no field, two keys mean the same field, or a column doesn't exist.
    """
    result: dict[str, str] = {}
    for field, column in by_field(columns.items(), source).items():
        similar = [other for other in names if other.strip().casefold() == column.strip().casefold()]
        chosen = column if column in names else similar[0] if len(similar) == 1 else None
        if chosen is None:
            hint = nearest(column, names) or f" The columns are {', '.join(names) or 'without names'}."
            raise ValueError(f"{source}: there is no column {column!r}, which is to be the {field}.{hint}")
        result[field] = chosen
    return result


def by_field(pairs: Iterable[tuple[str, str]], source: str) -> dict[str, str]:
    """Returns a map of columns with the names of `FIELDS`; for errors see [`find_columns`]."""
    columns = list(pairs)
    if faults := unknown_fields(dict(columns)):
        raise ValueError(f"{source}: the map of columns: {' '.join(faults)}")
    result: dict[str, str] = {}
    for name, column in columns:
        field = column_field(name)
        if result.setdefault(field, column) != column:
            raise ValueError(
                f"{source}: the columns {result[field]} and {column} are both to be the {field}; keep one."
            )
    return result


def parse_columns(options: Iterable[str]) -> dict[str, dict[str, str]]:
    """Parses `[CORPUS:]FIELD=COLUMN[,FIELD=COLUMN...]`, the form of the option `--columns`.

    Returns:
        The map of each corpus, by its id; `*` for all corpora.

    Raises:
        ValueError: An option hasn't this form, names a field twice, or names no field.

    >>> parse_columns(["label=emo,speaker=who", "mine:text=Said, word for word"])
    {'*': {'label': 'emo', 'speaker': 'who'}, 'mine': {'text': 'Said, word for word'}}
    """
    result: dict[str, dict[str, str]] = {}
    for option in options:
        corpus, pairs = _corpus_and_rest(option)
        for pair in _FIELD.split(pairs):
            field, equals, column = (part.strip() for part in pair.partition("="))
            if not (field and equals and column):
                raise ValueError(
                    f"--columns {option}: expected [CORPUS:]FIELD=COLUMN, such as label=emo,speaker=who or "
                    f"mine:label=emo; found {pair!r}."
                )
            earlier = result.setdefault(corpus, {})
            result[corpus] = by_field([*earlier.items(), (field, column)], f"--columns {option}")
    return result


def parse_scales(options: Iterable[str]) -> dict[str, Scale]:
    """Parses `[CORPUS:]LOW,HIGH`, the form of the option `--rating_scale`; returns the scale by corpus, `*` for all.

    >>> parse_scales(["1,5", "mine:-1,1"])
    {'*': (1.0, 5.0), 'mine': (-1.0, 1.0)}
    """
    result: dict[str, Scale] = {}
    for option in options:
        corpus, pair = _corpus_and_rest(option)
        try:
            result[corpus] = checked_scale([float(number) for number in pair.split(",")])
        except ValueError as error:
            raise ValueError(
                f"--rating_scale {option}: expected [CORPUS:]LOW,HIGH, the lowest and highest value, such as 1,5."
            ) from error
    return result


def checked_scale(scale: Any, name: str = "The scale of ratings") -> Scale:
    """Returns the lowest and highest value of a scale; raises `ValueError` for anything else, which it calls `name`."""
    if (
        not isinstance(scale, (list, tuple))
        or len(scale) != 2
        or not all(isinstance(number, (int, float)) and math.isfinite(number) for number in scale)
        or not scale[0] < scale[1]
    ):
        raise ValueError(f"{name} is {scale!r}; expected its lowest and highest value, such as (1, 5).")
    return float(scale[0]), float(scale[1])


def _corpus_and_rest(option: str) -> tuple[str, str]:
    match = re.match(r"([A-Za-z0-9][\w-]*|\*):", option)
    return (match[1], option[match.end() :]) if match else (ALL_CORPORA, option)


def by_corpus(given: Any, corpora: Iterable[str], own: Iterable[str], what: str) -> dict[str, Any]:
    """Returns a setting of each corpus that it is given for.

    Args:
        given: A map of columns or a scale of ratings, for all tables of one's own; or a map of corpora to such
            settings, with `*` for the tables of all others; or None.
        corpora: Ids of the corpora.
        own: Those that are read from tables of one's own.
        what: What the setting is, for messages.

    Raises:
        ValueError: It is given for a corpus that isn't among them, or for tables where there are none.
    """
    if not given:
        return {}
    names, tables = list(corpora), list(own)
    is_general = not isinstance(given, Mapping) or any(isinstance(value, str) for value in given.values())
    settings = {ALL_CORPORA: given} if is_general else given
    if strangers := sorted(settings.keys() - {*names, ALL_CORPORA}):
        raise ValueError(
            f"{what} is given for {', '.join(strangers)}, but the corpora are {', '.join(names)}."
            f"{nearest(strangers[0], names)}"
        )
    if ALL_CORPORA in settings and not tables:
        raise ValueError(
            f"{what} is given, but none of {', '.join(names)} has a table of your own, such as a manifest.csv. Leave "
            "it out, or name the corpus that it is for."
        )
    general = dict.fromkeys(tables, settings[ALL_CORPORA]) if ALL_CORPORA in settings else {}
    return general | {name: setting for name, setting in settings.items() if name != ALL_CORPORA}

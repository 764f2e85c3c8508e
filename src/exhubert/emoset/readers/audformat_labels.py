"""The raw label of each utterance of an audformat database, and what its raters answered."""

import ast
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..record import Vote
from .audformat_columns import Column, Columns, field_of, text_of
from .audformat_db import Key
from .by_name import NOT_SPEECH
from .columns import RATINGS
from .votes import most_frequent

logger = logging.getLogger(__name__)

_MOST_SHOWN = 3

Row = tuple[Key, str]


def labelled(columns: Columns, votes: Mapping[Key, Sequence[Vote]]) -> list[Row]:
    """Returns each utterance with its raw label, which is empty if it has none.

    Labels are those of the preferred columns, completed by others that agree with them; or else the names of columns
    that say yes or no to an emotion; or the most frequent answer of raters; or none, if there are ratings alone.

    Raises:
        ValueError: Nothing is a label or a rating, or it isn't clear which column to use; the message lists all.
    """
    path = columns.database.path
    rows = _merged(columns) or _presence(columns) or _most_frequent(columns, votes) or _with_ratings(columns)
    if not rows and columns.labels:
        raise ValueError(f"{path}: {_join(columns.labels)} {'has' if len(columns.labels) == 1 else 'have'} no rows.")
    if not rows:
        raise ValueError(f"{path}: no column is an emotion by its name or scheme. {columns.advice}")
    _report_others(columns, {key[0] for key, _ in rows})
    return rows


def _merged(columns: Columns) -> list[Row]:
    rows: list[Row] = []
    used: list[Column] = []
    unused = []
    for column in columns.labels:
        new = [row for row in _labels(columns, column) if _is_speech(row[0])]
        doubt = _disagreement(rows, new)
        if doubt and ({"label", "tables"} & columns.given.keys() or column.rank == used[0].rank):
            raise ValueError(
                f"{columns.database.path}: {_join(used)} and {column} {doubt}, and it isn't clear which to use. "
                f"{columns.advice}"
            )
        if doubt:
            unused.append(f"{column} (they {doubt})")
        else:
            rows, used = _completed(rows, new), [*used, column]
    if unused:
        logger.warning(
            f"{columns.database.path}: the labels are those of {_join(used)}, not of {_join(unused)}. To choose "
            "otherwise, give --columns label=TABLE.COLUMN."
        )
    return rows


def _labels(columns: Columns, column: Column) -> Iterator[Row]:
    """Yields the raw label of each row of a column."""
    known: dict[str, str] = {}
    for key, value in columns.cells(column):
        name = repr(value)  # lists can't be keys
        if name not in known:
            known[name] = _label(columns, column, value)
        yield key, known[name]


def _label(columns: Columns, column: Column, value: Any) -> str:
    """Returns the text of a label: the name that the scheme gives to a code, or all names of several."""
    if isinstance(value, str) and value.startswith("["):
        try:
            value = ast.literal_eval(value)
        except (SyntaxError, ValueError):
            return value
    if isinstance(value, list | tuple):
        return ", ".join(_label(columns, column, item) for item in value)
    text = text_of(value) or ""
    if columns.facts.class_of(text) is not None:
        return text
    described = columns.database.labels(column.scheme).get(value)
    names = [str(name) for name in (described.values() if isinstance(described, Mapping) else [described])]
    emotions = [name for name in names if columns.facts.class_of(name) is not None]
    if not emotions and isinstance(described, str) and not isinstance(value, str):
        return described
    return emotions[0] if emotions else text


def _presence(columns: Columns) -> list[Row]:
    """Returns the labels of a table with a yes-or-no column for each emotion, such as that of CMU-MOSEI."""
    for table in columns.tables:
        answers = [each for each in columns.emotions(table) if columns.type(each) == "bool"]
        if answers:
            values = zip(*(columns.database.values(table, each.name) for each in answers), strict=True)
            names = [
                ", ".join(each.name for each, present in zip(answers, row, strict=True) if present) for row in values
            ]
            return list(zip(columns.database.keys(table), names, strict=True))
    return []


def _most_frequent(columns: Columns, votes: Mapping[Key, Sequence[Vote]]) -> list[Row]:
    rows = [(key, most_frequent(answers)) for key, answers in votes.items() if any(vote.label for vote in answers)]
    if rows:
        logger.warning(
            f"{columns.database.path} holds only answers of raters; the label is the most frequent one, and none if "
            "two are equally frequent."
        )
    return rows


def _with_ratings(columns: Columns) -> list[Row]:
    ratings = [each for each in columns.all if each.field in RATINGS and each.table in columns.tables]
    tables = dict.fromkeys(each.table for each in ratings if each.is_speech)
    keys = dict.fromkeys(key for table in tables for key in columns.database.keys(table))
    return [(key, "") for key in keys if _is_speech(key)]


def votes_of(columns: Columns) -> dict[Key, tuple[Vote, ...]]:
    """Returns the answers of raters, or their counts, by utterance.

    They are in columns of single raters, in tables of votes with a column for each emotion, or in tables with a row
    for each recording and rater.
    """
    answers: dict[Key, dict[str | None, Vote]] = {}
    counts: dict[Key, list[Vote]] = {}

    def add(key: Key, rater: str | None, field: str, answer: Any) -> None:
        if answer not in ("", None):
            of_key, fact = answers.setdefault(key, {}), {field: answer}
            of_key[rater] = replace(of_key.get(rater) or Vote(rater), **fact)

    for column in columns.all:
        if column.rater is not None and column.is_speech and column.field in ("label", *RATINGS):
            for key, answer in _answers(columns, column):
                add(key, column.rater, column.field, answer)
    for table in columns.database.tables:
        for column in columns.emotions(table):
            for key, count in columns.cells(column) if column.counts_votes and column.is_speech else ():
                if count:
                    counts.setdefault(key, []).append(Vote(label=column.name, count=int(count)))
    for table in columns.database.misc_tables:
        levels = columns.database.levels(table)
        rater = next((name for name in levels if field_of(name) == "rater"), None)
        names = columns.database.values(table, rater) if rater and "file" in levels else []
        for name, facts in columns.database.columns(table).items() if names else ():
            scheme = facts.get("scheme_id")
            column = Column(table, name, field_of(name) or field_of(scheme or ""), scheme, rater, (0, 0))
            if column.field in ("label", *RATINGS):
                for (key, answer), who in zip(_answers(columns, column), names, strict=True):
                    add(key, text_of(who), column.field, answer)
    keys = dict.fromkeys([*answers, *counts])
    return {key: (*answers.get(key, {}).values(), *counts.get(key, ())) for key in keys}


def _answers(columns: Columns, column: Column) -> Iterable[tuple[Key, str | float | None]]:
    """Yields each answer in a column; ratings on the scale of the corpus's ratings, which may be another."""
    if column.field == "label":
        yield from _labels(columns, column)
        return
    own, scale = columns.scale(column), columns.rating_scale
    for key, value in columns.cells(column):
        number = number_of(value)
        if number is not None and own and scale and own != scale:
            number = scale[0] + (number - own[0]) * (scale[1] - scale[0]) / (own[1] - own[0])
        yield key, number


def number_of(value: Any) -> float | None:
    """Returns a rating; None for what isn't a number."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _disagreement(rows: Sequence[Row], others: Sequence[Row]) -> str:
    """Tells how the labels of two columns contradict each other; empty if they don't."""
    labels = dict(rows)
    shared = [(labels[key], label) for key, label in others if key in labels]
    if different := [pair for pair in shared if all(pair) and pair[0] != pair[1]]:
        return f"differ for {len(different)} of {len(shared)} utterances ({' and '.join(different[0])})"
    if both := {key[0] for key in labels} & {key[0] for key, _ in others if key not in labels}:
        return f"label different parts of {len(both)} recordings, such as {min(both)}"
    return ""


def _completed(rows: Sequence[Row], others: Sequence[Row]) -> list[Row]:
    """Adds utterances that are missing, and labels of those that have none."""
    labels, known = dict(others), {key for key, _ in rows}
    return [(key, label or labels.get(key, "")) for key, label in rows] + [row for row in others if row[0] not in known]


def _report_others(columns: Columns, used: set[str]) -> None:
    """Logs how many recordings of speech are only in tables that aren't read for labels."""
    tables = {each.table for each in columns.all if each.is_speech and each.field}
    keys = (key for table in tables for key in columns.database.keys(table))
    listed = {key[0] for key in keys if _is_speech(key)}
    if others := sorted(listed - used):
        logger.warning(
            f"{columns.database.path}: {len(others)} of {len(listed | used)} recordings are in no table of labels and "
            f"aren't used, such as {others[0]}."
        )


def _is_speech(key: Key) -> bool:
    return not any(map(NOT_SPEECH.fullmatch, key[0].replace("\\", "/").split("/")[:-1]))


def _join(items: Sequence[Any]) -> str:
    more = len(items) - _MOST_SHOWN
    return ", ".join(map(str, items[:_MOST_SHOWN])) + (f" and {more} more" if more > 0 else "")

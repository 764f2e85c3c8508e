"""Reader for audformat databases: joins the columns of their tables by file and time."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ...labels import VALENCES
from ..catalog import CatalogEntry
from ..record import Record, Vote
from .audformat_columns import FIELDS, OF_SPEAKERS, TEXTS, Columns, Lookup, field_of, first, text_of
from .audformat_db import Database, Key, find_database, language_tag
from .audformat_labels import Row, labelled, number_of, votes_of
from .columns import CHANNELS, RATINGS, gender_of, partition_word, with_evaluation
from .recordings import Recordings
from .votes import mean_rating

logger = logging.getLogger(__name__)


def read_audformat(facts: CatalogEntry, root: Path, encoding: str | None = None) -> Iterator[Record]:
    """Reads an audformat database: `db.yaml` with `db.files.csv`, `db.emotion.csv` and so on, or parquet tables.

    The label is that of the columns whose name or scheme is an emotion. Gold standards come before other annotations,
    and both before answers of single raters, which are votes; their most frequent answer and their mean rating are used
    if there is nothing else. Tables that agree complete each other; the partition is
    the split of a table, or a word such as `train` in its name. `facts.columns` decides otherwise, with `TABLE.COLUMN`
    as values (or a pattern, `emotion.*.gold_standard.emotion`), and the tables to take labels from under `tables`.

    Args:
        facts: Catalog entry of the corpus.
        root: Folder of the database.
        encoding: Encoding of its CSV tables; found out by default.

    Raises:
        FileNotFoundError: The folder holds no database.
        ValueError: audformat isn't installed, a table is damaged or only there as a pickle, or it isn't clear which
            columns to use; the message lists them.
    """
    path = find_database(root)
    if path is None:
        raise FileNotFoundError(f"{root} holds no audformat database: expected db.yaml and its tables.")
    columns = Columns(Database(path, encoding), facts)
    recordings = Recordings(root, [path.parent])
    votes = votes_of(columns)
    rows = labelled(columns, votes)
    lookups = {field: find for field in FIELDS if (find := _lookup(columns, field))}
    partitions = _partitions(columns, rows)
    speakers, other_of = _speakers(columns), _others(columns)
    if len(columns.scales) > 1:
        logger.warning(f"{path}: the ratings have several scales, so none is kept: {sorted(columns.scales)}.")
    for key, label in rows:
        values = dict.fromkeys(FIELDS) | {field: find(key) for field, find in lookups.items()}
        speaker = speakers.get(values["speaker"], {})
        values |= {field: speaker.get(field) for field in OF_SPEAKERS if values[field] is None}
        ratings = {field: _rating(values[field], field, votes.get(key, ())) for field in RATINGS}
        other = other_of(key) | {name: value for name, value in speaker.items() if name not in OF_SPEAKERS}
        facts_of_row: dict[str, Any] = {field: text_of(values[field]) for field in TEXTS} | ratings
        facts_of_row["language"] = _language(facts, facts_of_row["language"])
        facts_of_row["gender"] = gender_of(facts_of_row["gender"])
        yield Record(
            path=recordings.find(key[0]),
            raw_label=label,
            start=key[1],
            end=key[2],
            channel=_channel(values["channel"]),
            sentiment=_sentiment(values["sentiment"], values["valence"]),
            partition=partitions[key],
            rating_scale=columns.rating_scale if any(value is not None for value in ratings.values()) else None,
            votes=votes.get(key, ()),
            other=json.dumps(other, ensure_ascii=False, default=str) if other else None,
            **facts_of_row,
        )


def _lookup(columns: Columns, field: str) -> Lookup | None:
    """Returns the function that finds the value of a field; None if no column has it.

    Raises:
        ValueError: The map gives a column that doesn't exist.
    """
    if field in columns.given:
        scheme, _, name = columns.given[field].rpartition(".")
        told = columns.database.labels(scheme) if scheme in columns.database.schemes else {}
        if any(isinstance(facts, Mapping) and name in facts for facts in told.values()):
            return _property(columns, scheme, name)
        chosen = columns.named(field)
    else:
        chosen = [each for each in columns.all if each.field == field and each.rater is None]
    labels = {each.table for each in columns.labels}
    finders = [
        columns.finder(each) for each in sorted(chosen, key=lambda each: (each.table not in labels, not each.is_speech))
    ]
    return partial(first, finders) if finders else None


def _property(columns: Columns, scheme: str, name: str) -> Lookup:
    """Returns the function that finds what a scheme tells about its labels, such as the `age` of a `speaker`."""
    labels = columns.database.labels(scheme)
    finders = [columns.finder(each) for each in columns.all if each.scheme == scheme]

    def find(key: Key) -> Any:
        told = labels.get(first(finders, key))
        return told.get(name) if isinstance(told, Mapping) else None

    return find


def _speakers(columns: Columns) -> dict[Any, dict[str, Any]]:
    """Returns what is known of each speaker, under the names of fields, or else those of the database."""
    result: dict[Any, dict[str, Any]] = {}
    for scheme in dict.fromkeys(each.scheme for each in columns.all if each.field == "speaker"):
        for speaker, told in columns.database.labels(scheme).items():
            for name, value in told.items() if isinstance(told, Mapping) else ():
                field = field_of(name)
                if value is not None:
                    known = result.setdefault(speaker, {})
                    known.setdefault(field if field in OF_SPEAKERS else f"speaker.{name}", value)
    return result


def _others(columns: Columns) -> Callable[[Key], dict[str, Any]]:
    """Returns the function that finds what fills no field, in the tables of labels and that of files."""
    tables = {"files", *(each.table for each in columns.labels)}
    finders: dict[str, list[Lookup]] = {}
    for column in columns.all:
        if column.is_fact and column.table in tables:
            finders.setdefault(column.name, []).append(columns.finder(column))

    def find(key: Key) -> dict[str, Any]:
        values = {name: first(several, key) for name, several in finders.items()}
        return {name: value for name, value in values.items() if value is not None}

    return find


def _partitions(columns: Columns, rows: Sequence[Row]) -> dict[Key, str | None]:
    """Returns the published partition of each utterance; that of the tables of labels comes first."""
    labels = {each.table for each in columns.labels}
    parts_of: tuple[dict[Key | str, set[str]], ...] = ({}, {})
    for table in columns.database.tables:
        if partition := columns.partition_of_table(table):
            for key in columns.database.keys(table):
                for name in (key, key[0]):
                    parts_of[table not in labels].setdefault(name, set()).add(partition)
    column = _lookup(columns, "partition")
    told = {key: partition_word(str(column(key) or "")) for key, _ in rows} if column else {}
    meanings = with_evaluation(told.values())
    result: dict[Key, str | None] = {}
    doubtful = 0
    for key, _ in rows:
        word = told.get(key) or ""
        known = meanings.get(word) or columns.partition(word)
        parts = next((found for each in parts_of if (found := each.get(key) or each.get(key[0]))), ())
        result[key] = known or (next(iter(parts)) if len(parts) == 1 else None)
        doubtful += len(parts) > 1 and not known
    if doubtful:
        logger.warning(
            f"{columns.database.path}: {doubtful} utterances are in tables of several partitions, so they have none."
        )
    return result


def _language(facts: CatalogEntry, language: str | None) -> str | None:
    """Returns the tag of a language; None for the mother tongue of a speaker who speaks another one here."""
    tag = language_tag(language) if language else None
    spoken = {each.partition("-")[0] for each in facts.languages} - {"und"}
    return tag if tag and (not spoken or tag.partition("-")[0] in spoken) else None


def _rating(value: Any, field: str, votes: Sequence[Vote]) -> float | None:
    """Returns a rating; the mean of those of single raters if there is no other."""
    return number_of(value) if value is not None else mean_rating(votes, field)


def _sentiment(*values: Any) -> str | None:
    names = (value.lower() for value in values if isinstance(value, str))
    return next((name for name in names if name in VALENCES), None)


def _channel(value: Any) -> int | None:
    name = (text_of(value) or "").lower()
    number = CHANNELS.get(name, name)
    return int(number) if number.isdigit() else None

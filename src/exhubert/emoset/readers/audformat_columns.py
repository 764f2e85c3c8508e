"""The columns of an audformat database: what each is for, and which of several comes first."""

import fnmatch
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ...labels import class_of_word
from ..catalog import CatalogEntry
from ..catalog.column_map import by_field
from ..catalog.corpus_names import plain
from .audformat_db import Database, Key
from .by_name import NOT_SPEECH
from .columns import RATINGS, meaning_of, with_evaluation, words

OF_SPEAKERS = ("gender", "age", "language")
TEXTS = ("speaker", *OF_SPEAKERS, "text", "session", "dialogue", "intensity", "take", "group")
FIELDS = (*TEXTS, "sentiment", "channel", "partition", *RATINGS)
_MEASURES = ("file", "start", "end", "duration")  # of recordings, which the builder takes from the audio
# Names beside those of the columns of manifests
_MEANINGS = {
    **dict.fromkeys(("age", "speakerage"), "age"),
    **dict.fromkeys(("arousal", "activation"), "arousal"),
    **dict.fromkeys(("valence", "pleasure"), "valence"),
    "dominance": "dominance",
    "emotionalintensity": "intensity",
    "takenumber": "take",
    **dict.fromkeys(("sentencenumber", "rawtext", "orthography"), "text"),
    **dict.fromkeys(("rater", "raterid", "annotator", "annotatorid", "evaluator", "worker", "workerid"), "rater"),
}
# Words in names of tables, columns and raters
_AGGREGATED = {"gold", "goldstandard", "majority", "consensus", "agreed", "mean", "ewe"}
_INTENDED = {"desired", "intended", "acted", "portrayed", "prompted", "target"}
_PREDICTED = {"predicted", "prediction", "predictions", "machine", "automatic"}
_VOTES = {"vote", "votes"}
# what isn't heard in the speech: other signals, and what listeners answered who saw the face
_OTHER_SIGNALS = {"song", "songs", "singing", "face", "visual", "video", "multimodal"}
_RATER_NAME = re.compile(r"(?:rater|annotator|evaluator|labell?er|worker|listener|r|a)\d+")

Lookup = Callable[[Key], Any]


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        table, name: Names of both.
        field: The field of `Record` that it fills, `label` for the raw label; None if its name tells none.
        scheme: Name of its scheme.
        rater: The single person whose answers it holds; None for other columns.
        rank: Preference among columns of the same field, the smallest first.
    """

    table: str
    name: str
    field: str | None
    scheme: str | None
    rater: str | None
    rank: tuple[int, int]

    def __str__(self) -> str:
        return f"{self.table}.{self.name}"

    @property
    def is_speech(self) -> bool:
        """Whether its table is about recordings of speech as they are heard."""
        names = words(self.table)
        return not names & _OTHER_SIGNALS and not any(map(NOT_SPEECH.fullmatch, names))

    @property
    def is_fact(self) -> bool:
        """Whether it tells something that no field is for."""
        return self.field is None and self.rater is None and meaning_of(self.name) not in _MEASURES

    @property
    def counts_votes(self) -> bool:
        """Whether it counts answers of raters."""
        return bool(words(self.table) & _VOTES)


class Columns:
    """The columns of a database.

    Args:
        database: The database.
        facts: The catalog entry; its `columns` name columns (`TABLE.COLUMN`, `COLUMN`, or a pattern of either) by
            field, and the tables of labels as `tables`.

    Attributes:
        database: The database.
        facts: The entry.
        given: The map of columns.
        all: The columns of all tables of recordings, the preferred ones first.
    """

    def __init__(self, database: Database, facts: CatalogEntry) -> None:
        self.database, self.facts = database, facts
        self.given = by_field(facts.columns.items(), str(database.path))
        columns = [self._column(table, name) for table in database.tables for name in database.columns(table)]
        self.all = sorted(columns, key=lambda column: (column.rank, column.table))

    def _column(self, table: str, name: str) -> Column:
        facts = self.database.columns(table)[name]
        scheme, rater = facts.get("scheme_id"), facts.get("rater_id")
        kind = self.database.raters.get(rater or "", {}).get("type")
        names = words(table) | words(name) | words(rater or "")
        aggregated = bool(names & _AGGREGATED) or kind in ("vote", "ground truth")
        is_single = not aggregated and field_of(name) is None and (rater or _RATER_NAME.fullmatch(plain(name)))
        if kind == "machine" or names & _PREDICTED:
            preference = 3
        elif aggregated:
            preference = 0
        elif names & _INTENDED:
            # names of files of acted corpora, by which the catalog knows them, say what was intended
            preference = -1 if self.facts.paths else 2
        else:
            preference = 1
        field = field_of(name) or field_of(scheme or "")
        is_usual = field_of(name) == field and (field != "label" or "emo" in name.lower())
        return Column(table, name, field, scheme, str(rater or name) if is_single else None, (preference, not is_usual))

    def named(self, field: str) -> list[Column]:
        """Returns the columns that the map gives for a field.

        Raises:
            ValueError: There are none.
        """
        wanted = self.given[field].strip().casefold()
        columns = [
            each
            for each in self.all
            if any(fnmatch.fnmatchcase(name.casefold(), wanted) for name in (str(each), each.name))
        ]
        if not columns:
            raise ValueError(
                f"{self.database.path}: there is no column {self.given[field]}, which is to be the {field}. "
                f"{self.listed}"
            )
        return columns

    @property
    def listed(self) -> str:
        """The sentence that lists all tables and columns."""
        tables = [f"{name} ({', '.join(self.database.columns(name)) or 'no columns'})" for name in self.database.tables]
        return f"The tables are {'; '.join(tables) or 'none'}."

    @property
    def advice(self) -> str:
        """What to do if it isn't clear which columns to use."""
        return f"Choose by --columns label=TABLE.COLUMN or --columns tables=TABLE,TABLE. {self.listed}"

    @cached_property
    def tables(self) -> list[str]:
        """The tables to take labels from.

        Raises:
            ValueError: The map gives a table that doesn't exist.
        """
        wanted = self.given.get("tables")
        if not wanted:
            return list(self.database.tables)
        patterns = re.split(r"[,;\s]+", wanted.strip()) if isinstance(wanted, str) else list(wanted)
        chosen = [fnmatch.filter(self.database.tables, pattern) for pattern in patterns]
        if missing := [pattern for pattern, tables in zip(patterns, chosen, strict=True) if not tables]:
            raise ValueError(f"{self.database.path}: there is no table {', '.join(missing)}. {self.listed}")
        return [table for tables in chosen for table in tables]

    @cached_property
    def labels(self) -> list[Column]:
        """The columns that may hold the raw label, the preferred ones first."""
        if "label" in self.given:
            return self.named("label")
        columns = [each for each in self.all if each.table in self.tables and each.field == "label"]
        columns = [each for each in columns if each.rater is None and not each.counts_votes]
        return [each for each in columns if each.is_speech or "tables" in self.given] or columns

    def emotions(self, table: str) -> list[Column]:
        """Returns the columns of a table that are named after emotions, if there are several."""
        languages = self.facts.languages
        columns = [each for each in self.all if each.table == table and class_of_word(each.name, languages)]
        return columns if len(columns) > 1 else []

    def type(self, column: Column) -> str:
        """Returns audformat's name of the type of a column."""
        return str(self.database.schemes.get(column.scheme or "", {}).get("dtype", "object"))

    def scale(self, column: Column) -> tuple[float, float] | None:
        """Returns the lowest and highest value of a column; None if unknown."""
        facts = self.database.schemes.get(column.scheme or "", {})
        lowest, highest = facts.get("minimum"), facts.get("maximum")
        return (float(lowest), float(highest)) if lowest is not None and highest is not None else None

    @cached_property
    def scales(self) -> set[tuple[float, float]]:
        """The scales of the corpus's ratings, without those of single raters if there are others."""
        if self.facts.rating_scale:
            return {self.facts.rating_scale}
        ratings = [each for each in self.all if each.field in RATINGS]
        ratings = [each for each in ratings if each.rater is None] or ratings
        return {scale for scale in map(self.scale, ratings) if scale}

    @property
    def rating_scale(self) -> tuple[float, float] | None:
        """The scale of the ratings, if they have one."""
        return next(iter(self.scales)) if len(self.scales) == 1 else None

    @cached_property
    def _partition_words(self) -> Mapping[str, str]:
        names = {word for name in (*self.database.tables, *self.database.splits) for word in words(name)}
        return with_evaluation(names)

    def partition(self, word: str) -> str | None:
        """Returns the partition that a word stands for."""
        return self._partition_words.get(word)

    def partition_of_table(self, table: str) -> str | None:
        """Returns the partition of a table: its split, or the only word for one in its name."""
        split = str(self.database.tables[table].get("split_id") or "")
        kind = str(self.database.splits.get(split, {}).get("type") or "")
        for name in (kind, split, table):
            parts = {self._partition_words[word] for word in words(name) if word in self._partition_words}
            if len(parts) == 1:
                return parts.pop()
        return None

    def cells(self, column: Column) -> Iterator[tuple[Key, Any]]:
        """Yields the value of each row of a column, None for a missing one."""
        keys, values = self.database.keys(column.table), self.database.values(column.table, column.name)
        return zip(keys, values, strict=True)

    def finder(self, column: Column) -> Lookup:
        """Returns the function that finds the value of a part of a recording: its own, its file's or that of all parts.

        Texts of which a scheme has only the code are written out.
        """
        texts = self.database.labels(column.scheme) if column.field == "text" else {}
        exact: dict[Key, Any] = {}
        of_file: dict[str, set[Any]] = {}
        for key, value in self.cells(column):
            if value is not None:
                if isinstance(value, list | dict):
                    value = json.dumps(value, ensure_ascii=False, default=str)
                value = _transcript(texts.get(value), value)
                exact.setdefault(key, value)
                of_file.setdefault(key[0], set()).add(value)

        def find(key: Key) -> Any:
            for known in (key, (key[0], None, None)):
                if known in exact:
                    return exact[known]
            values = of_file.get(key[0], ())
            return next(iter(values)) if len(values) == 1 else None

        return find


def field_of(name: str) -> str | None:
    """Returns the field that a column of this name fills: one of `FIELDS`, `label`, or `rater`; else None."""
    field = _MEANINGS.get(plain(name)) or meaning_of(name)
    return field if field in (*FIELDS, "label", "rater") else None


def text_of(value: Any) -> str | None:
    """Returns the text of a value, whole numbers without a fraction; None for an empty one."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return None if value is None else str(value).strip() or None


def first(lookups: list[Lookup], key: Key) -> Any:
    """Returns the first value that functions find."""
    return next((value for find in lookups if (value := find(key)) is not None), None)


def _transcript(described: Any, code: Any) -> Any:
    """Returns what a scheme tells about the text of a code, such as that of `a01`; else the code."""
    if isinstance(described, Mapping):
        described = next((text for name, text in described.items() if field_of(name) == "text"), None)
    return described if isinstance(described, str) else code

"""Reader for Hugging Face datasets on disk: parquet and Arrow files with recordings, or paths of them, in rows."""

import json
import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from ...labels import VALENCES
from ..audio_rows import PARQUET, Rows, find_beside
from ..catalog import CatalogEntry, catalog
from ..catalog.corpus_names import corpus_of_name
from ..record import Record, Vote
from .columns import RATINGS, TEXTS, UNKNOWN, gender_of, is_number, seconds_per_unit
from .dataset_columns import Columns, find_columns
from .dataset_files import (
    STATE,
    DataFile,
    card_language,
    data_files,
    features_of,
    first_table,
    is_partition_word,
    missing_shards,
    partition_word,
    partitions_of,
)
from .dataset_values import Names, json_value, language_of, name_of, number_of, text_of
from .known_names import corpus_of_recordings, facts_in_name
from .votes import VoteColumns, mean_rating, most_frequent

logger = logging.getLogger(__name__)

_BATCH = 1_000
_LARGE = 4096  # bytes for each row; larger cells are no facts
_MOST_CORPORA = 100
_EVERYTHING = ("all", "combined", "default", "full", "merged")  # configurations that repeat the others
_TAKEN_FROM_NAMES = ("speaker", "gender", "text", "take", "intensity", "language", "session", "dialogue", "group")


def is_dataset(root: Path) -> bool:
    """Whether a folder holds parquet or Arrow files with recordings, or with paths of recordings and their labels."""
    if (root / "db.yaml").is_file():
        return False  # an audformat database, whose tables may be parquet
    if not root.is_dir() or (table := first_table(root)) is None:
        return False
    try:
        schema = Rows(table).schema
        return find_columns(schema, features_of(schema), {}, str(table)) is not None
    except ValueError:
        # reading it tells what is wrong; other programs have files that end in .arrow, too
        return table.suffix.lower() in PARQUET or (table.parent / STATE).is_file()


def read_dataset(facts: CatalogEntry, root: Path, encoding: str | None = None) -> Iterator[Record]:
    """Reads a folder of parquet files, one written by `save_to_disk`, or a snapshot from the hub.

    Only small columns are read; recordings stay in their files, and a record names the file and the row. Columns are
    found by their usual names or by `facts.columns`. The split of a row is that of a column, or of its file or folder.
    A column, splits or configurations named after corpora set `Record.corpus`, and so do names of recordings that are
    those of one corpus of the catalog, from which facts without a column are then taken.

    Args:
        facts: Catalog entry of the corpus, or that of `manifest`.
        root: Folder of the dataset.
        encoding: Not used.

    Raises:
        ValueError: A file is damaged, no column holds recordings, or it isn't clear which one.
    """
    dataset = _Dataset(facts, root)
    yield from dataset.records()
    dataset.report()


class _Table:
    """One file of a dataset, with the meanings of its columns."""

    def __init__(self, file: DataFile, facts: CatalogEntry):
        rows = Rows(file.path)  # not kept: datasets have more files than a process may open
        self.file, self.number, self.all_columns = file, rows.number, rows.schema.names
        self.features = {**file.features, **features_of(rows.schema)}
        found = find_columns(rows.schema, self.features, facts.columns, str(file.path))
        self.is_usable = found is not None
        self.columns = found or Columns("")
        self.votes = VoteColumns(facts.votes if self.is_usable else {}, self.all_columns, str(file.path))
        self.vote_columns = [self.all_columns[index] for index in sorted(self.votes.indices)]
        rest = (name for name in self.columns.others if name not in self.vote_columns)
        self.columns.others = [name for name in rest if rows.bytes_per_row(name) <= _LARGE]

    def batches(self, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, list[Any]]]]:
        """Yields batches of rows, as lists of values by column, with the number of the first row.

        Args:
            columns: Names of columns, or `column.path` for the paths in the column of recordings.
        """
        for first, batch in Rows(self.file.path).batches(columns, _BATCH):
            yield first, {column: _values(batch, column) for column in columns}

    @cached_property
    def name_columns(self) -> list[str]:
        """Columns with names of recordings, the recording's own first."""
        own = [f"{self.columns.audio}.path"] if self.columns.has_path else []
        return own + ([self.columns.audio] if self.columns.is_file else []) + list(self.columns.names)

    def text(self, column: str, value: Any) -> str | None:
        """Returns a value of a column as text, also the only one of a list."""
        value = value[0] if isinstance(value, list) and len(value) == 1 else value
        fields = self.columns.fields
        unknown = ("",) if column in (fields.get("label"), fields.get("text")) else UNKNOWN
        return text_of(value, self._classes(column), unknown)

    def fact(self, column: str, value: Any) -> Any:
        """Returns a value of a column without a meaning as JSON holds it; None if it is unknown or too long."""
        return self.text(column, value) if self._classes(column) else json_value(value)

    def _classes(self, column: str) -> tuple[str, ...]:
        return self.features[column].classes if column in self.features else ()

    def names(self) -> list[list[str | None]]:
        """Reads the names of all recordings from each of the columns with names."""
        result: list[list[str | None]] = [[] for _ in self.name_columns]
        if result:
            for _, values in self.batches(self.name_columns):
                for names, column in zip(result, self.name_columns, strict=True):
                    names += map(name_of, values[column])
        return result


def _values(batch: pa.RecordBatch, column: str) -> list[Any]:
    if column in batch.schema.names:
        return batch.column(column).to_pylist()
    top, _, inner = column.rpartition(".")
    return batch.column(top).field(inner).to_pylist()


@dataclass
class _Known:
    """The corpus of the catalog that the recordings of one corpus have the names of."""

    entry: CatalogEntry
    column: int  # among the columns with names
    matching: int = 0
    total: int = 0
    taken: set[str] = field(default_factory=set)
    left_out: int = 0


class _Dataset:
    """A dataset whose splits and corpora are known, before its rows are read."""

    def __init__(self, facts: CatalogEntry, root: Path):
        self.facts, self.root, self.catalog = facts, root, catalog()
        self.remarks: dict[str, None] = {}
        self.is_annotated = False
        self._corpora_by_name: dict[str, str | None] = {}
        self.language = language_of(card_language(root))
        files = data_files(root)
        tables = [_Table(file, facts) for file in files]
        self.tables = [table for table in tables if table.is_usable]
        if unusable := [table.file.path for table in tables if not table.is_usable]:
            names = ", ".join(path.relative_to(root).as_posix() for path in unusable[:3])
            self.remarks[f"{len(unusable)} files have no column of recordings, such as {names}; they aren't read"] = (
                None
            )
        if missing := missing_shards(file.path for file in files):
            names = ", ".join(missing[:3])
            self.remarks[
                f"{len(missing)} of its files are missing, such as {names}; their rows aren't read. Download them"
            ] = None
        if not self.tables:
            columns = ", ".join(tables[0].all_columns) if tables else "no parquet or Arrow file"
            raise ValueError(
                f"{root}: none of the columns holds recordings; found {columns}. Expected a column such as audio with "
                "bytes or paths."
            )
        self._survey()

    def _survey(self) -> None:
        """Reads the words for splits and corpora, and the names of the recordings."""
        words: set[str] = {table.file.split for table in self.tables if table.file.split}
        values: Counter[str] = Counter()
        for table in self.tables:
            split, corpus = (table.columns.fields.get(name) for name in ("partition", "corpus"))
            columns = [name for name in (split, corpus) if name]
            for _, batch in table.batches(columns) if columns else ():
                words |= {word for word in self._texts(table, split, batch) if word}
                values.update(value for value in self._texts(table, corpus, batch) if value)
        self.has_splits = len({table.file.split for table in self.tables}) > 1
        self.partitions = partitions_of(words)
        if set(self.partitions.values()) == {"train"}:
            self.partitions = {}  # how `datasets` calls data without splits
        self.divided_by = self._divided_by(values)
        self.known = self._known()

    def _texts(self, table: _Table, column: str | None, batch: Mapping[str, list[Any]]) -> list[str | None]:
        if column is None:
            return []
        return [table.text(column, value) for value in batch[column]]

    def _divided_by(self, values: Counter[str]) -> str:
        """Returns what names the corpus of a row: `corpus` (a column), `split`, `config`, or nothing."""
        known = [value for value in values if self._named(value)]
        weak = any(table.columns.weak_corpus for table in self.tables)
        if values and len(values) <= _MOST_CORPORA and (len(known) == len(values) or not weak):
            return "corpus"
        splits = {table.file.split or "" for table in self.tables}
        configs = {table.file.config or "" for table in self.tables}
        for kind, names in (("split", splits), ("config", configs)):
            corpora = [self._named(name) for name in names]
            if any(corpora) and not any(map(is_partition_word, names)) and "" not in names:
                return kind
        return ""

    def _corpus_of(self, table: _Table, value: str | None) -> str | None:
        """Returns the corpus of a row whose column for it has this value."""
        name = {"corpus": value, "split": table.file.split, "config": table.file.config}.get(self.divided_by)
        return (self._named(name) or name) if name else None

    def _named(self, name: str) -> str | None:
        """Returns the corpus of the catalog that a value or a split is named after, also with its year: eNTERFACE05."""
        if name not in self._corpora_by_name:
            found = corpus_of_name(name) or corpus_of_name(re.sub(r"[^A-Za-z0-9]*\d\d(?:\d\d)?$", "", name))
            self._corpora_by_name[name] = None if found in ("demo", "manifest") else found
        return self._corpora_by_name[name]

    def _known(self) -> dict[str | None, _Known]:
        """Returns the corpus of the catalog whose names the recordings of each corpus have, if there is one."""
        names: dict[str | None, list[list[str]]] = {}
        for table in self.read_tables():
            corpora = self._corpora(table)
            for number, column in enumerate(table.names()):
                for row, name in enumerate(column):
                    corpus = corpora[row] if corpora else self._corpus_of(table, None)
                    lists = names.setdefault(corpus, [])
                    lists += [[] for _ in range(number + 1 - len(lists))]
                    if name:
                        lists[number].append(name)
        result = {}
        for corpus, lists in names.items():
            expected = corpus or self.facts.id
            among = [expected] if expected in self.catalog and expected != "manifest" else None
            entries = (corpus_of_recordings(column, among) for column in lists)
            found = ((number, entry) for number, entry in enumerate(entries) if entry)
            if first := next(found, None):
                result[corpus] = _Known(first[1], first[0])
        return result

    def _corpora(self, table: _Table) -> list[str | None]:
        column = table.columns.fields.get("corpus")
        if self.divided_by != "corpus" or column is None:
            return []
        batches = (self._texts(table, column, batch) for _, batch in table.batches([column]))
        return [self._corpus_of(table, value) for values in batches for value in values]

    def read_tables(self) -> list[_Table]:
        """The tables to read: without configurations that hold all corpora again."""
        configs = {table.file.config for table in self.tables}
        if self.divided_by != "config" or len(configs) < 2:
            return self.tables
        return [table for table in self.tables if str(table.file.config).lower() not in _EVERYTHING]

    def records(self) -> Iterator[Record]:
        """Yields the rows."""
        for table in self.read_tables():
            yield from self._records_of(table)

    def _records_of(self, table: _Table) -> Iterator[Record]:
        columns = table.columns
        names = table.names()
        unique = Names(names)
        chosen = None if table.file.chosen is None else set(table.file.chosen.tolist())
        own = [columns.audio, *columns.parts.values()] if columns.is_file else []
        wanted = list(dict.fromkeys([*own, *columns.fields.values(), *table.vote_columns, *columns.others]))
        everything: Iterable[tuple[int, dict[str, list[Any]]]] = [(0, {})]  # of a file with nothing but recordings
        for first, batch in table.batches(wanted) if wanted else everything:
            size = len(batch[wanted[0]]) if wanted else table.number
            for offset in range(size):
                row = first + offset
                if chosen is None or row in chosen:
                    cells = {column: values[offset] for column, values in batch.items()}
                    record = self._record(table, row, cells, [column[row] for column in names], unique[row])
                    if record is not None:
                        yield record

    def _record(
        self, table: _Table, row: int, cells: Mapping[str, Any], names: Sequence[str | None], unique: str | None
    ) -> Record | None:
        columns = table.columns
        values = {name: table.text(column, cells[column]) for name, column in columns.fields.items()}
        label, votes = self._label(table, cells)
        if answers := self._votes(table, row, cells):
            votes, label = answers, label if "label" in columns.fields else most_frequent(answers)
        corpus = self._corpus_of(table, values.get("corpus"))
        ratings: dict[str, Any] = {name: number_of(values.get(name)) for name in RATINGS}
        ratings |= {name: mean_rating(votes, name) for name, rating in ratings.items() if rating is None}
        record: dict[str, Any] = {name: values.get(name) for name in (*TEXTS, "speaker", "age")}
        record["gender"] = self._gender(values.get("gender"))
        record["language"] = language_of(values.get("language")) or (None if corpus in self.catalog else self.language)
        sentiment = (values.get("sentiment") or values.get("valence") or "").lower()
        record["sentiment"] = sentiment if sentiment in VALENCES else None
        known = self.known.get(corpus)
        if known is not None:
            known.total += 1
            found = facts_in_name(known.entry, names[known.column] or "") if known.column < len(names) else {}
            if found is None:
                known.left_out += 1
                return None
            known.matching += bool(found)
            if found.get("raw_label") and (not label or columns.bare_label):
                label = found["raw_label"]
                known.taken.add("label")
            for name in _TAKEN_FROM_NAMES:
                if record.get(name) is None and found.get(name) is not None:
                    record[name] = found[name]
                    known.taken.add(name)
            corpus = corpus if corpus in self.catalog else known.entry.id
        is_rated = set(ratings.values()) != {None}
        self.is_annotated |= bool(label or votes) or is_rated
        word = values.get("partition") or ""
        word = word if word.lower() in self.partitions else table.file.split or ""
        return Record(
            raw_label=label,
            corpus=corpus,
            partition=self.partitions.get(word.lower()) if self.divided_by != "split" else None,
            rating_scale=self.facts.rating_scale if is_rated else None,
            votes=votes,
            other=self._other(table, cells, values),
            **ratings,
            **record,
            **self._place(table, row, cells, names, unique),
        )

    def _place(
        self, table: _Table, row: int, cells: Mapping[str, Any], names: Sequence[str | None], unique: str | None
    ) -> dict[str, Any]:
        """Returns where the audio of a row is: a file, or a row of one."""
        if not table.columns.is_file:
            path = str(table.file.path)
            return {"path": path, "row": row, "column": table.columns.audio, "name": unique}
        name = text_of(cells[table.columns.audio]) or f"row {row} of {table.file.path.name} names no file"
        found = find_beside(table.file.path, name)
        numbers = {column: number_of(cells[column]) for column in table.columns.parts.values()}
        times = {column: number * seconds_per_unit(column) for column, number in numbers.items() if number is not None}
        part: dict[str, Any] = {name: times.get(column) for name, column in table.columns.parts.items()}
        duration = part.pop("duration", None)
        if duration is not None and part.get("start") is not None:
            part["end"] = part["start"] + duration
        if part.get("channel") is not None:
            part["channel"] = int(part["channel"])
        return {"path": str(found or self.root / name), **part}

    def _label(self, table: _Table, cells: Mapping[str, Any]) -> tuple[str, tuple[Vote, ...]]:
        """Returns the raw label of a row, and the votes if it has a list of different ones."""
        column = table.columns.fields.get("label")
        if column is None:
            return "", ()
        value = cells[column]
        if not isinstance(value, list):
            return table.text(column, value) or "", ()
        labels = Counter(text for item in value if (text := table.text(column, item)))
        if len(labels) < 2:
            return "".join(labels), ()
        self.remarks[f"lists of several emotions in the column {column} are kept as votes, and have no class"] = None
        return ", ".join(labels), tuple(Vote(label=name, count=number) for name, number in labels.items())

    def _votes(self, table: _Table, row: int, cells: Mapping[str, Any]) -> tuple[Vote, ...]:
        """Returns the answers of single listeners in the columns that the catalog entry names."""
        if not table.vote_columns:
            return ()
        texts = (
            table.text(name, cells[name]) or "" if name in table.vote_columns else "" for name in table.all_columns
        )
        try:
            return table.votes.votes(list(texts))
        except ValueError as error:
            raise ValueError(f"{table.file.path}, row {row}: {error}") from error

    def _gender(self, value: str | None) -> str | None:
        if value is None or not is_number(value):
            return gender_of(value)
        self.remarks["genders are numbers without names, such as 0 and 1, whose meaning isn't guessed"] = None
        return None

    def _other(self, table: _Table, cells: Mapping[str, Any], values: Mapping[str, Any]) -> str | None:
        """Returns as JSON the cells of further columns, and what fills no field in those that have a meaning."""
        facts = {
            column: fact for column in table.columns.others if (fact := table.fact(column, cells[column])) is not None
        }
        for name, column in table.columns.fields.items():
            if name != "label" and isinstance(cells[column], list) and len(cells[column]) > 1:
                facts[column] = json_value(cells[column])
        for name in ("gender", *RATINGS, "partition", "sentiment", "corpus"):
            value = values.get(name)
            if value is not None and not self._fills(name, value):
                facts[table.columns.fields[name]] = value
        if table.file.config and self.divided_by != "config":
            facts.setdefault("config", table.file.config)
        split = table.file.split
        if split and self.has_splits and not is_partition_word(split) and self.divided_by != "split":
            facts.setdefault("split", split)
        return json.dumps(facts, ensure_ascii=False) if facts else None

    def _fills(self, name: str, value: str) -> bool:
        """Whether a value is one of the field that its column is for."""
        if name == "gender":
            return not is_number(value)
        if name == "partition":
            return partition_word(value) is not None
        if name in ("valence", "sentiment") and value.lower() in VALENCES:
            return True
        return name in RATINGS and is_number(value)

    def report(self) -> None:
        """Logs what a user should know of how the dataset was understood."""
        has_labels_of_names = any("label" in known.taken for known in self.known.values())
        for table in self.tables:
            if not (table.columns.bare_label and has_labels_of_names):
                self.remarks |= dict.fromkeys(table.columns.remarks)
        annotated = any({"label", *RATINGS} & table.columns.fields.keys() for table in self.tables)
        if not annotated and not self.is_annotated:
            columns = ", ".join(self.tables[0].all_columns)
            self.remarks[
                f"no column names an emotion or rates it, so that no row has a class; found {columns}. Map the column "
                "to label, as in --columns label=NAME"
            ] = None
        for known in self.known.values():
            name = known.entry.name
            if known.taken:
                order = [item for item in ("label", *_TAKEN_FROM_NAMES) if item in known.taken]
                facts = f"{', '.join(order[:-1])} and {order[-1]}" if len(order) > 1 else order[0]
                share = f"{known.matching} of {known.total} recordings have the names of {name}"
                self.remarks[f"{share}; {facts} without a column are taken from these"] = None
            if known.left_out:
                self.remarks[
                    f"{known.left_out} recordings are no utterances of {name} by their names, and are left out"
                ] = None
        for remark in self.remarks:
            logger.warning("%s: %s.", self.root, remark)

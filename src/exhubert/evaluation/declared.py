"""Divides utterances as a protocol's file says, and checks that what it keeps apart is apart."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..emoset.dealing.deal import deal
from ..emoset.dealing.partition import PARTITIONS, LeakageError
from ..emoset.dealing.speakers import speaker_key
from ..emoset.labelling.scheme import nearest
from ..emoset.protocols.name_lists import Entry, Found, NameIndex, is_name, read_list, read_rows
from ..emoset.protocols.protocol import FoldRule, LeaveOut, Protocol, Selection, Share, natural_key
from ..emoset.readers.columns import EVALUATION
from ..emoset.readers.columns import PARTITIONS as PARTITION_WORDS
from .fold import Fold
from .leaks import Keys, speakers_shared

_SHOWN = 3  # examples in a message
_SEED = 0  # of held-out shares: a protocol has the same folds everywhere
PUBLISHED = "published_partition"


def declared_folds(protocol: Protocol, table: pd.DataFrame) -> list[Fold]:
    """The folds of a protocol that a file describes.

    Args:
        protocol: From `exhubert.emoset.protocols.protocol_file`.
        table: One row per utterance, see `exhubert.evaluation.protocols.table_of`. Rows without a `label` have no class
            in the label space: they are divided like the others, and then left out.

    Returns:
        The folds. Their `notes` name what the lists and the data don't share; their `shared` counts the speakers that
        are in two partitions.

    Raises:
        ValueError: The protocol doesn't fit these utterances; the message says why.
        LeakageError: What the protocol keeps apart is in two partitions, or isn't known.
    """
    corpora = table["corpus"].to_numpy()
    present = sorted(set(corpora))
    if missing := [corpus for corpus in protocol.corpora if corpus not in present]:
        raise ValueError(
            f"{protocol.label}: corpora names {', '.join(missing)}, but the data are {', '.join(present)}."
            f"{nearest(missing[0], present)}"
        )
    own = np.flatnonzero(np.isin(corpora, protocol.corpora)) if protocol.corpora else np.arange(len(table))
    rows = _Rows(protocol, table.iloc[own].reset_index(drop=True))
    rules = _left_out(protocol, protocol.folds, rows) if isinstance(protocol.folds, LeaveOut) else protocol.folds
    folds = []
    for rule in rules:
        partitions, notes = rows.divide(rule)
        partitions = rows.with_class(rule.name, partitions)
        rows.check_apart(rule.name, partitions)
        shared = speakers_shared(
            {part: rows.table["speaker"].iloc[numbers].unique() for part, numbers in partitions.items()}
        )
        if others := len(table) - len(own):
            notes.append(f"{others} utterances of other corpora aren't used")
        folds.append(Fold(rule.name, {part: own[numbers] for part, numbers in partitions.items()}, notes, shared))
    return folds


def _left_out(protocol: Protocol, folds: LeaveOut, rows: "_Rows") -> list[FoldRule]:
    values = rows.values(folds.column, "folds: leave_out")
    if unknown := [number for number, value in enumerate(values) if value is None]:
        raise ValueError(
            f"{protocol.label}: folds: leave_out: {len(unknown)} utterances have no {folds.column}: "
            f"{rows.examples(unknown)}."
        )
    groups = dict(folds.groups)
    if groups:
        members = [rows.having(folds.column, own, f"folds: groups: {name}") for name, own in groups.items()]
        if left := sorted(set(range(len(values))).difference(*members)):
            lacking = sorted({str(values[number]) for number in left}, key=natural_key)
            raise ValueError(
                f"{protocol.label}: folds: groups: {len(left)} utterances are in no group; their {folds.column} is "
                f"{_some(lacking)}."
            )
    else:
        groups = {str(value): (str(value),) for value in sorted(set(values), key=lambda value: natural_key(str(value)))}
    fewest = 2 if folds.validation else 3
    if len(groups) < fewest:
        raise ValueError(
            f"{protocol.label}: folds: leave_out: {folds.column} has {len(groups)} groups here "
            f"({_some(list(groups))}), but train, validation and test need {fewest}."
        )
    names = list(groups)
    return [
        FoldRule(
            name,
            Selection({}, rest=True),
            folds.validation or Selection({folds.column: groups[names[(number + 1) % len(names)]]}),
            Selection({folds.column: groups[name]}),
        )
        for number, name in enumerate(names)
    ]


def _partition_word(word: str) -> str:
    """The partition that a publisher's word means; `evaluation` is for validation, as beside a test partition."""
    return "validation" if word.lower() in EVALUATION else PARTITION_WORDS.get(word.lower(), word)


# what the spellings of one value have in common, by column
_SPELLINGS: dict[str, Callable[[str], str]] = {"speaker": speaker_key, PUBLISHED: _partition_word}


class _Rows:
    """The utterances of a protocol's corpora."""

    def __init__(self, protocol: Protocol, table: pd.DataFrame):
        self.protocol, self.table = protocol, table
        self.corpora = table["corpus"].tolist()
        self._index: NameIndex | None = None
        self._values: dict[str, list[str | None]] = {}
        self._keys: dict[str, Keys] = {}
        self._rows: dict[str, dict[str, list[int]]] = {}  # rows by value, for each column
        self.notes = self._add_columns(protocol.columns) if protocol.columns else []

    def examples(self, numbers: Sequence[int]) -> str:
        return _some([str(self.table["utterance_id"].iloc[number]) for number in numbers])

    def values(self, column: str, where: str) -> list[str | None]:
        """A column as texts, speakers without the name of their corpus."""
        label = self.protocol.label
        if column in self._values:
            return self._values[column]
        if column not in self.table or column in ("label", "duration"):
            if column == PUBLISHED:
                raise ValueError(
                    f"{label}: {where}: the dataset has no column {PUBLISHED}, since an earlier version built it. "
                    "Build it again with `exhubert emoset build`."
                )
            known = [name for name in self.table.columns if name not in ("label", "duration")]
            raise ValueError(
                f"{label}: {where}: the dataset has no column {column!r}; it has {', '.join(known)}."
                f"{nearest(column, known)}"
            )
        result = [_as_text(value) for value in self.table[column].tolist()]
        if column == "speaker":
            result = [
                value.removeprefix(f"{corpus}/") if value else value
                for value, corpus in zip(result, self.corpora, strict=True)
            ]
        if column == PUBLISHED and not any(result):
            raise ValueError(
                f"{label}: {where}: no utterance of {', '.join(sorted(set(self.corpora)))} has a {PUBLISHED}. The copy "
                "that was built has none, or an earlier version built it; in that case build it again."
            )
        self._values[column] = result
        self._rows[column] = {}
        for row, (value, corpus) in enumerate(zip(result, self.corpora, strict=True)):
            for name in () if value is None else (value, f"{corpus}/{value}"):
                self._rows[column].setdefault(name, []).append(row)
        return result

    def having(self, column: str, wanted: Sequence[str], where: str) -> list[int]:
        """Numbers of the rows that have one of several values; raises `ValueError` for a value that no row has."""
        values = self.values(column, where)
        numbers: set[int] = set()
        for value in wanted:
            own = self._rows[column].get(value, [])
            same = _SPELLINGS.get(column)
            if not own and same and (key := same(value)):
                own = [number for number, present in enumerate(values) if present and same(present) == key]
            if not own:
                known = sorted({present for present in values if present is not None}, key=natural_key)
                raise ValueError(
                    f"{self.protocol.label}: {where}: no utterance has the {column} {value!r}; there are "
                    f"{', '.join(known[:40])}{', ...' * (len(known) > 40)}.{nearest(value, known)}"
                )
            numbers.update(own)
        return sorted(numbers)

    def divide(self, rule: FoldRule) -> tuple[dict[str, np.ndarray], list[str]]:
        """The row numbers of the partitions of a fold, and what its user should know."""
        chosen: dict[str, list[int]] = {}
        notes = list(self.notes)
        rest, share = None, None
        for part in PARTITIONS:
            item = getattr(rule, part)
            if isinstance(item, Share):
                share = item
            elif item.rest:
                rest = part
            else:
                chosen[part] = self._chosen(item, f"fold {rule.name}: {part}", notes)
        self._refuse_twice(rule.name, chosen)
        free = np.ones(len(self.table), dtype=bool)
        for numbers in chosen.values():
            free[numbers] = False
        left = np.flatnonzero(free).tolist()
        if rest:
            chosen[rest] = left
        elif left:
            notes.append(f"{len(left)} utterances are in no partition: {self.examples(left)}")
        if share:
            chosen["train"], chosen["validation"] = self._held_out(rule.name, chosen["train"], share)
        for part in PARTITIONS:
            if not chosen[part]:
                raise ValueError(f"{self.protocol.label}: fold {rule.name}: {part} has no utterance.")
        return {part: np.array(chosen[part], dtype=int) for part in PARTITIONS}, notes

    def _chosen(self, item: Selection, where: str, notes: list[str]) -> list[int]:
        if item.lists:
            return sorted({number for path in item.lists for number in self._listed(path, where, notes)})
        found = [set(self.having(column, values, where)) for column, values in item.columns.items()]
        return sorted(set.intersection(*found))

    def _add_columns(self, path: Path) -> list[str]:
        """Adds the columns of a table that the dataset lacks or has no value in; returns what its user should know."""
        lines = read_rows(path)
        found = self._found(path, list(dict.fromkeys(entry for entry, _ in lines)), "columns")
        known = set(found.rows)
        columns = dict.fromkeys(name for _, values in lines for name in values)
        own = {name for name in self.table if self.table[name].notna().any()}
        names = [name for name in columns if name not in own and not is_name(name)]
        added: dict[str, list[str | None]] = {name: [None] * len(self.table) for name in names}
        for entry, values in lines:
            for row in known.intersection(self.index.find([entry]).rows):
                for name in names:
                    value = _as_text(values.get(name)) or None
                    if added[name][row] not in (None, value):
                        raise ValueError(
                            f"{self.protocol.label}: columns: {path} has two values of {name} for "
                            f"{self.table['utterance_id'].iloc[row]}: {added[name][row]} and {value}."
                        )
                    added[name][row] = value
        self.table = self.table.assign(**added)
        return self._notes_of(path, found)

    @property
    def index(self) -> NameIndex:
        """Finds rows by the names of utterances."""
        if self._index is None:
            starts = self.table["start"].tolist() if "start" in self.table else None
            ids, files = self.table["utterance_id"].tolist(), self.table["source_file"].tolist()
            self._index = NameIndex(self.corpora, ids, files, starts)
        return self._index

    def _listed(self, path: Path, where: str, notes: list[str]) -> list[int]:
        found = self._found(path, read_list(path), where)
        notes += self._notes_of(path, found)
        return found.rows

    def _found(self, path: Path, entries: list[Entry], where: str) -> Found:
        found = self.index.find(entries)
        if not found.rows:
            raise ValueError(
                f"{self.protocol.label}: {where}: none of the {found.names} names in {path} means one utterance of "
                f"{', '.join(sorted(set(self.corpora)))}: {_some([*found.missing, *found.ambiguous])}. The dataset has "
                f"{self.table['source_file'].iloc[0]}."
            )
        return found

    def _notes_of(self, path: Path, found: Found) -> list[str]:
        kinds = ((found.missing, "match no utterance"), (found.ambiguous, "may mean several utterances"))
        return [
            f"{path}: {len(names)} of {found.names} names {what} and are left out: {_some(names)}"
            for names, what in kinds
            if names
        ]

    def _refuse_twice(self, fold: str, chosen: Mapping[str, list[int]]) -> None:
        for one, other in (("train", "test"), ("validation", "test"), ("train", "validation")):
            if twice := sorted(set(chosen.get(one, ())) & set(chosen.get(other, ()))):
                raise ValueError(
                    f"{self.protocol.label}: fold {fold}: {len(twice)} utterances are in {one} and in {other}: "
                    f"{self.examples(twice)}."
                )

    def _held_out(self, fold: str, train: list[int], share: Share) -> tuple[list[int], list[int]]:
        where = f"fold {fold}: validation: by"
        values = self.values("utterance_id" if share.by == "utterance" else share.by, where)
        units = [f"{self.corpora[row]}/{values[row] or self.table['utterance_id'].iloc[row]}" for row in train]
        if len(set(units)) < 2:
            raise ValueError(
                f"{self.protocol.label}: {where}: train has a single {share.by}, {units[0] if units else 'none'}, so "
                "none can be held out for validation."
            )
        # by the corpus's own labels, so that another label space leaves the fold as it is
        labels = [str(self.table["raw_label"].iloc[row]) for row in train] if "raw_label" in self.table else units
        piles = deal(units, labels, [1 - share.share, share.share], _SEED)
        return [row for row, pile in zip(train, piles, strict=True) if pile == 0], [
            row for row, pile in zip(train, piles, strict=True) if pile == 1
        ]

    def with_class(self, fold: str, partitions: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The partitions without the utterances that have no class in the label space."""
        labelled = self.table["label"].notna().to_numpy()
        result = {part: numbers[labelled[numbers]] for part, numbers in partitions.items()}
        for part, numbers in result.items():
            if not len(numbers):
                raise ValueError(
                    f"{self.protocol.label}: fold {fold}: none of the {len(partitions[part])} utterances of {part} has "
                    "a class in the label space. Choose another one by `labels` (`--labels`)."
                )
        return result

    def check_apart(self, fold: str, partitions: Mapping[str, np.ndarray]) -> None:
        """Raises `LeakageError` if what the protocol keeps apart isn't apart, or isn't known."""
        used = np.zeros(len(self.table), dtype=bool)
        used[np.concatenate(list(partitions.values()))] = True
        for column in self.protocol.keeps_apart:
            values = self.values(column, "keeps_apart")
            where = f"{self.protocol.label}: keeps_apart says {column}, but in fold {fold}"
            if unknown := np.flatnonzero(used & pd.isna(np.array(values, dtype=object))).tolist():
                raise LeakageError(
                    f"{where} {len(unknown)} utterances have no {column}, so it can't be checked: "
                    f"{self.examples(unknown)}. Leave {column} out of keeps_apart."
                )
            if divided := self._keys_of(column).divided(partitions):
                examples = _some([f"{name} ({' and '.join(parts)})" for name, parts in divided.items()])
                noun = f"value of {column} is" if len(divided) == 1 else f"values of {column} are"
                raise LeakageError(
                    f"{where} {len(divided)} {noun} in two partitions: {examples}. Correct the folds, or leave "
                    f"{column} out of keeps_apart{' and give --allow_leak' * (column == 'speaker')}."
                )

    def _keys_of(self, column: str) -> Keys:
        if column not in self._keys:
            values = self.values(column, "keeps_apart")
            dialogues = self.values("dialogue", "keeps_apart") if "dialogue" in self.table else [None] * len(values)
            people = column == "speaker"
            self._keys[column] = (
                Keys.of_people(values, self.corpora, dialogues) if people else Keys.of(values, self.corpora)
            )
        return self._keys[column]


def _as_text(value: object) -> str | None:
    if value is None or (isinstance(value, float) and np.isnan(value)) or value is pd.NA:
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _some(names: Sequence[str]) -> str:
    return f"{', '.join(names[:_SHOWN])}{', ...' * (len(names) > _SHOWN)}"

"""Protocols as data: which utterances are in which fold, and what a fold keeps apart."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..dealing.partition import PARTITIONS

# Protocols that divide any dataset by rule; see `exhubert.evaluation.protocols.folds`.
BUILT_IN = {
    "held_out": "the partitions of the build; one fold",
    "speaker_folds": "speakers dealt into `--folds` groups, each tested once",
    "leave_one_speaker_out": "each speaker tested once",
    "leave_one_corpus_out": "each corpus tested once",
    "cross_corpus": "each corpus trained on once, and tested on all others",
}
NOTHING, ANY_CORPUS = "nothing", "any"
FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Selection:
    """The utterances of one partition.

    Attributes:
        columns: Values by column; an utterance has one of the values in each of the columns.
        lists: Files that name the utterances.
        rest: Whether it is all utterances that no other partition of the fold has.
    """

    columns: Mapping[str, tuple[str, ...]]
    lists: tuple[Path, ...] = ()
    rest: bool = False


@dataclass(frozen=True)
class Share:
    """A part of the train partition that is held out for validation.

    Attributes:
        share: Its size relative to the train partition, between 0 and 1.
        by: Column whose values stay whole, such as `speaker`; or `utterance`.
    """

    share: float
    by: str


@dataclass(frozen=True)
class FoldRule:
    """The partitions of one fold."""

    name: str
    train: Selection
    validation: Selection | Share
    test: Selection


@dataclass(frozen=True)
class LeaveOut:
    """Folds that each test one group of the values of a column.

    Attributes:
        column: The column.
        groups: Values of each group, by its name; each value is a group of its own if there are none.
        validation: None for the next group, after the last one the first.
    """

    column: str
    groups: Mapping[str, tuple[str, ...]]
    validation: Share | None


@dataclass(frozen=True)
class Protocol:
    """A protocol that a file describes.

    Attributes:
        path: The file.
        name: Name of the protocol.
        source: Where its definition is published.
        corpora: Ids of the corpora it is for; empty for any.
        keeps_apart: Columns whose values are in one partition of a fold each, such as `speaker`; empty for nothing.
        folds: Its folds.
        columns: A table that names utterances, whose other columns the folds can use; None without one.
        notes: What else is worth knowing.
        content: What the file says.
    """

    path: Path
    name: str
    source: str
    corpora: tuple[str, ...]
    keeps_apart: tuple[str, ...]
    folds: LeaveOut | tuple[FoldRule, ...]
    columns: Path | None
    notes: str
    content: Mapping[str, Any]

    @cached_property
    def sha256(self) -> str:
        """Hash of what the file says, and of the lists it names."""
        digest = hashlib.sha256(json.dumps(self.content, sort_keys=True).encode())
        for path in [*self.lists, *([self.columns] if self.columns else [])]:
            digest.update(path.read_bytes())
        return digest.hexdigest()

    @property
    def label(self) -> str:
        """What messages call it: its file, or the name of a shipped one."""
        return f"protocol {self.name}" if self.path.parent == FOLDER else str(self.path)

    @property
    def lists(self) -> list[Path]:
        """The lists of utterances that the folds name, in their order."""
        rules = () if isinstance(self.folds, LeaveOut) else self.folds
        selections = [getattr(rule, part) for rule in rules for part in PARTITIONS]
        return [path for item in selections if isinstance(item, Selection) for path in item.lists]

    @property
    def number_of_folds(self) -> str:
        """Number of folds, or what decides on it."""
        if not isinstance(self.folds, LeaveOut):
            return str(len(self.folds))
        return str(len(self.folds.groups)) if self.folds.groups else f"one for each {self.folds.column}"

    def record(self) -> dict[str, Any]:
        """What runs and results keep about the protocol; `sha256` changes with the file and its lists."""
        return {
            "name": self.name,
            "source": self.source,
            "keeps_apart": list(self.keeps_apart),
            "sha256": self.sha256,
        }


def natural_key(text: str) -> list[tuple[int, str]]:
    """Sorts numbers in texts by value.

    >>> sorted(["s10", "s2", "s1"], key=natural_key)
    ['s1', 's2', 's10']
    """
    return [(int(piece), "") if piece.isdigit() else (0, piece) for piece in re.split(r"(\d+)", text)]

"""Evaluation protocols: divide the utterances of a dataset into partitions for training, validation and test."""

import hashlib
import logging
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
from datasets import ClassLabel, Value

from ..emoset.dataset import load_labelled
from ..emoset.dealing.deal import deal
from ..emoset.dealing.partition import PARTITIONS, LeakageError, check_leakage, deal_speakers
from ..emoset.dealing.ties import Ties
from ..emoset.labelling.label_spaces import Labels
from ..emoset.labelling.relabel import Chosen
from ..emoset.protocols.protocol import BUILT_IN
from ..emoset.protocols.protocol_file import find_protocol
from ..emoset.record import Record
from ..records import BuildSummary
from .declared import declared_folds
from .fold import Fold
from .leaks import leak_text, speakers_shared

logger = logging.getLogger(__name__)

PROTOCOLS = tuple(BUILT_IN)
_VALIDATION = 0.2


def folds(
    protocol: str,
    table: pd.DataFrame,
    number: int = 5,
    seed: int = 0,
    divided: Collection[str] = (),
    allow_leak: bool = False,
) -> list[Fold]:
    """Divides utterances into the folds of a protocol.

    - `held_out`: the partitions the dataset was built with; one fold.
    - `speaker_folds`: speakers are dealt into `number` groups, approximately balanced over classes and corpora.
      Each group is tested once, with the next group for validation and the others for training. Dialogues and
      utterances of several persons are treated as in `exhubert.emoset.dealing.partition.partition`.
    - `leave_one_speaker_out`: each speaker is tested once, with a fifth of the others for validation. Those who share
      sessions, dialogues or recordings with the tested speaker are left out if at least half of the others remain, or
      else at least those who speak together with them.
    - `leave_one_corpus_out`: each corpus is tested once, with all its partitions. The validation partitions of the
      other corpora are for validation, the rest for training.
    - `cross_corpus`: each corpus is trained on once, and tested on its own test partition and on all partitions of the
      other corpora. The folds are the rows of the train-by-test matrix.
    - Any other name: a protocol that `exhubert emoset protocols` lists, or a YAML file, see
      `exhubert.emoset.protocols.protocol_file`.

    Args:
        protocol: One of `PROTOCOLS`, the name of a shipped protocol, or a YAML file.
        table: `corpus`, `speaker`, `label`, `partition`, one row per utterance; and `gender`, `session`, `dialogue`
            and `source_file` if known. A protocol of a file needs `utterance_id` and the columns it names.
        number: Number of folds of `speaker_folds`.
        seed: Decides between equally good divisions of `speaker_folds` and `leave_one_speaker_out`.
        divided: Speakers that may be in train and validation, see `BuildSummary.divided_speakers`.
        allow_leak: Whether partitions of a protocol's file may share speakers.

    Raises:
        ValueError: The protocol doesn't exist, or it can't divide these utterances; the message says why.
        LeakageError: A speaker would be in two partitions.
    """
    if declared := find_protocol(protocol):
        result = declared_folds(declared, table)
        if (leaking := next((fold for fold in result if fold.shared), None)) and not allow_leak:
            raise LeakageError(
                f"Protocol {declared.name}, fold {leaking.name}: {leak_text(leaking.shared)}. To use it all the same, "
                "give --allow_leak; the results then say so."
            )
        return result
    parts = table["partition"].to_numpy()
    corpora = table["corpus"].to_numpy()
    if protocol == "held_out":
        result = [Fold("held_out", {part: np.flatnonzero(parts == part) for part in PARTITIONS})]
    elif protocol == "speaker_folds":
        result = _speaker_folds(table, number, seed)
    elif protocol == "leave_one_speaker_out":
        result = _leave_one_speaker_out(table, seed)
    else:
        _require(len(set(corpora)) > 1, protocol, "at least two corpora")
        leave_out = protocol == "leave_one_corpus_out"
        result = []
        for name in sorted(set(corpora)):
            own = corpora == name
            trains = ~own if leave_out else own
            tests = own if leave_out else ~own | (parts == "test")
            masks = {
                "train": trains & ~tests & (parts != "validation"),
                "validation": trains & (parts == "validation"),
                "test": tests,
            }
            result.append(Fold(name, {part: np.flatnonzero(mask) for part, mask in masks.items()}))
    names = table["speaker"].to_numpy()
    for fold in result:
        order = [(part, row) for part, rows in fold.partitions.items() for row in rows]
        check_leakage([names[row] for _, row in order], [part for part, _ in order], "speakers", divided)
        for part in ("train", "validation"):
            _require(len(fold.partitions[part]) > 0, protocol, f"utterances to {part} on, in fold {fold.name}")
    return result


def load_for_protocol(
    folder: str | Path,
    protocol: str,
    corpora: Sequence[str] | None = None,
    languages: Sequence[str] | None = None,
    labels: Labels = "six",
    **options: Any,
) -> tuple[datasets.DatasetDict, Chosen]:
    """Opens a built dataset as `exhubert.emoset.dataset.load_labelled` does, with the rows that a protocol divides.

    A protocol of a file divides all utterances of its corpora, so that its folds are the same in every label space.
    Those without a class are among the rows, too; [`folds`] and [`apply_protocol`] leave them out of all partitions.

    Args:
        folder: Folder of the dataset.
        protocol: One of `PROTOCOLS`, the name of a shipped protocol, or a YAML file.
        corpora: Only these corpora; by default all, or those that a protocol of a file names.
        languages: Only utterances in these languages (BCP-47).
        labels: See `exhubert.emoset.labelling.label_spaces.read_space`.
        options: See `exhubert.emoset.load`.
    """
    declared = find_protocol(protocol)
    if declared is None:
        return load_labelled(folder, corpora, languages, labels, **options)
    if not corpora and declared.corpora:
        present = BuildSummary.load_all(folder)
        # otherwise the folds say what is missing
        corpora = declared.corpora if set(declared.corpora) <= set(present) else None
        if corpora and (others := sorted(set(present).difference(corpora))):
            logger.warning("Protocol %s is for %s; not used: %s.", protocol, ", ".join(corpora), ", ".join(others))
    return load_labelled(folder, corpora, languages, labels, keep_unlabelled=True, **options)


def apply_protocol(
    data: datasets.DatasetDict,
    protocol: str,
    fold: int = 0,
    number: int = 5,
    seed: int = 0,
    divided: Collection[str] = (),
    allow_leak: bool = False,
) -> tuple[datasets.DatasetDict, str]:
    """Divides a built dataset into the partitions of one fold of a protocol.

    Args:
        data: From [`load_for_protocol`].
        protocol: One of `PROTOCOLS`, the name of a shipped protocol, or a YAML file.
        fold: Index of the fold, from 0.
        number: Number of folds of `speaker_folds`.
        seed: Decides between equally good divisions.
        divided: Speakers that may be in train and validation, see `BuildSummary.divided_speakers`.
        allow_leak: Whether partitions of a protocol's file may share speakers.

    Returns:
        The dataset with the partitions of that fold, and the fold's name.

    Raises:
        ValueError: As in `folds`, or the fold doesn't exist.
    """
    if protocol == "held_out" and fold == 0:
        return data, "held_out"
    rows = datasets.concatenate_datasets(list(data.values()))
    divisions = folds(protocol, table_of(data, protocol), number, seed, divided, allow_leak)
    if not 0 <= fold < len(divisions):
        raise ValueError(f"fold is {fold}, but protocol {protocol} has the folds 0 to {len(divisions) - 1} here.")
    for note in divisions[fold].notes:
        logger.warning("Protocol %s, %s: %s.", protocol, divisions[fold].name, note)
    partitions = {part: rows.select(numbers) for part, numbers in divisions[fold].partitions.items() if len(numbers)}
    return datasets.DatasetDict(partitions), divisions[fold].name


def hash_of_seen(data: datasets.DatasetDict) -> str:
    """SHA-256 of the ids of all training and validation utterances of `data`, which a model trained on it has seen."""
    names = sorted(name for part in ("train", "validation") for name in data[part]["utterance_id"])
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def table_of(data: datasets.DatasetDict, protocol: str = "held_out") -> pd.DataFrame:
    """The columns that a protocol may need, for all rows of a built dataset, partition after partition.

    For a protocol of a file these are all columns with one value a row.
    """
    every = find_protocol(protocol) is not None
    wanted = ("corpus", "speaker", "label", "partition", "gender", "session", "dialogue", "source_file")
    tables = []
    for rows in data.values():
        single = [name for name, kind in rows.features.items() if isinstance(kind, (Value, ClassLabel))]
        # datasets built by earlier versions have no sessions and dialogues
        columns = [name for name in single if every or name in wanted]
        tables.append(rows.select_columns(columns).to_pandas())
    return pd.concat(tables, ignore_index=True)


def shared_by_partitions(data: datasets.DatasetDict) -> dict[str, int]:
    """Number of speakers that partitions of a dataset share, see [`exhubert.evaluation.leaks.speakers_shared`]."""
    return speakers_shared({part: rows["speaker"] for part, rows in data.items()})


def _speaker_folds(table: pd.DataFrame, number: int, seed: int) -> list[Fold]:
    _require(table["speaker"].notna().all(), "speaker_folds", "a speaker's name for every utterance")
    speakers = table["speaker"].nunique()
    _require(3 <= number <= speakers, "speaker_folds", f"3 to {speakers} folds, as many as there are speakers")
    classes = [f"{corpus} {label}" for corpus, label in zip(table["corpus"], table["label"], strict=True)]
    piles = deal_speakers(_records(table), classes, [1 / number] * number, seed, table["corpus"].tolist())
    group = np.array([-1 if pile is None else pile for pile in piles])
    result = []
    for index in range(number):
        validation = (index + 1) % number
        masks = {
            "train": ~np.isin(group, (index, validation, -1)),
            "validation": group == validation,
            "test": group == index,
        }
        result.append(Fold(f"fold {index}", {part: np.flatnonzero(mask) for part, mask in masks.items()}))
    return result


def _leave_one_speaker_out(table: pd.DataFrame, seed: int) -> list[Fold]:
    _require(table["speaker"].notna().all(), "leave_one_speaker_out", "a speaker's name for every utterance")
    _require(table["speaker"].nunique() >= 3, "leave_one_speaker_out", "at least three speakers")
    ties = Ties(_records(table), table["corpus"].tolist())
    levels = [(np.array(level.units), level.joined) for level in ties.levels()]
    labels, names = table["label"].to_numpy(), table["speaker"].to_numpy()
    joint = np.array(ties.joint)
    result = []
    for speaker in sorted(set(names)):
        tests = np.flatnonzero(names == speaker)
        for units, joined in levels:
            tied = np.isin(units, units[tests]) if joined else joint | np.isin(units, units[ties.with_people_of(tests)])
            others = np.flatnonzero(~tied)
            if 2 * len(others) >= len(names) - len(tests) and len(set(units[others])) > 1:
                break
        others_speak = len(set(units[others])) > 1
        _require(others_speak, "leave_one_speaker_out", f"two speakers to train and validate on, apart from {speaker}")
        shares = [1 - _VALIDATION, _VALIDATION]
        group = np.array(deal(units[others].tolist(), labels[others].tolist(), shares, seed))
        result.append(Fold(speaker, {"train": others[group == 0], "validation": others[group == 1], "test": tests}))
    return result


def _records(table: pd.DataFrame) -> list[Record]:
    """The facts of the utterances that tie them together."""
    facts = table.reindex(columns=["gender", "session", "dialogue"]).astype(object)
    facts = facts.where(facts.notna(), None).to_dict("records")
    files = table["source_file"] if "source_file" in table else table.index.astype(str)
    names = [name.removeprefix(f"{corpus}/") for name, corpus in zip(table["speaker"], table["corpus"], strict=True)]
    return [Record(file, "", speaker, **fields) for file, speaker, fields in zip(files, names, facts, strict=True)]


def _require(holds: bool, protocol: str, what: str) -> None:
    if not holds:
        raise ValueError(f"Protocol {protocol} needs {what}.")

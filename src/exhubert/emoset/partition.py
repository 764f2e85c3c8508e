"""Divides the utterances of a corpus into speaker-independent partitions for training, validation and test."""

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from .record import Record

PARTITIONS = ("train", "validation", "test")
_SHARES = (0.6, 0.2, 0.2)
_DEALS = 512


class LeakageError(ValueError):
    """A speaker or a recording is in two partitions; the message names it."""


def partition(
    records: Sequence[Record], classes: Sequence[str], seed: int = 0, trust_official: bool = False
) -> tuple[list[str], str]:
    """Assigns each utterance of a corpus to a partition.

    Utterances that share a speaker or a group stay together. Official partitions are kept if they share no speakers;
    if they lack validation, it takes a quarter of the training partition. All other utterances are divided 60/20/20,
    with balanced classes as nearly as whole speakers allow, and separately by language if nobody speaks two. Of two
    speakers, the first trains and the second tests; a single speaker trains. Utterances without a speaker's name are
    divided by group or else one by one, which is not speaker-independent.

    Args:
        records: The utterances.
        classes: The class of each utterance.
        seed: Seed of the shuffle; the same seed gives the same partitions on every machine.
        trust_official: Keep official partitions even if they share speakers, which `check_leakage` then reports. Used
            for manifests, whose partitions are their author's choice.

    Returns:
        The partition of each utterance, and the rule: `official`, `speaker`, `few speakers`, `group` or `utterance`
        (joined by `+` if several apply).
    """
    units = _units(records)
    official: list[str | None] = [record.partition for record in records]
    if not trust_official and _shared(units, official):
        official = [None] * len(records)
    of_unit = {unit: part for unit, part in zip(units, official, strict=True) if part is not None}
    result = [part or of_unit.get(unit) for unit, part in zip(units, official, strict=True)]
    official = list(result)
    rules = {"official"} if any(official) else set()
    if rules and "validation" not in official:
        training = [index for index, part in enumerate(official) if part == "train"]
        parts: Sequence[str] = _balanced(
            [units[i] for i in training], [classes[i] for i in training], (0.75, 0.25), seed
        )
        for index, part in zip(training, parts, strict=True):
            result[index] = part
    for indices in _by_language(records, units, [index for index, part in enumerate(official) if part is None]):
        parts, rule = _deal(
            [records[i] for i in indices], [units[i] for i in indices], [classes[i] for i in indices], seed
        )
        rules.add(rule)
        for index, part in zip(indices, parts, strict=True):
            result[index] = part
    return [str(part) for part in result], "+".join(sorted(rules))


def _units(records: Sequence[Record]) -> list[str]:
    """Names each utterance's connected component of shared speakers or groups; each stays in one partition."""
    keys: dict[tuple[str, str], int] = {}
    rows, columns = [], []
    for index, record in enumerate(records):
        for kind, value in (("speaker", record.speaker), ("group", record.group)):
            if value is not None:
                rows.append(index)
                columns.append(len(records) + keys.setdefault((kind, value), len(keys)))
    size = len(records) + len(keys)
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(size, size))
    components = connected_components(graph, directed=False)[1][: len(records)].tolist()
    names: dict[int, str] = {}  # from content, so that the order of records doesn't matter
    for component, record in zip(components, records, strict=True):
        name = record.speaker or record.group or f"{record.file}#{record.start}"
        names[component] = min(name, names.get(component, name))
    return [names[component] for component in components]


def _shared(units: Sequence[str], parts: Sequence[str | None]) -> bool:
    pairs = {(unit, part) for unit, part in zip(units, parts, strict=True) if part is not None}
    return len(pairs) > len({unit for unit, _ in pairs})


def _by_language(records: Sequence[Record], units: Sequence[str], indices: Sequence[int]) -> list[list[int]]:
    languages: dict[str | None, list[int]] = {}
    for index in indices:
        languages.setdefault(records[index].language, []).append(index)
    members = [{units[index] for index in positions} for positions in languages.values()]
    shared = sum(map(len, members)) > len(set().union(*members))
    if shared or min(map(len, members), default=0) < len(PARTITIONS):
        return [list(indices)] if indices else []
    return list(languages.values())


def _deal(
    records: Sequence[Record], units: Sequence[str], classes: Sequence[str], seed: int
) -> tuple[Sequence[str], str]:
    speakers = sorted({record.speaker for record in records if record.speaker is not None})
    unnamed = [record for record in records if record.speaker is None]
    if unnamed:
        rule = {"group" if record.group else "utterance" for record in unnamed} | ({"speaker"} if speakers else set())
        return _balanced(units, classes, _SHARES, seed), "+".join(sorted(rule))
    if len(speakers) < len(PARTITIONS):
        return ["train" if record.speaker == speakers[0] else "test" for record in records], "few speakers"
    return _balanced(units, classes, _SHARES, seed), "speaker"


def _balanced(units: Sequence[str], classes: Sequence[str], shares: Sequence[float], seed: int) -> list[str]:
    return [PARTITIONS[index] for index in deal(units, classes, shares, seed)]


def deal(units: Sequence[str], classes: Sequence[Hashable], shares: Sequence[float], seed: int) -> list[int]:
    """Deals whole units into piles so that each pile gets close to its share of every class.

    Deals many random orders at once, always to the pile that lacks most, and returns the best deal. scikit-learn's
    `StratifiedGroupKFold` deals once and leaves whole classes out of a partition if speakers are unequal.

    Args:
        units: The unit of each utterance, such as its speaker, which stays in one pile.
        classes: Class of each utterance.
        shares: Share of each pile; they sum to one.
        seed: Seed of the random orders.

    Returns:
        The pile of each utterance, counted from 0.
    """
    counts = pd.crosstab(np.asarray(units), pd.Series(classes).astype(str).to_numpy()).sort_index()
    per_group = counts.to_numpy(float)
    targets = np.outer(shares, per_group.sum(axis=0))
    rng = np.random.default_rng(seed)
    orders = np.argsort(-per_group.sum(axis=1) * rng.uniform(0.3, 1.7, (_DEALS, len(per_group))), axis=1)
    filled = np.zeros((_DEALS, *targets.shape))
    choice = np.zeros((_DEALS, len(per_group)), dtype=int)
    deals = np.arange(_DEALS)
    for group in orders.T:
        added = per_group[group][:, None, :]
        cost = (added * (2 * (filled - targets) + added) / targets).sum(axis=2)
        best = cost.argmin(axis=1)
        filled[deals, best] += per_group[group]
        choice[deals, group] = best
    deviation = ((filled - targets) ** 2 / targets).sum(axis=(1, 2))
    deviation[(filled.sum(axis=2) == 0).any(axis=1)] = np.inf  # no partition may stay empty
    pile_of = dict(zip(counts.index, choice[deviation.argmin()], strict=True))
    return [int(pile_of[unit]) for unit in units]


def check_leakage(keys: Iterable[Any], partitions: Iterable[str], what: str) -> None:
    """Raises `LeakageError` if a key (a speaker, a content hash) is in two partitions; None keys are skipped."""
    seen: dict[Any, str] = {}
    offenders = {}
    for key, part in zip(keys, partitions, strict=True):
        if key is not None and seen.setdefault(key, part) != part:
            offenders[key] = f"{key} ({seen[key]} and {part})"
    if offenders:
        raise LeakageError(
            f"{len(offenders)} {what} stand in two partitions: {', '.join(list(offenders.values())[:10])}. "
            "Correct the partition column or the speaker names."
        )

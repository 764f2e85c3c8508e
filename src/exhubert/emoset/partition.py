"""Speaker-independent partitions: which utterances train, validate and test."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

PARTITIONS = ("train", "validation", "test")
_SHARES = (0.6, 0.2, 0.2)
_DEALS = 512


class LeakageError(ValueError):
    """Something is in two partitions at once; the message names it."""


def partition(
    classes: Sequence[str],
    speakers: Sequence[str | None],
    languages: Sequence[str | None],
    official: Sequence[str | None],
    seed: int = 0,
) -> tuple[list[str], str]:
    """Gives each utterance of one corpus a partition.

    Official partitions are kept where the corpus has them. The other utterances go 60/20/20 by speaker, balanced over
    classes as far as speakers allow, each language for itself where no speaker speaks two. Two speakers: the first
    trains, the second tests. One speaker: all train. No speaker names: by utterance, which is not
    speaker-independent.

    Args:
        classes: Class of each utterance.
        speakers: Speaker of each utterance, None where unnamed.
        languages: Language of each utterance.
        official: The corpus's own partition of each utterance, None where it has none.
        seed: Of the shuffle; the same seed gives the same partitions on every machine.

    Returns:
        The partition of each utterance, and the rule that made it: `official`, `speaker`, `few speakers` or
        `utterance` (joined by `+` where several were used).
    """
    result = list(official)
    by_language: dict[str | None, list[int]] = {}
    for index, given in enumerate(official):
        if given is None:
            by_language.setdefault(languages[index], []).append(index)
    spoken = [{speakers[index] for index in indices} for indices in by_language.values()]
    if sum(map(len, spoken)) > len(set().union(*spoken)):
        by_language = {None: [index for indices in by_language.values() for index in indices]}
    rules = {"official"} if any(official) else set()
    for indices in by_language.values():
        parts, rule = _split([classes[i] for i in indices], [speakers[i] for i in indices], seed)
        rules.add(rule)
        for index, part in zip(indices, parts, strict=True):
            result[index] = part
    return [str(part) for part in result], "+".join(sorted(rules))


def _split(classes: Sequence[str], speakers: Sequence[str | None], seed: int) -> tuple[list[str], str]:
    named = sorted({speaker for speaker in speakers if speaker is not None})
    if None in speakers:
        return _balanced(list(range(len(classes))), classes, seed), "utterance"
    if len(named) < len(PARTITIONS):
        return ["train" if speaker == named[0] else "test" for speaker in speakers], "few speakers"
    return _balanced(speakers, classes, seed), "speaker"


def _balanced(groups: Sequence[Any], classes: Sequence[str], seed: int) -> list[str]:
    """Deals whole groups out so that each partition gets its share of every class as nearly as can be.

    Many random orders are dealt at once, always to the partition that lacks most; the best deal wins. scikit-learn's
    StratifiedGroupKFold deals once and leaves whole classes out of a partition where speakers are unequal.
    """
    counts = pd.crosstab(np.asarray(groups), np.asarray(classes)).sort_index()
    per_group = counts.to_numpy(float)
    targets = np.outer(_SHARES, per_group.sum(axis=0))
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
    dealt = dict(zip(counts.index, choice[deviation.argmin()], strict=True))
    return [PARTITIONS[dealt[group]] for group in groups]


def check_leakage(keys: Iterable[Any], partitions: Iterable[str], what: str) -> None:
    """Raises `LeakageError` if a key (a speaker, a content hash) stands in two partitions; None keys are skipped."""
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

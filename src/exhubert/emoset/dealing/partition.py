"""Divides the utterances of a corpus into speaker-independent partitions for training, validation and test."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ..record import Record
from .deal import deal
from .ties import Level, Ties, connected

PARTITIONS = ("train", "validation", "test")
FEW_SPEAKERS = "few speakers"  # how the rule begins that divides a speaker
_SHARES = (0.6, 0.2, 0.2)
_HELD_OUT = (0.75, 0.25)  # of the training partition, if the corpus brings no validation
_ENOUGH = 0.5  # of its share, for each partition

Units = Sequence[str] | Mapping[int, str]  # the unit of each utterance, by its index


class LeakageError(ValueError):
    """A speaker or a recording is in two partitions; the message names it."""


def partition(
    records: Sequence[Record], classes: Sequence[str], seed: int = 0, trust_official: bool = False
) -> tuple[list[str | None], str]:
    """Assigns each utterance of a corpus to a partition.

    Utterances that share a speaker or a group stay together, an utterance of several persons (`Ross and Joey`) with
    each of them. Sessions, dialogues and recordings stay whole too if each partition gets at least half of its share
    that way. Otherwise sessions are divided by speaker, then dialogues, then recordings. If joint speakers connect too
    much even then, an utterance of several persons gets no partition unless all of them are in the same one.

    Official partitions are kept if they share no speakers; if they lack validation, it takes a quarter of the training
    partition. All other utterances are divided 60/20/20, with balanced classes and genders as nearly as whole units
    allow (see `exhubert.emoset.dealing.deal`), and separately by language if nobody speaks two. Three units or more
    leave no partition empty.

    Of two speakers, the one with more utterances trains (the first by name, if equal) and the other tests; a single
    speaker trains, and nobody tests. For validation, a quarter of the training speaker's utterances is held out: by
    text if texts are repeated, else by session, dialogue, recording or utterance. It isn't speaker-independent.
    Utterances without a speaker's name are divided by what else keeps them together, or else one by one, which is not
    speaker-independent either.

    Args:
        records: The utterances.
        classes: The class of each utterance.
        seed: Decides between equally good divisions; the same seed gives the same partitions on every machine.
        trust_official: Keep official partitions even if they share speakers, which `check_leakage` then reports. Used
            for manifests, whose partitions are their author's choice.

    Returns:
        The partition of each utterance, None for one whose speakers are in several; and the rule: `official`,
        `speaker`, `session`, `dialogue`, `recording`, `group`, `utterance` or `few speakers (validation by ...)`,
        joined by `+` if several apply, with the numbers of sessions, dialogues and recordings that are divided.
    """
    ties = Ties(records)
    official: list[str | None] = [record.partition for record in records]
    if not trust_official and _shared(ties.units(()), official):
        official = [None] * len(records)
    best: _Division | None = None
    for level in ties.levels():
        if level.kinds and (len(set(level.units)) < len(PARTITIONS) or _shared(level.units, official)):
            continue
        division = _Division(ties, level, official, classes, seed)
        if best is None or division.score > best.score:
            best = division
        if best.score >= _ENOUGH:
            break
    assert best is not None  # nothing keeps the last level from being tried
    return best.parts, "; ".join(["+".join(sorted(best.rules)), *ties.divided(best.parts)])


def deal_speakers(
    records: Sequence[Record],
    classes: Sequence[str],
    shares: Sequence[float],
    seed: int,
    scopes: Sequence[str] | None = None,
) -> list[int | None]:
    """Deals speakers into piles; sessions, dialogues and recordings stay whole as in `partition`.

    Args:
        records: The utterances.
        classes: The class of each utterance.
        shares: Share of each pile; they sum to one.
        seed: Decides between equally good deals.
        scopes: The corpus of each utterance, within which names of speakers and dialogues hold.

    Returns:
        The pile of each utterance, counted from 0; None for one whose speakers are in several.

    Raises:
        ValueError: There are fewer speakers than piles.
    """
    ties = Ties(records, scopes)
    best: list[int | None] = []
    best_score = -1.0
    for level in ties.levels():
        rows = [index for index in range(len(records)) if level.joined or not ties.joint[index]]
        if len({level.units[index] for index in rows}) < len(shares):
            continue
        piles: list[int | None] = [None] * len(records)
        choice = deal(
            [level.units[index] for index in rows],
            [classes[index] for index in rows],
            shares,
            seed,
            [records[index].gender for index in rows],
        )
        for index, pile in zip(rows, choice, strict=True):
            piles[index] = pile
        score = smallest_share(choice, range(len(shares)), shares)
        if score > best_score:
            best, best_score = piles if level.joined else ties.place_joint(piles), score
        if best_score >= _ENOUGH:
            break
    if not best:
        raise ValueError(f"{len(shares)} piles need as many speakers, found {len(set(ties.units(())))}.")
    return best


class _Division:
    """Completes official partitions with whole units.

    Attributes:
        parts: The partition of each utterance, or None.
        rules: The rules applied.
        score: The smallest partition's size relative to its share; below 0 if there are fewer units than partitions.
    """

    def __init__(self, ties: Ties, level: Level, official: Sequence[str | None], classes: Sequence[str], seed: int):
        self.ties, self.units, self.classes, self.seed = ties, level.units, classes, seed
        self.records = ties.records
        of_unit = {unit: part for unit, part in zip(level.units, official, strict=True) if part is not None}
        self.parts = [part or of_unit.get(unit) for unit, part in zip(level.units, official, strict=True)]
        self.rules = {"official"} if any(self.parts) else set()
        self.score = 1.0
        waiting = [i for i, part in enumerate(official) if part is None and (level.joined or not ties.joint[i])]
        rest = [index for index in waiting if self.parts[index] is None]
        training = [index for index, part in enumerate(self.parts) if part == "train"]
        if training and "validation" not in self.parts:
            if self._number_of_units(training) < len(_HELD_OUT):
                self.rules.add(self._hold_out(training))
            else:
                self._deal(level.units, training, _HELD_OUT)
            self.score = min(self.score, self._smallest(level.units, training, _HELD_OUT))
        connecting = ties.connecting(level.kinds) if rest else set()
        for indices in self._by_language(rest):
            if self._number_of_units(indices) < len(PARTITIONS):
                self.rules |= self._deal_few(indices)
            else:
                self._deal(level.units, indices, _SHARES)
                self.rules |= self._names_of_rules(indices, connecting)
        if rest:
            self.score = min(self.score, self._smallest(level.units, waiting, _SHARES))
        if not level.joined:
            self.parts = ties.place_joint(self.parts)

    def _number_of_units(self, indices: Sequence[int]) -> int:
        return len({self.units[index] for index in indices})

    def _deal(self, units: Units, indices: Sequence[int], shares: Sequence[float]) -> None:
        choice = deal(
            [units[index] for index in indices],
            [self.classes[index] for index in indices],
            shares,
            self.seed,
            [self.records[index].gender for index in indices],
        )
        for index, number in zip(indices, choice, strict=True):
            self.parts[index] = PARTITIONS[number]

    def _deal_few(self, indices: Sequence[int]) -> set[str]:
        """Divides one or two units, beside what is in a partition already; returns the rules."""
        sizes = Counter(self.units[index] for index in indices)
        present = {part for part in self.parts if part is not None}
        first, *others = sorted(sizes, key=lambda unit: (-sizes[unit], unit))
        second = next((part for part in ("test", "validation") if part not in present), "train")
        for index in indices:
            self.parts[index] = "train" if self.units[index] == first else second
        if "validation" in present or (others and second == "validation"):
            return self._names_of_rules(indices, set())
        return {self._hold_out([index for index in indices if self.units[index] == first])}

    def _hold_out(self, indices: Sequence[int]) -> str:
        """Divides one unit into train and validation, but none of its groups; returns the rule."""
        rows = [self.records[index] for index in indices]
        names = [f"{row.recording}#{row.start}#{row.channel}" for row in rows]
        texts = [row.text for row in rows]
        repeated = 2 * len(set(texts)) <= len(rows)
        candidates = {"text": texts} if repeated else {}
        candidates |= {kind: [keys[index] for index in indices] for kind, keys in self.ties.keys.items()}
        candidates["utterance"] = list(names)
        for kind, keys in candidates.items():
            shared = [(i, ("group", row.group)) for i, row in enumerate(rows) if row.group is not None]
            shared += [(i, (kind, key)) for i, key in enumerate(keys) if key is not None]
            numbers = {key: number for number, key in enumerate(dict.fromkeys(key for _, key in shared))}
            whole = connected([i for i, _ in shared], [numbers[key] for _, key in shared], names)
            if not any(keys) or len(set(whole)) < len(_HELD_OUT):
                continue
            units = dict(zip(indices, whole, strict=True))
            self._deal(units, indices, _HELD_OUT)
            if kind == "utterance" or self._smallest(units, indices, _HELD_OUT) >= _ENOUGH:
                return f"{FEW_SPEAKERS} (validation by {kind})"
        for index in indices:
            self.parts[index] = "train"
        return f"{FEW_SPEAKERS} (no validation)"

    def _smallest(self, units: Units, indices: Sequence[int], shares: Sequence[float]) -> float:
        lacking = len({units[index] for index in indices}) - len(shares)
        if lacking < 0:
            return lacking
        return smallest_share([self.parts[index] for index in indices], PARTITIONS, shares)

    def _names_of_rules(self, indices: Sequence[int], connecting: set[str]) -> set[str]:
        rules = set(connecting)
        for index in indices:
            if self.records[index].speaker is not None:
                rules.add("speaker")
            elif self.records[index].group is not None:
                rules.add("group")
            elif not any(self.ties.keys[kind][index] is not None for kind in connecting):
                rules.add("utterance")
        return rules

    def _by_language(self, indices: Sequence[int]) -> list[list[int]]:
        languages: dict[str | None, list[int]] = {}
        for index in indices:
            languages.setdefault(self.records[index].language, []).append(index)
        members = [{self.units[index] for index in positions} for positions in languages.values()]
        shared = sum(map(len, members)) > len(set().union(*members))
        if shared or min(map(len, members), default=0) < len(PARTITIONS):
            return [list(indices)] if indices else []
        return list(languages.values())


def smallest_share(parts: Sequence[Any], names: Sequence[Any], shares: Sequence[float]) -> float:
    """Returns the smallest part's size relative to its share.

    >>> smallest_share(["a", "a", "a", "b"], ["a", "b"], [0.5, 0.5])
    0.5
    """
    sizes = Counter(parts)
    return min(sizes[name] / (share * len(parts)) for name, share in zip(names, shares, strict=False))


def _shared(units: Sequence[str], parts: Sequence[str | None]) -> bool:
    pairs = {(unit, part) for unit, part in zip(units, parts, strict=True) if part is not None}
    return len(pairs) > len({unit for unit, _ in pairs})


def check_leakage(
    keys: Iterable[Any],
    partitions: Iterable[str | None],
    what: str,
    divided: Collection[Any] = (),
    advice: str = "Correct the partition column or the speaker names.",
) -> None:
    """Raises `LeakageError` if a key is in two partitions.

    Args:
        keys: Key of each utterance, such as its speaker or a hash of its content; None is skipped.
        partitions: Partition of each utterance; None is skipped.
        what: What the keys are, for the message.
        divided: Keys that may be in train and validation, by the rule for few speakers; never in test besides.
        advice: What to do, for the message.
    """
    seen: dict[Any, str] = {}
    offenders = {}
    for key, part in zip(keys, partitions, strict=True):
        if key is None or part is None:
            continue
        place = "train" if part == "validation" and key in divided else part
        if seen.setdefault(key, place) != place:
            offenders[key] = f"{key} ({seen[key]} and {part})"
    if offenders:
        raise LeakageError(
            f"{len(offenders)} {what} stand in two partitions: {', '.join(list(offenders.values())[:10])}. {advice}"
        )

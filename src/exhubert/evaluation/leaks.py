"""What partitions share that they shouldn't: speakers, or whatever else a protocol keeps apart."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..emoset.dealing.partition import PARTITIONS
from ..emoset.dealing.speakers import people_of


def speakers_shared(speakers: Mapping[str, Iterable[str | None]]) -> dict[str, int]:
    """Number of speakers that two partitions share, such as `{"train and test": 10}`; only pairs that share any.

    Args:
        speakers: Speaker of each utterance, by partition; None for an unnamed speaker.
    """
    names = {part: {name for name in speakers.get(part, ()) if isinstance(name, str)} for part in PARTITIONS}
    pairs = (("train", "test"), ("validation", "test"), ("train", "validation"))
    counts = {f"{one} and {other}": len(names[one] & names[other]) for one, other in pairs}
    return {pair: count for pair, count in counts.items() if count}


def leak_text(shared: Mapping[str, int]) -> str:
    """What must stand beside figures if partitions share speakers; empty if they don't.

    >>> leak_text({"train and test": 10, "train and validation": 1})
    'NOT speaker-independent: 10 speakers are in train and test, 1 speaker is in train and validation'
    >>> leak_text({"train and validation": 2})
    'validation is NOT speaker-independent: 2 speakers are in train and validation'
    """
    parts = [f"{count} {'speaker is' if count == 1 else 'speakers are'} in {pair}" for pair, count in shared.items()]
    only_validation = set(shared) == {"train and validation"}
    return f"{'validation is ' * only_validation}NOT speaker-independent: {', '.join(parts)}" if parts else ""


@dataclass(frozen=True)
class Keys:
    """What must be in one partition each, such as the persons behind a column of speakers.

    Attributes:
        rows: Row numbers of utterances, once for each key that the utterance has.
        numbers: Number of the key, likewise.
        names: Name of each key, by its number.
    """

    rows: np.ndarray
    numbers: np.ndarray
    names: Sequence[str]

    @classmethod
    def of(cls, values: Sequence[str | None], corpora: Sequence[str]) -> "Keys":
        """The values of a column; equal values of two corpora are different."""
        return cls._of([() if value is None else (value,) for value in values], values, corpora)

    @classmethod
    def of_people(
        cls, speakers: Sequence[str | None], corpora: Sequence[str], dialogues: Sequence[str | None]
    ) -> "Keys":
        """The persons that speakers stand for, `Ross and Joey` being two; see `exhubert.emoset.dealing.speakers`."""
        people: list[tuple[str, ...]] = [()] * len(speakers)
        for corpus in set(corpora):
            own = [row for row, name in enumerate(corpora) if name == corpus]
            persons = people_of([speakers[row] for row in own], [dialogues[row] for row in own])
            for row, keys in zip(own, persons, strict=True):
                people[row] = keys
        return cls._of(people, speakers, corpora)

    @classmethod
    def _of(cls, keys: Sequence[tuple[str, ...]], values: Sequence[str | None], corpora: Sequence[str]) -> "Keys":
        numbers: dict[tuple[str, str], int] = {}
        names: dict[int, str] = {}
        pairs = []
        for row, (corpus, own) in enumerate(zip(corpora, keys, strict=True)):
            for key in own:
                number = numbers.setdefault((corpus, key), len(numbers))
                pairs.append((row, number))
                if number not in names or len(own) == 1:
                    names[number] = str(values[row]) if len(own) == 1 else key
        rows, column = np.array(pairs, dtype=int).reshape(-1, 2).T
        return cls(rows, column, [names[number] for number in range(len(names))])

    def divided(self, partitions: Mapping[str, np.ndarray]) -> dict[str, list[str]]:
        """The keys that are in two partitions or more, each with these partitions.

        Args:
            partitions: Row numbers of the partitions of `PARTITIONS`.
        """
        place = np.full(self.rows.max(initial=-1) + 1, -1)
        for number, part in enumerate(PARTITIONS):
            place[partitions[part][partitions[part] < len(place)]] = number
        used = place[self.rows] >= 0
        present = np.zeros((len(self.names), len(PARTITIONS)), dtype=bool)
        present[self.numbers[used], place[self.rows[used]]] = True
        return {
            self.names[key]: [PARTITIONS[part] for part in np.flatnonzero(present[key]).tolist()]
            for key in np.flatnonzero(present.sum(axis=1) > 1).tolist()
        }

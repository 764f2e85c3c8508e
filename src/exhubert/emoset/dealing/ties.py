"""Tells which utterances must or should be in the same partition: those of a speaker, a dialogue, a recording."""

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..record import Record
from .speakers import people_of, speaker_key

# What stays whole besides speakers and groups, from the strictest on.
_LEVELS: tuple[tuple[str, ...], ...] = (
    ("session", "dialogue", "recording"),
    ("dialogue", "recording"),
    ("recording",),
    (),
)


@dataclass(frozen=True)
class Level:
    """Utterances joined to units that stay whole.

    Attributes:
        units: Name of each utterance's unit.
        kinds: What joins utterances besides speakers and groups.
        joined: Whether an utterance of several persons joins these; if not, its unit means nothing.
    """

    units: list[str]
    kinds: tuple[str, ...]
    joined: bool


class Ties:
    """What ties utterances together.

    Args:
        records: The utterances.
        scopes: The corpus of each utterance, within which names of speakers and dialogues hold; one if None.

    Attributes:
        joint: Whether the speaker's name of each utterance stands for other persons, as in `Ross and Joey`.
    """

    def __init__(self, records: Sequence[Record], scopes: Sequence[str] | None = None):
        self.records = records
        self.scopes = list(scopes) if scopes is not None else [""] * len(records)
        files: dict[str, Counter[str]] = {scope: Counter() for scope in self.scopes}
        for scope, record in zip(self.scopes, records, strict=True):
            files[scope][record.recording] += 1
        self.keys: dict[str, list[str | None]] = {
            "session": [record.session for record in records],
            "dialogue": [record.dialogue for record in records],
            "recording": [
                record.recording if files[scope][record.recording] > 1 else None
                for scope, record in zip(self.scopes, records, strict=True)
            ],
        }
        self._labels = [speaker_key(record.speaker) if record.speaker is not None else None for record in records]
        self._people = self._all_people()
        self.joint = [
            label is not None and people != (label,) for label, people in zip(self._labels, self._people, strict=True)
        ]
        self._ties = self._links()
        # files last, so that the place of the corpus doesn't decide what comes before them
        named = any(record.speaker or record.group for record in records)
        self._last = "\uffff" if named else ""  # which doubles the length of a text
        self._names = [self._name(index) for index in range(len(records))]

    def _all_people(self) -> list[tuple[str, ...]]:
        result: list[tuple[str, ...]] = [()] * len(self.records)
        by_scope: dict[str, list[int]] = {}
        for index, scope in enumerate(self.scopes):
            by_scope.setdefault(scope, []).append(index)
        for rows in by_scope.values():
            names = [self.records[index].speaker for index in rows]
            talks = [self.keys["dialogue"][index] or self.keys["recording"][index] for index in rows]
            for index, people in zip(rows, people_of(names, talks), strict=True):
                result[index] = people
        return result

    def levels(self) -> Iterator[Level]:
        """Yields the ways to join utterances, from the strictest on, without repetitions."""
        used = [tuple(kind for kind in kinds if any(self.keys[kind])) for kinds in _LEVELS]
        for kinds in dict.fromkeys(used):
            yield Level(self.units(kinds), kinds, True)
        if any(self.joint):
            yield Level(self.units((), joined=False), (), False)

    def units(self, kinds: Sequence[str], joined: bool = True) -> list[str]:
        """Names each utterance's unit: what is connected by speakers, groups and `kinds`."""
        free = np.array(self.joint) & (not joined)  # utterances that only their speaker's label ties
        rows, columns = self._ties["label"]
        for kind in ("person", "group", *kinds):
            more, keys = self._ties[kind]
            rows, columns = np.append(rows, more[~free[more]]), np.append(columns, keys[~free[more]])
        return connected(rows, columns, self._names)

    def _links(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """For each kind, utterances (indices) and what they share (numbers), pair by pair."""
        numbers: dict[tuple[str, str], dict[str, int]] = {}  # of what is shared, by scope and kind
        count = 0
        result = {}
        shared = {"label": self._labels, "group": [record.group for record in self.records], **self.keys}
        for kind in ("person", *shared):
            space = "person" if kind == "label" else kind
            rows, columns = array("q"), array("q")
            for index, scope in enumerate(self.scopes):
                own = self._people[index] if kind == "person" else (shared[kind][index],)
                for key in own:
                    if key is not None:
                        of_key = numbers.setdefault((scope, space), {})
                        number = of_key.setdefault(key, count)
                        count += number == count
                        rows.append(index)
                        columns.append(number)
            result[kind] = (np.frombuffer(rows, np.int64), np.frombuffer(columns, np.int64))
        return result

    def _name(self, index: int) -> str:
        """Names an utterance from its content, so that the order of records doesn't matter."""
        record, scope = self.records[index], self.scopes[index]
        name = record.speaker or record.group or f"{self._last}{record.recording}#{record.start}#{record.channel}"
        return f"{scope}/{name}" if scope else name

    def connecting(self, kinds: Sequence[str]) -> set[str]:
        """Returns those of the kinds that connect what speakers and groups don't."""
        result = set()
        base = self.units(()) if kinds else []
        for kind in kinds:
            keys = zip(self.scopes, self.keys[kind], base, strict=True)
            pairs = {(scope, key, unit) for scope, key, unit in keys if key is not None}
            if len(pairs) > len({(scope, key) for scope, key, _ in pairs}):
                result.add(kind)
        return result

    def divided(self, parts: Sequence[Any]) -> list[str]:
        """Says how many sessions, dialogues and recordings are in more than one part; None is no part."""
        result = []
        for kind, keys in self.keys.items():
            pairs = {(key, part) for key, part in zip(keys, parts, strict=True) if key is not None and part is not None}
            counts = Counter(key for key, _ in pairs)
            if number := sum(count > 1 for count in counts.values()):
                result.append(f"{number} of {len(counts)} {kind}s divided")
        return result

    def place_joint(self, parts: Sequence[Any]) -> list[Any]:
        """Puts utterances of several persons where all of them are, and those of one name in one part.

        Args:
            parts: The part of each utterance; None for those to be placed.

        Returns:
            The part of each utterance; None for one whose persons are in different parts.
        """
        result = list(parts)
        places: dict[tuple[str, str, str], Any] = {}
        for index, part in enumerate(parts):
            if part is not None:
                places |= dict.fromkeys(self._needs(index), part)
        rows: dict[tuple[str, str | None], dict[int, Any]] = {}
        for index, part in enumerate(parts):
            if part is None and self.joint[index]:
                found = {places[need] for need in self._needs(index) if need in places}
                place = found.pop() if len(found) == 1 else None
                rows.setdefault((self.scopes[index], self._labels[index]), {})[index] = place
        for wishes in rows.values():
            counts = Counter(place for place in wishes.values() if place is not None)
            chosen = min(counts, key=lambda place: (-counts[place], place), default=None)
            for index, place in wishes.items():
                result[index] = place if place == chosen else None
        return result

    def with_people_of(self, indices: Iterable[int]) -> list[int]:
        """Returns these utterances and all of the persons who speak in them."""
        people = {need for index in indices for need in self._needs(index)}
        return [index for index in range(len(self.records)) if people & set(self._needs(index))]

    def _needs(self, index: int) -> list[tuple[str, str, str]]:
        """Whom and what an utterance must not be separated from."""
        scope, group = self.scopes[index], self.records[index].group
        needs = [(scope, "person", person) for person in {*self._people[index], self._labels[index]} if person]
        return needs + ([(scope, "group", group)] if group is not None else [])


def connected(rows: Sequence[int] | np.ndarray, keys: Sequence[int] | np.ndarray, names: Sequence[str]) -> list[str]:
    """Names the connected component of each utterance.

    Args:
        rows: Indices of utterances.
        keys: The number of what each of `rows` shares with others.
        names: A name for each utterance; the least of a component's names is the component's.

    >>> connected([0, 1, 1, 2], [7, 7, 8, 8], ["c", "b", "a", "d"])
    ['a', 'a', 'a', 'd']
    """
    rows, keys = np.asarray(rows, dtype=np.int64), np.asarray(keys, dtype=np.int64)
    size = len(names) + int(keys.max(initial=-1)) + 1
    graph = coo_array((np.ones(len(rows)), (rows, len(names) + keys)), shape=(size, size))
    found = connected_components(graph, directed=False)[1][: len(names)].tolist()
    least: dict[int, str] = {}
    for component, name in zip(found, names, strict=True):
        least[component] = min(name, least.get(component, name))
    return [least[component] for component in found]

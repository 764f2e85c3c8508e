"""Tells how much sound two parts of one recording share."""

import math
from collections.abc import Sequence

from ..record import Record

_DIVIDED = ""  # no name of a partition
Part = tuple[float | None, float | None, int | None]  # start and end in seconds, channel


def part_of(record: Record) -> Part:
    """Returns the part of its recording that an utterance is."""
    return record.start, record.end, record.channel


def overlap(first: Part, second: Part) -> float:
    """Returns the seconds that two parts share; the mix of all channels, None, shares its sound with each of them.

    >>> overlap((0.0, 2.0, 0), (1.5, None, None)), overlap((0.0, 2.0, 0), (0.0, 2.0, 1))
    (0.5, 0.0)
    """
    (start, end, channel), (other_start, other_end, other_channel) = first, second
    if channel is not None and other_channel is not None and channel != other_channel:
        return 0.0
    return max(min(end or math.inf, other_end or math.inf) - max(start or 0.0, other_start or 0.0), 0.0)


def divided_overlaps(records: Sequence[Record], partitions: Sequence[str]) -> list[tuple[int, int]]:
    """Returns pairs of utterances in two partitions that share more than half of the shorter one's sound.

    People who talk at the same time for a moment share less.

    Args:
        records: The utterances.
        partitions: The partition of each.

    Returns:
        Indices of the longer and the shorter utterance of each pair.
    """
    places: dict[str, str] = {}
    for record, part in zip(records, partitions, strict=True):
        recording = record.recording
        if places.setdefault(recording, part) != part:
            places[recording] = _DIVIDED
    by_file: dict[str, list[int]] = {name: [] for name, place in places.items() if place == _DIVIDED}
    for index, record in enumerate(records) if by_file else ():
        if record.recording in by_file:
            by_file[record.recording].append(index)
    pairs = []
    for indices in by_file.values():
        indices.sort(key=lambda index: records[index].start or 0.0)
        for position, first in enumerate(indices):
            for second in indices[position + 1 :]:
                if (records[second].start or 0.0) >= (records[first].end or math.inf):
                    break
                longer, shorter = sorted((first, second), key=lambda index: -_length(records[index]))
                shared = overlap(part_of(records[first]), part_of(records[second]))
                if partitions[first] != partitions[second] and shared > 0.5 * _length(records[shorter]):
                    pairs.append((longer, shorter))
    return pairs


def _length(record: Record) -> float:
    return (record.end or math.inf) - (record.start or 0.0)

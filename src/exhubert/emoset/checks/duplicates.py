"""Finds utterances of a corpus that repeat others, by comparing files and parts of recordings."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...audio import AudioError
from ..dealing.partition import check_leakage
from ..record import Record, Utterance
from ..recording import content_hash as hash_of
from ..recording import middle_hash, read_record
from .overlaps import divided_overlaps

Rejection = tuple[Record, str]  # with the reason


def without_duplicates(
    utterances: list[Utterance], chosen_partitions: bool = True
) -> tuple[list[Utterance], list[Rejection]]:
    """Keeps the first of identical recordings (byte for byte, or listed twice), and the longer of overlapping parts.

    Of identical recordings, one whose label maps to a class comes before those without.

    Parts of one recording overlap if they are in two partitions and share most of the shorter one's sound.

    Args:
        utterances: The utterances of one corpus.
        chosen_partitions: Whether the same recording in two partitions is a mistake to report. If not, as in datasets
            that were split at random, one of them is kept.

    Returns:
        The utterances to keep, and the others with the reason.

    Raises:
        LeakageError: The same recording is in two partitions under two names or by the author's choice, or overlapping
            parts are, by the author's choice; dropping one of them would hide a mistake.
    """
    utterances, repeated = _without_copies(utterances, chosen_partitions)
    utterances, overlapping = _without_overlaps(utterances)
    return utterances, repeated + overlapping


def _without_copies(utterances: list[Utterance], chosen_partitions: bool) -> tuple[list[Utterance], list[Rejection]]:
    duplicates, rejected = set(), []
    doubtful = _with_equals(_with_equals(utterances, _span), _sample)
    for group in identical(doubtful, (_span, *FILE_KEYS)):
        first, *others = sorted(group, key=lambda item: item.class_name is None)
        for item in others:
            facts, others_facts = ((one.record.speaker, one.record.partition) for one in (first, item))
            if chosen_partitions and facts != others_facts:
                pair = f"{first.utterance_id} = {item.utterance_id}"
                check_leakage([pair] * 2, [first.partition, item.partition], "recordings with the same audio")
            duplicates.add(id(item))
            place = "" if first.partition == item.partition else f", which is in {first.partition}"
            rejected.append((item.record, f"the same recording as {first.utterance_id}{place}"))
    return [item for item in utterances if id(item) not in duplicates], rejected


def _without_overlaps(utterances: list[Utterance]) -> tuple[list[Utterance], list[Rejection]]:
    records = [item.record for item in utterances]
    shorter: dict[int, int] = {}
    for first, second in divided_overlaps(records, [item.partition for item in utterances]):
        if records[first].partition and records[second].partition:
            pair = f"{utterances[first].utterance_id} and {utterances[second].utterance_id}"
            parts = [utterances[first].partition, utterances[second].partition]
            check_leakage([pair] * 2, parts, "pairs of utterances that share most of their sound")
        if first not in shorter:
            shorter.setdefault(second, first)
    rejected = [
        (records[index], f"most of it is in {utterances[other].utterance_id} too, in another partition")
        for index, other in shorter.items()
    ]
    return [item for index, item in enumerate(utterances) if index not in shorter], rejected


def identical(utterances: list[Utterance], keys: Sequence[Callable[[Utterance], Any]]) -> list[list[Utterance]]:
    """Groups recordings that are identical in all keys; the cheap ones come first, for most recordings differ in them.

    Damaged and silent files stay alone: failed downloads are often equal, and the builder rejects each of them.
    """
    groups = [utterances]
    for key in keys:
        groups = [part for group in groups for part in _group_by(group, key)]
    alone = [[item] for group in groups if len(group) > 1 and not _holds_sound(group[0]) for item in group]
    known = {id(item) for (item,) in alone}
    return [group for group in groups if id(group[0]) not in known] + alone


def _holds_sound(item: Utterance) -> bool:
    try:
        samples, _ = read_record(item.record)
    except (AudioError, OSError):
        return False
    return bool(samples.any())


def _group_by(items: list[Utterance], key: Callable[[Utterance], Any]) -> list[list[Utterance]]:
    if len(items) < 2:
        return [items] if items else []
    groups: dict[Any, list[Utterance]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return list(groups.values())


def _span(item: Utterance) -> tuple:
    return _size(item), item.record.start, item.record.end, item.record.channel


def _with_equals(utterances: list[Utterance], key: Callable[[Utterance], Any]) -> list[Utterance]:
    """Returns the utterances whose key others may have too: those of equal hashes, which take little memory."""
    hashes = np.fromiter((hash(key(item)) for item in utterances), np.int64, len(utterances))
    _, numbers, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    return [utterances[index] for index in np.flatnonzero(counts[numbers] > 1).tolist()]


def _size(item: Utterance) -> int | str:
    return item.size or item.source_file


def _sample(item: Utterance) -> bytes | str:
    """Returns a hash of bytes from the middle of the recording."""
    return middle_hash(item.record, item.size, item.modified) if item.size else item.source_file


def content_hash(item: Utterance) -> str:
    """Returns a hash of the whole recording."""
    return hash_of(item.record, item.modified) if item.size else item.source_file


FILE_KEYS = (_size, _sample, content_hash)

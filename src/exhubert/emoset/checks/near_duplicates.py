"""Finds the same recording in two corpora at another sampling rate, level or encoding, by comparing their sound."""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from ...audio import AudioError, resample
from ..catalog import with_columns
from ..catalog.column_map import Columns, Scale
from ..listing import corpus_entry, settings_of_tables
from ..readers import read
from ..record import Record, source_file
from ..recording import read_record

logger = logging.getLogger(__name__)

# Decided on EMO-DB and URDU: copies at other rates (8 to 48 kHz), levels and encodings (mp3, Vorbis, Opus, mu-law, 8
# bit) reach 0.97, but for one in a thousand; different recordings 0.88 at most, also of one text by one speaker, and
# 0.91 if only their first second is compared.
SAME = 0.95
SHORTEST = 1.0  # seconds; shorter sounds are too alike to tell copies from
_LONGEST = 20.0  # seconds that are compared
_RATE = 8000  # Hz; what telephone speech keeps too
_WINDOW, _HOP = 512, 128  # samples at that rate
_BANDS = np.geomspace(150, 3400, 9)  # edges in Hz
_FLOOR = 40  # dB below the loudest band, where noise of encodings begins
_DELAY = 0.1  # seconds that encoders such as mp3 add at the start
_SLICES = 24  # of the summary by which most pairs are ruled out
_CANDIDATE = 0.5  # likeness of summaries from which recordings are compared frame by frame
_ROWS = 256  # summaries compared at once


@dataclass(frozen=True)
class NearDuplicate:
    """The same recording in two corpora.

    Attributes:
        first: Corpus and path of the one; that of a row is the path of its table, followed by its name or number.
        second: Corpus and path of the other.
        likeness: Correlation of their spectrograms over time, from `SAME` to 1.
    """

    first: str
    second: str
    likeness: float


@dataclass(frozen=True)
class _Print:
    """What is compared of a recording: dB of each band in each frame, without the mean of the band."""

    name: str
    seconds: float
    levels: np.ndarray


def near_duplicates(
    found: Mapping[str, Path],
    columns: Columns | Mapping[str, Columns] | None = None,
    rating_scale: Scale | Mapping[str, Scale] | None = None,
) -> tuple[list[NearDuplicate], Counter[str]]:
    """Compares the recordings of each two corpora; decodes all of them, about a thousand short ones a second.

    Args:
        found: The folder of each corpus, by id. Corpora in one folder, such as those of a Hugging Face dataset, are
            compared with each other, too.
        columns: Columns of tables with other than usual names, see `exhubert.emoset.build`.
        rating_scale: Lowest and highest value of ratings, likewise.

    Returns:
        The pairs that sound the same, the likest first; and the number of recordings of each corpus that were not
        compared, because they can't be read or last less than `SHORTEST`.
    """
    maps, scales = settings_of_tables(found, columns, rating_scale)
    skipped: Counter[str] = Counter()
    prints: defaultdict[str, list[_Print]] = defaultdict(list)
    for corpus, folder in found.items():
        facts = with_columns(corpus_entry(corpus, folder), maps.get(corpus), scales.get(corpus))
        try:
            records = list(read(facts, folder))
        except (FileNotFoundError, ValueError) as error:
            logger.warning("%s isn't compared: %s", corpus, error)
            continue
        is_divided = len({record.corpus for record in records}) > 1
        for record in tqdm(records, desc=f"hearing {corpus}", unit="utterance"):
            part = (record.corpus if is_divided else None) or corpus
            item = _print(record, f"{part}/{source_file(folder.as_posix(), record)}")
            if item is None:
                skipped[part] += 1
            else:
                prints[part].append(item)
    pairs = [pair for first, second in combinations(prints.values(), 2) for pair in _same(first, second)]
    return sorted(pairs, key=lambda pair: -pair.likeness), skipped


def likeness(first: np.ndarray, second: np.ndarray) -> float:
    """Returns the correlation of two fingerprints, at the delay of at most 0.1 s at which it is highest."""
    best = 0.0
    for delay in range(-int(_DELAY * _RATE / _HOP), int(_DELAY * _RATE / _HOP) + 1):
        one, other = first[max(delay, 0) :], second[max(-delay, 0) :]
        frames = min(len(one), len(other))
        best = max(best, float(np.vdot(_unit(one[:frames]), _unit(other[:frames]))))
    return best


def fingerprint(samples: np.ndarray, rate: int) -> np.ndarray:
    """Returns the dB of eight bands below 3.4 kHz every 16 ms, which level and sampling rate hardly change.

    Args:
        samples: Mono samples, `(samples,)`.
        rate: Sampling rate in Hz.

    Returns:
        `(frames, 8)`, int8, without the mean of each band; without frames for silence.
    """
    samples = resample(samples[: int(_LONGEST * rate)].astype(np.float32), rate, _RATE)
    if len(samples) < _WINDOW or not samples.any():
        return np.zeros((0, len(_BANDS) - 1), np.int8)
    frames = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW)[::_HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW), axis=1)) ** 2
    frequencies = np.fft.rfftfreq(_WINDOW, 1 / _RATE)
    bands = [(frequencies >= low) & (frequencies < high) for low, high in pairwise(_BANDS)]
    energy = power @ np.stack(bands, axis=1)
    levels = 10 * np.log10(np.maximum(energy, max(energy.max(), 1e-20) * 10 ** (-_FLOOR / 10)))
    return np.round(levels - levels.mean(0)).astype(np.int8)


def _print(record: Record, name: str) -> _Print | None:
    try:
        samples, rate = read_record(record)
    except (AudioError, OSError):
        return None
    levels = fingerprint(samples, rate)
    seconds = len(samples) / rate
    return _Print(name, seconds, levels) if seconds >= SHORTEST and levels.any() else None


def _same(first: Sequence[_Print], second: Sequence[_Print]) -> Iterator[NearDuplicate]:
    """Yields the recordings of two corpora that are the same."""
    if not first or not second:
        return
    first, second = (sorted(items, key=lambda item: item.seconds) for items in (first, second))
    lengths = np.array([item.seconds for item in second])
    summaries = np.stack([_summary(item.levels) for item in second])
    for start in range(0, len(first), _ROWS):
        rows = first[start : start + _ROWS]
        low = int(np.searchsorted(lengths, rows[0].seconds - _DELAY))
        high = int(np.searchsorted(lengths, rows[-1].seconds + _DELAY, side="right"))
        alike = np.stack([_summary(item.levels) for item in rows]) @ summaries[low:high].T
        for row, column in np.argwhere(alike >= _CANDIDATE):
            one, other = rows[row], second[low + column]
            if abs(one.seconds - other.seconds) <= _DELAY:
                value = likeness(one.levels, other.levels)
                if value >= SAME:
                    yield NearDuplicate(one.name, other.name, round(value, 3))


def _summary(levels: np.ndarray) -> np.ndarray:
    """Returns the levels of a few slices of time, as one vector of length 1."""
    edges = np.linspace(0, len(levels), _SLICES + 1).astype(int)
    slices = [levels[start : max(end, start + 1)].mean(0) for start, end in pairwise(edges)]
    return _unit(np.stack(slices)).ravel()


def _unit(levels: np.ndarray) -> np.ndarray:
    centred = levels.astype(np.float32) - levels.mean(0, dtype=np.float32)
    norm = float(np.linalg.norm(centred))
    return centred / norm if norm else centred

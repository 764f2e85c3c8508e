"""Cuts recordings into windows, and tells which of them are silent."""

from collections.abc import Iterable, Iterator

import numpy as np

SAMPLING_RATE = 16_000
SKIP_SILENCE = True  # the default of every front end
FRAME_SECONDS = 0.05  # silence is judged in frames of this length
_SILENCE_DB = -60.0
_FRAMES_AT_ONCE = 20


def windows_of(blocks: Iterable[np.ndarray], length: int, hop: int) -> Iterator[tuple[int, np.ndarray, bool]]:
    """Cuts blocks `(samples,)` into the windows of [`cut_windows`], buffering at most a window and a block.

    Yields:
        Index of the window's first sample, the samples, and whether it is the last window. A recording without samples
        yields one empty window.
    """
    buffer, first, start = np.zeros(0, dtype=np.float32), 0, 0  # `first` is the index of the first buffered sample
    for block in blocks:
        buffer = np.concatenate([buffer, block])
        while first + len(buffer) > start + length:  # yield at once: a live stream's next block may take long
            yield start, buffer[start - first : start - first + length].copy(), False
            start += hop
        surplus = min(start, first + len(buffer) - length) - first
        if surplus > 0:
            buffer, first = buffer[surplus:], first + surplus
    last = max(0, first + len(buffer) - length)
    yield last, buffer[last - first :], True


def is_silent(samples: np.ndarray, rate: int = SAMPLING_RATE) -> bool:
    """Whether no 50 ms of `(samples,)` hold a sound above -60 dB of full scale, apart from the recorder's offset.

    [`exhubert.export.exhubert_onnx`] has a copy of this judgement, because exported folders stand alone.
    """
    limit = 10 ** (_SILENCE_DB / 10)
    return all((frames**2).mean(axis=1).max() < limit for frames in sound_frames(samples, rate))


def sound_frames(samples: np.ndarray, rate: int = SAMPLING_RATE) -> Iterator[np.ndarray]:
    """Yields the frames of 50 ms of `(samples,)` without the recorder's offset (DC): `(frames, samples)`, float64.

    Frames don't overlap, except that the last one ends with the recording. Each loses its mean, and then a line or a
    step between two levels, whichever is more of it. So an offset may stay, drift or jump. Speech loses next to
    nothing: the best step takes 0.6 dB of a tone of 80 Hz.
    """
    if len(samples):
        frames = cut_windows(samples, max(1, round(FRAME_SECONDS * rate)))
        for first in range(0, len(frames), _FRAMES_AT_ONCE):
            yield _without_offset(np.stack(frames[first : first + _FRAMES_AT_ONCE]).astype(np.float64))


def _without_offset(frames: np.ndarray) -> np.ndarray:
    """`(frames, samples)` without the mean and the line or step that fit each frame best by least squares."""
    size = frames.shape[1]
    frames = frames - frames.mean(axis=1, keepdims=True)
    if size < 3:
        return np.zeros_like(frames)
    index = np.arange(size)
    time = index - index.mean()
    lines = np.outer(frames @ time / (time @ time), time)
    before = index[1:]  # numbers of samples before each possible step
    sums = frames.cumsum(axis=1)[:, :-1]  # of these samples; those after the step sum to minus that, for the mean is 0
    best = (sums**2 / (before * (size - before))).argmax(axis=1)[:, None]
    sums = np.take_along_axis(sums, best, axis=1)
    steps = np.where(index <= best, sums / (best + 1), -sums / (size - best - 1))
    is_line = (lines**2).sum(axis=1) >= (steps**2).sum(axis=1)
    return frames - np.where(is_line[:, None], lines, steps)


def cut_windows(samples: np.ndarray, length: int, hop: int | None = None) -> list[np.ndarray]:
    """Cuts `(samples,)` into windows of `length` samples that begin every `hop` samples (by default `length`).

    The windows are in order and cover every sample. The last one ends with the recording, so it may overlap the one
    before it more than the others do: all windows have the same length, and none needs padding. A recording no longer
    than one window is returned as a single window.

    >>> [window.tolist() for window in cut_windows(np.arange(5), 3)]
    [[0, 1, 2], [2, 3, 4]]
    """
    last = len(samples) - length
    if last <= 0:
        return [samples]
    starts = list(range(0, last + 1, hop or length))
    return [samples[start : start + length] for start in (starts if starts[-1] == last else [*starts, last])]


def heard_windows(samples: np.ndarray, length: int, rate: int = SAMPLING_RATE) -> list[np.ndarray]:
    """The windows of [`cut_windows`] that prediction hears: those that aren't silent, or all if all of them are.

    Evaluation and comparisons of models use them, because each utterance of theirs needs an answer.
    """
    windows = cut_windows(samples, length)
    return [window for window in windows if not (SKIP_SILENCE and is_silent(window, rate))] or windows

"""Reading recordings: any file soundfile opens becomes one channel at the rate a model wants."""

import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile
import soxr

SAMPLING_RATE = 16_000
_BLOCK_SECONDS = 10
_SILENCE_DB = -60.0
_LFS = b"version https://git-lfs"
AudioSource = str | os.PathLike | bytes | BinaryIO


class AudioError(ValueError):
    """A recording can't be used; the message says which one and why."""


def read_audio(
    source: AudioSource, start: float | None = None, end: float | None = None, channel: int | None = None
) -> tuple[np.ndarray, int]:
    """Reads a recording, or a part of it, as one channel.

    Args:
        source: Path of a file soundfile reads (wav, flac, ogg, mp3, aiff, ...), its bytes, or an open binary file.
            Where PyAV is installed (`exhubert[video]`), also avi, mp4, mov, m4a and other containers.
        start: Where to start, in seconds; cut at the nearest sample of the source.
        end: Where to end, in seconds.
        channel: The channel to take, from 0; by default the mean of all.

    Returns:
        Samples `(samples,)` in float32 and the source's sampling rate in Hz.

    Raises:
        AudioError: The file is missing, empty, not audio, holds no samples or holds NaN or infinite ones, or the part
            or channel lies outside of it.
    """
    name = source_name(source)
    _refuse_empty(source, name)
    source = _rewindable(source)
    try:
        with soundfile.SoundFile(_stream_of(source)) as file:
            rate = file.samplerate
            first, last = _span(name, start, end, file.frames, rate)
            file.seek(first)
            samples = file.read(last - first, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, TypeError) as error:  # headerless .raw files give a TypeError
        samples, rate = _read_container(source, name, str(error))
        first, last = _span(name, start, end, len(samples), rate)
        samples = samples[first:last]
    if not len(samples):
        raise AudioError(f"{name}: the recording holds no samples.")
    if channel is not None:
        if channel >= samples.shape[1]:
            raise AudioError(f"{name}: channel {channel}, counted from 0, was asked for; there are {samples.shape[1]}.")
        mono = samples[:, channel]
    else:
        mono = _mono(samples)
    _check_finite(mono, name)
    return mono, rate


def _refuse_empty(source: AudioSource, name: str) -> None:
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        if not path.is_file():
            raise AudioError(f"{name}: this is a folder." if path.is_dir() else f"{name}: there is no such file.")
        if path.stat().st_size == 0:
            raise AudioError(f"{name}: the file is empty (0 bytes).")


def _mono(samples: np.ndarray) -> np.ndarray:
    """`(samples,)` of `(samples, channels)`."""
    return samples.mean(axis=1) if samples.shape[1] > 1 else samples[:, 0]


def _check_finite(samples: np.ndarray, name: str) -> None:
    if not np.isfinite(samples).all():
        raise AudioError(f"{name}: the recording holds NaN or infinite samples.")


def _span(name: str, start: float | None, end: float | None, frames: int, rate: int) -> tuple[int, int]:
    """First and last sample of a part; an end up to one sample past the recording is the rounding of annotators."""
    first = 0 if start is None else round(start * rate)
    last = frames if end is None else round(end * rate)
    if frames and not 0 <= first < last <= frames + 1:
        raise AudioError(
            f"{name}: the part from {start} s to {end} s was asked for, but the recording has {frames / rate:.3f} s. "
            "Check `start` and `end`, in seconds."
        )
    return first, min(last, frames)


def _read_container(source: AudioSource, name: str, reason: str) -> tuple[np.ndarray, int]:
    """Reads the sound track of what soundfile can't open, `(samples, channels)`, with PyAV."""
    if isinstance(source, (str, os.PathLike)):
        with Path(source).open("rb") as head:
            if head.read(len(_LFS)) == _LFS:
                raise AudioError(f"{name}: only a Git LFS pointer; run `git lfs pull` in the corpus's repository.")
    reason = reason.strip().rstrip(".")
    unreadable = f"{name}: not a recording that can be read ({reason}). Expected wav, flac, ogg, mp3"
    try:
        import av
    except ImportError as error:
        raise AudioError(
            f"{unreadable} or another format of libsndfile; for video and m4a pip install 'exhubert[video]'."
        ) from error
    if not isinstance(source, (str, os.PathLike, bytes)):
        source.seek(0)
    try:
        container: Any
        with av.open(io.BytesIO(source) if isinstance(source, bytes) else source) as container:
            if not container.streams.audio:
                raise AudioError(f"{name}: not a recording that can be read; it has no sound track.")
            track = container.streams.audio[0]
            resampler = av.AudioResampler(format="fltp")
            frames = [part for frame in container.decode(track) for part in resampler.resample(frame)]
            parts = [frame.to_ndarray() for frame in frames]
            rate = track.rate
    except (av.FFmpegError, IndexError) as error:
        raise AudioError(f"{unreadable}, or a video with a sound track.") from error
    if not parts:
        raise AudioError(f"{name}: the recording holds no samples.")
    return np.concatenate(parts, axis=1).T, rate


def load_audio(
    source: AudioSource, sampling_rate: int = SAMPLING_RATE, start: float | None = None, end: float | None = None
) -> np.ndarray:
    """Reads a recording of any rate and channel count as the array a model takes.

    Args:
        source: As in [`read_audio`].
        sampling_rate: Rate of the result in Hz; the recording is resampled to it (soxr, high quality).
        start: Where to start, in seconds.
        end: Where to end, in seconds.

    Returns:
        Samples `(samples,)`, float32, one channel.

    Raises:
        AudioError: As in [`read_audio`].
    """
    samples, rate = read_audio(source, start, end)
    return resample(samples, rate, sampling_rate)


def resample(samples: np.ndarray, rate: int, target_rate: int = SAMPLING_RATE) -> np.ndarray:
    """Resamples `(samples,)` from `rate` to `target_rate`, both in Hz (soxr, high quality); float32."""
    return samples if rate == target_rate else soxr.resample(samples, rate, target_rate, quality="HQ")


def stream_audio(source: AudioSource, rate: int = SAMPLING_RATE) -> Iterator[np.ndarray]:
    """Reads a recording block by block, as one channel at `rate`, in memory that doesn't grow with its length.

    The blocks together are what [`load_audio`] gives. Containers that need PyAV are read whole.

    Args:
        source: As in [`read_audio`].
        rate: Of the result in Hz.

    Yields:
        Samples `(samples,)`, float32.

    Raises:
        AudioError: As in [`read_audio`], if need be in the middle of the recording.
    """
    name = source_name(source)
    _refuse_empty(source, name)
    source = _rewindable(source)
    try:
        file = soundfile.SoundFile(_stream_of(source))
    except (soundfile.LibsndfileError, TypeError):
        yield load_audio(source, rate)
        return
    with file:
        if not file.frames:
            raise AudioError(f"{name}: the recording holds no samples.")
        yield from stream_samples(_blocks(file, name), file.samplerate, rate, name)


def _blocks(file: soundfile.SoundFile, name: str) -> Iterator[np.ndarray]:
    """What a file really holds, which may be less than its header says; `SoundFile.blocks` repeats itself there."""
    while True:
        try:
            block = file.read(_BLOCK_SECONDS * file.samplerate, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise AudioError(f"{name}: damaged after {file.tell() / file.samplerate:.1f} s ({error}).") from error
        if not len(block):
            return
        yield _mono(block)


def _stream_of(source: AudioSource) -> Any:
    """What soundfile opens: names as bytes, since not all of them are UTF-8."""
    if isinstance(source, (str, os.PathLike)):
        return os.fsencode(source)
    return io.BytesIO(source) if isinstance(source, bytes) else source


def _rewindable(source: AudioSource) -> AudioSource:
    """The source, or the bytes of a stream that can be read only once."""
    once = not isinstance(source, (str, os.PathLike, bytes)) and not source.seekable()
    return source.read() if once else source  # type: ignore[union-attr]


def stream_samples(
    blocks: Iterable[np.ndarray], rate: int, target_rate: int = SAMPLING_RATE, name: str = "stream"
) -> Iterator[np.ndarray]:
    """Resamples blocks `(samples,)` of one recording from `rate` to `target_rate`, both in Hz, as if they were whole.

    Raises:
        AudioError: A block holds NaN or infinite samples.
    """
    resampler = soxr.ResampleStream(rate, target_rate, 1, quality="HQ") if rate != target_rate else None
    for block in blocks:
        _check_finite(block, name)
        yield block if resampler is None else resampler.resample_chunk(block)
    if resampler is not None:
        yield resampler.resample_chunk(np.zeros(0, dtype=np.float32), last=True)


def windows_of(blocks: Iterable[np.ndarray], length: int, hop: int) -> Iterator[tuple[int, np.ndarray, bool]]:
    """The windows of [`cut_windows`] out of blocks `(samples,)`, keeping no more than a window and a block.

    Yields:
        The window's first sample, its samples, and whether it is the last. A recording without samples gives one empty
        window.
    """
    kept, first, start = np.zeros(0, dtype=np.float32), 0, 0  # `first` is the number of the first sample kept
    waiting: tuple[int, np.ndarray] | None = None
    for block in blocks:
        kept = np.concatenate([kept, block])
        while first + len(kept) >= start + length:
            if waiting is not None:
                yield *waiting, False
            waiting = (start, kept[start - first : start - first + length].copy())
            start += hop
        spare = min(start, max(0, first + len(kept) - length)) - first
        if spare > 0:
            kept, first = kept[spare:], first + spare
    total = first + len(kept)
    if waiting is None:
        yield 0, kept, True
    elif waiting[0] + length == total:
        yield *waiting, True
    else:
        yield *waiting, False
        yield total - length, kept[-length:], True


def is_silent(samples: np.ndarray) -> bool:
    """Whether no 50 ms of `(samples,)` at 16 kHz are louder than -60 dB of full scale."""
    frame = 800
    frames = samples[: len(samples) // frame * frame].reshape(-1, frame) if len(samples) >= frame else samples[None]
    return bool((frames**2).mean(axis=1).max(initial=0.0) < 10 ** (_SILENCE_DB / 10))


def cut_windows(samples: np.ndarray, length: int, hop: int | None = None) -> list[np.ndarray]:
    """Cuts `(samples,)` into windows of `length` samples that begin every `hop` samples (by default `length`).

    They are in order and cover every sample. The last one ends where the recording does, and so may overlap the one
    before it by more than the others do: all are of one length, and nothing needs padding. A recording not longer than
    one window is one window.

    >>> [window.tolist() for window in cut_windows(np.arange(5), 3)]
    [[0, 1, 2], [2, 3, 4]]
    """
    last = len(samples) - length
    if last <= 0:
        return [samples]
    starts = list(range(0, last + 1, hop or length))
    return [samples[start : start + length] for start in (starts if starts[-1] == last else [*starts, last])]


def encode_flac(samples: np.ndarray, sampling_rate: int = SAMPLING_RATE) -> bytes:
    """Encodes `(samples,)` as a 16-bit FLAC file; the same samples always give the same bytes."""
    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(samples, -1.0, 1.0), sampling_rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def source_name(source: AudioSource) -> str:
    """How messages call a recording."""
    if isinstance(source, (str, os.PathLike)):
        return str(source)
    return (
        f"recording of {len(source)} bytes" if isinstance(source, bytes) else str(getattr(source, "name", "recording"))
    )

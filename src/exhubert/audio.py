"""Reading recordings: any file soundfile opens becomes one channel at the rate a model wants."""

import io
import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile
import soxr

SAMPLING_RATE = 16_000
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
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        if not path.is_file():
            raise AudioError(f"{name}: this is a folder." if path.is_dir() else f"{name}: there is no such file.")
        if path.stat().st_size == 0:
            raise AudioError(f"{name}: the file is empty (0 bytes).")
    stream = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        with soundfile.SoundFile(stream) as file:
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
        mono = samples.mean(axis=1) if samples.shape[1] > 1 else samples[:, 0]
    if not np.isfinite(mono).all():
        raise AudioError(f"{name}: the recording holds NaN or infinite samples.")
    return mono, rate


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

"""Reading recordings: any file soundfile opens becomes one channel at the rate a model wants."""

import io
import os
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import soxr

SAMPLING_RATE = 16_000
AudioSource = str | os.PathLike | bytes | BinaryIO


class AudioError(ValueError):
    """A recording can't be used; the message says which one and why."""


def read_audio(source: AudioSource, start: float | None = None, end: float | None = None) -> tuple[np.ndarray, int]:
    """Reads a recording, or a part of it, and mixes its channels down.

    Args:
        source: Path of a file soundfile reads (wav, flac, ogg, mp3, aiff, ...), its bytes, or an open binary file.
        start: Where to start, in seconds; cut at the nearest sample of the source.
        end: Where to end, in seconds.

    Returns:
        Samples `(samples,)` in float32, the mean over channels, and the source's sampling rate in Hz.

    Raises:
        AudioError: The file is missing, empty, not audio, holds no samples or holds NaN or infinite ones, or the part
            lies outside of it.
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
            first = 0 if start is None else round(start * rate)
            last = file.frames if end is None else round(end * rate)
            if not (0 <= first < last <= file.frames + 1) and file.frames:
                raise AudioError(
                    f"{name}: the part from {start} s to {end} s was asked for, but the recording has "
                    f"{file.frames / rate:.3f} s. Check `start` and `end`, in seconds."
                )
            file.seek(min(first, file.frames))
            samples = file.read(last - first, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, TypeError) as error:  # headerless .raw files give a TypeError
        raise AudioError(
            f"{name}: not a recording that can be read ({str(error).strip().rstrip('.')}). Expected wav, flac, "
            "ogg, mp3 or another format of libsndfile; convert other formats first."
        ) from error
    if not len(samples):
        raise AudioError(f"{name}: the recording holds no samples.")
    mono = samples.mean(axis=1) if samples.shape[1] > 1 else samples[:, 0]
    if not np.isfinite(mono).all():
        raise AudioError(f"{name}: the recording holds NaN or infinite samples.")
    return mono, rate


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

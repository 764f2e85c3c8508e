"""Reading recordings: any file soundfile opens becomes one channel at the rate a model wants."""

import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile
import soxr

SAMPLING_RATE = 16_000
_RATES = range(1_000, 1_000_001)
_LOUDEST = 2.0**32  # full scale is 1; floats that were never scaled down from 32-bit PCM still pass
_BLOCK_VALUES = 2**18
_SILENCE_DB = -60.0
_LFS = b"version https://git-lfs"
_MIDI = b"\xf0\x7e"  # libsndfile prints what is wrong with these, to where the results go
# Those of ffmpeg's formats that hold a recording and never name another file or address to open.
_CONTAINERS = (
    "3gp,aac,ac3,aiff,amr,ape,asf,au,avi,caf,dsf,eac3,flac,flv,m4a,matroska,mov,mp3,mp4,mpeg,mpegts,mxf,nistsphere,"
    "nut,ogg,rm,shn,tak,tta,voc,w64,wav,webm,wv"
)
AudioSource = str | os.PathLike | bytes | BinaryIO


class AudioError(ValueError):
    """A recording can't be used; the message says which one and why."""


class _SoundFile(soundfile.SoundFile):
    """Doesn't seek after each read, which fails in a FLAC whose header leaves its length open, and in some ADPCM."""

    def seekable(self) -> bool:
        return False


class _Stream:
    """An open file without its name, whose ending the libraries would believe, and that keeps what went wrong.

    libsndfile would print errors of reading and take them for the end; damaged files make both seek before the start.
    """

    def __init__(self, file: BinaryIO):
        self.file = file
        self.failure: Exception | None = None
        file.seek(0, os.SEEK_END)
        self.size = file.tell()
        file.seek(0)

    def read(self, size: int = -1) -> bytes:
        try:
            return self.file.read(size)
        except Exception as error:
            self.failure = self.failure or error
            return b""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        position = offset + (0, self.tell(), self.size)[whence]
        if not 0 <= position < 2**43:  # what any file system takes
            return -1
        self.file.seek(position)
        return position

    def tell(self) -> int:
        return self.file.tell()


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
        AudioError: The file is missing, empty, not audio, damaged, holds no samples or holds NaN, infinite or absurdly
            large ones, its rate is absurd, or the part or channel lies outside of it.
    """
    name = source_name(source)
    rate, blocks = _open(source, name, start, end)
    parts = []
    for block in blocks:
        parts.append(_mono(block, channel, name))
        _check_values(parts[-1], name)
    return np.concatenate(parts), rate


def _open(
    source: AudioSource, name: str, start: float | None = None, end: float | None = None
) -> tuple[int, Iterator[np.ndarray]]:
    """The rate of a recording, and the blocks `(samples, channels)` of a part of it."""
    blocks = _decoded(source, name, start, end)
    rate, first = next(blocks)
    return rate, chain([first], (block for _, block in blocks))


def _decoded(
    source: AudioSource, name: str, start: float | None, end: float | None
) -> Iterator[tuple[int, np.ndarray]]:
    """The rate and the next block `(samples, channels)`; at least one."""
    try:
        with _opened(source, name) as file:
            stream = _Stream(file)
            try:
                for rate, block in _sound(stream, name, start, end):
                    if stream.failure:
                        break
                    _check_rate(rate, name)
                    yield rate, block
            except AudioError:
                if not stream.failure:
                    raise
            if stream.failure:
                raise AudioError(f"{name}: reading it failed ({_plain(str(stream.failure))}).") from stream.failure
    except OSError as error:
        raise AudioError(f"{name}: {error.strerror or error}.") from error


@contextmanager
def _opened(source: AudioSource, name: str) -> Iterator[Any]:
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        if not path.is_file():
            raise AudioError(f"{name}: this is a folder." if path.is_dir() else f"{name}: there is no such file.")
        with path.open("rb", buffering=0) as file:
            yield file
    elif isinstance(source, io.TextIOBase):
        raise AudioError(f"{name}: open as text; expected a binary file, open(..., 'rb').")
    elif isinstance(source, bytes) or not source.seekable():
        yield io.BytesIO(source if isinstance(source, bytes) else source.read())
    else:
        yield source


def _sound(stream: _Stream, name: str, start: float | None, end: float | None) -> Iterator[tuple[int, np.ndarray]]:
    head = stream.read(len(_LFS))
    stream.seek(0)
    if head == _LFS:
        raise AudioError(f"{name}: only a Git LFS pointer; run `git lfs pull` in the corpus's repository.")
    if not head:
        raise AudioError(f"{name}: the file is empty (0 bytes).")
    if head.startswith(_MIDI):
        raise AudioError(f"{name}: a MIDI sample dump, which isn't read; make it a wav.")
    # a file of the system without callbacks into Python, where Ctrl-C would be lost
    handle = stream.file.fileno() if isinstance(stream.file, io.FileIO) else stream
    try:
        file = _SoundFile(handle, closefd=False)
    except soundfile.LibsndfileError as error:
        blocks = _container_blocks(stream, name, error.error_string)
        if start is None and end is None:
            yield from blocks
            return
        rates, parts = zip(*blocks, strict=True)
        whole, rate = np.concatenate(parts), rates[0]
        first, last = _span(name, start, end, len(whole), rate)
        yield rate, whole[first:last]
        return
    with file:
        first, last = _span(name, start, end, file.frames, file.samplerate)
        yield from _blocks(file, name, first, last, whole=end is None)


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


def _blocks(
    file: soundfile.SoundFile, name: str, first: int, last: int, whole: bool
) -> Iterator[tuple[int, np.ndarray]]:
    """What a file really holds, which may be less than its header says; `SoundFile.blocks` repeats itself there."""
    size, rate, position = max(1, _BLOCK_VALUES // file.channels), file.samplerate, first
    try:
        if first:
            file.seek(first)
        while position < last:
            block = file.read(min(size, last - position), dtype="float32", always_2d=True)
            if not len(block):
                break
            position += len(block)
            yield rate, block
    except soundfile.LibsndfileError as error:
        raise _damaged(name, max(position, file.tell()) / rate, error.error_string) from error
    if position == first:
        raise AudioError(f"{name}: the recording holds no samples.")
    if position < last and not whole:
        raise AudioError(
            f"{name}: the part to {last / rate:.3f} s was asked for, but the recording breaks off after "
            f"{position / rate:.3f} s."
        )


def _container_blocks(stream: _Stream, name: str, reason: str) -> Iterator[tuple[int, np.ndarray]]:
    """The sound track of what soundfile can't open, with PyAV."""
    unreadable = f"{name}: not a recording that can be read ({_plain(reason)}). Expected wav, flac, ogg, mp3"
    try:
        import av
    except ImportError as error:
        raise AudioError(
            f"{unreadable} or another format of libsndfile; for video and m4a pip install 'exhubert[video]'."
        ) from error
    stream.seek(0)
    parts: list[np.ndarray] = []
    position, held, kind = 0, 0, (0, 0)
    try:
        container: Any
        with av.open(stream, options={"format_whitelist": _CONTAINERS}, metadata_errors="replace") as container:
            if not container.streams.audio:
                raise AudioError(f"{name}: not a recording that can be read; it has no sound track.")
            resampler = av.AudioResampler(format="flt")  # of planar frames PyAV gives away no more than 8 channels
            for frame in container.decode(container.streams.audio[0]):
                found = (frame.sample_rate, frame.layout.nb_channels)
                if position and found != kind:
                    raise _damaged(name, position / kind[0], "its sampling rate or number of channels changes")
                kind = found
                parts += [part.to_ndarray().reshape(-1, kind[1]) for part in resampler.resample(frame)]
                position += frame.samples
                held += frame.samples * kind[1]
                if held >= _BLOCK_VALUES:
                    yield kind[0], np.concatenate(parts)
                    parts, held = [], 0
    except (av.FFmpegError, IndexError) as error:
        why = getattr(error, "strerror", None) or str(error)
        if position:
            raise _damaged(name, position / kind[0], why) from error
        raise AudioError(f"{unreadable}, or a video with a sound track.") from error
    if not position:
        raise AudioError(f"{name}: the recording holds no samples.")
    if parts:
        yield kind[0], np.concatenate(parts)


def _damaged(name: str, seconds: float, reason: str) -> AudioError:
    return AudioError(f"{name}: damaged after {seconds:.1f} s ({_plain(reason)}).")


def _plain(reason: str) -> str:
    return reason.strip().removeprefix("Error : ").rstrip(".")


def _mono(samples: np.ndarray, channel: int | None, name: str) -> np.ndarray:
    """A channel of `(samples, channels)`, or the mean of all: `(samples,)`."""
    channels = samples.shape[1]
    if channel is None:
        with np.errstate(over="ignore", invalid="ignore"):
            return samples.mean(axis=1) if channels > 1 else samples[:, 0]
    if not 0 <= channel < channels:
        raise AudioError(f"{name}: channel {channel}, counted from 0, was asked for; there are {channels}.")
    return samples[:, channel]


def _check_values(samples: np.ndarray, name: str) -> None:
    loudest = np.abs(samples).max(initial=0.0)
    if not np.isfinite(loudest):
        raise AudioError(f"{name}: the recording holds NaN or infinite samples.")
    if loudest > _LOUDEST:
        raise AudioError(
            f"{name}: the recording holds a sample of {loudest:.1g}, where full scale is 1; it is damaged."
        )


def _check_rate(rate: float, name: str) -> None:
    if rate not in _RATES:
        raise AudioError(f"{name}: a sampling rate of {rate} Hz; expected {_RATES[0]} to {_RATES[-1]} Hz.")


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

    The blocks together are what [`load_audio`] gives.

    Args:
        source: As in [`read_audio`].
        rate: Of the result in Hz.

    Yields:
        Samples `(samples,)`, float32.

    Raises:
        AudioError: As in [`read_audio`], if need be in the middle of the recording.
    """
    name = source_name(source)
    found, blocks = _open(source, name)
    yield from stream_samples((_mono(block, None, name) for block in blocks), found, rate, name)


def stream_samples(
    blocks: Iterable[np.ndarray], rate: int, target_rate: int = SAMPLING_RATE, name: str = "stream"
) -> Iterator[np.ndarray]:
    """Resamples blocks `(samples,)` of one recording from `rate` to `target_rate`, both in Hz, as if they were whole.

    Raises:
        AudioError: A block holds NaN, infinite or absurdly large samples, or the rate is absurd.
    """
    _check_rate(rate, name)
    resampler = soxr.ResampleStream(rate, target_rate, 1, quality="HQ") if rate != target_rate else None
    for block in blocks:
        _check_values(block, name)
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
    for block in blocks:
        kept = np.concatenate([kept, block])
        while first + len(kept) > start + length:  # at once: a live stream's next window may be long in coming
            yield start, kept[start - first : start - first + length].copy(), False
            start += hop
        spare = min(start, first + len(kept) - length) - first
        if spare > 0:
            kept, first = kept[spare:], first + spare
    last = max(0, first + len(kept) - length)
    yield last, kept[last - first :], True


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

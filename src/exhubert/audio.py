"""Reads audio recordings in any format that soundfile opens, as one channel at the sampling rate a model expects."""

import io
import os
import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import soundfile
import soxr

from .audio_containers import open_container, part_by_seeking, unpacked
from .audio_headers import Patch, missing_length
from .audio_mixing import louder_channel, mixed
from .audio_windows import FRAME_SECONDS, SAMPLING_RATE, is_silent

_RATES = range(1_000, 1_000_001)
_LOUDEST = 2.0**32  # full scale is 1; floats that were never scaled down from 32-bit PCM still pass
_BLOCK_VALUES = 2**18
_STEP_S = 0.5
_SHORT_S = 0.05  # in less than this, even independent channels may cancel by chance
_SURROUND = 5  # channels, from which on a layout with a centre has the dialogue there
_RINGING = 0.05  # an offset above this, cut off at the ends, rings at more than -70 dB in the resampler
_LFS = b"version https://git-lfs"
_MIDI = b"\xf0\x7e"  # libsndfile prints its errors for these to stdout, where results go
AudioSource = str | os.PathLike | bytes | BinaryIO


class AudioError(ValueError):
    """A recording can't be used; the message says which one and why."""


class _SoundFile(soundfile.SoundFile):
    """Doesn't seek after each read, which fails for a FLAC without a length in its header, and for some ADPCM."""

    def seekable(self) -> bool:
        return False

    def position(self) -> int:
        """Number of samples read; 0 for GSM and other encodings in which libsndfile can't seek."""
        return self.tell() if super().seekable() else 0

    def skip(self, samples: int) -> None:
        """Moves from the start to a sample."""
        if super().seekable():
            self.seek(samples)
            return
        while samples > 0 and (block := self.read(min(samples, _BLOCK_VALUES // self.channels + 1), "float32")).size:
            samples -= len(block)


class _Sound(NamedTuple):
    """The sampling rate in Hz, and the index of the centre channel if the recording is declared as surround sound."""

    rate: int
    centre: int | None


class _Stream:
    """Hides the file name, from which the libraries would guess the format, and keeps the first read error.

    libsndfile would print read errors and treat them as the end; in damaged files both libraries seek before the start.
    A patch corrects the header.
    """

    def __init__(self, file: BinaryIO):
        self.file = file
        self.patch = Patch()
        self.failure: BaseException | None = None
        file.seek(0, os.SEEK_END)
        self.size = file.tell()
        file.seek(0)

    def read(self, size: int = -1) -> bytes:
        try:
            start = self.file.tell()
            content = self.file.read(size)
        except BaseException as error:  # libsndfile would lose Ctrl-C too
            self.failure = self.failure or error
            return b""
        return self.patch.apply(content, start)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        position = offset + (0, self.tell(), self.size)[whence]
        if not 0 <= position < 2**43:  # no file system takes more
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
        source: Path of a file that soundfile reads (wav, flac, ogg, mp3, aiff, ...), its bytes, or an open binary file.
            If PyAV is installed (`exhubert[video]`), also avi, mp4, mov, m4a and other containers.
        start: Start in seconds, rounded to the nearest sample of the source. In m4a and other containers, a part is
            found by seeking, see [`exhubert.audio_containers.part_by_seeking`].
        end: End in seconds, rounded likewise.
        channel: Index of the channel to read, from 0; by default all channels are mixed, see [`to_mono`]. Of surround
            sound (5.0 and more, as a container or the channel mask of a wav declares it) the centre channel is read,
            which has the dialogue, unless it is silent throughout. FLAC and Ogg files declare no layout here.

    Returns:
        Samples `(samples,)` in float32 and the source's sampling rate in Hz.

    Raises:
        AudioError: The file is missing, empty, not audio or damaged; it contains no samples, or NaN, infinite or
            absurdly large ones; its rate is absurd; or the part or channel lies outside the recording.
    """
    name = source_name(source)
    rate, blocks = _open(source, name, start, end, channel)
    parts = []
    for block in blocks:
        parts.append(block)
        _check_values(block, name)
    return np.concatenate(parts), rate


def count_channels(source: AudioSource) -> int:
    """Number of channels of a recording; raises `AudioError` as [`read_audio`]."""
    with closing(_decoded(source, source_name(source), None, None)) as blocks:
        return next(blocks)[1].shape[1]


def rereadable(source: AudioSource) -> AudioSource:
    """The source, or the content of an open file that can't be read twice, such as a pipe."""
    if isinstance(source, (str, os.PathLike, bytes, io.TextIOBase)) or source.seekable():
        return source
    return source.read()


def _open(
    source: AudioSource,
    name: str,
    start: float | None = None,
    end: float | None = None,
    channel: int | None = None,
) -> tuple[int, Iterator[np.ndarray]]:
    """Returns the rate of a recording, and the blocks `(samples,)` of one channel, or of the mix, of a part of it."""
    source = rereadable(source)
    blocks = _decoded(source, name, start, end)
    sound, first = next(blocks)
    if channel is None and sound.centre is not None:
        rest = chain([first], (block for _, block in blocks))
        if not all(is_silent(block[:, sound.centre]) for block in rest):
            channel = sound.centre
        blocks.close()  # two readers of one open file would disturb each other
        blocks = _decoded(source, name, start, end)
        sound, first = next(blocks)
    return sound.rate, to_mono(chain([first], (block for _, block in blocks)), sound.rate, channel, name)


def _decoded(
    source: AudioSource, name: str, start: float | None, end: float | None
) -> Generator[tuple[_Sound, np.ndarray], None, None]:
    """Yields the rate and layout and a block `(samples, channels)`, at least once."""
    try:
        with _opened(source, name) as file:
            stream = _Stream(file)
            try:
                for sound, block in _sound(stream, name, start, end):
                    if stream.failure:
                        break
                    _check_rate(sound.rate, name)
                    yield sound, block
            except AudioError:
                if not stream.failure:
                    raise
            if stream.failure and not isinstance(stream.failure, Exception):
                raise stream.failure
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


def _sound(stream: _Stream, name: str, start: float | None, end: float | None) -> Iterator[tuple[_Sound, np.ndarray]]:
    head = stream.read(len(_LFS))
    stream.seek(0)
    if head == _LFS:
        raise AudioError(f"{name}: only a Git LFS pointer; run `git lfs pull` in the corpus's repository.")
    if not head:
        raise AudioError(f"{name}: the file is empty (0 bytes).")
    if head.startswith(_MIDI):
        raise AudioError(f"{name}: a MIDI sample dump, which isn't read; make it a wav.")
    file = _soundfile(stream)
    if isinstance(file, soundfile.LibsndfileError):
        if start is None and end is None:
            yield from _container_blocks(stream, name, file.error_string)
        else:
            yield _container_part(stream, name, file.error_string, start, end)
        return
    with file:
        first, last = _span(name, start, end, file.frames, file.samplerate)
        yield from _blocks(file, name, first, last, whole=end is None)


def _soundfile(stream: _Stream) -> _SoundFile | soundfile.LibsndfileError:
    """Opens a recording with libsndfile, or returns its error; supplies the length if the header lacks it."""
    file = _open_soundfile(stream)
    if isinstance(file, soundfile.LibsndfileError) or not file.frames:
        stream.patch = missing_length(stream)
        if stream.patch.content:
            file = _open_soundfile(stream)
    return file


def _open_soundfile(stream: _Stream) -> _SoundFile | soundfile.LibsndfileError:
    stream.seek(0)
    # pass a real file by its descriptor: callbacks into Python take longer to obey Ctrl-C
    handle = stream.file.fileno() if isinstance(stream.file, io.FileIO) and not stream.patch.content else stream
    try:
        return _SoundFile(handle, closefd=False)
    except soundfile.LibsndfileError as error:
        return error


def _span(name: str, start: float | None, end: float | None, frames: int, rate: int) -> tuple[int, int]:
    """First and last sample of a part. The end may be one sample past the recording, because annotators round."""
    first = 0 if start is None else round(start * rate)
    last = frames if end is None else round(end * rate)
    if frames and not 0 <= first < last <= frames + 1:
        raise AudioError(
            f"{name}: the part from {start} s to {end} s was asked for, but the recording has {frames / rate:.3f} s. "
            "Check `start` and `end`, in seconds."
        )
    return first, min(last, frames)


def _blocks(file: _SoundFile, name: str, first: int, last: int, whole: bool) -> Iterator[tuple[_Sound, np.ndarray]]:
    """Yields the samples a file really contains; if its header claims more, `SoundFile.blocks` would repeat samples."""
    size, rate, position = max(1, _BLOCK_VALUES // file.channels), file.samplerate, first
    sound = _Sound(rate, _centre_of(file))
    try:
        if first:
            file.skip(first)
        while position < last:
            block = file.read(min(size, last - position), dtype="float32", always_2d=True)
            if not len(block):
                break
            position += len(block)
            yield sound, block
    except soundfile.LibsndfileError as error:
        raise _damaged(name, max(position, file.position()) / rate, error.error_string) from error
    if position == first:
        raise AudioError(f"{name}: the recording holds no samples.")
    if position < last and not whole:
        raise AudioError(
            f"{name}: the part to {last / rate:.3f} s was asked for, but the recording breaks off after "
            f"{position / rate:.3f} s."
        )


def _centre_of(file: soundfile.SoundFile) -> int | None:
    """Index of the centre channel, from the channel mask that a wav of surround sound has; else None."""
    mask = re.search(r"Channel Mask\s*: 0x([0-9A-Fa-f]+)", file.extra_info)
    speakers = [bit for bit in range(32) if mask and int(mask[1], 16) >> bit & 1]
    return _centre([{0: "FL", 1: "FR", 2: "FC"}.get(bit, "") for bit in speakers[: file.channels]])


def _centre(names: Sequence[str]) -> int | None:
    """Index of the centre among the channels of a layout, if it is one of surround sound."""
    return names.index("FC") if len(names) >= _SURROUND and {"FL", "FR", "FC"} <= set(names) else None


def _container_blocks(stream: _Stream, name: str, reason: str) -> Iterator[tuple[_Sound, np.ndarray]]:
    """Decodes the sound track of a file that soundfile can't open, with PyAV."""
    unreadable = f"{name}: not a recording that can be read ({_plain(reason)}). Expected wav, flac, ogg, mp3"
    try:
        import av
    except ImportError as error:
        raise AudioError(
            f"{unreadable} or another format of libsndfile; for video and m4a pip install 'exhubert[video]'."
        ) from error
    parts: list[np.ndarray] = []
    position, buffered, stream_format = 0, 0, (0, 0)
    try:
        container: Any
        with open_container(stream) as container:
            if not container.streams.audio:
                raise AudioError(f"{name}: not a recording that can be read; it has no sound track.")
            resampler = av.AudioResampler(format="flt")  # PyAV returns at most 8 channels of planar frames
            for frame in container.decode(container.streams.audio[0]):
                frame_format = (frame.sample_rate, frame.layout.nb_channels)
                if position and frame_format != stream_format:
                    raise _damaged(name, position / stream_format[0], "its sampling rate or number of channels changes")
                stream_format = frame_format
                sound = _Sound(frame.sample_rate, _centre([channel.name for channel in frame.layout.channels]))
                parts += unpacked(resampler, frame)
                position += frame.samples
                buffered += frame.samples * stream_format[1]
                if buffered >= _BLOCK_VALUES:
                    yield sound, np.concatenate(parts)
                    parts, buffered = [], 0
    except (av.FFmpegError, IndexError) as error:
        cause = getattr(error, "strerror", None) or str(error)
        if position:
            raise _damaged(name, position / stream_format[0], cause) from error
        raise AudioError(f"{unreadable}, or a video with a sound track.") from error
    if not position:
        raise AudioError(f"{name}: the recording holds no samples.")
    if parts:
        yield sound, np.concatenate(parts)


def _container_part(
    stream: _Stream, name: str, reason: str, start: float | None, end: float | None
) -> tuple[_Sound, np.ndarray]:
    """Returns the samples of a part, decoded from the start if it can't be found by seeking."""
    if part := part_by_seeking(stream, start or 0.0, end):
        rate, layout, samples = part
        return _Sound(rate, _centre(layout)), samples
    position, parts = 0, []
    for sound, block in _container_blocks(stream, name, reason):
        first, last = round((start or 0.0) * sound.rate), None if end is None else round(end * sound.rate)
        parts.append(block[max(0, first - position) : None if last is None else max(0, last - position)])
        position += len(block)
        if last is not None and 0 <= first < last <= position:
            break
    else:
        _span(name, start, end, position, sound.rate)  # refuses what lies outside of the recording
    return sound, np.concatenate(parts)


def _damaged(name: str, seconds: float, reason: str) -> AudioError:
    return AudioError(f"{name}: damaged after {seconds:.1f} s ({_plain(reason)}).")


def _plain(reason: str) -> str:
    return reason.strip().removeprefix("Error : ").rstrip(".")


def to_mono(
    blocks: Iterable[np.ndarray], rate: float, channel: int | None = None, name: str = "stream"
) -> Iterator[np.ndarray]:
    """Reduces a recording in blocks `(samples, channels)` to one channel, or mixes all of them: `(samples,)`, float32.

    The mix is the mean of the channels. Every half second in which that would cancel the sound, as where one of two
    channels has inverted polarity, comes from its loudest channel instead. How the blocks are cut changes nothing.

    Args:
        blocks: The recording.
        rate: Its sampling rate in Hz.
        channel: Index of the channel, from 0; None for the mix.
        name: Name of the recording for messages.

    Raises:
        AudioError: There is no such channel, or the number of channels changes.
    """
    step, channels = round(_STEP_S * rate), 0
    rest: np.ndarray | None = None
    louder, last = None, None
    for block in blocks:
        channels = channels or block.shape[1]
        if block.shape[1] != channels:
            raise AudioError(f"{name}: the number of channels changes from {channels} to {block.shape[1]}.")
        if channel is not None and not 0 <= channel < channels:
            raise AudioError(f"{name}: channel {channel}, counted from 0, was asked for; there are {channels}.")
        if channel is not None or channels == 1:
            yield np.ascontiguousarray(block[:, channel or 0], dtype=np.float32)
            continue
        rest = block if rest is None else np.concatenate([rest, block])
        whole = len(rest) // step * step
        for first in range(0, whole, step):
            part = rest[first : first + step]
            louder = louder_channel(part, rate, louder, last)
            last = last if louder is None else louder
            yield mixed(part, louder)
        rest = rest[whole:]
    if rest is not None and len(rest):
        if len(rest) >= _SHORT_S * rate:
            louder = louder_channel(rest, rate, louder, last)
        yield mixed(rest, louder)


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
    source: AudioSource,
    sampling_rate: int = SAMPLING_RATE,
    start: float | None = None,
    end: float | None = None,
    channel: int | None = None,
) -> np.ndarray:
    """Reads a recording of any sampling rate and channel count as the array that a model expects.

    Args:
        source: As in [`read_audio`].
        sampling_rate: Rate of the result in Hz; the recording is resampled to it (soxr, high quality).
        start: Start in seconds.
        end: End in seconds.
        channel: As in [`read_audio`].

    Returns:
        Samples `(samples,)`, float32, one channel.

    Raises:
        AudioError: As in [`read_audio`].
    """
    samples, rate = read_audio(source, start, end, channel)
    return resample(samples, rate, sampling_rate)


def resample(samples: np.ndarray, rate: int, target_rate: int = SAMPLING_RATE) -> np.ndarray:
    """Resamples `(samples,)` from `rate` to `target_rate`, both in Hz (soxr, high quality); float32."""
    if rate == target_rate:
        return samples
    offset = _offset(samples, rate)
    return soxr.resample(samples - offset, rate, target_rate, quality="HQ") + offset


def _offset(samples: np.ndarray, rate: float) -> np.float32:
    """The constant that `(samples,)` begin with, if it is large and their first 50 ms hold nothing else; else 0.

    The resampler takes what is before and after a recording as zeros, so an offset would ring like sound at both ends.
    """
    start = samples[: max(1, round(FRAME_SECONDS * rate))]
    mean = np.float32(start.mean()) if len(start) else np.float32(0)
    return mean if abs(mean) > _RINGING and is_silent(start, int(rate)) else np.float32(0)


def stream_audio(source: AudioSource, rate: int = SAMPLING_RATE, channel: int | None = None) -> Iterator[np.ndarray]:
    """Reads a recording block by block, as one channel at `rate`, in memory that doesn't grow with its length.

    Concatenated, the blocks equal the result of [`load_audio`].

    Args:
        source: As in [`read_audio`].
        rate: Sampling rate of the result in Hz.
        channel: As in [`read_audio`].

    Yields:
        Samples `(samples,)`, float32.

    Raises:
        AudioError: As in [`read_audio`], possibly in the middle of the recording.
    """
    name = source_name(source)
    source_rate, blocks = _open(source, name, channel=channel)
    yield from stream_samples(blocks, source_rate, rate, name)


def stream_samples(
    blocks: Iterable[np.ndarray], rate: int, target_rate: int = SAMPLING_RATE, name: str = "stream"
) -> Iterator[np.ndarray]:
    """Resamples a recording in blocks `(samples,)` from `rate` to `target_rate`, both in Hz, as if in one piece.

    Raises:
        AudioError: A block contains NaN, infinite or absurdly large samples, or the rate is absurd.
    """
    _check_rate(rate, name)
    resampler = soxr.ResampleStream(rate, target_rate, 1, quality="HQ") if rate != target_rate else None
    start, offset = np.zeros(0, dtype=np.float32), None
    for block in blocks:
        _check_values(block, name)
        if resampler is None:
            yield block
            continue
        if offset is None:
            block = start = np.concatenate([start, block])
            if len(start) < FRAME_SECONDS * rate:
                continue
            offset = _offset(start, rate)
        yield resampler.resample_chunk(block - offset) + offset
    if resampler is not None:
        rest = start if offset is None else start[:0]
        offset = _offset(start, rate) if offset is None else offset
        yield resampler.resample_chunk(rest - offset, last=True) + offset


def encode_flac(samples: np.ndarray, sampling_rate: int = SAMPLING_RATE) -> bytes:
    """Encodes `(samples,)` as a 16-bit FLAC file; equal samples always yield equal bytes."""
    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(samples, -1.0, 1.0), sampling_rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def source_name(source: AudioSource) -> str:
    """Name of a recording for messages."""
    if isinstance(source, (str, os.PathLike)):
        return str(source)
    return (
        f"recording of {len(source)} bytes" if isinstance(source, bytes) else str(getattr(source, "name", "recording"))
    )

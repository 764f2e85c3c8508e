"""Reads parts of sound tracks in containers (m4a, mp4, mkv, ...) without decoding all that comes before them."""

import contextlib
import importlib.util
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

# The formats of ffmpeg that contain a recording and never refer to another file or address.
CONTAINERS = (
    "3gp,aac,ac3,aiff,amr,ape,asf,au,avi,caf,dsf,eac3,flac,flv,m4a,matroska,mov,mp3,mp4,mpeg,mpegts,mxf,nistsphere,"
    "nut,ogg,rm,shn,tak,tta,voc,w64,wav,webm,wv"
)
FROM_START_S = 30.0  # parts that begin earlier are decoded from the start, which takes some 30 ms
_WARM_UP_S = 3.0  # decoded before a part, because decoders predict from what came before; pauses end that
_KEPT = 16  # timelines in memory, 2.5 MB for an hour of AAC


class _UncertainPositionError(ValueError):
    """The times in a container don't tell which sample of the recording is which."""


@dataclass(frozen=True)
class _Timeline:
    """Positions of the packets of a sound track.

    Attributes:
        rate: Sampling rate in Hz.
        layout: Names of the channels, such as `FL`.
        times: Time of each packet, in the container's unit.
        samples: Index of each packet's first sample in the decoded recording.
    """

    rate: int
    layout: tuple[str, ...]
    times: np.ndarray
    samples: np.ndarray

    def packet_at(self, time: int | None) -> int | None:
        """Index of the packet that has this time."""
        packet = int(np.searchsorted(self.times, time)) if time is not None else len(self.times)
        return packet if packet < len(self.times) and self.times[packet] == time else None


def open_container(stream: Any) -> Any:
    """Opens a stream with PyAV."""
    import av

    stream.seek(0)
    return av.open(stream, options={"format_whitelist": CONTAINERS}, metadata_errors="replace")


def unpacked(resampler: Any, frame: Any) -> list[np.ndarray]:
    """The samples of a frame, each `(samples, channels)`, from a resampler to the format `flt`."""
    return [part.to_ndarray().reshape(-1, frame.layout.nb_channels) for part in resampler.resample(frame)]


def part_by_seeking(stream: Any, start: float, end: float | None) -> tuple[int, tuple[str, ...], np.ndarray] | None:
    """Reads a part of a recording by seeking.

    The samples equal those of the whole recording bit for bit if the codec is lossless, MP3 or Opus, and for AMR if
    there is a pause in the seconds before. Decoders of AC-3 add dither, and those of AAC draw the noise with which some
    encoders replace sounds like [s]: there, only the energy in each band is equal.

    Args:
        stream: The recording, as `exhubert.audio` opens it.
        start: Start in seconds.
        end: End in seconds, rounded to the nearest sample like the start; None for the end of the recording.

    Returns:
        Rate in Hz, names of the channels, and samples `(samples, channels)`. None if the part has to be decoded from
        the start, because it is near the start, outside of the recording, or can't be located.
    """
    if start < FROM_START_S or (end is not None and end <= start) or importlib.util.find_spec("av") is None:
        return None
    import av

    try:
        timeline = _timeline_of(stream)
        samples = _read_part(stream, timeline, start, end)
    except (av.FFmpegError, IndexError, _UncertainPositionError):
        return None
    return (timeline.rate, timeline.layout, samples) if len(samples) else None


def _read_part(stream: Any, timeline: _Timeline, start: float, end: float | None) -> np.ndarray:
    import av

    first, last = round(start * timeline.rate), None if end is None else round(end * timeline.rate)
    position, parts, resampler = -1, [], av.AudioResampler(format="flt")
    with open_container(stream) as container:
        for begin, frame in _frames_after_seeking(container, timeline, first):
            if begin > first if position < 0 else begin != position:
                raise _UncertainPositionError
            position = begin
            if begin + frame.samples <= first:
                position += frame.samples
                continue
            for part in unpacked(resampler, frame):
                parts.append(part[max(0, first - position) : None if last is None else max(0, last - position)])
                position += len(part)
            if last is not None and position >= last:
                return np.concatenate(parts)
    # a part may end with the recording, or one sample later, because annotators round
    if not parts or position <= timeline.samples[-1] or (last is not None and last > position + 1):
        raise _UncertainPositionError
    return np.concatenate(parts)


def _frames_after_seeking(container: Any, timeline: _Timeline, first: int) -> Iterator[tuple[int, Any]]:
    """Yields frames from before the sample `first`, each with the index of its first sample."""
    track = container.streams.audio[0]
    entry = int(np.searchsorted(timeline.samples, first - _WARM_UP_S * timeline.rate, side="right")) - 1
    container.seek(int(timeline.times[max(0, entry)]), stream=track)
    channels = None
    for number, frame in enumerate(container.decode(track)):
        packet = timeline.packet_at(frame.pts)
        channels = channels or frame.layout.nb_channels
        if (frame.sample_rate, frame.layout.nb_channels) != (timeline.rate, channels) or (number and packet is None):
            raise _UncertainPositionError
        if packet is not None:  # some decoders trim the first frame, as at the start of the recording
            yield int(timeline.samples[packet]), frame


_timelines: dict[tuple, _Timeline | None] = {}


def _timeline_of(stream: Any) -> _Timeline:
    """The timeline of a recording, which is kept for the next part of the same file."""
    key, timeline = _identity(stream.file), None
    if key in _timelines:
        timeline = _timelines[key]
    else:
        with contextlib.suppress(_UncertainPositionError):
            timeline = _scan(stream)
        if key and not stream.failure:
            for old in list(_timelines)[: 1 - _KEPT]:
                _timelines.pop(old, None)
            _timelines[key] = timeline
    if timeline is None:
        raise _UncertainPositionError
    return timeline


def _identity(file: Any) -> tuple | None:
    if not isinstance(file, io.FileIO):
        return None
    status = os.fstat(file.fileno())
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _scan(stream: Any) -> _Timeline:
    """Reads the times of all packets, which takes about a tenth of the time of decoding them."""
    times, lengths, frames = [], [], list[Any]()
    with open_container(stream) as container:
        track = container.streams.audio[0]
        for packet in container.demux(track):
            if not packet.size:  # the end
                continue
            if packet.pts is None:
                raise _UncertainPositionError
            times.append(packet.pts)
            lengths.append(packet.duration or 0)
            if len(frames) < 2:
                frames += packet.decode()
    if len(frames) < 2:
        raise _UncertainPositionError
    rate = frames[1].sample_rate
    samples = _first_samples(np.array(times), np.array(lengths), frames[1].samples, float(frames[1].time_base * rate))
    layout = tuple(channel.name for channel in frames[1].layout.channels)
    timeline = _Timeline(rate, layout, np.array(times), samples)
    second = timeline.packet_at(frames[1].pts)
    if second is None:
        raise _UncertainPositionError
    return replace(timeline, samples=samples - samples[second] + frames[0].samples)


def _first_samples(times: np.ndarray, lengths: np.ndarray, size: int, unit: float) -> np.ndarray:
    """Index of each packet's first sample, counted from the first packet's.

    Times may be rounded, to milliseconds in mkv, so they only confirm that all packets have `size` samples. Packets of
    different sizes need exact times. Where packets are missing, neither is the case.
    """
    if (np.diff(times) <= 0).any():
        raise _UncertainPositionError
    since = times - times[0]
    even = np.arange(len(times)) * size
    if np.abs(since * unit - even).max() <= unit + 0.5:
        return even
    if unit == 1 and (since[:-1] + lengths[:-1] == since[1:]).all():
        return since
    raise _UncertainPositionError

"""Sound tracks of videos, their parts, surround sound, and single channels."""

import io

import av
import numpy as np
import pytest
import soundfile

from exhubert import load_audio
from exhubert.audio import AudioError, _Stream, read_audio, stream_audio
from exhubert.audio_containers import FROM_START_S, part_by_seeking

from .conftest import contained, write_video

LENGTH = FROM_START_S + 20  # s, so that parts near the end are found by seeking
SEEKABLE = [
    ("ipod", "aac", "m4a"), ("ipod", "alac", "m4a"), ("mp4", "aac", "mp4"), ("mov", "pcm_s16le", "mov"),
    ("3gp", "libopencore_amrnb", "3gp"), ("amr", "libopencore_amrnb", "amr"), ("adts", "aac", "aac"),
    ("matroska", "libopus", "mkv"), ("matroska", "aac", "mkv"), ("matroska", "flac", "mka"),
    ("webm", "libopus", "webm"), ("avi", "pcm_s16le", "avi"),
    ("avi", "libmp3lame", "avi"), ("mpegts", "mp2", "ts"), ("flv", "aac", "flv"),
    ("tta", "tta", "tta"), ("wv", "wavpack", "wv"),
]  # fmt: skip


def voice(seconds, rate):
    """A sound with pauses that differs everywhere, so that a part from another place is noticed."""
    time = np.arange(round(seconds * rate)) / rate
    return (
        0.3 * np.clip(np.sin(2 * time) + 0.5, 0, 1)[:, None] * np.sin(2 * np.pi * (100 * time + 3 * time**2))[:, None]
    )


@pytest.mark.parametrize(("format", "codec", "ending"), SEEKABLE)
def test_parts_found_by_seeking_are_those_of_the_whole(tmp_path, format, codec, ending):
    rate = 8_000 if "amr" in codec else 48_000 if "opus" in codec else 44_100
    path = tmp_path / f"call.{ending}"
    path.write_bytes(contained(voice(LENGTH, rate), rate, format, codec))
    whole, _ = read_audio(path)
    end = len(whole) / rate
    parts = [(31.0, 32.0), (33.3333, 36.1), (45.0, None), (end - 1, end), (end - 1, end + 1 / rate), (2.0, 2.5)]
    for start, stop in parts:
        expected = whole[round(start * rate) : None if stop is None else round(stop * rate)]
        for source in (path, path.read_bytes()):
            part, _ = read_audio(source, start, stop)
            np.testing.assert_allclose(part, expected, rtol=0, atol=1e-3)
    with path.open("rb") as file:
        assert part_by_seeking(_Stream(file), 40.0, 41.0) is not None
    for start, stop in ((end + 1, end + 2), (end - 1, end + 1), (end + 1, None), (40.0, 35.0), (-1.0, 1.0)):
        with pytest.raises(AudioError, match=rf"the part from .* was asked for, but the recording has {end:.3f} s"):
            read_audio(path, start, stop)


def test_a_part_after_missing_packets_is_that_of_the_whole(tmp_path):
    """Times go on where packets are missing, samples don't: seeking would find another part."""
    source = contained(voice(LENGTH, 48_000), 48_000, "matroska", "libopus")
    buffer = io.BytesIO()
    with av.open(io.BytesIO(source)) as old, av.open(buffer, "w", format="matroska") as new:
        track = new.add_stream_from_template(old.streams.audio[0])
        for packet in old.demux(old.streams.audio[0]):
            if packet.size and not 200 <= packet.pts // 20 < 300:
                packet.stream = track
                new.mux(packet)
    whole, rate = read_audio(buffer.getvalue())
    assert len(whole) < (LENGTH - 1) * rate
    part, _ = read_audio(buffer.getvalue(), 40.0, 41.0)
    np.testing.assert_array_equal(part, whole[40 * rate : 41 * rate])


def test_timelines_follow_the_file(tmp_path):
    path = tmp_path / "call.m4a"
    for sound in (voice(LENGTH, 44_100), voice(LENGTH, 44_100)[::-1]):
        path.write_bytes(contained(sound, 44_100, "ipod", "alac"))
        part, _ = read_audio(path, 40.0, 41.0)
        np.testing.assert_allclose(part, sound[40 * 44_100 : 41 * 44_100, 0], atol=1e-3)


@pytest.mark.parametrize(
    ("name", "layout", "codec"),
    [
        ("a.avi", "stereo", "pcm_s16le"),
        ("b.mp4", "5.1", "aac"),
        ("c.m4a", "mono", "aac"),
        ("d.mov", "stereo", "pcm_s16le"),
    ],
)
def test_sound_tracks_of_videos_are_read_mixed_down_and_cut(tmp_path, name, layout, codec):
    write_video(tmp_path / name, 1.0, frequency=500.0, layout=layout, codec=codec)
    samples = load_audio(tmp_path / name)
    assert abs(len(samples) - 16_000) < 1200, "encoders pad by up to a frame or two"
    spectrum = np.abs(np.fft.rfft(samples[:8000]))
    assert spectrum.argmax() == 250  # bins of 2 Hz
    part, rate = read_audio(tmp_path / name, start=0.25, end=0.5)
    assert rate == 48_000 and len(part) == 12_000
    assert np.array_equal(samples, load_audio((tmp_path / name).read_bytes()))


def test_what_has_no_sound_track_is_said(tmp_path):
    (tmp_path / "pointer.wav").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(AudioError, match="pointer.wav: only a Git LFS pointer; run `git lfs pull`"):
        load_audio(tmp_path / "pointer.wav")
    with av.open(str(tmp_path / "mute.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), dtype=np.uint8), format="rgb24")
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    with pytest.raises(AudioError, match="mute.mp4: not a recording that can be read; it has no sound track"):
        load_audio(tmp_path / "mute.mp4")


def test_one_channel_can_be_taken_alone(tmp_path):
    soundfile.write(tmp_path / "two.wav", np.stack([np.full(800, 0.5), np.full(800, -0.25)], axis=1), 16_000)
    assert read_audio(tmp_path / "two.wav", channel=1)[0].mean() == pytest.approx(-0.25, abs=1e-4)
    with pytest.raises(AudioError, match="channel 2, counted from 0, was asked for; there are 2"):
        read_audio(tmp_path / "two.wav", channel=2)


def surround(centre: float, others: float, channels: int = 6) -> np.ndarray:
    """Ten seconds of a tone of 500 Hz in the centre, and of noise in all other channels: `(samples, channels)`."""
    draw = np.random.default_rng(0)
    samples = others * draw.standard_normal((480_000, channels))
    samples[:, 2] = centre * np.sin(2 * np.pi * 500 * np.arange(480_000) / 48_000)
    return samples.astype(np.float32)


def noise_to_tone(samples: np.ndarray) -> float:
    """Ratio of the energies, in dB, between the first and last second of `(samples,)` at 16 kHz."""
    power = np.abs(np.fft.rfft(samples[16_000:-16_000][: 16_000 * 7] * np.hanning(16_000 * 7))) ** 2
    tone = slice(7 * 498, 7 * 502)
    return 10 * np.log10((power.sum() - power[tone].sum()) / power[tone].sum())


@pytest.mark.parametrize(
    ("format", "codec", "layout"),
    [
        ("mp4", "aac", "5.1"),
        ("matroska", "ac3", "5.1(side)"),
        ("mov", "eac3", "5.1"),
        ("mov", "pcm_s16le", "7.1"),
        ("wav", "pcm_s16le", "5.1"),
        ("wav", "pcm_f32le", "7.1"),
    ],
)
def test_dialogue_of_surround_sound_comes_from_the_centre(tmp_path, format, codec, layout):
    """The mean of the six channels would have as much noise as tone."""
    path = tmp_path / "scene"
    path.write_bytes(contained(surround(0.1, 0.1, 8 if layout == "7.1" else 6), 48_000, format, codec, layout))
    heard = load_audio(path)
    assert noise_to_tone(heard) < -25
    np.testing.assert_allclose(np.concatenate(list(stream_audio(path))), heard, atol=1e-6)
    with path.open("rb") as file:
        np.testing.assert_array_equal(load_audio(file), heard)
    assert noise_to_tone(load_audio(path, channel=0)) > 20


@pytest.mark.parametrize(
    ("format", "codec"), [("mp4", "aac"), ("matroska", "libopus"), ("OGG", "VORBIS"), ("MP3", None)]
)
def test_channels_that_cancel_are_heard_after_a_codec_too(format, codec):
    """Vorbis and Opus bring channels of opposite polarity into phase above the band of speech."""
    draw, buffer = np.random.default_rng(0), io.BytesIO()
    voice = 0.1 * draw.standard_normal(144_000) * np.repeat(draw.uniform(0, 1, 30), 4_800)
    pair = np.stack([voice, -voice], axis=1)
    if codec in ("aac", "libopus"):
        buffer.write(contained(pair, 48_000, format, codec))
    else:
        soundfile.write(buffer, pair, 48_000, format=format, subtype=codec)
    heard, first = load_audio(buffer.getvalue()), load_audio(buffer.getvalue(), channel=0)
    assert heard.std() == pytest.approx(first.std(), rel=0.02)


@pytest.mark.parametrize("format", ["mp4", "wav"])
def test_surround_sound_with_a_silent_centre_is_mixed(tmp_path, format):
    codec = "aac" if format == "mp4" else "pcm_s16le"
    content = contained(surround(0.0, 0.1), 48_000, format, codec, "5.1")
    mixed = np.mean([load_audio(content, channel=index) for index in range(6)], axis=0)
    np.testing.assert_allclose(load_audio(content), mixed, atol=1e-5)
    np.testing.assert_allclose(np.concatenate(list(stream_audio(content))), mixed, atol=1e-5)


@pytest.mark.parametrize(("format", "channels"), [("WAV", 6), ("FLAC", 6), ("CAF", 8), ("WAV", 9), ("WAVEX", 4)])
def test_channels_that_no_layout_calls_a_centre_are_mixed(format, channels):
    """Such as the microphones of an array."""
    samples, buffer = surround(0.1, 0.1, channels), io.BytesIO()
    soundfile.write(buffer, samples, 48_000, format=format)
    found, _ = read_audio(buffer.getvalue())
    np.testing.assert_allclose(found, samples.mean(axis=1), atol=1e-4)

"""Reading recordings: any rate and channel count, exact parts, and a sentence for what can't be read."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from exhubert import load_audio
from exhubert.audio import AudioError, count_channels, encode_flac, read_audio, stream_audio, to_mono

from .conftest import bad_files, contained, write_tone


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_any_rate_and_channel_count_becomes_16_khz_mono_of_the_same_pitch(tmp_path, rate, channels):
    samples = load_audio(write_tone(tmp_path / "tone.wav", 1.0, rate, frequency=500.0, channels=channels))
    assert samples.shape == (16_000,) and samples.dtype == np.float32
    assert np.abs(np.fft.rfft(samples)).argmax() == 500  # bins of 1 Hz


def test_channels_are_averaged(tmp_path):
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.stack([np.full(800, 0.5), np.full(800, -0.1)], axis=1), 16_000)
    np.testing.assert_allclose(load_audio(path), 0.2, atol=1e-4)


def wav(channels, rate=16_000) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.stack(channels, axis=1), rate, format="WAV", subtype="FLOAT")
    return buffer.getvalue()


def speechlike(seconds=3.7, rate=16_000):
    """A gliding tone with pauses, of a length that isn't whole seconds."""
    time = np.arange(round(seconds * rate)) / rate
    tone = 0.2 * np.sin(2 * np.pi * (150 + 30 * np.sin(time)) * time)
    return (tone * (np.sin(2 * np.pi * 1.3 * time) > -0.3)).astype(np.float32)


@pytest.mark.parametrize(
    "change",
    [
        lambda x, _: (x, -x),
        lambda x, _: (-0.9 * x, x),
        lambda x, _: (x + 0.3, -x - 0.2),
        lambda x, noise: (x + 0.1 * noise, -x + 0.1 * noise[::-1]),
        lambda x, _: (1e-4 * x, -1e-4 * x),
        lambda x, _: (x, 0 * x, -x),
        lambda x, _: (0 * x, 0 * x, 0 * x, 0 * x, x, -x),
        lambda x, _: (x, np.where((np.arange(len(x)) // 16_000) % 2, -x, x)),
    ],
    ids=["opposite", "weaker", "offset", "noise", "quiet", "three", "six", "parts"],
)
def test_a_mix_that_cancels_is_heard_on_its_loudest_channel(change):
    """Also streamed, whatever the blocks; a mean would leave less than a tenth of it."""
    speech = speechlike()
    noise = speech.std() * np.random.default_rng(0).standard_normal(len(speech)).astype(np.float32)
    channels = change(speech, noise)
    loudest = max(channel.std() for channel in channels)
    heard = load_audio(wav(channels))
    assert heard.std() == pytest.approx(loudest, rel=0.02)
    assert abs(np.corrcoef(heard, speech)[0, 1]) > 0.97
    np.testing.assert_array_equal(np.concatenate(list(stream_audio(wav(channels)))), heard)
    for size in (1, 799, 8_000, 8_001):
        stacked = np.stack(channels, axis=1)
        blocks = [stacked[first : first + size] for first in range(0, len(stacked), size)]
        np.testing.assert_array_equal(np.concatenate(list(to_mono(blocks, 16_000))), heard)


@pytest.mark.parametrize("seconds", [0.001, 0.02, 0.3, 3.02])
@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_channels_that_do_not_cancel_stay_the_mean_to_the_last_bit(seconds, rate):
    draw = np.random.default_rng(0)
    first, second = 0.1 * draw.standard_normal((2, round(seconds * rate))).astype(np.float32)
    late = np.concatenate([np.zeros(len(first) // 3, np.float32), first])[: len(first)]
    echo = 0.6 * first + 0.2 * second
    for other in (second, first, 0 * first, late, second - 0.3 * first):
        channels = (first, other)
        expected = np.stack(channels, axis=1).mean(axis=1)
        np.testing.assert_array_equal(read_audio(wav(channels, rate))[0], expected)
    many = np.stack([first, second, echo, late] * 4, axis=1)
    np.testing.assert_array_equal(read_audio(wav(many.T, rate))[0], many.mean(axis=1))


def test_a_few_samples_do_not_cancel_by_chance():
    """Of two samples on two channels, each pair with opposite steps would."""
    draw = np.random.default_rng(0)
    for total in [*range(1, 9)] * 5 + [8_000 + left for left in range(1, 9)] * 2:
        samples = draw.uniform(-1, 1, (total, 2)).astype(np.float32)
        np.testing.assert_array_equal(load_audio(wav(samples.T)), samples.mean(axis=1))


def test_one_channel_of_many_is_read_streamed_and_counted(tmp_path):
    channels = 0.1 * np.random.default_rng(0).standard_normal((20, 40_000)).astype(np.float32)
    (tmp_path / "many.wav").write_bytes(wav(channels))
    assert count_channels(tmp_path / "many.wav") == 20
    for index in (0, 7, 19):
        np.testing.assert_array_equal(load_audio(tmp_path / "many.wav", channel=index), channels[index])
        streamed = np.concatenate(list(stream_audio(tmp_path / "many.wav", channel=index)))
        np.testing.assert_array_equal(streamed, channels[index])
    with pytest.raises(AudioError, match="many.wav: channel 20, counted from 0, was asked for; there are 20"):
        list(stream_audio(tmp_path / "many.wav", channel=20))
    with pytest.raises(AudioError, match="the number of channels changes from 1 to 2"):
        list(to_mono([np.zeros((9, 1)), np.zeros((9, 2))], 16_000))


@pytest.mark.parametrize("format", ["wav", "flac", "ogg", "mp3"])
def test_common_formats_are_read_from_path_bytes_and_file(tmp_path, format):
    path = write_tone(tmp_path / f"tone.{format}")
    from_path = load_audio(path)
    assert np.array_equal(from_path, load_audio(path.read_bytes()))
    with path.open("rb") as stream:
        assert np.array_equal(from_path, load_audio(stream))


def test_parts_are_cut_at_the_exact_sample_of_the_source(tmp_path):
    path = tmp_path / "ramp.wav"
    soundfile.write(path, np.arange(4410) / 5000, 44_100, subtype="FLOAT")
    part, rate = read_audio(path, start=0.01, end=0.03)
    np.testing.assert_array_equal(part, (np.arange(441, 1323) / 5000).astype(np.float32))
    assert rate == 44_100


@pytest.mark.parametrize("subtype", ["GSM610", "G721_32", "NMS_ADPCM_16"])
def test_parts_of_encodings_that_cannot_seek_are_those_of_the_whole(tmp_path, subtype):
    """Telephone recordings: libsndfile decodes them from the start."""
    path = tmp_path / "call.wav"
    soundfile.write(path, noise(10.0, 8_000), 8_000, subtype)
    whole, rate = read_audio(path)
    np.testing.assert_array_equal(read_audio(path, 7.0, 8.0)[0], whole[7 * rate : 8 * rate])


def test_flac_bytes_hold_the_samples_to_16_bits(tmp_path):
    samples = load_audio(write_tone(tmp_path / "tone.wav"))
    np.testing.assert_allclose(load_audio(encode_flac(samples)), samples, atol=1 / 32768)
    assert encode_flac(samples) == encode_flac(samples)


@pytest.mark.parametrize("name", ["missing.wav", "empty.wav", "text.wav", "zero.wav", "nan.wav"])
def test_bad_file_is_named_with_the_reason(tmp_path, name):
    reason = bad_files(tmp_path)[name]
    with pytest.raises(AudioError, match=f"{name}: .*{reason}"):
        load_audio(tmp_path / name)


@pytest.mark.parametrize(("start", "end"), [(0.6, 0.9), (-0.1, 0.2), (0.3, 0.2), (0.0, 5.0)])
def test_part_outside_of_the_recording_is_refused(tmp_path, start, end):
    path = write_tone(tmp_path / "tone.wav", 0.5)
    with pytest.raises(AudioError, match="tone.wav: the part from .* was asked for, but the recording has 0.500 s"):
        load_audio(path, start=start, end=end)


def test_part_that_a_cut_off_file_no_longer_holds_is_refused(tmp_path):
    path = write_tone(tmp_path / "cut.flac", 2.0)
    content = bytearray(path.read_bytes())
    content[21:26] = bytes([content[21] & 0xF0, 0, 0, 0, 0])  # a length left open, as encoders that write to a pipe do
    path.write_bytes(content)
    assert len(load_audio(path)) == 32_000 == sum(map(len, stream_audio(path)))
    assert len(load_audio(path, start=0.5, end=1.5)) == 16_000
    with pytest.raises(
        AudioError, match=r"cut.flac: the part to 3.000 s was asked for, but .* breaks off after 2.000 s"
    ):
        load_audio(path, start=0.5, end=3.0)


@pytest.mark.parametrize(
    ("samples", "rate", "message"),
    [
        ([0.1, 1e20], 16_000, "a sample of 1e[+]20, where full scale is 1"),
        ([0.1, 0.2], 200, "a sampling rate of 200 Hz; expected 1000 to 1000000 Hz"),
    ],
)
def test_absurd_samples_and_rates_are_refused(tmp_path, samples, rate, message):
    soundfile.write(tmp_path / "absurd.wav", np.array(samples), rate, subtype="FLOAT")
    for read in (load_audio, lambda path: list(stream_audio(path))):
        with pytest.raises(AudioError, match=f"absurd.wav: .*{message}"):
            read(tmp_path / "absurd.wav")


def test_a_read_that_fails_is_not_taken_for_the_end(tmp_path, capfd):
    class Failing(io.BytesIO):
        def read(self, size=-1):
            if self.tell() > 500_000:
                raise OSError(5, "Input/output error")
            return super().read(size)

    content = write_tone(tmp_path / "tone.wav", 40.0).read_bytes()
    for read in (load_audio, lambda source: list(stream_audio(source))):
        with pytest.raises(AudioError, match="recording: reading it failed .*Input/output error"):
            read(Failing(content))
    assert capfd.readouterr().err == ""
    with (tmp_path / "tone.wav").open(errors="replace") as text, pytest.raises(AudioError, match="open as text"):
        load_audio(text)


def noise(seconds, rate, channels=1):
    return 0.1 * np.random.default_rng(0).standard_normal((round(seconds * rate), channels))


@pytest.mark.parametrize("kind", [("ipod", "aac"), ("ipod", "alac"), ("mp4", "aac"), ("matroska", "libopus")])
def test_a_streamed_container_is_the_loaded_one(tmp_path, kind):
    pytest.importorskip("av")
    path = tmp_path / os.fsdecode(b"file:call 1,\xff 'a\n.m4a")  # ffmpeg takes a colon in a name for a protocol
    path.write_bytes(contained(noise(20.0, 48_000, 2), 48_000, *kind))
    blocks = list(stream_audio(path))
    whole = load_audio(path)
    assert len(blocks) > 3 and len(whole) == pytest.approx(320_000, abs=2_000)
    np.testing.assert_allclose(np.concatenate(blocks), whole, atol=1e-6)
    np.testing.assert_array_equal(
        load_audio(path.read_bytes(), start=1.0, end=2.0), load_audio(path, start=1.0, end=2.0)
    )


def test_a_container_damaged_midway_says_after_how_many_seconds(tmp_path):
    pytest.importorskip("av")
    content = bytearray(contained(noise(20.0, 16_000), 16_000, "ipod", "alac"))
    middle = len(content) // 2
    content[middle : middle + 20_000] = bytes(20_000)
    (tmp_path / "call.m4a").write_bytes(content)
    for read in (load_audio, lambda path: list(stream_audio(path))):
        with pytest.raises(AudioError, match=r"call.m4a: damaged after (9|10)\.\d s \(.+\)\.$"):
            read(tmp_path / "call.m4a")


def test_a_container_of_nine_channels_is_read(tmp_path):
    """The ninth plane of a frame is one PyAV doesn't give, and a crash to ask for."""
    pytest.importorskip("av")
    buffer = io.BytesIO()
    soundfile.write(buffer, noise(0.1, 16_000, 9), 16_000, format="CAF", subtype="PCM_24")
    content = buffer.getvalue()
    (tmp_path / "nine.caf").write_bytes(content[: len(content) * 2 // 3])
    done = subprocess.run([sys.executable, "-c", READ, str(tmp_path / "nine.caf")], capture_output=True, text=True)
    assert done.returncode == 0 and 900 < int(done.stdout.split()[0]) < 1_200, done.stderr


READ = """
import re, sys
from pathlib import Path
import av
from exhubert.audio import stream_audio

def peak():  # getrusage would begin with the peak of the process that started this one
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024

before = peak()
channel = int(sys.argv[2]) if sys.argv[2:] else None
total = sum(map(len, stream_audio(sys.argv[1], channel=channel)))
print(total, peak() - before)
"""


@pytest.mark.slow
def test_hours_in_a_container_take_little_memory(tmp_path):
    """Within 60 MB; two hours at 16 kHz in float32 would be 460 MB."""
    pytest.importorskip("av")
    (tmp_path / "long.m4a").write_bytes(contained(np.zeros((2 * 3600 * 8_000, 1), np.int8), 8_000, "ipod", "alac"))
    done = subprocess.run([sys.executable, "-c", READ, str(tmp_path / "long.m4a")], capture_output=True, text=True)
    total, megabytes = map(int, done.stdout.split())
    assert total == 2 * 3600 * 16_000 and megabytes < 60


@pytest.mark.slow
@pytest.mark.parametrize("channel", [[], ["1"]], ids=["mix", "one"])
def test_hours_of_a_call_take_little_memory(tmp_path, channel):
    """Within 60 MB, also where the channels cancel; two hours of one channel at 16 kHz in float32 would be 460 MB."""
    minute = noise(60.0, 8_000) * [[1.0, -1.0]]
    with soundfile.SoundFile(tmp_path / "long.wav", "w", 8_000, 2) as file:
        for _ in range(120):
            file.write(minute)
    command = [sys.executable, "-c", READ, str(tmp_path / "long.wav"), *channel]
    total, megabytes = map(int, subprocess.run(command, capture_output=True, text=True).stdout.split())
    assert total == 2 * 3600 * 16_000 and megabytes < 60


def test_a_playlist_opens_no_other_file(tmp_path):
    write_tone(tmp_path / "private.wav")
    (tmp_path / "list.wav").write_text("ffconcat version 1.0\nfile private.wav\n")
    with pytest.raises(AudioError, match="list.wav: not a recording"):
        load_audio(tmp_path / "list.wav")

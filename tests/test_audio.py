"""Reading recordings: any rate and channel count, exact parts, and a sentence for what can't be read."""

import numpy as np
import pytest
import soundfile

from exhubert import load_audio
from exhubert.audio import AudioError, encode_flac, read_audio

from .conftest import write_tone


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


def test_flac_bytes_hold_the_samples_to_16_bits(tmp_path):
    samples = load_audio(write_tone(tmp_path / "tone.wav"))
    np.testing.assert_allclose(load_audio(encode_flac(samples)), samples, atol=1 / 32768)
    assert encode_flac(samples) == encode_flac(samples)


def bad_files(folder):
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("this is not audio, whatever its name says")
    soundfile.write(folder / "zero.wav", np.zeros(0), 16_000)
    soundfile.write(folder / "nan.wav", np.array([0.1, np.nan, 0.2]), 16_000, subtype="FLOAT")
    return {
        "missing.wav": "no such file",
        "empty.wav": "empty",
        "text.wav": "not a recording that can be read",
        "zero.wav": "no samples",
        "nan.wav": "NaN or infinite",
    }


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

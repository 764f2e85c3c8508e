"""The file beside an exported model hears in a recording what the other front ends hear."""

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from exhubert import audio_windows
from exhubert.audio import read_audio

pytest.importorskip("onnxruntime")


@pytest.mark.parametrize(
    "change",
    [
        lambda x, y: (x, y),
        lambda x, y: (x, -x),
        lambda x, y: (-0.9 * x + 0.01, x),
        lambda x, y: (x, np.where((np.arange(len(x)) // 16_000) % 2, -x, y)),
        lambda x, y: (y, x, -x),
    ],
    ids=["speakers", "opposite", "weaker", "parts", "three"],
)
def test_channels_are_mixed_as_by_the_other_front_ends(tmp_path, change):
    from exhubert.export.exhubert_onnx import read_wav

    speakers = 0.1 * np.random.default_rng(0).standard_normal((2, 50_300)) * (np.arange(50_300) % 9_000 > 900)
    soundfile.write(tmp_path / "call.wav", np.stack(change(*speakers), axis=1), 16_000)
    for found, expected in zip(read_wav(tmp_path / "call.wav"), read_audio(tmp_path / "call.wav"), strict=True):
        np.testing.assert_array_equal(found, expected)
    soundfile.write(tmp_path / "six.wav", np.zeros((800, 6)), 16_000)
    with pytest.raises(ValueError, match=r"six.wav: 6 channels, maybe surround sound; expected at most 4"):
        read_wav(tmp_path / "six.wav")


@settings(derandomize=True, deadline=None, max_examples=200)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 3_000),
    st.floats(-70, -50),
    st.sampled_from([8_000, 16_000, 44_100]),
    st.sampled_from(["constant", "drift", "jump"]),
)
def test_both_judge_silence_alike(seed, total, decibels, rate, kind):
    from exhubert.export import exhubert_onnx

    draw = np.random.default_rng(seed)
    sound = draw.standard_normal(total) * (draw.random(total) < draw.random())
    size, index = draw.uniform(-0.5, 0.5), np.arange(total)
    offset = {"constant": size, "drift": size * index / rate, "jump": size * (index > total * draw.random())}[kind]
    samples = (10 ** (decibels / 20) * sound + offset).astype(np.float32)
    assert exhubert_onnx.is_silent(samples, rate) == audio_windows.is_silent(samples, rate)

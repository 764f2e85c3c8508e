"""The standalone file has a judgement of silence of its own, which is the package's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exhubert import audio

pytest.importorskip("onnxruntime")


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
    assert exhubert_onnx.is_silent(samples, rate) == audio.is_silent(samples, rate)

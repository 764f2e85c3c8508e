"""The file beside an exported model hears in a recording what the other front ends hear."""

import numpy as np
import pytest
import soundfile

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

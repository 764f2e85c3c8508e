"""Augmentations change what they say and nothing else."""

import numpy as np
import pytest

from exhubert.emoset.augment import AUGMENTATIONS, augment


def test_augmentations_do_what_they_say():
    tone = (0.3 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)).astype(np.float32)

    def draws(name):
        return [augment(tone, [name], 1.0, np.random.default_rng(seed)) for seed in range(40)]

    for clip in draws("speed"):
        seconds = len(clip) / 16_000
        peak = np.abs(np.fft.rfft(clip)).argmax() / seconds
        assert 1 / 1.11 < seconds < 1 / 0.89 and peak * seconds == pytest.approx(440, rel=0.01), "pitch goes with speed"
    for clip in draws("noise"):
        snr = 10 * np.log10(np.mean(tone**2) / np.mean((clip - tone) ** 2))
        assert 9.5 < snr < 40.5
    for clip in draws("gain"):
        assert 0.24 < np.abs(clip).max() / 0.3 < 4 and np.abs(clip).max() <= 1.0
    assert all(clip.dtype == np.float32 for name in AUGMENTATIONS for clip in draws(name))
    untouched = augment(tone, list(AUGMENTATIONS), 0.0, np.random.default_rng(0))
    np.testing.assert_array_equal(untouched, tone)

"""The order in which utterances are trained on."""

import math

import numpy as np
import pytest

from exhubert.training.sampler import SpeechSampler, sampling_weights


def test_balanced_sampling_draws_groups_as_the_temperature_says():
    groups = ["often"] * 900 + ["rare"] * 100
    for temperature, share in ((1.0, 0.1), (2.0, 0.25), (math.inf, 0.5)):  # 100^(1/2) / (900^(1/2) + 100^(1/2)) = 1/4
        weights = sampling_weights(groups, temperature)
        drawn = list(SpeechSampler([1.0] * 1000, 8, seed=0, weights=weights))
        found = sum(groups[index] == "rare" for index in drawn) / len(drawn)
        assert found == pytest.approx(share, abs=0.04)
    with pytest.raises(ValueError, match="expected 1"):
        sampling_weights(groups, 0.5)


def test_sampling_groups_lengths_and_differs_by_epoch_only():
    lengths = np.random.default_rng(0).uniform(0.5, 3.0, 400)
    sampler = SpeechSampler(lengths, 8, seed=1)
    first = list(sampler)
    assert sorted(first) == list(range(400)) and first == list(SpeechSampler(lengths, 8, seed=1))
    batches = lengths[np.array(first).reshape(-1, 8)]
    padding = (batches.max(axis=1, keepdims=True) - batches).sum() / batches.sum()
    shuffled = np.random.default_rng(1).permutation(lengths).reshape(-1, 8)
    assert padding < 0.3 * (shuffled.max(axis=1, keepdims=True) - shuffled).sum() / shuffled.sum()
    sampler.set_epoch(1)
    assert list(sampler) != first

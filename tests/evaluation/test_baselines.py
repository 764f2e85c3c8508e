"""Baselines on recordings whose classes are pitches."""

import numpy as np
import pytest

from exhubert.emoset import load
from exhubert.evaluation.baselines import baseline_predictions, egemaps


def test_majority_is_that_of_the_train_partition(tone_dataset):
    data = load(tone_dataset)
    train = data["train"].filter(lambda label: label != 0, input_columns="label")
    rare = [index for index, label in enumerate(train["label"]) if label == 4]
    train = train.select([*range(len(train)), *rare])
    found = baseline_predictions(train, data["test"])
    assert found["majority class"].tolist() == [4] * len(data["test"])
    loudness = found["loudness + logistic regression"]
    assert len(loudness) == len(data["test"]) and set(loudness) <= set(train["label"])


def test_egemaps_are_88_numbers_and_missing_for_a_click():
    pytest.importorskip("opensmile")
    time = np.arange(8000) / 16_000
    voice = np.sin(2 * np.pi * 200 * time).astype(np.float32)
    found = egemaps(voice)
    assert found.shape == (88,) and np.isfinite(found).all()
    assert 12 * np.log2(200 / 27.5) == pytest.approx(found[0], abs=0.5), "the first is F0 in semitones over 27.5 Hz"
    with pytest.warns(UserWarning, match="too short"):
        assert np.isnan(egemaps(voice[:400])).all()

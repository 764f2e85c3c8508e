"""Evaluation hears the windows that prediction hears."""

import numpy as np
import pytest
import torch

from exhubert.audio import encode_flac
from exhubert.emoset.batches import WINDOWS, SpeechCollator, pooled_logits
from exhubert.inference.recordings import load_pipeline, predict

from ..conftest import opened, save


def test_evaluation_leaves_out_the_silence_that_prediction_leaves_out(tmp_path):
    classifier = load_pipeline(save(opened("pre_norm"), tmp_path / "model", window_seconds=1.0))
    noise = 0.1 * np.random.default_rng(0).standard_normal(32_000).astype(np.float32)
    recordings = [np.concatenate([noise, np.full(48_000, 0.01, np.float32)]), noise, np.zeros(48_000, np.float32)]
    content = [encode_flac(samples) for samples in recordings]
    rows = [
        {"audio": {"bytes": each, "path": None}, "label": 0, "utterance_id": str(index)}
        for index, each in enumerate(content)
    ]
    batch = SpeechCollator(classifier.feature_extractor, 1.0)(rows)
    assert batch[WINDOWS].tolist() == [2, 2, 3], "an utterance needs an answer, though it is silent"
    with torch.no_grad():
        probabilities = pooled_logits(classifier.model, batch, 4).softmax(dim=-1).tolist()
    for each, found in zip(content[:2], probabilities, strict=False):
        assert found == pytest.approx(list(predict(classifier, each).scores.values()), abs=1e-5)
    kept = predict(classifier, content[2], skip_silence=False)
    assert probabilities[2] == pytest.approx(list(kept.scores.values()), abs=1e-5)

"""Predictions: steps of the timeline, arousal and valence."""

import pytest

from exhubert import SIX_CLASSES, ExHuBERTForSequenceClassification, default_feature_extractor
from exhubert.inference.prediction import Prediction, Window
from exhubert.inference.recordings import load_pipeline, predict

from ..conftest import tiny_hubert, write_tone


def test_timeline_steps_average_the_windows_over_them():
    def window(start, end, calm):
        return Window(start, end, calm is None, None if calm is None else {"calm": calm, "tense": 1 - calm})

    windows = [window(0, 2, 0.8), window(1, 3, 0.4), window(2, 4, None)]
    steps = Prediction("x", "calm", {}, None, None, 4.0, windows).timeline()
    assert [(step.start, step.end, step.silent) for step in steps] == [(0, 1, False), (1, 2, False), (2, 4, True)]
    assert steps[1].scores == pytest.approx({"calm": 0.6, "tense": 0.4}) and steps[2].label is None


def test_a_silent_recording_has_neither_class_nor_scores_but_names():
    window = Window(0.0, 1.0, True, None)
    silent = Prediction("x", None, None, None, None, 1.0, [window], silent=True, names=("calm", "tense"))
    assert silent.label is None and silent.scores is None and silent.whole.probability is None
    assert silent.whole.caption == window.caption == "silent" and [step.silent for step in silent.timeline()] == [True]
    values = silent.to_dict()
    assert values["silent"] and values["label"] is None and values["scores"] is None
    assert values["windows"] == [{"start": 0.0, "end": 1.0, "silent": True, "scores": None}]


def test_outputs_of_a_regression_model_are_no_classes():
    ends = ((2.0, 3.0), (3.0, -1.0), (4.0, 1.0))
    windows = [Window(end - 2.0, end, False, {"valence": value}, regression=True) for end, value in ends]
    found = Prediction("x", None, {"valence": 1.0}, None, None, 4.0, windows, regression=True)
    assert [(step.caption, step.label) for step in found.timeline()] == [
        ("valence 3.00", None),
        ("valence 1.00", None),
        ("valence 1.00", None),
    ]
    assert found.to_dict(timeline=False) == {
        "file": "x",
        "scores": {"valence": 1.0},
        "seconds": 4.0,
        "windows": 3,
        "silent": False,
    }


def test_six_classes_come_with_arousal_and_valence(tmp_path):
    model = ExHuBERTForSequenceClassification.from_hubert(tiny_hubert("pre_norm"), labels=list(SIX_CLASSES))
    model.save_pretrained(tmp_path / "six")
    default_feature_extractor(model.config).save_pretrained(tmp_path / "six")
    found = predict(load_pipeline(tmp_path / "six"), write_tone(tmp_path / "tone.wav"))
    scores = found.scores
    assert found.arousal["high"] == pytest.approx(sum(scores[name] for name in SIX_CLASSES if name.startswith("high")))
    assert found.valence["neutral"] == pytest.approx(scores["low_neutral"] + scores["high_neutral"])
    assert sum(found.valence.values()) == pytest.approx(1.0) == sum(found.arousal.values())

"""Figures against counts done by hand, and against scikit-learn where it means the same."""

from pathlib import Path

import evaluate
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score

from exhubert import SIX_CLASSES
from exhubert.evaluation import load_metric, metrics, ser_metrics
from exhubert.evaluation.metrics import bootstrap_uar, class_figures, uar
from exhubert.evaluation.report import figures_table, results, summarise

# Class 0: 3 of 4 right. Class 1: 1 of 2 right. Class 2 never occurs but is predicted once.
REFERENCES, PREDICTIONS = [0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 1, 2]


def test_figures_equal_those_counted_by_hand():
    found = ser_metrics(REFERENCES, PREDICTIONS, ["a", "b", "c"])
    assert found["uar"] == pytest.approx((3 / 4 + 1 / 2) / 2), "a class that never occurs doesn't count as zero"
    assert found["wa"] == pytest.approx(4 / 6)
    assert found["macro_f1"] == pytest.approx((2 * 3 / 7 + 2 * 1 / 4) / 2)
    assert found["recall_a"] == 3 / 4 and found["recall_b"] == 1 / 2 and "recall_c" not in found


def test_uar_is_balanced_accuracy():
    rng = np.random.default_rng(0)
    references, predictions = rng.integers(0, 6, 200), rng.integers(0, 6, 200)
    expected = balanced_accuracy_score(references, predictions)
    assert uar(references, predictions) == pytest.approx(expected)


def test_the_metric_loads_offline_with_evaluate_and_gives_all_figures():
    metric = evaluate.load(str(Path(metrics.__file__).with_name("ser_metric.py")))
    figures = metric.compute(references=REFERENCES, predictions=PREDICTIONS)
    assert (
        figures
        == class_figures(REFERENCES, PREDICTIONS)
        == load_metric().compute(references=REFERENCES, predictions=PREDICTIONS)
    )
    assert figures["uar"] == pytest.approx((3 / 4 + 1 / 2) / 2) and figures["wa"] == pytest.approx(4 / 6)
    assert figures["confusion_matrix"] == [[3, 1, 0], [0, 1, 1], [0, 0, 0]]


def test_arousal_and_valence_are_folded_out_of_the_six_classes():
    by_name = {name: index for index, name in enumerate(SIX_CLASSES)}
    references = [by_name["low_negative"], by_name["low_positive"], by_name["high_negative"], by_name["high_positive"]]
    predictions = [by_name["low_positive"], by_name["low_positive"], by_name["high_negative"], by_name["low_positive"]]
    found = ser_metrics(references, predictions, SIX_CLASSES)
    assert found["uar_arousal"] == pytest.approx((1 + 1 / 2) / 2)
    assert found["uar_valence"] == pytest.approx((1 / 2 + 1) / 2)


def test_bootstrap_resamples_speakers_not_utterances():
    references = np.tile([0, 1], 200)
    speakers = np.repeat(["always right", "always wrong"], 200)
    predictions = np.where(speakers == "always right", references, 1 - references)
    assert bootstrap_uar(references, predictions, speakers) == (0.0, 1.0)
    assert bootstrap_uar(references, references, speakers) == (1.0, 1.0)
    assert bootstrap_uar(2 * references + 1, 2 * predictions + 1, speakers) == (0.0, 1.0), "classes 1 and 3 alone"


def test_interval_covers_the_estimate_and_narrows_with_more_speakers():
    rng = np.random.default_rng(1)

    def interval(speakers):
        references = rng.integers(0, 3, 20 * speakers)
        predictions = np.where(rng.random(len(references)) < 0.7, references, (references + 1) % 3)
        low, high = bootstrap_uar(references, predictions, np.repeat(np.arange(speakers), 20))
        assert low < balanced_accuracy_score(references, predictions) < high
        return high - low

    assert interval(80) < 0.7 * interval(10)


def table():
    return pd.DataFrame(
        {
            "label": [0, 1, 0, 1],
            "prediction": [0, 1, 1, 1],
            "speaker": ["x/a", "x/a", "y/b", "y/b"],
            "corpus": ["x", "x", "y", "y"],
            "language": ["de", "de", "ur", "ur"],
        }
    )


def test_results_count_unseen_languages_apart():
    found = results(table(), ["n", "p"], {"always p": np.ones(4, dtype=int)}, unseen_languages=["ur"])
    assert found["overall"]["utterances"] == 2 and found["overall"]["uar"] == 1.0
    assert found["unseen_languages"]["uar"] == 0.5 and set(found["by_corpus"]) == {"x"}
    assert set(found["by_language"]) == {"de", "ur"}
    assert found["baselines"]["always p"]["uar"] == 0.5


def test_interval_is_left_out_where_too_few_speakers_carry_it():
    many = pd.concat([table().assign(speaker=f"z/{index}") for index in range(5)])
    assert summarise(many, ["n", "p"])["uar_interval"] == (0.75, 0.75)
    assert summarise(table(), ["n", "p"])["uar_interval"] is None, "two speakers say nothing about others"
    assert summarise(many.assign(speaker=None), ["n", "p"])["uar_interval"] is None
    text = figures_table({"many": summarise(many, ["n", "p"]), "two": summarise(table(), ["n", "p"])}, "on")
    assert "| many | 20 | 5 | 75.0 (75.0 to 75.0) | 75.0 |" in text and "| two | 4 | 2 | 75.0 | 75.0 |" in text

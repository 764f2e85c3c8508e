"""Calibration and abstention against figures worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from exhubert.evaluation.calibration import (
    abstention,
    area_under_risk_coverage,
    confidence_figures,
    expected_calibration_error,
    fit_temperature,
    reliability,
)


def certain(confidences, wrong=()):
    """Two classes in turn, class 0 first: probabilities of the given confidences, on the wrong class where named."""
    references = np.arange(len(confidences)) % 2
    probabilities = np.array(
        [[c, 1 - c] if label == 0 else [1 - c, c] for c, label in zip(confidences, references, strict=True)]
    )
    probabilities[list(wrong)] = probabilities[list(wrong)][:, ::-1]
    return references, probabilities


def test_calibration_error_is_the_mean_gap_of_confidence_and_accuracy_over_bins():
    table = reliability(*certain([0.55, 0.55, 0.9, 0.95, 0.85], wrong=[1, 4]), bins=5)
    assert table["count"].tolist() == [2, 3]
    assert table["confidence"].tolist() == pytest.approx([0.55, 0.9])
    assert table["accuracy"].tolist() == pytest.approx([1 / 2, 2 / 3])
    assert table[["low", "high"]].to_numpy().tolist() == pytest.approx(np.array([[0.4, 0.6], [0.8, 1.0]]))
    assert expected_calibration_error(table) == pytest.approx((2 * 0.05 + 3 * (0.9 - 2 / 3)) / 5)


def test_the_temperature_is_the_one_the_answers_were_drawn_with():
    draw = np.random.default_rng(0)
    logits = 3 * draw.standard_normal((20_000, 4))
    true = np.exp(logits / 2.5)
    labels = (draw.random((20_000, 1)) > np.cumsum(true / true.sum(axis=1, keepdims=True), axis=1)).sum(axis=1)
    told = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert fit_temperature(labels, told) == pytest.approx(2.5, rel=0.05)
    assert fit_temperature(told.argmax(axis=1), told) == pytest.approx(
        0.05, rel=0.01
    )  # always right: as sharp as allowed


def test_a_confidence_on_the_edge_belongs_to_the_bin_below():
    table = reliability([0, 0], [[0.5, 0.5], [1.0, 0.0]], bins=2)
    assert table["high"].tolist() == [0.5, 1.0] and table["count"].tolist() == [1, 1]


def test_gaps_of_opposite_sign_do_not_cancel_out():
    too_sure, too_modest = [0.95] * 2, [0.55] * 2
    table = reliability(*certain(too_sure + too_modest, wrong=[0]))
    assert expected_calibration_error(table) == pytest.approx((0.45 + 0.45) / 2)


def test_scores_are_those_of_the_definitions():
    table = pd.DataFrame([[0.2, 0.3, 0.5], [0.1, 0.8, 0.1]], columns=["p_a", "p_b", "p_c"]).assign(label=[2, 1])
    found = confidence_figures(table, ["a", "b", "c"])
    assert found["brier"] == pytest.approx(((0.04 + 0.09 + 0.25) + (0.01 + 0.04 + 0.01)) / 2)
    assert found["log_loss"] == pytest.approx(-(np.log(0.5) + np.log(0.8)) / 2)
    assert found["ece"] == pytest.approx((0.5 + 0.2) / 2) and found["aurc"] == 0.0


@pytest.mark.filterwarnings("error")
def test_probabilities_that_sum_to_one_only_in_single_precision_are_taken_as_they_are_meant():
    exponents = np.exp(np.random.default_rng(0).normal(size=(50, 3)))
    single = pd.DataFrame((exponents / exponents.sum(axis=1, keepdims=True)).astype(np.float32), columns=[*"abc"])
    table = single.add_prefix("p_").assign(label=0)
    assert confidence_figures(table, [*"abc"])["log_loss"] == pytest.approx(-np.log(single["a"]).mean(), rel=1e-6)


def test_abstention_leaves_the_least_confident_out():
    points = abstention(*certain([0.9, 0.8, 0.7, 0.6], wrong=[2, 3]), coverages=[1, 0.5, 0.25])
    assert [point["coverage"] for point in points] == [1, 0.5, 0.25]
    assert [point["threshold"] for point in points] == [0.6, 0.8, 0.9]
    assert [point["wa"] for point in points] == [0.5, 1, 1]
    assert [point["uar"] for point in points] == [0.5, 1, None], "with one class left it would be another mean"


def test_coverage_is_neither_more_nor_less_than_asked_for():
    points = abstention(*certain(np.linspace(0.6, 0.9, 100)))
    assert [point["coverage"] for point in points] == pytest.approx(np.arange(20, 0, -1) / 20)


def test_area_under_risk_coverage_is_the_mean_risk():
    risks = [0, 0, 1 / 3, 2 / 4]
    assert area_under_risk_coverage(*certain([0.9, 0.8, 0.7, 0.6], wrong=[2, 3])) == pytest.approx(np.mean(risks))
    risks = [1, 2 / 2, 2 / 3, 2 / 4]
    assert area_under_risk_coverage(*certain([0.9, 0.8, 0.7, 0.6], wrong=[0, 1])) == pytest.approx(np.mean(risks))


@pytest.mark.parametrize("wrong", [[0, 1], [2, 3], [0, 3]])
def test_the_order_of_equally_confident_utterances_does_not_matter(wrong):
    equal = certain([0.7] * 4, wrong)
    assert area_under_risk_coverage(*equal) == pytest.approx(0.5)
    point = abstention(*equal, coverages=[0.25])[0]
    assert point["coverage"] == 1.0 and point["wa"] == 0.5

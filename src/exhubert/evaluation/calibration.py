"""Calibration of a classifier's probabilities, and its accuracy when it abstains from uncertain answers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.metrics import brier_score_loss, log_loss

from .metrics import uar

BINS = 15
COVERAGES = np.arange(20, 0, -1) / 20


def confidence_figures(table: pd.DataFrame, names: Sequence[str]) -> dict[str, Any]:
    """All calibration and abstention figures for one table of predictions.

    Args:
        table: From `predict_rows`, with `label` and `p_<class>`.
        names: Class names in logit order.

    Returns:
        `ece` (0 to 1), `brier` (0 to 2, summed over the classes), `log_loss` (in nats), `aurc`, and the rows
        of `reliability` and `abstention`.
    """
    probabilities = table[[f"p_{name}" for name in names]].to_numpy(dtype=float)
    probabilities = probabilities / probabilities.sum(axis=1, keepdims=True)  # single precision before
    truth, classes = table["label"].to_numpy(), range(len(names))
    bins = reliability(truth, probabilities)
    return {
        "ece": expected_calibration_error(bins),
        "brier": float(brier_score_loss(truth, probabilities, labels=classes, scale_by_half=False)),
        "log_loss": float(log_loss(truth, probabilities, labels=classes)),
        "aurc": area_under_risk_coverage(truth, probabilities),
        "reliability": bins.to_dict("records"),
        "abstention": abstention(truth, probabilities),
    }


def fit_temperature(references: ArrayLike, probabilities: ArrayLike) -> float:
    """The temperature that minimises the negative log-likelihood of held-out utterances.

    Dividing logits by it changes no predicted class. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017,
    https://arxiv.org/abs/1706.04599, section 4.2.

    Args:
        references: True class indices, `(utterances,)`, of utterances not used in training.
        probabilities: Probabilities at temperature 1, `(utterances, classes)`.

    Returns:
        A value above 1 for an overconfident model. It is limited to 0.05 to 20: for a model that is always right it
        would be 0, and for one that predicts at random infinite.
    """
    truth, values = np.asarray(references), np.asarray(probabilities, dtype=float)
    logits = np.log(np.maximum(values, np.finfo(np.float32).tiny))

    def loss(log_temperature: float) -> float:
        return -float(log_softmax(logits / np.exp(log_temperature), axis=1)[np.arange(len(truth)), truth].mean())

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded").x))


def reliability(references: ArrayLike, probabilities: ArrayLike, bins: int = BINS) -> pd.DataFrame:
    """Accuracy of utterances of similar confidence, as in reliability diagrams.

    Args:
        references: True class indices, `(utterances,)`.
        probabilities: `(utterances, classes)`. The largest value of each row is the confidence.
        bins: Number of bins of equal width from 0 to 1.

    Returns:
        One row per non-empty bin: `low` (excluded), `high` (included), mean `confidence`, `accuracy` and `count`.
    """
    confidence, correct = _confidence(references, probabilities)
    edges = np.linspace(0, 1, bins + 1)
    index = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    rows = pd.DataFrame({"place": index, "confidence": confidence, "right": correct}).groupby("place")
    table = rows.agg(confidence=("confidence", "mean"), accuracy=("right", "mean"), count=("right", "size"))
    bounds = pd.DataFrame({"low": edges[table.index], "high": edges[table.index + 1]}, index=table.index)
    return pd.concat([bounds, table], axis=1).reset_index(drop=True)


def expected_calibration_error(table: pd.DataFrame) -> float:
    """Mean distance between confidence and accuracy over the bins of `reliability`, weighted by count, from 0 to 1.

    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, https://arxiv.org/abs/1706.04599, equation 3.
    It is biased upwards for few utterances: bins are noisy, and distances don't cancel out.
    """
    return float(np.average(np.abs(table["confidence"] - table["accuracy"]), weights=table["count"]))


def abstention(
    references: ArrayLike, probabilities: ArrayLike, coverages: Sequence[float] | NDArray[np.float64] = COVERAGES
) -> list[dict[str, Any]]:
    """UAR and WA when the model abstains from its least confident answers.

    Args:
        references: True class indices, `(utterances,)`.
        probabilities: `(utterances, classes)`.
        coverages: Minimum shares of the utterances to answer, above 0 and up to 1.

    Returns:
        For each coverage the `threshold` of confidence that reaches it, the actual `coverage` at that threshold (larger
        than requested if many utterances are equally confident), `wa`, and `uar`, which is None once a class has no
        utterances left, because it would be a mean over fewer classes.
    """
    confidence, correct = _confidence(references, probabilities)
    truth, predicted = np.asarray(references), np.asarray(probabilities).argmax(axis=1)
    present, sorted_down = np.unique(truth), np.sort(confidence)[::-1]
    points = []
    for share in coverages:
        # 0.55 * 100 is 55.00000000000001, which must give 55
        threshold = sorted_down[max(int(np.ceil(share * len(truth) - 1e-9)), 1) - 1]
        answered = confidence >= threshold
        complete = len(np.unique(truth[answered])) == len(present)
        points.append(
            {
                "coverage": float(answered.mean()),
                "threshold": float(threshold),
                "wa": float(correct[answered].mean()),
                "uar": uar(truth[answered], predicted[answered]) if complete else None,
            }
        )
    return points


def area_under_risk_coverage(references: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean error rate of the given answers over all coverages, from 0 to 1, lower is better.

    If confidence is unrelated to correctness, it is the error rate at full coverage. Equally confident utterances count
    as if in random order. Geifman and El-Yaniv, "Selective Classification for Deep Neural Networks",
    NeurIPS 2017, https://arxiv.org/abs/1705.08500; the area as in https://arxiv.org/abs/1805.08206.
    """
    confidence, correct = _confidence(references, probabilities)
    rows = pd.DataFrame({"confidence": confidence, "wrong": ~correct})
    expected = rows.groupby("confidence")["wrong"].transform("mean")
    risks = expected[np.argsort(-confidence, kind="stable")].cumsum().to_numpy() / np.arange(1, len(rows) + 1)
    return float(risks.mean())


def _confidence(references: ArrayLike, probabilities: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The largest probability of each utterance, and whether its class is correct."""
    values = np.asarray(probabilities, dtype=float)
    return values.max(axis=1), values.argmax(axis=1) == np.asarray(references)

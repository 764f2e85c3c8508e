"""How far a model's probabilities can be trusted: calibration, and what is gained by leaving doubtful answers out."""

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
    """All figures of this module for one table of predictions.

    Args:
        table: From `predict_rows`, with `label` and `p_<class>`.
        names: Class names in logit order.

    Returns:
        `ece` (0 to 1), `brier` (0 to 2, summed over the classes), `log_loss` (in nats), `aurc`, the rows of
        `reliability` and those of `abstention`.
    """
    probabilities = table[[f"p_{name}" for name in names]].to_numpy(dtype=float)
    probabilities = probabilities / probabilities.sum(axis=1, keepdims=True)  # they were single precision
    truth, classes = table["label"].to_numpy(), range(len(names))
    reliable = reliability(truth, probabilities)
    return {
        "ece": expected_calibration_error(reliable),
        "brier": float(brier_score_loss(truth, probabilities, labels=classes, scale_by_half=False)),
        "log_loss": float(log_loss(truth, probabilities, labels=classes)),
        "aurc": area_under_risk_coverage(truth, probabilities),
        "reliability": reliable.to_dict("records"),
        "abstention": abstention(truth, probabilities),
    }


def fit_temperature(references: ArrayLike, probabilities: ArrayLike) -> float:
    """The temperature that makes the probabilities of held-out utterances fit best (least negative log-likelihood).

    Dividing logits by it changes no answer. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017,
    https://arxiv.org/abs/1706.04599, section 4.2.

    Args:
        references: True class indices, `(utterances,)`, of utterances that were not trained on.
        probabilities: At temperature 1, `(utterances, classes)`.

    Returns:
        Above 1 for a model that is too sure of itself. Kept from 0.05 to 20, where a model that is always right, or
        one that knows nothing, would send it.
    """
    truth, values = np.asarray(references), np.asarray(probabilities, dtype=float)
    logits = np.log(np.maximum(values, np.finfo(np.float32).tiny))

    def loss(log_temperature: float) -> float:
        return -float(log_softmax(logits / np.exp(log_temperature), axis=1)[np.arange(len(truth)), truth].mean())

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded").x))


def reliability(references: ArrayLike, probabilities: ArrayLike, bins: int = BINS) -> pd.DataFrame:
    """Accuracy among utterances of like confidence, as in reliability diagrams.

    Args:
        references: True class indices, `(utterances,)`.
        probabilities: `(utterances, classes)`. The largest of each row is the confidence.
        bins: Number of bins of equal width from 0 to 1.

    Returns:
        One row for each bin that holds utterances: `low` (excluded), `high` (included), mean `confidence`, `accuracy`
        and `count`.
    """
    confidence, right = _confidence(references, probabilities)
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    rows = pd.DataFrame({"place": place, "confidence": confidence, "right": right}).groupby("place")
    table = rows.agg(confidence=("confidence", "mean"), accuracy=("right", "mean"), count=("right", "size"))
    bounds = pd.DataFrame({"low": edges[table.index], "high": edges[table.index + 1]}, index=table.index)
    return pd.concat([bounds, table], axis=1).reset_index(drop=True)


def expected_calibration_error(table: pd.DataFrame) -> float:
    """Mean distance of confidence and accuracy over the bins of `reliability`, weighed by count, from 0 to 1.

    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, https://arxiv.org/abs/1706.04599, equation 3.
    Few utterances make it too large: bins are noisy, and distances don't cancel out.
    """
    return float(np.average(np.abs(table["confidence"] - table["accuracy"]), weights=table["count"]))


def abstention(
    references: ArrayLike, probabilities: ArrayLike, coverages: Sequence[float] | NDArray[np.float64] = COVERAGES
) -> list[dict[str, Any]]:
    """UAR and WA when the least confident answers are left out.

    Args:
        references: True class indices, `(utterances,)`.
        probabilities: `(utterances, classes)`.
        coverages: Shares of the utterances that must be answered at least, above 0 and up to 1.

    Returns:
        For each coverage the `threshold` of confidence that reaches it, the `coverage` that threshold gives (more than
        was asked for where many are equally confident), `wa`, and `uar`, which is None once a class has nothing left:
        it would be a mean over fewer classes.
    """
    confidence, right = _confidence(references, probabilities)
    truth, guess = np.asarray(references), np.asarray(probabilities).argmax(axis=1)
    present, sorted_down = np.unique(truth), np.sort(confidence)[::-1]
    points = []
    for share in coverages:
        # 0.55 * 100 is 55.00000000000001, and that many are 55
        threshold = sorted_down[max(int(np.ceil(share * len(truth) - 1e-9)), 1) - 1]
        kept = confidence >= threshold
        whole = len(np.unique(truth[kept])) == len(present)
        points.append(
            {
                "coverage": float(kept.mean()),
                "threshold": float(threshold),
                "wa": float(right[kept].mean()),
                "uar": uar(truth[kept], guess[kept]) if whole else None,
            }
        )
    return points


def area_under_risk_coverage(references: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean over all coverages of the share of wrong answers among those given, from 0 to 1, lower is better.

    Confidence that says nothing about being right gives the share of wrong answers at full coverage. Equally confident
    utterances count as if in random order. Geifman and El-Yaniv, "Selective Classification for Deep Neural Networks",
    NeurIPS 2017, https://arxiv.org/abs/1705.08500; the area as in https://arxiv.org/abs/1805.08206.
    """
    confidence, right = _confidence(references, probabilities)
    rows = pd.DataFrame({"confidence": confidence, "wrong": ~right})
    expected = rows.groupby("confidence")["wrong"].transform("mean")
    risks = expected[np.argsort(-confidence, kind="stable")].cumsum().to_numpy() / np.arange(1, len(rows) + 1)
    return float(risks.mean())


def _confidence(references: ArrayLike, probabilities: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The largest probability of each utterance, and whether its class is the true one."""
    values = np.asarray(probabilities, dtype=float)
    return values.max(axis=1), values.argmax(axis=1) == np.asarray(references)

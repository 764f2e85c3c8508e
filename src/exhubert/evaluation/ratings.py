"""Compares class probabilities with listeners' ratings: expected arousal and valence, and their concordance."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ..labels import SIX_CLASSES, arousal_valence

_AROUSAL = {"low": 0.0, "high": 1.0}
_VALENCE = {"negative": -1.0, "neutral": 0.0, "positive": 1.0}
_RANGES = {"arousal": (0.0, 1.0), "valence": (-1.0, 1.0)}


def concordance(x: ArrayLike, y: ArrayLike) -> float:
    """Concordance correlation coefficient of two series `(utterances,)`: 1 if equal, 0 if unrelated.

    Unlike a correlation, it falls with a difference in mean or spread. Lin, "A Concordance Correlation Coefficient to
    Evaluate Reproducibility", Biometrics 45 (1989), https://doi.org/10.2307/2532051. Moments divide by the number of
    utterances. NaN if both series are the same constant.

    >>> round(concordance([1, 2, 3], [2, 3, 4]), 4)  # perfectly correlated, but one too high
    0.5714
    """
    first, second = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    covariance = np.mean((first - first.mean()) * (second - second.mean()))
    spread = first.var() + second.var() + (first.mean() - second.mean()) ** 2
    return float(2 * covariance / spread) if spread else math.nan


def expected_dimensions(
    probabilities: ArrayLike, names: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Expected arousal, 0 to 1, and valence, -1 to 1, `(utterances,)` each, under the class probabilities.

    Args:
        probabilities: `(utterances, classes)`.
        names: Class names `<arousal>_<valence>` in the order of the columns.

    >>> arousal, valence = expected_dimensions([[0.25, 0.75]], ["low_negative", "high_positive"])
    >>> float(arousal[0]), float(valence[0])
    (0.75, 0.5)

    Raises:
        ValueError: A class is not one of the six of EmoSet++.
    """
    if unknown := sorted(set(names) - set(SIX_CLASSES)):
        raise ValueError(f"The class {unknown[0]!r} has no arousal and valence; expected {', '.join(SIX_CLASSES)}.")
    pairs = [arousal_valence(name) for name in names]
    values = np.asarray(probabilities, dtype=float)
    return values @ [_AROUSAL[low_high] for low_high, _ in pairs], values @ [_VALENCE[sign] for _, sign in pairs]


def rating_figures(table: pd.DataFrame, names: Sequence[str]) -> dict[str, Any] | None:
    """Concordance of expected arousal and valence with listeners' ratings.

    Args:
        table: From `predict_rows`, with `arousal_rating` (0 to 1), `valence_rating` (-1 to 1), both or neither.
            Utterances without a rating are left out.
        names: Class names in logit order.

    Returns:
        For each rated dimension `ccc` (None if undefined) and `utterances`; None if no utterance is rated, or for
        classes that have no arousal and valence.

    Raises:
        ValueError: A rating is out of range.
    """
    columns = {dimension: f"{dimension}_rating" for dimension in _RANGES}
    rated = [dimension for dimension, column in columns.items() if column in table and table[column].notna().any()]
    if not rated or not set(names) <= set(SIX_CLASSES):
        return None
    dimensions = expected_dimensions(table[[f"p_{name}" for name in names]], names)
    expected, figures = dict(zip(_RANGES, dimensions, strict=True)), {}
    for dimension in rated:
        known = table[columns[dimension]].notna().to_numpy()
        ratings = table.loc[known, columns[dimension]].to_numpy(dtype=float)
        low, high = _RANGES[dimension]
        if ratings.min() < low or ratings.max() > high:
            raise ValueError(
                f"{columns[dimension]} goes from {ratings.min():g} to {ratings.max():g}, expected {low:g} to {high:g}; "
                "map the scale of the ratings to that first, since concordance compares values, not ranks."
            )
        ccc = concordance(ratings, expected[dimension][known])
        figures[dimension] = {"ccc": None if math.isnan(ccc) else ccc, "utterances": int(known.sum())}
    return figures

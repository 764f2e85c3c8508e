"""Concordance with ratings, against values worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from exhubert import SIX_CLASSES
from exhubert.evaluation.ratings import concordance, expected_dimensions, rating_figures


def test_concordance_punishes_shift_and_scale_which_correlation_does_not():
    x = [1.0, 2.0, 3.0]
    assert concordance(x, x) == 1.0
    assert concordance(x, [3.0, 2.0, 1.0]) == -1.0
    assert concordance(x, [2.0, 3.0, 4.0]) == pytest.approx(2 * (2 / 3) / (2 / 3 + 2 / 3 + 1))
    assert concordance(x, [2.0, 4.0, 6.0]) == pytest.approx(2 * (4 / 3) / (2 / 3 + 8 / 3 + 4))


def test_expected_dimensions_run_from_low_to_high_and_from_negative_to_positive():
    arousal, valence = expected_dimensions(np.eye(6), SIX_CLASSES)
    assert arousal.tolist() == [0, 0, 0, 1, 1, 1] and valence.tolist() == [-1, 0, 1, -1, 0, 1]
    arousal, valence = expected_dimensions([[0.1, 0.2, 0.1, 0.3, 0.1, 0.2]], SIX_CLASSES)
    assert arousal[0] == pytest.approx(0.6) and valence[0] == pytest.approx(0.3 - 0.4)
    with pytest.raises(ValueError, match="'calm' has no arousal and valence"):
        expected_dimensions([[1.0]], ["calm"])


def predictions(**columns):
    return pd.DataFrame(np.eye(6), columns=[f"p_{name}" for name in SIX_CLASSES]).assign(**columns)


def test_only_rated_utterances_and_dimensions_are_reported():
    found = rating_figures(predictions(arousal_rating=[0, 0, None, 1, 1, None]), list(SIX_CLASSES))
    assert found == {"arousal": {"ccc": 1.0, "utterances": 4}}
    assert rating_figures(predictions(), list(SIX_CLASSES)) is None
    assert rating_figures(predictions(valence_rating=[np.nan] * 6), list(SIX_CLASSES)) is None


def test_ratings_on_another_scale_are_refused():
    with pytest.raises(ValueError, match="valence_rating goes from 1 to 5, expected -1 to 1"):
        rating_figures(predictions(valence_rating=[1, 2, 3, 4, 5, 5]), list(SIX_CLASSES))

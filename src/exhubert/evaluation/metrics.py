"""Metrics of speech emotion recognition: unweighted average recall (UAR), accuracy, macro-F1 and intervals."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, recall_score

from ..labels import SIX_CLASSES, arousal_valence

if TYPE_CHECKING:
    import evaluate

FEWEST_SPEAKERS = 5


def load_metric() -> "evaluate.EvaluationModule":
    """Loads the metrics as one module of the library `evaluate`, from this folder and without network access.

    >>> results = load_metric().compute(references=[0, 0, 0, 1], predictions=[0, 0, 0, 2])
    >>> results["uar"], results["wa"]
    (0.5, 0.75)
    """
    import evaluate

    return evaluate.load(str(Path(__file__).with_name("ser_metric.py")))


def uar(references: ArrayLike, predictions: ArrayLike) -> float:
    """Unweighted average recall, from 0 to 1: mean recall of the classes that occur in the references.

    >>> uar([0, 0, 0, 1], [0, 0, 0, 2])
    0.5
    """
    present = np.unique(references)
    return float(recall_score(references, predictions, labels=present, average="macro", zero_division=0))


def class_figures(references: ArrayLike, predictions: ArrayLike, num_classes: int | None = None) -> dict[str, Any]:
    """UAR, WA (accuracy), macro-F1, and the confusion matrix with references in rows.

    Args:
        references: True class indices.
        predictions: Predicted class indices.
        num_classes: Number of rows and columns of the matrix. Defaults to the number of classes that occur.
    """
    present = np.unique(references)
    classes = range(num_classes) if num_classes else np.union1d(references, predictions)
    return {
        "uar": uar(references, predictions),
        "wa": float(accuracy_score(references, predictions)),
        "macro_f1": float(f1_score(references, predictions, labels=present, average="macro", zero_division=0)),
        "confusion_matrix": confusion_matrix(references, predictions, labels=list(classes)).tolist(),
    }


def ser_metrics(references: ArrayLike, predictions: ArrayLike, names: Sequence[str]) -> dict[str, float]:
    """UAR, WA, macro-F1 and the recall of each class, all from 0 to 1.

    Averages run over the classes that occur in the references, so classes that a corpus lacks don't count. If the
    classes are the six of EmoSet++, `uar_arousal` (2 classes) and `uar_valence` (3 classes) are included.

    Args:
        references: True class indices.
        predictions: Predicted class indices.
        names: Class names in logit order.
    """
    truth, predicted = np.asarray(references), np.asarray(predictions)
    result = class_figures(truth, predicted, len(names))
    counts = np.array(result.pop("confusion_matrix"))
    for index, name in enumerate(names):
        if total := counts[index].sum():
            result[f"recall_{name}"] = float(counts[index, index] / total)
    if set(names) <= set(SIX_CLASSES):
        for position, dimension in enumerate(("arousal", "valence")):
            values = [arousal_valence(name)[position] for name in names]
            codes = np.array([sorted(set(values)).index(value) for value in values])
            result[f"uar_{dimension}"] = uar(codes[truth], codes[predicted])
    return result


def enough_speakers(speakers: pd.Series) -> bool:
    """Whether an interval over these speakers is meaningful: all are named, and there are at least five."""
    return bool(speakers.notna().all()) and speakers.nunique() >= FEWEST_SPEAKERS


def speaker_counts(
    references: ArrayLike, predictions: ArrayLike, speakers: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Correct predictions and utterances per speaker and occurring class: two arrays `(speakers, classes)`."""
    predicted = np.asarray(predictions)
    _, speaker = np.unique(np.asarray(speakers, dtype=str), return_inverse=True)
    present, truth = np.unique(np.asarray(references), return_inverse=True)
    hits, totals = np.zeros((2, speaker.max() + 1, len(present)))
    np.add.at(totals, (speaker, truth), 1)
    np.add.at(hits, (speaker, truth), predicted == present[truth])
    return hits, totals


def resampled_uars(
    hits: NDArray[np.float64], totals: NDArray[np.float64], draws: int = 2000, seed: int = 0
) -> NDArray[np.float64]:
    """UARs `(draws,)` of resampled speakers. The same seed draws the same speakers for any predictions.

    Args:
        hits: Correct predictions, from `speaker_counts`.
        totals: Utterances, from `speaker_counts`.
        draws: Number of resamples.
        seed: Seed of the resampling.

    Returns:
        One UAR per draw. The mean skips classes that none of the drawn speakers has.
    """
    size = len(totals)
    drawn = np.random.default_rng(seed).multinomial(size, np.full(size, 1 / size), size=draws)
    with np.errstate(invalid="ignore"):
        return np.nanmean((drawn @ hits) / (drawn @ totals), axis=1)


def percentile_interval(values: NDArray[np.float64], level: float = 0.95) -> tuple[float, float]:
    """Bounds of the central `level` of resampled values, such as the central 95 %."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def bootstrap_uar(
    references: ArrayLike,
    predictions: ArrayLike,
    speakers: ArrayLike,
    *,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Confidence interval of the UAR, over resampled speakers: utterances of one speaker are not independent.

    Args:
        references: True class indices.
        predictions: Predicted class indices.
        speakers: Speaker of each utterance.
        draws: Number of resamples.
        level: Coverage.
        seed: Seed of the resampling.

    Returns:
        Lower and upper bound (percentile bootstrap).
    """
    counts = speaker_counts(references, predictions, speakers)
    return percentile_interval(resampled_uars(*counts, draws, seed), level)

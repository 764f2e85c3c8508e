"""The figures of speech emotion recognition, UAR first."""

import importlib
from collections.abc import Sequence
from typing import Any

import evaluate
import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import confusion_matrix

from ..labels import arousal_valence

_MODULES = {"uar": "UAR", "wa": "WA", "macro_f1": "MacroF1", "confusion_matrix": "ConfusionMatrix"}


def load_metric(name: str) -> evaluate.Metric:
    """One of the package's `evaluate` metrics: `uar`, `wa`, `macro_f1`, `confusion_matrix`.

    >>> load_metric("uar").compute(references=[0, 0, 0, 1], predictions=[0, 0, 0, 2])
    {'uar': 0.5}

    Raises:
        KeyError: There is no such metric.
    """
    module = importlib.import_module(f".modules.{name}.{name}", __package__) if name in _MODULES else None
    if module is None:
        raise KeyError(f"No metric {name!r}; there are {', '.join(_MODULES)}.")
    return getattr(module, _MODULES[name])()


def ser_metrics(references: ArrayLike, predictions: ArrayLike, names: Sequence[str]) -> dict[str, float]:
    """UAR, WA, macro-F1 and the recall of each class, all from 0 to 1.

    Averages run over the classes that occur in the references: a class that a corpus doesn't have is neither won nor
    lost. Where the classes are the six of EmoSet++, `uar_arousal` (2 classes) and `uar_valence` (3) are given too.

    Args:
        references: True class indices.
        predictions: Predicted class indices.
        names: Class names in logit order.
    """
    truth, guess = np.asarray(references), np.asarray(predictions)
    result: dict[str, Any] = {}
    for name in ("uar", "wa", "macro_f1"):
        result |= load_metric(name).compute(references=truth, predictions=guess)
    counts = confusion_matrix(truth, guess, labels=range(len(names)))
    for index, name in enumerate(names):
        if total := counts[index].sum():
            result[f"recall_{name}"] = float(counts[index, index] / total)
    if all(name.count("_") == 1 and name.startswith(("low_", "high_")) for name in names):
        for part, what in enumerate(("arousal", "valence")):
            folded = [arousal_valence(name)[part] for name in names]
            codes = np.array([sorted(set(folded)).index(value) for value in folded])
            uar = load_metric("uar").compute(references=codes[truth], predictions=codes[guess])
            result[f"uar_{what}"] = uar["uar"]
    return result


def bootstrap_uar(
    references: ArrayLike,
    predictions: ArrayLike,
    speakers: ArrayLike,
    *,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Confidence interval of the UAR, resampling whole speakers, since utterances of one speaker are not independent.

    Args:
        references: True class indices.
        predictions: Predicted class indices.
        speakers: Speaker of each utterance.
        draws: Number of resamples.
        level: Coverage.
        seed: Of the resampling.

    Returns:
        Lower and upper bound (percentile bootstrap). A class no drawn speaker has is left out of that draw's mean.
    """
    truth, guess = np.asarray(references), np.asarray(predictions)
    _, speaker = np.unique(np.asarray(speakers, dtype=str), return_inverse=True)
    size, classes = speaker.max() + 1, truth.max() + 1
    hits, totals = np.zeros((size, classes)), np.zeros((size, classes))
    np.add.at(totals, (speaker, truth), 1)
    np.add.at(hits, (speaker, truth), guess == truth)
    drawn = np.random.default_rng(seed).multinomial(size, np.full(size, 1 / size), size=draws)
    with np.errstate(invalid="ignore"):
        uar = np.nanmean((drawn @ hits) / (drawn @ totals), axis=1)
    low, high = np.quantile(uar, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)

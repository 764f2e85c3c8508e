"""Baseline classifiers on a few acoustic features, which any network should outperform."""

import importlib.util
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import datasets
import numpy as np
from scipy.signal import stft
from sklearn.dummy import DummyClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm.auto import tqdm
from transformers.audio_utils import mel_filter_bank

from ..audio import SAMPLING_RATE
from ..emoset.dataset import decode

_BANDS = 48


def loudness(samples: np.ndarray) -> np.ndarray:
    """Level of `(samples,)` in dB relative to full scale, `(1,)`."""
    return np.array([10 * np.log10(np.mean(samples**2) + 1e-10)])


def log_mel_statistics(samples: np.ndarray) -> np.ndarray:
    """Mean and standard deviation over time of 48 log-mel bands of `(samples,)` at 16 kHz, level removed: `(96,)`."""
    samples = (samples - samples.mean()) / (samples.std() + 1e-7)
    _, _, spectrum = stft(samples, SAMPLING_RATE, nperseg=400, noverlap=240, nfft=512, padded=True)
    energies = np.log(_mel_filters() @ np.abs(spectrum) ** 2 + 1e-6)
    return np.concatenate([energies.mean(axis=1), energies.std(axis=1)])


def egemaps(samples: np.ndarray) -> np.ndarray:
    """The 88 eGeMAPS v02 functionals of `(samples,)` at 16 kHz, NaN if they are too short (under 0.1 s).

    Eyben et al., "The Geneva Minimalistic Acoustic Parameter Set (GeMAPS) for Voice Research and Affective Computing",
    IEEE Transactions on Affective Computing 7 (2016), https://doi.org/10.1109/TAFFC.2015.2457417.

    Raises:
        ModuleNotFoundError: The package `opensmile` isn't installed; it comes with `pip install exhubert[egemaps]`.
    """
    return _smile()(samples, SAMPLING_RATE)[0, :, 0]


def baselines() -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Feature function of each baseline, `(samples,)` to `(features,)`, by name; eGeMAPS only with `opensmile`."""
    functions: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "loudness + logistic regression": loudness,
        "log-mel statistics + logistic regression": log_mel_statistics,
    }
    if importlib.util.find_spec("opensmile"):
        functions["eGeMAPS functionals + logistic regression"] = egemaps
    return functions


def baseline_predictions(train: datasets.Dataset, test: Sequence[dict] | datasets.Dataset) -> dict[str, np.ndarray]:
    """Trains each baseline on `train` and predicts class indices `(utterances,)` for `test`, by name of the baseline.

    `majority class` always predicts the most frequent class of `train`. The others weight all classes equally and use
    whole utterances, never crops.
    """
    labels = np.asarray(train["label"])
    majority = DummyClassifier(strategy="most_frequent").fit(np.zeros((len(labels), 1)), labels)
    result = {"majority class": majority.predict(np.zeros((len(test), 1)))}
    features = baselines()
    train_features, test_features = (_features(rows, features) for rows in (train, test))
    for name in features:
        classifier = make_pipeline(
            SimpleImputer(keep_empty_features=True),
            StandardScaler(),
            LogisticRegression(max_iter=2000, C=0.1, class_weight="balanced"),
        )
        result[name] = classifier.fit(train_features[name], labels).predict(test_features[name])
    return result


def _features(
    rows: Sequence[dict] | datasets.Dataset, features: dict[str, Callable[[np.ndarray], np.ndarray]]
) -> dict[str, np.ndarray]:
    """Features of each baseline, `(utterances, features)`. Only one recording at a time is held in memory."""
    values: dict[str, list[np.ndarray]] = {name: [] for name in features}
    for row in tqdm(rows, desc="baselines", unit="utterance"):
        samples = decode(row["audio"])
        for name, function in features.items():
            values[name].append(function(samples))
    return {name: np.stack(vectors) for name, vectors in values.items()}


@cache
def _smile() -> Any:
    import opensmile  # an optional dependency, licensed for research only

    return opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)


@cache
def _mel_filters() -> np.ndarray:
    """Triangular mel filters `(48, 257)` from 60 Hz to 8 kHz, over the bins of a 512-point FFT."""
    return mel_filter_bank(257, _BANDS, 60.0, SAMPLING_RATE / 2, SAMPLING_RATE, mel_scale="htk").T

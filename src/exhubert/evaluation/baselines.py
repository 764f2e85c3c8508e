"""What a few numbers about a recording already tell: the floor any network has to rise above."""

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
    """The 88 eGeMAPS v02 functionals of `(samples,)` at 16 kHz, NaN where it is too short for them (under 0.1 s).

    Eyben et al., "The Geneva Minimalistic Acoustic Parameter Set (GeMAPS) for Voice Research and Affective Computing",
    IEEE Transactions on Affective Computing 7 (2016), https://doi.org/10.1109/TAFFC.2015.2457417.

    Raises:
        ModuleNotFoundError: The package `opensmile` isn't installed; it comes with `pip install exhubert[egemaps]`.
    """
    return _smile()(samples, SAMPLING_RATE)[0, :, 0]


def baselines() -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """The features of each baseline, `(samples,)` to `(numbers,)`, by its name; eGeMAPS only with `opensmile`."""
    found: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "loudness + logistic regression": loudness,
        "log-mel statistics + logistic regression": log_mel_statistics,
    }
    if importlib.util.find_spec("opensmile"):
        found["eGeMAPS functionals + logistic regression"] = egemaps
    return found


def baseline_predictions(train: datasets.Dataset, test: Sequence[dict] | datasets.Dataset) -> dict[str, np.ndarray]:
    """Class indices each baseline gives `test` after training on `train`: name to `(utterances,)`.

    `majority class` answers with the most frequent class of `train`. The others weigh the classes alike and hear whole
    utterances, never crops.
    """
    labels = np.asarray(train["label"])
    majority = DummyClassifier(strategy="most_frequent").fit(np.zeros((len(labels), 1)), labels)
    result = {"majority class": majority.predict(np.zeros((len(test), 1)))}
    features = baselines()
    known, unknown = (_features(rows, features) for rows in (train, test))
    for name in features:
        classifier = make_pipeline(
            SimpleImputer(keep_empty_features=True),
            StandardScaler(),
            LogisticRegression(max_iter=2000, C=0.1, class_weight="balanced"),
        )
        result[name] = classifier.fit(known[name], labels).predict(unknown[name])
    return result


def _features(
    rows: Sequence[dict] | datasets.Dataset, features: dict[str, Callable[[np.ndarray], np.ndarray]]
) -> dict[str, np.ndarray]:
    """Every baseline's features `(utterances, numbers)`; one recording at a time is in memory."""
    found: dict[str, list[np.ndarray]] = {name: [] for name in features}
    for row in tqdm(rows, desc="baselines", unit="utterance"):
        samples = decode(row["audio"])
        for name, function in features.items():
            found[name].append(function(samples))
    return {name: np.stack(values) for name, values in found.items()}


@cache
def _smile() -> Any:
    import opensmile  # an extra, whose licence is for research only

    return opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)


@cache
def _mel_filters() -> np.ndarray:
    """Triangular filters `(48, 257)` over the bins of a 512-point transform, 60 Hz to 8 kHz, mel-spaced."""
    return mel_filter_bank(257, _BANDS, 60.0, SAMPLING_RATE / 2, SAMPLING_RATE, mel_scale="htk").T

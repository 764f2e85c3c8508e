"""What a few numbers about a recording already tell: the floor any network has to rise above."""

from collections.abc import Callable, Sequence

import datasets
import numpy as np
from scipy.signal import stft
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm.auto import tqdm

from ..audio import SAMPLING_RATE
from ..training.collator import decode

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


BASELINES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "loudness + logistic regression": loudness,
    "log-mel statistics + logistic regression": log_mel_statistics,
}


def baseline_predictions(train: datasets.Dataset, test: Sequence[dict] | datasets.Dataset) -> dict[str, np.ndarray]:
    """Class indices each baseline gives `test` after training on `train`, classes balanced: name to `(utterances,)`."""
    result = {}
    decoded = [[decode(row["audio"]) for row in tqdm(rows, desc="baselines")] for rows in (train, test)]
    for name, features in BASELINES.items():
        known, unknown = (np.stack([features(samples) for samples in clips]) for clips in decoded)
        classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000, C=0.1, class_weight="balanced"))
        result[name] = classifier.fit(known, train["label"]).predict(unknown)
    return result


def _mel_filters() -> np.ndarray:
    """Triangular filters `(48, 257)` over the bins of a 512-point transform, 60 Hz to 8 kHz, mel-spaced."""
    low, high = (2595 * np.log10(1 + f / 700) for f in (60.0, SAMPLING_RATE / 2))
    mel = np.linspace(low, high, _BANDS + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    bins = np.fft.rfftfreq(512, 1 / SAMPLING_RATE)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return np.clip(np.minimum(rising, falling), 0, None)

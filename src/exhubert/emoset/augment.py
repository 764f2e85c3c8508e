"""Augmentations of training clips that preserve the emotion: speed, noise, gain."""

from collections.abc import Callable, Sequence

import numpy as np
import soxr

from ..audio import SAMPLING_RATE

_SPEEDS = (0.9, 1.1)
_SNR_DB = (10.0, 40.0)
_GAIN_DB = (-12.0, 12.0)


def _speed(samples: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Changes speed and pitch together, like a tape played at 0.9 to 1.1 times its speed."""
    factor = draw.uniform(*_SPEEDS)
    return soxr.resample(samples, SAMPLING_RATE * factor, SAMPLING_RATE, quality="HQ")


def _noise(samples: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Adds white noise 10 to 40 dB below the speech."""
    level = np.sqrt(np.mean(samples**2)) * 10 ** (-draw.uniform(*_SNR_DB) / 20)
    return samples + level * draw.standard_normal(len(samples), dtype=np.float32)


def _gain(samples: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Changes the level by up to 12 dB and clips like a converter. Extractors that normalise undo the rest."""
    return np.clip(samples * 10 ** (draw.uniform(*_GAIN_DB) / 20), -1.0, 1.0)


AUGMENTATIONS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "speed": _speed,
    "noise": _noise,
    "gain": _gain,
}


def augment(samples: np.ndarray, names: Sequence[str], probability: float, draw: np.random.Generator) -> np.ndarray:
    """Applies each of the named augmentations with a probability.

    Args:
        samples: `(samples,)` at 16 kHz.
        names: Keys of `AUGMENTATIONS`; applied in the order of that table.
        probability: Probability of each one, 0 to 1.
        draw: Random number generator.

    Returns:
        `(samples,)`, float32; of another length if the speed changed.
    """
    for name, change in AUGMENTATIONS.items():
        if name in names and draw.random() < probability:
            samples = change(samples, draw)
    return samples.astype(np.float32)

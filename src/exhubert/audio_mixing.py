"""Mixes channels without cancelling the sound: which channel to hear where the mean of all would."""

import numpy as np

_CANCELLED = 0.2  # share of the channels' summed energy: 1 if they are independent, 0 for [x, -x], 0.2 for [x, -x / 2]
_INAUDIBLE = 1e-12  # mean square; below it only rounding errors are left of a constant
_COMPARED_HZ = 8_000  # rate at which channels are compared: codecs keep no phase above the band of speech


def louder_channel(samples: np.ndarray, rate: float, before: int | None, last: int | None) -> int | None:
    """The channel of `(samples, channels)` to hear because the mean would cancel the sound; None if it wouldn't.

    Args:
        samples: About half a second.
        rate: Its sampling rate in Hz.
        before: The answer for the half second before, which also holds for one without any sound.
        last: The answer before that wasn't None, kept if that channel is loud: a change of polarity would click.
    """
    width = max(1, round(rate / _COMPARED_HZ))
    whole = samples[: len(samples) // width * width].astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        values = whole.reshape(-1, width, samples.shape[1]).mean(axis=1)
        mean = np.ones(len(values)) @ values / len(values)  # a constant offset is no sound
        products = values.T @ values / len(values) - np.outer(mean, mean)
        energies = products.diagonal()
        if energies.sum() <= _INAUDIBLE:
            return before
        if not products.sum() < _CANCELLED * energies.sum():  # also if a sample is NaN, which the mean then reveals
            return None
    if last is not None and 4 * energies[last] >= energies.max():
        return last
    return int(np.argmax(energies >= energies.max() * (1 - 1e-9)))  # of equally loud channels the first


def mixed(samples: np.ndarray, louder: int | None) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        mixed = samples.mean(axis=1) if louder is None else samples[:, louder]
    return mixed.astype(np.float32, copy=False)

"""Turns synthetic speech into a recording: effects of the voice, then room, telephone line, noise and gain."""

from __future__ import annotations

from math import gcd

import numpy as np
from scipy.signal import butter, fftconvolve, resample_poly, sosfilt, sosfiltfilt

from .rules import Effects

SAMPLE_RATE = 16_000

_BREATH_GAIN = 0.25
_BREATH_BAND = (1_200, 6_500)  # Hz
_TREMOR_RATES = (5.0, 8.0)  # Hz
_TELEPHONE_SHARE = 0.6
_TELEPHONE_BAND = (250, 3_500)  # Hz
_FIELD_SNR = (18.0, 26.0)  # dB
_STUDIO_SNR = (40.0, 50.0)  # dB
_ROOM_DECAY = (0.15, 0.40)  # s, reverberation time (decay by 60 dB)
_GAIN_SPREAD = 4.0  # dB
_LEVEL = -26.0  # dBFS of a neutral voice, RMS
_MARGIN = 0.05  # s before and after the speech


def _rms(signal: np.ndarray) -> float:
    return float(np.sqrt(np.mean(signal**2)))


def _trim(signal: np.ndarray) -> np.ndarray:
    """Trim to the 10 ms frames within 45 dB of the peak, and add a margin of silence on both sides."""
    hop = SAMPLE_RATE // 100
    frames = np.abs(signal[: len(signal) // hop * hop]).reshape(-1, hop).max(axis=1)
    loud = np.flatnonzero(frames > frames.max() * 10 ** (-45 / 20))
    margin = int(_MARGIN * SAMPLE_RATE)
    return np.pad(signal[loud[0] * hop : (loud[-1] + 1) * hop], margin)


def _breathe(signal: np.ndarray, breath: float, rng: np.random.Generator) -> np.ndarray:
    """Add aspiration noise that follows the envelope of the voice."""
    envelope = np.maximum(0, sosfiltfilt(butter(2, 20, fs=SAMPLE_RATE, output="sos"), np.abs(signal)))
    band = butter(2, _BREATH_BAND, "bandpass", fs=SAMPLE_RATE, output="sos")
    noise = sosfilt(band, rng.standard_normal(len(signal)))
    return signal + _BREATH_GAIN * breath / 20 * envelope * noise / _rms(noise)


def _tremble(signal: np.ndarray, depth: float, rng: np.random.Generator) -> np.ndarray:
    time = np.arange(len(signal)) / SAMPLE_RATE
    phase = 2 * np.pi * rng.uniform(*_TREMOR_RATES) * time + rng.uniform(0, 2 * np.pi)
    return signal * (1 + depth * np.sin(phase))


def _room(signal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Reverberate with exponentially decaying noise, 12 to 20 dB below the direct sound."""
    decay = rng.uniform(*_ROOM_DECAY)
    time = np.arange(int(decay * SAMPLE_RATE)) / SAMPLE_RATE
    response = rng.standard_normal(len(time)) * 10 ** (-3 * time / decay)
    response *= 10 ** (-rng.uniform(12, 20) / 20) / np.sqrt(np.sum(response**2))
    response[0] = 1.0
    return fftconvolve(signal, response)[: len(signal)]


def _add_noise(signal: np.ndarray, snr: float, rng: np.random.Generator) -> np.ndarray:
    """Add low-pass noise, the spectrum of rooms and microphones, at ``snr`` dB."""
    noise = sosfilt(butter(1, 1_000, fs=SAMPLE_RATE, output="sos"), rng.standard_normal(len(signal)))
    return signal + noise * _rms(signal) / _rms(noise) * 10 ** (-snr / 20)


def record(speech: np.ndarray, rate: int, effects: Effects, group: str, rng: np.random.Generator) -> np.ndarray:
    """Turn the engine's speech into a recording.

    Args:
        speech: shape ``(samples,)``, 16-bit integers at ``rate`` Hz.
        rate: sampling rate of ``speech``, Hz.
        effects: effects of the voice, from the rules.
        group: ``B`` is recorded in the field (room, noise at 18-26 dB, a telephone line for 60 % of the clips), the
            other groups in a studio.
        rng: the utterance's own generator.

    Returns:
        16-bit integers at 16 kHz, shape ``(samples,)``.

    Raises:
        ValueError: ``speech`` is silent.
    """
    if not np.any(speech):
        raise ValueError(
            f"The speech engine answered with {len(speech)} samples of silence instead of speech; "
            "its data for this language may be damaged, reinstall it."
        )
    common = gcd(SAMPLE_RATE, rate)
    signal = _trim(resample_poly(speech.astype(np.float64), SAMPLE_RATE // common, rate // common))
    signal = _breathe(signal, effects.breath, rng)
    signal = _tremble(signal, effects.tremor, rng)
    if group == "B":
        signal = _room(signal, rng)
        telephone = rng.random() < _TELEPHONE_SHARE
        signal = _add_noise(signal, rng.uniform(*_FIELD_SNR), rng)
        if telephone:
            signal = sosfilt(butter(4, _TELEPHONE_BAND, "bandpass", fs=SAMPLE_RATE, output="sos"), signal)
    else:
        signal = _add_noise(signal, rng.uniform(*_STUDIO_SNR), rng)
    level = _LEVEL + effects.level + rng.uniform(-_GAIN_SPREAD, _GAIN_SPREAD)
    signal *= 10 ** (level / 20) / _rms(signal)
    signal *= min(1.0, 0.99 / np.abs(signal).max())
    return np.round(signal * 32767).astype(np.int16)

"""Speakers of the demo corpus: randomly drawn voices, each with its own way of showing emotion.

The variation between speakers (expressivity, bias and the weight of every rule) sets the difficulty of the corpus.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Cues that speakers, and the language groups A and B, use more or less strongly.
CUES = ("pitch", "range", "rate", "level", "tilt", "formants", "jitter", "breath", "accents", "contour", "pauses")

_EXPRESSIVITY_SD = 0.18
_BIAS_SD = 0.06
_WEIGHT_RANGE = (0.5, 1.5)
_FORMANTS = 8

# Group B shows emotion differently: less of it, and more through melody, breath and tempo than through timbre.
_DISPLAY_B = {"contour": 1.3, "breath": 1.3, "rate": 1.3, "tilt": 0.6, "formants": 0.6, "jitter": 0.6}
_EXPRESSION_B = 0.9


@dataclass(frozen=True)
class _Body:
    pitch: float  # Hz
    tract: float  # formants relative to the voice of the language


_MALE, _FEMALE, _CHILD = _Body(115.0, 0.99), _Body(200.0, 1.10), _Body(265.0, 1.15)


@dataclass(frozen=True)
class Speaker:
    """One voice.

    Attributes:
        name: name, such as ``de_03``.
        gender: ``female`` or ``male``.
        pitch: mean fundamental frequency, Hz.
        formants: factors on formants 1-8.
        bandwidth: factor on the formant bandwidths.
        tilt: level above about 1.2 kHz relative to the default voice, dB.
        flutter: irregularity of the fundamental, espeak-ng's scale (2 is its default).
        breath: aspiration noise, percent.
        rate: factor on the speech rate.
        range: factor on the range of the fundamental.
        expressivity: factor on arousal, valence and power.
        bias: constant offset of this speaker's (arousal, valence, power).
        weights: factor on the rule for each of ``CUES``.
    """

    name: str
    gender: str
    pitch: float
    formants: tuple[float, ...]
    bandwidth: float
    tilt: float
    flutter: float
    breath: float
    rate: float
    range: float
    expressivity: float
    bias: tuple[float, float, float]
    weights: dict[str, float]


def draw_speaker(rng: np.random.Generator, language: str, index: int, group: str) -> Speaker:
    """Draw speaker ``index`` (from 0) of a language; ``group`` is ``A``, ``B`` or ``U``.

    Women and men alternate, and every tenth speaker (the fifth, the fifteenth, ...) has a child's voice.
    """
    gender = "female" if index % 2 == 0 else "male"
    body = _CHILD if index % 10 == 4 else {"female": _FEMALE, "male": _MALE}[gender]
    tract = body.tract * np.exp(rng.normal(0, 0.02))
    display = _DISPLAY_B if group == "B" else {}
    expression = _EXPRESSION_B if group == "B" else 1.0
    return Speaker(
        name=f"{language}_{index + 1:02d}",
        gender=gender,
        pitch=body.pitch * np.exp(rng.normal(0, 0.10)),
        formants=tuple(tract * np.exp(rng.normal(0, 0.015, _FORMANTS))),
        bandwidth=np.exp(rng.normal(0, 0.08)),
        tilt=rng.normal(0, 1.5),
        flutter=rng.uniform(1, 4),
        breath=rng.uniform(0, 6),
        rate=np.exp(rng.normal(0, 0.08)),
        range=np.exp(rng.normal(0, 0.12)),
        expressivity=expression * max(0.4, rng.normal(1, _EXPRESSIVITY_SD)),
        bias=tuple(rng.normal(0, _BIAS_SD, 3)),
        weights={cue: display.get(cue, 1.0) * rng.uniform(*_WEIGHT_RANGE) for cue in CUES},
    )

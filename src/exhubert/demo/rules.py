"""Rules of the demo corpus that map an emotion (arousal, valence, power) to engine settings and sound effects.

Coefficients marked MARY follow the size and sign of those Marc Schröder published with the MARY text-to-speech system
(``emotion-to-mary.xsl``, 2000-2006); those marked SyntAct follow Burkhardt, Eyben and Schuller, "SyntAct: A Synthesized
Database of Basic Emotions" (2022). The others follow the general literature on vocal expression. As in human
speech, arousal is easy to hear in the result and valence is hard: Laukka, Juslin and Bresin (2005) found acoustic cues
for every dimension except valence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple
from xml.sax.saxutils import escape

import numpy as np

from .speakers import Speaker

# Bump when rules, voices, sentences or effects change the sound: corpora of other versions are then not continued.
RECIPE = 1


class Point(NamedTuple):
    """An emotion as arousal, valence and power (the feeling of control), each from -1 to 1."""

    arousal: float
    valence: float
    power: float


# Two native labels for each of the six classes, in the order of the classes.
EMOTIONS: tuple[dict[str, Point], ...] = (
    {"sadness": Point(-0.65, -0.65, -0.5), "boredom": Point(-0.65, -0.45, 0.0)},
    {"neutral": Point(-0.45, 0.0, 0.0), "indifference": Point(-0.6, 0.1, 0.0)},
    {"contentment": Point(-0.5, 0.6, 0.1), "tenderness": Point(-0.6, 0.7, -0.2)},
    {"anger": Point(0.7, -0.7, 0.6), "fear": Point(0.65, -0.6, -0.6)},
    {"surprise": Point(0.6, 0.05, -0.1), "alertness": Point(0.55, 0.0, 0.3)},
    {"joy": Point(0.6, 0.65, 0.3), "elation": Point(0.75, 0.75, 0.2)},
)
POINTS = {label: point for pair in EMOTIONS for label, point in pair.items()}

_POINT_SD = Point(0.15, 0.18, 0.20)
_BASE_RATE = 190  # words per minute, espeak-ng's count
_SEMITONES_PER_PERCENT = 0.104  # measured for <prosody pitch="+x%"> of espeak-ng 1.52
_TONE = (170, 135, 110)  # espeak-ng's default amplitudes at 600, 1200 and 2000 Hz
_STRESS_AMPLITUDE = (18, 18, 20, 20, 20, 22, 22, 20)
_STRESSED = np.array([0, 0, 0, 0, 1, 1, 1, 1])


@dataclass(frozen=True)
class Effects:
    """Sound effects to apply to the engine's signal.

    Attributes:
        breath: aspiration noise, percent.
        tremor: depth of the amplitude modulation, 0 to 1.
        level: level relative to a neutral voice, dB.
    """

    breath: float
    tremor: float
    level: float


@dataclass(frozen=True)
class Utterance:
    """Plan of one utterance: the fields of a job for the worker, and the effects to apply to its speech."""

    variant: str
    ssml: str
    rate: int
    word_gap: int
    effects: Effects


def felt_point(label: str, speaker: Speaker, rng: np.random.Generator) -> Point:
    """Emotion of one utterance of ``label`` by this speaker: the label's point, scaled, shifted and jittered."""
    return Point(
        *(
            float(np.clip(speaker.expressivity * centre + bias + rng.normal(0, sd), -1, 1))
            for centre, bias, sd in zip(POINTS[label], speaker.bias, _POINT_SD, strict=True)
        )
    )


def _likeness(point: Point, label: str) -> float:
    """Similarity of a point to ``label``: 0 if any sign differs, 1 at the label's own point, at most 1.5."""
    ratios = [max(0.0, value / own) for value, own in zip(point, POINTS[label], strict=True)]
    return min(1.5, float(np.prod(ratios)))


def _semitones(value: float) -> float:
    return 2 ** (value / 12)


def _pitch_lines(point: Point, speaker: Speaker, rng: np.random.Generator) -> list[str]:
    """Mean and range of the fundamental frequency.

    The mean rises with arousal and valence and falls with power (MARY); the range widens with arousal (MARY) and
    valence (SyntAct's happy 150 %, sad 80 %).
    """
    a, v, p = point
    level = speaker.weights["pitch"] * (3.0 * a + 0.8 * v - 1.0 * p) + rng.normal(0, 1.0)
    width = max(1.5, speaker.range * (7 + speaker.weights["range"] * (3.5 * a + 2.0 * v)))
    centre = speaker.pitch * _semitones(level)
    return [f"pitch {centre * _semitones(-width / 2):.0f} {centre * _semitones(width / 2):.0f}"]


def _voice_quality_lines(point: Point, speaker: Speaker) -> list[str]:
    """Spectral tilt, irregularity and roughness, following the general literature.

    Energy above 1.2 kHz rises with arousal and with negative valence (aversive calls peak higher: Hammerschmidt and
    Jürgens 2007). Negative valence makes the voice irregular and rough or creaky (jitter 10 in SyntAct's sad).
    """
    a, v, p = point
    negative = max(0.0, -v)
    tilt = speaker.tilt + speaker.weights["tilt"] * (4 * a - 4 * v)
    half = 10 ** (tilt / 40)
    tone = np.clip(np.multiply(_TONE, (1 / half, half, half)), 0, 255)
    irregular = 15 * negative + 10 * _likeness(point, "fear") + 3 * _likeness(point, "sadness")
    flutter = speaker.flutter + speaker.weights["jitter"] * irregular
    rough = 5 * negative * (1 + max(0.0, p)) if a > 0 else 7 * negative
    roughness = np.clip(speaker.weights["jitter"] * rough, 0, 7)
    return [
        "tone 600 {:.0f} 1200 {:.0f} 2000 {:.0f}".format(*tone),
        f"flutter {flutter:.0f}",
        f"roughness {roughness:.0f}",
    ]


def _formant_lines(point: Point, speaker: Speaker) -> list[str]:
    """Vocal tract: a smile shortens it and raises F2 and F3 (Fagel 2009), a loud voice opens the jaw and raises F1."""
    a, v, _ = point
    weight = speaker.weights["formants"]
    smile = 1 + weight * 0.12 * v
    factors = (1 + weight * (0.04 * a + 0.05 * v), smile, smile) + (1.0,) * 5
    return [
        f"formant {number} {100 * own * factor:.0f} 100 {100 * speaker.bandwidth:.0f}"
        for number, (own, factor) in enumerate(zip(speaker.formants, factors, strict=True), start=1)
    ]


def _accent_lines(point: Point, speaker: Speaker) -> list[str]:
    """Stronger accents with arousal and with negative valence, longer vowels with positive valence (both MARY)."""
    a, v, _ = point
    accent = speaker.weights["accents"] * (0.6 * a - 0.7 * v)
    contrast = accent * np.where(_STRESSED, 4, -4)
    amplitudes = np.clip(np.array(_STRESS_AMPLITUDE) + contrast, 8, 32)
    lengths = 14 * v + 15 * accent * _STRESSED
    return [
        "stressAmp " + " ".join(f"{value:.0f}" for value in amplitudes),
        "stressAdd " + " ".join(f"{value:.0f}" for value in lengths),
    ]


def _contour(words: list[str], point: Point, speaker: Speaker, rng: np.random.Generator) -> str:
    """SSML whose words step through a falling (V < 0), rising or alternating (V > 0) contour (MARY, SyntAct)."""
    _, v, _ = point
    weight = speaker.weights["contour"]
    steps = []
    for index, word in enumerate(words):
        position = index / max(1, len(words) - 1) - 0.5
        alternation = 1.8 * max(0.0, v) * (-1) ** index
        semitones = weight * (6.5 * v * position + alternation) + rng.normal(0, 0.3)
        steps.append(f'<prosody pitch="{semitones / _SEMITONES_PER_PERCENT:+.0f}%">{escape(word)}</prosody>')
    return f"<speak>{' '.join(steps)}</speak>"


def plan_utterance(sentence: str, label: str, speaker: Speaker, rng: np.random.Generator) -> Utterance:
    """Plan one utterance by applying every rule once.

    Args:
        sentence: words separated by spaces.
        label: a native label, a key of ``POINTS``.
        speaker: speaker of the utterance.
        rng: the utterance's own generator; the same state gives the same plan.

    Returns:
        The plan. Speech rate and pauses follow MARY in sign (fast with arousal and valence, pauses when low);
        breathiness (low arousal, fear), tremor (fear) and level (arousal) follow the general literature.
    """
    point = felt_point(label, speaker, rng)
    a, v, _ = point
    weights = speaker.weights
    fear = _likeness(point, "fear")
    lines = _pitch_lines(point, speaker, rng)
    lines += _voice_quality_lines(point, speaker) + _formant_lines(point, speaker) + _accent_lines(point, speaker)
    if rng.random() < 0.15 + 0.5 * max(0.0, v):
        lines.append("intonation 4")
    rate = _BASE_RATE * speaker.rate * np.exp(weights["rate"] * (0.24 * a + 0.09 * v) + rng.normal(0, 0.08))
    gap = 3 * max(0.0, -a) * (0.6 + max(0.0, -v)) * weights["pauses"]
    breath = speaker.breath + weights["breath"] * (26 * max(0.0, -a) * (1 + 0.5 * v) + 22 * fear)
    return Utterance(
        variant="\n".join(lines) + "\n",
        ssml=_contour(sentence.split(), point, speaker, rng),
        rate=int(np.clip(round(rate), 80, 350)),
        word_gap=int(np.clip(round(gap), 0, 3)),
        effects=Effects(breath=breath, tremor=min(0.4, 0.25 * fear), level=weights["level"] * 5 * a),
    )

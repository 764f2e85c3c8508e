"""What a model says of a recording: its class, arousal and valence, and how they change through time."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..labels import AROUSALS, VALENCES, arousal_valence


@dataclass(frozen=True)
class Window:
    """A part of a recording and what the model says of it.

    Attributes:
        start: Where it begins, in seconds.
        end: Where it ends, in seconds.
        silent: No sound above -60 dB of full scale, and left out for that.
        scores: Probability of each class, in logit order; None where it was left out.
    """

    start: float
    end: float
    silent: bool
    scores: dict[str, float] | None

    @property
    def label(self) -> str | None:
        """The most probable class; None where the window was left out."""
        return max(self.scores, key=self.scores.__getitem__) if self.scores else None


@dataclass(frozen=True)
class Prediction:
    """The emotion of one recording.

    Attributes:
        file: The recording.
        label: The most probable class.
        scores: Probability of each class, in logit order. They sum to one, unless the model is multi-label.
        arousal: Probability of low and high arousal, summed over the six classes; None for a model with others.
        valence: Probability of negative, neutral and positive valence, likewise.
        seconds: Duration of the recording.
        windows: Its windows, in order. They overlap where a hop shorter than the window was asked for, and at the end.
    """

    file: str
    label: str
    scores: dict[str, float]
    arousal: dict[str, float] | None
    valence: dict[str, float] | None
    seconds: float
    windows: list[Window]

    def to_dict(self, timeline: bool = True) -> dict[str, Any]:
        """For JSON; without `timeline` the windows are only counted."""
        found = asdict(self)
        return found if timeline else found | {"windows": len(self.windows)}

    def timeline(self) -> list[Window]:
        """The recording in steps that follow each other, each the mean of the windows that cover it.

        A step begins wherever a window does. One that only silent windows cover is silent.
        """
        starts = [window.start for window in self.windows]
        steps: list[Window] = []
        first = 0
        for start, end in zip(starts, [*starts[1:], self.seconds], strict=True):
            while self.windows[first].end < end:
                first += 1
            covering = [w.scores for w in self.windows[first : len(steps) + 1] if w.scores is not None]
            scores = (
                {name: float(np.mean([each[name] for each in covering])) for name in covering[0]} if covering else None
            )
            steps.append(Window(start, end, scores is None, scores))
        return steps


def marginals(scores: Mapping[str, float]) -> tuple[dict[str, float], dict[str, float]]:
    """Probabilities of low and high arousal, and of negative, neutral and positive valence, from those of six classes.

    >>> arousal, valence = marginals({"low_negative": 0.5, "low_neutral": 0.25, "high_negative": 0.25})
    >>> arousal, valence
    ({'low': 0.75, 'high': 0.25}, {'negative': 0.75, 'neutral': 0.25, 'positive': 0.0})
    """
    arousal, valence = dict.fromkeys(AROUSALS, 0.0), dict.fromkeys(VALENCES, 0.0)
    for name, score in scores.items():
        level, tone = arousal_valence(name)
        arousal[level] += score
        valence[tone] += score
    return arousal, valence


def place(scores: Mapping[str, float]) -> tuple[float, float]:
    """Valence from -1 (negative) to 1 (positive) and arousal from -1 (low) to 1 (high): differences of probabilities.

    >>> place({"low_negative": 0.5, "low_neutral": 0.25, "high_negative": 0.25})
    (-0.75, -0.5)
    """
    arousal, valence = marginals(scores)
    return valence["positive"] - valence["negative"], arousal["high"] - arousal["low"]

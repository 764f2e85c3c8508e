"""The predicted emotion of a recording: its class, arousal and valence, and how they change over time."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..labels import AROUSALS, VALENCES, arousal_valence


@dataclass(frozen=True)
class Window:
    """A part of a recording and the model's prediction for it.

    Attributes:
        start: Start in seconds.
        end: End in seconds.
        silent: Whether it was left out because it has no sound above -60 dB of full scale.
        scores: Probability of each class, in logit order; None if it was left out.
    """

    start: float
    end: float
    silent: bool
    scores: dict[str, float] | None

    @property
    def label(self) -> str | None:
        """The most probable class; None if the window was left out."""
        return max(self.scores, key=self.scores.__getitem__) if self.scores else None


@dataclass(frozen=True)
class Prediction:
    """The predicted emotion of one recording.

    Attributes:
        file: Path or name of the recording.
        label: The most probable class.
        scores: Probability of each class, in logit order. They sum to one, unless the model is multi-label.
        arousal: Probabilities of low and high arousal, summed over the six classes; None for models with other classes.
        valence: Probabilities of negative, neutral and positive valence, likewise.
        seconds: Duration of the recording.
        windows: Its windows, in order. They overlap if the hop is shorter than the window, and at the end.
        channel: Index of the channel that was classified, from 0; None for the mix of all.
    """

    file: str
    label: str
    scores: dict[str, float]
    arousal: dict[str, float] | None
    valence: dict[str, float] | None
    seconds: float
    windows: list[Window]
    channel: int | None = None

    def to_dict(self, timeline: bool = True) -> dict[str, Any]:
        """The prediction as a dict for JSON; without `timeline`, `windows` is only their number.

        Only the prediction for a single channel has a `channel`.
        """
        values = asdict(self)
        channel = values.pop("channel")
        if channel is not None:
            values = {"file": self.file, "channel": channel} | values
        return values if timeline else values | {"windows": len(self.windows)}

    def timeline(self) -> list[Window]:
        """The recording in consecutive steps that don't overlap, each the mean of the windows that cover it.

        A step starts wherever a window starts. A step that only silent windows cover is silent.
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
    """Probabilities of low and high arousal, and of negative, neutral and positive valence, from the six classes.

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

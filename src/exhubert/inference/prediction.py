"""The predicted emotion of a recording: its class, arousal and valence, and how they change over time."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..labels import AROUSALS, VALENCES, arousal_valence

SILENT = "silent"  # stands in place of a class where a format has no field of its own for silence


@dataclass(frozen=True)
class Window:
    """A part of a recording and the model's prediction for it.

    Attributes:
        start: Start in seconds.
        end: End in seconds.
        silent: Whether it was left out because it has no sound above -60 dB of full scale.
        scores: Probability of each class, or each output of a regression model, in logit order; None if it was left
            out.
        regression: Whether the model is a regression model.
    """

    start: float
    end: float
    silent: bool
    scores: dict[str, float] | None
    regression: bool = False

    @property
    def label(self) -> str | None:
        """The most probable class; None if the window was left out, and for regression models."""
        return max(self.scores, key=self.scores.__getitem__) if self.scores and not self.regression else None

    @property
    def probability(self) -> float | None:
        """Probability of `label`; None if there is none."""
        return self.scores[self.label] if self.scores and self.label else None

    @property
    def caption(self) -> str:
        """The class, the outputs of a regression model by name, or `silent`.

        >>> Window(0.0, 1.0, False, {"valence": 0.25, "arousal": -0.5}, regression=True).caption
        'valence 0.25, arousal -0.50'
        """
        if self.scores is None:
            return SILENT
        return self.label or ", ".join(f"{name} {value:.2f}" for name, value in self.scores.items())

    def to_dict(self) -> dict[str, Any]:
        """The window as a dict for JSON: `start`, `end`, `silent` and `scores`."""
        return {name: value for name, value in vars(self).items() if name != "regression"}


@dataclass(frozen=True)
class Prediction:
    """The predicted emotion of one recording.

    A recording that is silent throughout has none: `silent` is true, `label`, `scores`, `arousal` and `valence` are
    None.

    Attributes:
        file: Path or name of the recording.
        label: The most probable class; None for a silent recording, and for regression models.
        scores: Probability of each class, in logit order, which sum to one unless the model is multi-label; or each
            output of a regression model. None for a silent recording.
        arousal: Probabilities of low and high arousal, summed over the six classes; None for a silent recording, and
            for multi-label models and those with other classes.
        valence: Probabilities of negative, neutral and positive valence, likewise.
        seconds: Duration of the recording.
        windows: Its windows, in order. They overlap if the hop is shorter than the window, and at the end.
        channel: Index of the channel that was classified, from 0; None for the mix of all.
        silent: Whether all windows are silent.
        names: Names of the classes or outputs in logit order, also for a silent recording; those of `scores` by
            default.
        regression: Whether the model is a regression model.
    """

    file: str
    label: str | None
    scores: dict[str, float] | None
    arousal: dict[str, float] | None
    valence: dict[str, float] | None
    seconds: float
    windows: list[Window]
    channel: int | None = None
    silent: bool = False
    names: tuple[str, ...] = ()
    regression: bool = False

    def __post_init__(self):
        if not self.names:
            object.__setattr__(self, "names", tuple(self.scores or ()))

    @property
    def whole(self) -> Window:
        """The result for the whole recording, as a window."""
        return Window(0.0, self.seconds, self.silent, self.scores, self.regression)

    def to_dict(self, timeline: bool = True) -> dict[str, Any]:
        """The prediction as a dict for JSON, without `names` and `regression`.

        Only the prediction for a single channel has a `channel`, and those of regression models have no `label`,
        `arousal` and `valence`, which only classes have. Without `timeline`, `windows` is only their number.
        """
        left_out = {"names", "regression"} | ({"label", "arousal", "valence"} if self.regression else set())
        order = {"file": self.file, "channel": self.channel}
        values = {name: value for name, value in (order | vars(self)).items() if name not in left_out}
        if self.channel is None:
            del values["channel"]
        return values | {"windows": [each.to_dict() for each in self.windows] if timeline else len(self.windows)}

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
            steps.append(Window(start, end, scores is None, scores, self.regression))
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

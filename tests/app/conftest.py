"""What the tests of this folder share."""

import numpy as np

from exhubert.app.drawing import BARS, Recording, result_html
from exhubert.inference.prediction import Prediction, Window
from exhubert.labels import SIX_CLASSES

HOSTILE = """a"'<img src=x onerror=hacked=1>${hacked=1}{{this}}@children é.wav"""


def drawn(steps: int, name: str = "voice.wav", step_s: float = 0.1) -> tuple[Prediction, str]:
    """A prediction whose steps go through the classes, every fourth silent, and its HTML."""
    windows = []
    for index in range(steps):
        scores = dict.fromkeys(SIX_CLASSES, 0.1) | {SIX_CLASSES[index % 6]: 0.5}
        silent = index % 4 == 3
        windows.append(Window(index * step_s, (index + 1) * step_s, silent, None if silent else scores))
    scores = dict(zip(SIX_CLASSES, (0.05, 0.1, 0.05, 0.6, 0.15, 0.05), strict=True))
    arousal, valence = {"low": 0.2, "high": 0.8}, {"negative": 0.65, "neutral": 0.25, "positive": 0.1}
    prediction = Prediction(name, "high_negative", scores, arousal, valence, steps * step_s, windows)
    recording = Recording(name, np.full(BARS, 0.5), "playback.wav", {"Download CSV": f"{name}.csv"})
    return prediction, result_html(prediction, recording)

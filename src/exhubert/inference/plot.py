"""Plots one recording: its waveform coloured by class, with arousal and valence over time."""

from collections.abc import Iterable, Sequence
from itertools import cycle
from pathlib import Path

import numpy as np

from ..audio import SAMPLING_RATE, AudioSource, stream_audio
from ..files import is_own_picture, save_figure
from ..targets import check_target
from .prediction import SILENT, Prediction, Window, place

# hue shows valence, and the darker colour of each pair high arousal, as on the web page
CLASS_COLOURS = {
    "low_negative": "#dd6130",
    "low_neutral": "#c660b0",
    "low_positive": "#5088e6",
    "high_negative": "#7f2c10",
    "high_neutral": "#91219c",
    "high_positive": "#0e3b72",
}
_SILENT, _HEARD = "#a3a8b0", "#4c5a6e"
_LINES = (("#222222", "-"), ("#2f8f4e", "--"), ("#b4531f", ":"), ("#5088e6", "-."))
_POINTS = 1500


def envelope(blocks: Iterable[np.ndarray], seconds: float, points: int = _POINTS) -> np.ndarray:
    """Largest magnitude in each of `points` equal parts of a 16 kHz recording that arrives in blocks: `(points,)`."""
    result = np.zeros(points)
    total, first = max(1, round(seconds * SAMPLING_RATE)), 0
    for block in blocks:
        index = np.minimum((first + np.arange(len(block))) * points // total, points - 1)
        np.maximum.at(result, index, np.abs(block))
        first += len(block)
    return result


def colours_of(names: Iterable[str]) -> dict[str, str]:
    """A colour for each class, the same in every plot; classes other than the six share a palette."""
    import matplotlib

    palette = matplotlib.color_sequences["tab10"]
    others = [name for name in names if name not in CLASS_COLOURS]
    own = {name: matplotlib.colors.to_hex(palette[index % len(palette)]) for index, name in enumerate(others)}
    return CLASS_COLOURS | own


def plot_timeline(prediction: Prediction, source: AudioSource, path: str | Path) -> None:
    """Plots a recording over time, in seconds, or in minutes if it is long.

    Arousal is the probability of high minus that of low, valence that of positive minus that of negative, both from -1
    to 1; models with other classes than the six, and silent recordings, get only the waveform. A regression model gets
    a curve for each output.

    Args:
        prediction: Prediction for the recording.
        source: The recording, which is read again for its waveform.
        path: Image file to write; its ending sets the format.

    Raises:
        AudioError: The recording can no longer be read.
        TargetError: The path is the recording, or a picture of somebody else.
    """
    check_target("path", path, [source] if isinstance(source, (str, Path)) else [], own=is_own_picture)
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    steps = prediction.timeline()
    unit, scale = ("min", 60.0) if prediction.seconds > 180 else ("s", 1.0)
    colours = colours_of(prediction.names)
    wave = envelope(stream_audio(source, channel=prediction.channel), prediction.seconds)
    if not prediction.silent:  # else noise or an offset would fill the plot
        wave /= wave.max() or 1.0
    times = (np.arange(len(wave)) + 0.5) * prediction.seconds / len(wave)
    curves = _curves(prediction, steps)
    rows = 2 if curves else 1
    figure = Figure(figsize=(10, 1.2 + 1.9 * rows), layout="constrained")
    axes = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    for step in steps:
        inside = (times >= step.start) & (times < step.end)
        colour = _SILENT if step.silent else colours.get(step.label or "", _HEARD)
        axes[0].fill_between(times[inside] / scale, -wave[inside], wave[inside], color=colour, linewidth=0.4)
    axes[0].set(yticks=[], ylim=(-1.05, 1.05), xlim=(0, prediction.seconds / scale))
    whole = prediction.whole
    share = "" if whole.probability is None else f", {whole.probability:.0%}"
    channel = "" if prediction.channel is None else f", channel {prediction.channel}"
    title = f"{Path(prediction.file).name}{channel}: {whole.caption}{share}"
    axes[0].set_title(title.encode("utf-8", "backslashreplace").decode(), loc="left", fontsize=10, parse_math=False)
    shown = [name for name in prediction.names if any(step.label == name for step in steps)]
    handles = [Patch(color=colours[name], label=name) for name in shown]
    if any(step.silent for step in steps):
        handles.append(Patch(color=_SILENT, label=SILENT))
    axes[0].legend(handles=handles, loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8, frameon=False)
    if rows == 2:
        edges = np.array([*(step.start for step in steps), prediction.seconds]) / scale
        for (name, values), (colour, dashes) in zip(curves.items(), cycle(_LINES)):
            axes[1].stairs(values, edges, color=colour, linewidth=1.6, label=name, linestyle=dashes, baseline=None)
        axes[1].axhline(0, color="#999999", linewidth=0.6)
        if not prediction.regression:
            axes[1].set(ylim=(-1.05, 1.05), yticks=[-1, 0, 1])
        axes[1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8, frameon=False)
    axes[-1].set_xlabel(f"time in {unit}")
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    save_figure(figure, path)


def _curves(prediction: Prediction, steps: Sequence[Window]) -> dict[str, list[float]]:
    """What is drawn below the waveform: arousal and valence, or the outputs of a regression model; NaN in silence."""
    if prediction.arousal:
        places = [place(step.scores) if step.scores else (np.nan, np.nan) for step in steps]
        return {"arousal": [arousal for _, arousal in places], "valence": [valence for valence, _ in places]}
    if prediction.regression and not prediction.silent:
        return {name: [step.scores[name] if step.scores else np.nan for step in steps] for name in prediction.names}
    return {}

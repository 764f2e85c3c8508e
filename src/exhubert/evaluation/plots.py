"""Plots of results, rendered without a display."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd

matplotlib.use("Agg")
import matplotlib.pyplot as plt

_INK, _ACCENT, _PALE = "#1f2933", "#2364aa", "#9fb3c8"


def plot_confusion(matrix: Sequence[Sequence[int]], names: Sequence[str], path: Path, title: str) -> None:
    """A confusion matrix, `(classes, classes)` counts with references in rows, shaded by recall, counts written in."""
    counts = np.asarray(matrix)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, axes = plt.subplots(figsize=(6.6, 5.6), layout="constrained")
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    labels = [name.replace("_", "\n") for name in names]
    axes.set_xticks(range(len(names)), labels, fontsize=8)
    axes.set_yticks(range(len(names)), labels, fontsize=8)
    for (row, column), share in np.ndenumerate(shares):
        colour = "white" if share > 0.55 else _INK
        axes.text(
            column,
            row,
            f"{100 * share:.0f} %\n{counts[row, column]}",
            ha="center",
            va="center",
            color=colour,
            fontsize=8,
        )
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(title, fontsize=11)
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.85)
    _save(figure, path)


def plot_groups(groups: Mapping[str, Mapping[str, Any]], path: Path, title: str) -> None:
    """UAR of each group with its interval, chance level as a mark."""
    names = list(groups)[::-1]
    figure, axes = plt.subplots(figsize=(7, 1.2 + 0.34 * len(names)), layout="constrained")
    for row, name in enumerate(names):
        figures = groups[name]
        uar = 100 * figures["uar"]
        axes.barh(row, uar, color=_PALE, height=0.7)
        if figures.get("uar_interval"):
            low, high = (100 * bound for bound in figures["uar_interval"])
            axes.plot([low, high], [row, row], color=_INK, linewidth=1.5)
        axes.plot([100 * figures["chance_uar"]] * 2, [row - 0.35, row + 0.35], color="#c0392b", linewidth=1.5)
        axes.text(1, row, f"{uar:.1f}", va="center", fontsize=8, color=_INK)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_xlim(0, 100)
    axes.set_xlabel("UAR in %, line: 95 % interval over speakers, red: chance")
    axes.set_title(title, fontsize=11)
    _save(figure, path)


def plot_training(history: Sequence[Mapping[str, float]], path: Path, title: str) -> None:
    """Training loss and validation UAR over steps, from the log history in `trainer_state.json`."""
    losses = [(line["step"], line["loss"]) for line in history if "loss" in line]
    # the best model is evaluated once more at the end, under the number of the last step
    by_step = {line["step"]: 100 * line["eval_uar"] for line in reversed(history) if "eval_uar" in line}
    uars = sorted(by_step.items())
    figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
    if losses:
        axes.plot(*zip(*losses, strict=True), color=_PALE, label="training loss")
    axes.set_xlabel("step")
    axes.set_ylabel("training loss")
    if uars:
        right = axes.twinx()
        right.plot(*zip(*uars, strict=True), color=_ACCENT, marker="o", label="validation UAR")
        right.set_ylabel("validation UAR in %", color=_ACCENT)
        right.set_ylim(0, 100)
    axes.set_title(title, fontsize=11)
    _save(figure, path)


def plot_gates(openings: Mapping[str, float], path: Path, title: str) -> None:
    """Norm of each block's gate, first block first."""
    figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
    axes.bar(list(openings), list(openings.values()), color=_ACCENT, width=0.7)
    axes.set_xlabel("block")
    axes.set_ylabel("Frobenius norm of the gate")
    axes.set_title(title, fontsize=11)
    _save(figure, path)


def plot_class_table(counts: pd.DataFrame, path: Path, title: str) -> None:
    """Utterances of each class (columns) in each corpus (rows), shaded by their share of the corpus."""
    figure, axes = plt.subplots(figsize=(7.2, 1.4 + 0.3 * len(counts)), layout="constrained")
    shares = counts.to_numpy() / np.maximum(counts.to_numpy().sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(counts.shape[1]), [name.replace("_", "\n") for name in counts.columns], fontsize=8)
    axes.set_yticks(range(len(counts)), counts.index, fontsize=8)
    for (row, column), share in np.ndenumerate(shares):
        colour = "white" if share > 0.55 else _INK
        axes.text(column, row, str(counts.iat[row, column]), ha="center", va="center", fontsize=8, color=colour)
    axes.set_title(title, fontsize=11)
    _save(figure, path)


def plot_hours(hours: pd.Series, path: Path, title: str) -> None:
    """Hours by language, most first."""
    hours = hours.sort_values()
    figure, axes = plt.subplots(figsize=(7, 1.2 + 0.28 * len(hours)), layout="constrained")
    axes.barh(hours.index.astype(str), hours.to_numpy(), color=_ACCENT)
    axes.set_xlabel("hours")
    axes.set_title(title, fontsize=11)
    _save(figure, path)


def plot_durations(seconds: pd.Series, path: Path, title: str) -> None:
    """Histogram of durations, with the 3 s crop of the paper's training as a mark."""
    figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
    axes.hist(seconds, bins=60, color=_PALE)
    axes.axvline(3.0, color=_INK, linewidth=1, label="3 s")
    axes.set_xlabel("seconds")
    axes.set_ylabel("utterances")
    axes.legend()
    axes.set_title(title, fontsize=11)
    _save(figure, path)


def _save(figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130, metadata={"Software": None})
    plt.close(figure)

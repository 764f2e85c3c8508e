"""Plots of training and evaluation results, saved as pictures without a display."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import MaxNLocator

from ..files import ACCENT, CHANCE, INK, PALE, save_figure


def plot_confusion(matrix: Sequence[Sequence[int]], names: Sequence[str], path: Path, title: str) -> None:
    """Plots a confusion matrix, `(classes, classes)` counts with references in rows; cells are shaded by recall."""
    counts = np.asarray(matrix)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    scale = max(1.0, len(names) / 8)  # the cells of many emotions keep their size
    figure, axes = plt.subplots(figsize=(6.6 * scale, 5.6 * scale), layout="constrained")
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    labels = [name.replace("_", "\n") for name in names]
    axes.set_xticks(range(len(names)), labels, fontsize=8)
    axes.set_yticks(range(len(names)), labels, fontsize=8)
    for (row, column), share in np.ndenumerate(shares):
        colour = "white" if share > 0.55 else INK
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
    """Plots the UAR of each group with its interval and the chance level."""
    names = list(groups)[::-1]
    figure, axes = plt.subplots(figsize=(7, 1.2 + 0.34 * len(names)), layout="constrained")
    for row, name in enumerate(names):
        figures = groups[name]
        uar = 100 * figures["uar"]
        axes.barh(row, uar, color=PALE, height=0.7)
        if figures.get("uar_interval"):
            low, high = (100 * bound for bound in figures["uar_interval"])
            axes.plot([low, high], [row, row], color=INK, linewidth=1.5)
        axes.plot([100 * figures["chance_uar"]] * 2, [row - 0.35, row + 0.35], color=CHANCE, linewidth=1.5)
        axes.text(1, row, f"{uar:.1f}", va="center", fontsize=8, color=INK)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set(xlim=(0, 100), ylim=(-0.6, len(names) - 0.4))
    axes.set_xlabel("UAR in %, line: 95 % interval over speakers, red: chance")
    axes.set_title(title, fontsize=11)
    _save(figure, path)


def plot_training(history: Sequence[Mapping[str, float]], path: Path, title: str) -> None:
    """Plots training loss and validation UAR over steps, from the log history in `trainer_state.json`."""
    losses = [(entry["step"], entry["loss"]) for entry in history if "loss" in entry]
    # the best model is evaluated once more at the end and logged with the last step
    by_step = {entry["step"]: 100 * entry["eval_uar"] for entry in reversed(history) if "eval_uar" in entry}
    uars = sorted(by_step.items())
    figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
    if losses:
        axes.plot(*zip(*losses, strict=True), color=PALE, label="training loss")
    axes.set_xlabel("step")
    axes.set_ylabel("training loss")
    if uars:
        right = axes.twinx()
        right.plot(*zip(*uars, strict=True), color=ACCENT, marker="o", label="validation UAR")
        right.set_ylabel("validation UAR in %", color=ACCENT)
        right.set_ylim(0, 100)
    axes.set_title(title, fontsize=11)
    _save(figure, path)


def plot_gates(openings: Mapping[str, float], path: Path, title: str) -> None:
    """Plots the norm of each block's gate, first block first."""
    figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
    axes.bar(list(openings), list(openings.values()), color=ACCENT, width=0.7)
    axes.set_xlabel("block")
    axes.set_ylabel("Frobenius norm of the gate")
    axes.set_title(title, fontsize=11)
    _save(figure, path)


def plot_gate_history(history: Sequence[Mapping[str, Any]], path: Path, title: str) -> None:
    """Plots over training how much each gate adds to its block's output, and the norm of the gate's weight.

    Args:
        history: Entries sorted by `step`, each with `added` (share of the frozen copy's output) and `norm` for every
            block, first block first. They needn't be evenly spaced: each entry is one column.
        path: File for the picture.
        title: Title of the picture.
    """
    steps = [entry["step"] for entry in history]
    figure, panels = plt.subplots(2, 1, figsize=(7, 5.2), layout="constrained", sharex=True)
    for axes, key, label in zip(panels, ("added", "norm"), ("added to\nfrozen copy, %", "norm of weight"), strict=True):
        values = np.array([entry[key] for entry in history]).T * (100 if key == "added" else 1)
        # all values are 0 at step 0, and the colour scale needs a range
        scale = {"vmin": 0, "vmax": values.max() or 1}
        image = axes.imshow(values, aspect="auto", origin="lower", cmap="Blues", interpolation="nearest", **scale)
        axes.set_ylabel("block")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        figure.colorbar(image, ax=axes, label=label)
    ticks = np.unique(np.linspace(0, len(steps) - 1, min(len(steps), 8)).round().astype(int))
    panels[-1].set_xticks(ticks, [f"{steps[index]:,}" for index in ticks], fontsize=8)
    panels[-1].set_xlabel("step")
    panels[0].set_title(title, fontsize=11)
    _save(figure, path)


def plot_confidence(figures: Mapping[str, Any], path: Path, title: str) -> None:
    """Plots a reliability diagram, and UAR and WA when the model abstains from its least confident answers.

    Args:
        figures: From `exhubert.evaluation.calibration.confidence_figures`.
        path: File for the picture.
        title: Title of the picture.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.4), layout="constrained")
    for row in figures["reliability"]:
        low, high, accuracy = (100 * row[key] for key in ("low", "high", "accuracy"))
        left.bar(low, accuracy, high - low, align="edge", color=PALE, edgecolor="white")
        left.text((low + high) / 2, 1.5, row["count"], ha="center", va="bottom", rotation=90, fontsize=7, color=INK)
    left.plot([0, 100], [0, 100], color=INK, linewidth=1, linestyle="--")
    means = [[100 * row[key] for row in figures["reliability"]] for key in ("confidence", "accuracy")]
    left.plot(*means, color=ACCENT, marker="o", markersize=4, linewidth=0)
    left.set(xlim=(0, 100), ylim=(0, 100), aspect="equal")
    left.set_xlabel("confidence in %")
    left.set_ylabel("accuracy in %, with number of utterances")
    left.set_title(f"ECE {100 * figures['ece']:.1f} %; dashed: confidence is accuracy", fontsize=9)
    points = figures["abstention"]
    coverage = [100 * point["coverage"] for point in points]
    for key, name, colour in (("uar", "UAR", ACCENT), ("wa", "WA", INK)):
        values = [np.nan if point[key] is None else 100 * point[key] for point in points]
        right.plot(coverage, values, color=colour, label=name, linestyle="-" if key == "uar" else "--")
    right.set(xlim=(100, 0), ylim=(0, 102))
    right.set_xlabel("utterances answered in %, most confident kept")
    right.set_ylabel("UAR, WA of those in %")
    right.set_title("the least confident left out; UAR ends where a class is gone", fontsize=9)
    right.legend(loc="lower right", fontsize=8)
    figure.suptitle(title, fontsize=11)
    _save(figure, path)


def plot_arms(arms: Mapping[str, Mapping[str, Any]], path: Path, title: str) -> None:
    """Plots the UAR of each arm from `comparison.compare_arms`, with its interval over speakers and a dot per seed."""
    figure, axes = plt.subplots(figsize=(7.2, 1.3 + 0.42 * len(arms)), layout="constrained")
    for row, arm in enumerate(reversed(list(arms.values()))):
        low, high = arm["uar_interval"] or (arm["uar"], arm["uar"])
        axes.plot([100 * low, 100 * high], [row, row], color=PALE, linewidth=5, solid_capstyle="butt")
        axes.plot(100 * np.array(arm["uar_by_seed"]), [row] * len(arm["uar_by_seed"]), "o", color=INK, markersize=3)
        axes.plot(100 * arm["uar"], row, "|", color=ACCENT, markersize=16, markeredgewidth=2.5)
        axes.text(101, row, f"{100 * arm['uar']:.1f}", va="center", fontsize=8, color=INK)
    axes.axvline(100 * max(arm["chance_uar"] for arm in arms.values()), color=CHANCE, linewidth=1.2)
    axes.set_yticks(range(len(arms)), [name.replace("_", " ") for name in reversed(list(arms))], fontsize=8)
    axes.set(xlim=(0, 100), ylim=(-0.6, len(arms) - 0.4))
    axes.set_xlabel("UAR in %; bar: 95 % interval over speakers, dots: seeds, red: chance")
    axes.set_title(title, fontsize=11)
    _save(figure, path)


def _save(figure, path: Path) -> None:
    save_figure(figure, path)
    plt.close(figure)

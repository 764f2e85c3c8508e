"""Plots of results, rendered without a display."""

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
    """A confusion matrix, `(classes, classes)` counts with references in rows, shaded by recall, counts written in."""
    counts = np.asarray(matrix)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, axes = plt.subplots(figsize=(6.6, 5.6), layout="constrained")
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
    """UAR of each group with its interval, chance level as a mark."""
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
    """Training loss and validation UAR over steps, from the log history in `trainer_state.json`."""
    losses = [(line["step"], line["loss"]) for line in history if "loss" in line]
    # the best model is evaluated once more at the end, under the number of the last step
    by_step = {line["step"]: 100 * line["eval_uar"] for line in reversed(history) if "eval_uar" in line}
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
    """Norm of each block's gate, first block first."""
    figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
    axes.bar(list(openings), list(openings.values()), color=ACCENT, width=0.7)
    axes.set_xlabel("block")
    axes.set_ylabel("Frobenius norm of the gate")
    axes.set_title(title, fontsize=11)
    _save(figure, path)


def plot_gate_history(history: Sequence[Mapping[str, Any]], path: Path, title: str) -> None:
    """Over training, what each gate adds to its block's output, and the norm of its weight.

    Args:
        history: Entries in the order of their `step`, each with `added` (share of the frozen copy's output) and `norm`
            of every block, first block first. They needn't be evenly spaced: each gets a column.
        path: Of the picture.
        title: Over it.
    """
    steps = [entry["step"] for entry in history]
    figure, panels = plt.subplots(2, 1, figsize=(7, 5.2), layout="constrained", sharex=True)
    for axes, key, what in zip(panels, ("added", "norm"), ("added to\nfrozen copy, %", "norm of weight"), strict=True):
        values = np.array([entry[key] for entry in history]).T * (100 if key == "added" else 1)
        # all is 0 at step 0, and a scale of no extent would be drawn around it
        scale = {"vmin": 0, "vmax": values.max() or 1}
        image = axes.imshow(values, aspect="auto", origin="lower", cmap="Blues", interpolation="nearest", **scale)
        axes.set_ylabel("block")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        figure.colorbar(image, ax=axes, label=what)
    shown = np.unique(np.linspace(0, len(steps) - 1, min(len(steps), 8)).round().astype(int))
    panels[-1].set_xticks(shown, [f"{steps[index]:,}" for index in shown], fontsize=8)
    panels[-1].set_xlabel("step")
    panels[0].set_title(title, fontsize=11)
    _save(figure, path)


def plot_confidence(figures: Mapping[str, Any], path: Path, title: str) -> None:
    """Reliability diagram, and UAR and WA when the least confident answers are left out.

    Args:
        figures: From `exhubert.evaluation.calibration.confidence_figures`.
        path: Of the picture.
        title: Over it.
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
    """UAR of each arm with its interval over speakers, and a dot for each seed; from `comparison.compare_arms`."""
    figure, axes = plt.subplots(figsize=(7.2, 1.3 + 0.42 * len(arms)), layout="constrained")
    for row, found in enumerate(reversed(list(arms.values()))):
        low, high = found["uar_interval"] or (found["uar"], found["uar"])
        axes.plot([100 * low, 100 * high], [row, row], color=PALE, linewidth=5, solid_capstyle="butt")
        axes.plot(100 * np.array(found["uar_by_seed"]), [row] * len(found["uar_by_seed"]), "o", color=INK, markersize=3)
        axes.plot(100 * found["uar"], row, "|", color=ACCENT, markersize=16, markeredgewidth=2.5)
        axes.text(101, row, f"{100 * found['uar']:.1f}", va="center", fontsize=8, color=INK)
    axes.axvline(100 * max(found["chance_uar"] for found in arms.values()), color=CHANCE, linewidth=1.2)
    axes.set_yticks(range(len(arms)), [name.replace("_", " ") for name in reversed(list(arms))], fontsize=8)
    axes.set(xlim=(0, 100), ylim=(-0.6, len(arms) - 0.4))
    axes.set_xlabel("UAR in %; bar: 95 % interval over speakers, dots: seeds, red: chance")
    axes.set_title(title, fontsize=11)
    _save(figure, path)


def _save(figure, path: Path) -> None:
    save_figure(figure, path)
    plt.close(figure)

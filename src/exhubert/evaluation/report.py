"""Results of an evaluation: figures with intervals, by corpus and language, in one JSON file."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix

from .metrics import bootstrap_uar, ser_metrics


def summarise(table: pd.DataFrame, names: list[str]) -> dict[str, Any]:
    """Figures for one table of predictions.

    Args:
        table: `label`, `prediction` (class indices) and `speaker`, one row per utterance.
        names: Class names in logit order.

    Returns:
        Utterances, speakers, the classes that occur, chance level of the UAR, `uar` with its 95 % interval
        `uar_interval` (bootstrap over speakers; None where speakers are unnamed or only one), the other figures of
        `ser_metrics`, and the confusion matrix.
    """
    present = sorted(table["label"].unique())
    speakers = table["speaker"].nunique()
    interval = None
    if speakers > 1 and table["speaker"].notna().all():
        interval = bootstrap_uar(table["label"], table["prediction"], table["speaker"])
    figures = ser_metrics(table["label"], table["prediction"], names)
    return {
        "utterances": len(table),
        "speakers": int(speakers),
        "classes": [names[index] for index in present],
        "chance_uar": 1 / len(present),
        "uar": figures.pop("uar"),
        "uar_interval": interval,
        **figures,
        "confusion_matrix": confusion_matrix(table["label"], table["prediction"], labels=range(len(names))).tolist(),
    }


def results(table: pd.DataFrame, names: list[str], baselines: Mapping[str, np.ndarray] | None = None) -> dict[str, Any]:
    """Figures over all utterances, for each corpus, each language, and each baseline (predictions by name)."""
    return {
        "class_names": names,
        "overall": summarise(table, names),
        "by_corpus": {str(key): summarise(part, names) for key, part in table.groupby("corpus")},
        "by_language": {str(key): summarise(part, names) for key, part in table.groupby("language")},
        "baselines": {
            name: summarise(table.assign(prediction=predicted), names) for name, predicted in (baselines or {}).items()
        },
    }


def markdown_table(groups: Mapping[str, Mapping[str, Any]], heading: str) -> str:
    """A table of UAR with interval, WA, macro-F1 and chance, one line for each group."""
    lines = [f"| {heading} | utterances | speakers | UAR % (95 % interval) | WA % | macro-F1 % | chance UAR % |"]
    lines.append("|---|---|---|---|---|---|---|")
    for name, figures in groups.items():
        lines.append(
            f"| {name} | {figures['utterances']} | {figures['speakers'] or 'unnamed'} | {uar_text(figures)} "
            f"| {100 * figures['wa']:.1f} | {100 * figures['macro_f1']:.1f} | {100 * figures['chance_uar']:.1f} |"
        )
    return "\n".join(lines)


def uar_text(figures: Mapping[str, Any]) -> str:
    """`"61.2 (57.0 to 65.1)"`, in percent."""
    text = f"{100 * figures['uar']:.1f}"
    if figures.get("uar_interval"):
        low, high = figures["uar_interval"]
        text += f" ({100 * low:.1f} to {100 * high:.1f})"
    return text

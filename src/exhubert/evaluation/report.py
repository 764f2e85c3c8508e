"""Results of an evaluation: figures with intervals, by corpus and language, in one JSON file."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix

from .metrics import bootstrap_uar, ser_metrics

FEWEST_SPEAKERS = 5


def summarise(table: pd.DataFrame, names: list[str]) -> dict[str, Any]:
    """Figures for one table of predictions.

    Args:
        table: `label`, `prediction` (class indices) and `speaker`, one row per utterance.
        names: Class names in logit order.

    Returns:
        Utterances, speakers, the classes that occur, chance level of the UAR, `uar` with its 95 % interval
        `uar_interval` (bootstrap over speakers; None where they are unnamed or fewer than five, which say nothing about
        other speakers), the other figures of `ser_metrics`, and the confusion matrix.
    """
    present = sorted(table["label"].unique())
    speakers = table["speaker"].nunique()
    interval = None
    if speakers >= FEWEST_SPEAKERS and table["speaker"].notna().all():
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


def results(
    table: pd.DataFrame,
    names: list[str],
    baselines: Mapping[str, np.ndarray] | None = None,
    unseen_languages: Sequence[str] = (),
) -> dict[str, Any]:
    """Figures of a model and of baselines on the same utterances.

    Args:
        table: From `predict_rows`.
        names: Class names in logit order.
        baselines: Class indices each baseline predicts for the rows of `table`, by its name.
        unseen_languages: Languages that were not trained on. They are counted apart from all the rest.

    Returns:
        `overall` (without unseen languages, unless there is nothing else), `unseen_languages` (None if there are none),
        `by_corpus`, `by_language`, and `baselines` and `baselines_unseen`, by name.
    """
    unseen = table["language"].isin(list(unseen_languages))
    tables = {name: table.assign(prediction=predicted) for name, predicted in (baselines or {}).items()}
    return {
        "class_names": names,
        "languages_not_trained_on": sorted(unseen_languages),
        "overall": summarise(table if unseen.all() else table[~unseen], names),
        "unseen_languages": summarise(table[unseen], names) if unseen.any() else None,
        "by_corpus": {str(key): summarise(part, names) for key, part in table[~unseen].groupby("corpus")},
        "by_language": {str(key): summarise(part, names) for key, part in table.groupby("language")},
        "baselines": {name: summarise(rows if unseen.all() else rows[~unseen], names) for name, rows in tables.items()},
        "baselines_unseen": {name: summarise(rows[unseen], names) for name, rows in tables.items() if unseen.any()},
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

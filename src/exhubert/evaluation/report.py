"""Figures and Markdown tables of an evaluation: overall and by corpus, language, gender and speaker."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix

from ..files import markdown_table
from .calibration import confidence_figures
from .metrics import bootstrap_uar, enough_speakers, ser_metrics, uar
from .ratings import rating_figures


def summarise(table: pd.DataFrame, names: list[str]) -> dict[str, Any]:
    """Figures for one table of predictions.

    Args:
        table: `label`, `prediction` (class indices) and `speaker`, one row per utterance.
        names: Class names in logit order.

    Returns:
        Number of utterances and speakers, the classes that occur, chance level of the UAR, `uar` with its 95 % interval
        `uar_interval` (bootstrap over speakers; None if any is unnamed or there are fewer than five, too few to
        generalise to other speakers), the other figures of `ser_metrics`, and the confusion matrix.
    """
    present = sorted(table["label"].unique())
    interval = None
    if enough_speakers(table["speaker"]):
        interval = bootstrap_uar(table["label"], table["prediction"], table["speaker"])
    figures = ser_metrics(table["label"], table["prediction"], names)
    return {
        "utterances": len(table),
        "speakers": int(table["speaker"].nunique()),
        "classes": [names[index] for index in present],
        "chance_uar": 1 / len(present),
        "uar": figures.pop("uar"),
        "uar_interval": interval,
        **figures,
        "confusion_matrix": confusion_matrix(table["label"], table["prediction"], labels=range(len(names))).tolist(),
    }


def by_speaker(table: pd.DataFrame, names: list[str]) -> dict[str, dict[str, Any]]:
    """Number of utterances, classes that occur and UAR of each named speaker."""
    return {
        str(speaker): {
            "utterances": len(part),
            "classes": [names[index] for index in sorted(part["label"].unique())],
            "uar": uar(part["label"], part["prediction"]),
        }
        for speaker, part in table.groupby("speaker")
    }


def results(
    table: pd.DataFrame,
    names: list[str],
    baselines: Mapping[str, np.ndarray] | None = None,
    unseen_languages: Sequence[str] = (),
) -> dict[str, Any]:
    """Figures of a model and of baselines on the same utterances.

    Args:
        table: From `predict_rows`, optionally with `arousal_rating` and `valence_rating` by listeners.
        names: Class names in logit order.
        baselines: Class indices that each baseline predicts for the rows of `table`, by name of the baseline.
        unseen_languages: Languages that the model was not trained on. They are reported separately.

    Returns:
        `overall` (without unseen languages, unless all are unseen) and, for the same utterances, `by_corpus`,
        `by_gender` (`unknown` if the corpus doesn't name it), `by_speaker`, `calibration` (None without probabilities),
        `ratings` (None without any) and, by name, `baselines`. For unseen languages `unseen_languages`,
        `calibration_unseen` and `baselines_unseen`, None or empty without any. For all utterances `by_language`.
    """
    unseen = table["language"].isin(list(unseen_languages))
    counted = ~unseen | unseen.all()
    seen = table[counted]
    tables = {name: table.assign(prediction=predicted) for name, predicted in (baselines or {}).items()}
    probabilities = all(f"p_{name}" in table for name in names)
    return {
        "class_names": names,
        "languages_not_trained_on": sorted(unseen_languages),
        "overall": summarise(seen, names),
        "unseen_languages": summarise(table[unseen], names) if unseen.any() else None,
        "by_corpus": _by(seen["corpus"], seen, names),
        "by_language": _by(table["language"], table, names),
        "by_gender": _by(seen["gender"].fillna("unknown"), seen, names) if "gender" in table else {},
        "by_speaker": by_speaker(seen, names),
        "calibration": confidence_figures(seen, names) if probabilities else None,
        "calibration_unseen": confidence_figures(table[unseen], names) if probabilities and unseen.any() else None,
        "ratings": rating_figures(seen, names),
        "baselines": {name: summarise(rows[counted], names) for name, rows in tables.items()},
        "baselines_unseen": {name: summarise(rows[unseen], names) for name, rows in tables.items() if unseen.any()},
    }


def _by(keys: pd.Series, table: pd.DataFrame, names: list[str]) -> dict[str, dict[str, Any]]:
    return {str(key): summarise(part, names) for key, part in table.groupby(keys)}


def figures_table(groups: Mapping[str, Mapping[str, Any]], heading: str) -> str:
    """A Markdown table of UAR with interval, WA, macro-F1 and chance level, one row per group."""
    header = [heading, "utterances", "speakers", "UAR % (95 % interval)", "WA %", "macro-F1 %", "chance UAR %"]
    rows = []
    for name, figures in groups.items():
        percents = [f"{100 * figures[key]:.1f}" for key in ("wa", "macro_f1", "chance_uar")]
        rows.append([name, figures["utterances"], figures["speakers"] or "unnamed", uar_text(figures), *percents])
    return markdown_table(header, rows)


def uar_text(figures: Mapping[str, Any]) -> str:
    """UAR with its interval in percent, such as `"61.2 (57.0 to 65.1)"`."""
    text = f"{100 * figures['uar']:.1f}"
    if figures.get("uar_interval"):
        low, high = figures["uar_interval"]
        text += f" ({100 * low:.1f} to {100 * high:.1f})"
    return text


def confidence_table(calibrations: Mapping[str, Mapping[str, Any] | None], heading: str) -> str:
    """A Markdown table of calibration figures, one row per model; empty if no model has any."""
    rows = [
        [
            name, f"{100 * figures['ece']:.1f}", f"{figures['brier']:.3f}", f"{figures['log_loss']:.3f}",
            f"{100 * figures['aurc']:.1f}",
        ]
        for name, figures in calibrations.items()
        if figures
    ]  # fmt: skip
    return markdown_table([heading, "ECE %", "Brier score", "log loss", "AURC %"], rows) if rows else ""


def gender_text(by_gender: Mapping[str, Mapping[str, Any]]) -> str:
    """UAR by gender in percent: `"female 62.5 (53.1 to 70.5) on 288 utterances, male 60.8 on 24 utterances"`."""
    return ", ".join(f"{name} {uar_text(item)} on {item['utterances']} utterances" for name, item in by_gender.items())


def speaker_text(speakers: Mapping[str, Mapping[str, Any]]) -> str:
    """Range of the speakers' UAR in percent, `"from 25.0 through a median of 62.5 to 95.8"`; empty if none is named."""
    if not speakers:
        return ""
    low, middle, high = np.quantile([100 * item["uar"] for item in speakers.values()], [0, 0.5, 1])
    return f"from {low:.1f} through a median of {middle:.1f} to {high:.1f}"

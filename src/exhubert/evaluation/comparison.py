"""Arms of a comparison on the same utterances: means over seeds, intervals over speakers, paired differences."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .metrics import bootstrap_uar, enough_speakers, ser_metrics
from .paired import compare


def compare_arms(arms: Mapping[str, Sequence[pd.DataFrame]], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Figures of each arm, and its difference to the first one.

    Args:
        arms: For each arm the predictions of each seed: `utterance_id`, `speaker`, `corpus`, `label`, `prediction`, one
            row for each tested utterance, all folds of the seed together.
        names: Class names in logit order.

    Returns:
        For each arm `uar` (mean over seeds), `uar_by_seed`, `uar_interval` (95 %, speakers resampled, all seeds of a
        speaker together; None with fewer than five), `wa`, `macro_f1`, `chance_uar`, `by_corpus` (`uar` and
        `uar_interval`), and but for the first arm `difference`: what `exhubert.evaluation.paired.compare` says of the
        first arm minus this one.

    Raises:
        ValueError: The arms were tested on other utterances.
    """
    first = next(iter(arms))
    result = {}
    for arm, seeds in arms.items():
        figures = [ser_metrics(table["label"], table["prediction"], names) for table in seeds]
        together = pd.concat(seeds, ignore_index=True)
        result[arm] = {
            "uar": float(np.mean([found["uar"] for found in figures])),
            "uar_by_seed": [found["uar"] for found in figures],
            "uar_interval": _interval(together),
            "wa": float(np.mean([found["wa"] for found in figures])),
            "macro_f1": float(np.mean([found["macro_f1"] for found in figures])),
            "chance_uar": 1 / together["label"].nunique(),
            "utterances": len(seeds[0]),
            "by_corpus": {
                str(corpus): {
                    "uar": ser_metrics(rows["label"], rows["prediction"], names)["uar"],
                    "uar_interval": _interval(rows),
                    "chance_uar": 1 / rows["label"].nunique(),
                }
                for corpus, rows in together.groupby("corpus")
            },
        }
        if arm != first:
            result[arm]["difference"] = compare(_numbered(arms[first]), _numbered(seeds))
    return result


def cross_corpus_matrix(tables: Mapping[str, pd.DataFrame], names: Sequence[str]) -> pd.DataFrame:
    """UAR of each training corpus (rows) on each tested corpus (columns), from the predictions of each fold.

    Classes that a tested corpus doesn't have are neither won nor lost.
    """
    return pd.DataFrame(
        {
            trained: {
                str(corpus): ser_metrics(rows["label"], rows["prediction"], names)["uar"]
                for corpus, rows in table.groupby("corpus")
            }
            for trained, table in tables.items()
        }
    ).T


def read_arm(folders: Sequence[Path]) -> tuple[list[pd.DataFrame], list[dict[str, Any]]]:
    """Predictions of each seed, folds together, and all runs' records, of one arm that recipes/compare.py ran.

    Args:
        folders: Of its runs, `seed<n>/fold<n>` each.
    """
    tables: dict[str, list[pd.DataFrame]] = {}
    runs = []
    for folder in folders:
        run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        table = pd.read_csv(folder / "predictions.csv", keep_default_na=False, na_values=[""])
        tables.setdefault(folder.parent.name, []).append(table.assign(fold=run["fold"]))
        runs.append(run)
    return [pd.concat(found, ignore_index=True) for found in tables.values()], runs


def markdown(result: Mapping[str, Mapping[str, Any]], cost: Mapping[str, Mapping[str, float]]) -> str:
    """The table of a comparison. `cost` has `parameters`, `seconds` and `memory_mb` of the arms that were trained."""
    first = next(iter(result))
    corpora = list(result[first]["by_corpus"])
    lines = [
        f"| arm | UAR % (95 % interval) | seeds, lowest to highest | {' | '.join(corpora)} | "
        f"{first} minus this, points | p | trained parameters | s a run | peak MB |",
        "|" + "---|" * (len(corpora) + 8),
    ]
    for arm, found in result.items():
        seeds = found["uar_by_seed"]
        cells = [arm, f"{100 * found['uar']:.1f}{_range(found['uar_interval'])}"]
        cells += [f"{100 * min(seeds):.1f} to {100 * max(seeds):.1f}" if arm in cost else ""]
        cells += [f"{100 * found['by_corpus'][name]['uar']:.1f}" for name in corpora]
        if paired := found.get("difference"):
            p = paired["p_speakers"]
            cells += [f"{100 * paired['difference']:+.1f}{_range(paired['difference_interval'])}"]
            cells += ["too few speakers" if p is None else f"{p:.3f}"]
        else:
            cells += ["", ""]
        spent = cost.get(arm)
        cells += [f"{spent[key]:,.0f}" if spent else "" for key in ("parameters", "seconds", "memory_mb")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _range(interval: Sequence[float] | None) -> str:
    return f" ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})" if interval else ""


def _interval(table: pd.DataFrame) -> tuple[float, float] | None:
    if not enough_speakers(table["speaker"]):
        return None
    return bootstrap_uar(table["label"], table["prediction"], table["speaker"])


def _numbered(seeds: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """All seeds in one table, an utterance under one name for each."""
    numbered = [table.assign(utterance_id=table["utterance_id"] + f" {index}") for index, table in enumerate(seeds)]
    return pd.concat(numbered, ignore_index=True)

"""Compares models on the same utterances: paired tests of two models, and tables for the arms of an experiment."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest, permutation_test

from ..files import markdown_table
from ..records import Results, Run
from .metrics import (
    bootstrap_uar,
    enough_speakers,
    percentile_interval,
    resampled_uars,
    ser_metrics,
    speaker_counts,
    uar,
)

_PERMUTATIONS = 9999


def compare(table: pd.DataFrame, other: pd.DataFrame) -> dict[str, Any]:
    """Difference of two models on the same utterances, the first minus the other.

    Args:
        table: `utterance_id`, `label`, `prediction`, `speaker` of the first model.
        other: `utterance_id`, `label` and `prediction` of the other, in any order.

    Returns:
        `utterances`, `speakers` and `difference` of the UARs, from -1 to 1. Over speakers, None if any is unnamed or
        there are fewer than five: `difference_interval`, the 95 % bootstrap interval with the same drawn speakers for
        both models; and `p_speakers`, the two-sided p-value of a permutation test that swaps the two models speaker by
        speaker, exact up to 13 speakers. Over utterances, which assumes that they are independent and so understates
        the uncertainty: `only_this_right`, `only_other_right` and `p_mcnemar`, the exact binomial form of McNemar's
        test (Psychometrika 12, 1947).

    Raises:
        ValueError: The tables differ in their utterances or labels.
    """
    matched = other.set_index("utterance_id")[["label", "prediction"]]
    if len(matched) != len(table) or set(matched.index) != set(table["utterance_id"]):
        raise ValueError("The two models were evaluated on different utterances; evaluate both on the same.")
    matched = matched.reindex(table["utterance_id"])
    truth, pair = table["label"].to_numpy(), (table["prediction"].to_numpy(), matched["prediction"].to_numpy())
    if (truth != matched["label"].to_numpy()).any():
        raise ValueError(
            "The two evaluations have different labels for some utterances; use the same build and label space."
        )
    speakers = table["speaker"]
    (hits, totals), (other_hits, _) = (speaker_counts(truth, answers, speakers.fillna("unnamed")) for answers in pair)
    shares, other_shares = ((h / totals.sum(axis=0)).mean(axis=1) for h in (hits, other_hits))
    this_only, other_only = (
        int(((pair[first] == truth) & (pair[second] != truth)).sum()) for first, second in ((0, 1), (1, 0))
    )
    result: dict[str, Any] = {
        "utterances": len(table),
        "speakers": int(speakers.nunique()),
        "difference": float((shares - other_shares).sum()),
        "difference_interval": None,
        "p_speakers": None,
        "only_this_right": this_only,
        "only_other_right": other_only,
        "p_mcnemar": float(binomtest(this_only, this_only + other_only).pvalue) if this_only + other_only else 1.0,
    }
    if enough_speakers(speakers):
        differences = resampled_uars(hits, totals) - resampled_uars(other_hits, totals)
        result["difference_interval"] = percentile_interval(differences)
        result["p_speakers"] = _permutation_p(shares, other_shares)
    return result


def compare_all(
    table: pd.DataFrame, others: Mapping[str, pd.DataFrame], unseen_languages: list[str]
) -> dict[str, dict[str, Any]]:
    """Results of `compare` with each of `others`, for `overall` and `unseen_languages`; None for an empty part."""
    unseen = table["language"].isin(unseen_languages)
    result = {}
    for name, other in others.items():
        parts = {"overall": table if unseen.all() else table[~unseen], "unseen_languages": table[unseen]}
        result[name] = {
            key: compare(part, other[other["utterance_id"].isin(part["utterance_id"])]) if len(part) else None
            for key, part in parts.items()
        }
    return result


def read_predictions(
    evaluations: Mapping[str, str | Path],
    expected: Mapping[str, Any] | None = None,
    classes: Sequence[str] | None = None,
) -> dict[str, pd.DataFrame]:
    """Predictions of finished evaluations, by the name of each.

    Args:
        evaluations: Folders that recipes/evaluate_model.py wrote, by name.
        expected: Values that fields of `Results` must have, such as `utterances_sha256` and `max_seconds`.
        classes: Class names in logit order that they must have.

    Raises:
        FileNotFoundError: A folder holds no finished evaluation.
        ValueError: A field of an evaluation differs from `expected`, or its classes do.
    """
    tables = {}
    for name, folder in evaluations.items():
        results = Results.load(folder)
        if classes is not None and results.class_names != list(classes):
            raise ValueError(
                f"{name} ({folder}) has the classes {', '.join(results.class_names)}, but this model has "
                f"{', '.join(classes)}; compare models of the same label space, with the classes in the same order."
            )
        if any(getattr(results, key) != value for key, value in (expected or {}).items()):
            raise ValueError(
                f"{name} ({folder}) was evaluated on other utterances, or with another --max_seconds, than this "
                "model; evaluate both in the same way."
            )
        tables[name] = read_table(Path(folder))
    return tables


def read_table(folder: Path) -> pd.DataFrame:
    """Reads the `predictions.csv` of an evaluation's folder."""
    # by default pandas reads the language tag "nan" as a missing value
    return pd.read_csv(folder / "predictions.csv", keep_default_na=False, na_values=[""])


def paired_table(paired: Mapping[str, Mapping[str, Any]], part: str = "overall") -> str:
    """A Markdown table of `compare_all`, one row per other model; empty if there is none."""
    rows = []
    for name, parts in paired.items():
        if figures := parts[part]:
            difference = f"{100 * figures['difference']:+z.1f}"
            if figures["difference_interval"]:
                low, high = figures["difference_interval"]
                difference += f" ({100 * low:+z.1f} to {100 * high:+z.1f})"
            only = figures["only_this_right"], figures["only_other_right"]
            rows.append((name, difference, _p_text(figures["p_speakers"]), *only, _p_text(figures["p_mcnemar"])))
    header = (
        "this minus", "UAR, points (95 % interval)", "p, speakers", "only this right", "only other right", "p, McNemar"
    )  # fmt: skip
    return markdown_table(header, rows) if rows else ""


def compare_arms(arms: Mapping[str, Sequence[pd.DataFrame]], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Figures of each arm of an experiment, and its difference from the first arm.

    Args:
        arms: For each arm one table of predictions per seed: `utterance_id`, `speaker`, `corpus`, `label`,
            `prediction`, one row per tested utterance, all folds of the seed together.
        names: Class names in logit order.

    Returns:
        For each arm `uar` (mean over seeds), `uar_by_seed`, `uar_interval` (95 %, speakers resampled, all seeds of a
        speaker together; None with fewer than five), `wa`, `macro_f1`, `chance_uar`, `by_corpus` (`uar` and
        `uar_interval`), and for all arms but the first `difference`: the result of `compare` for the first arm minus
        this one.

    Raises:
        ValueError: The arms were tested on different utterances.
    """
    first = next(iter(arms))
    result = {}
    for arm, seeds in arms.items():
        figures = [ser_metrics(table["label"], table["prediction"], names) for table in seeds]
        together = pd.concat(seeds, ignore_index=True)
        result[arm] = {
            "uar": float(np.mean([metrics["uar"] for metrics in figures])),
            "uar_by_seed": [metrics["uar"] for metrics in figures],
            "uar_interval": _interval(together),
            "wa": float(np.mean([metrics["wa"] for metrics in figures])),
            "macro_f1": float(np.mean([metrics["macro_f1"] for metrics in figures])),
            "chance_uar": 1 / together["label"].nunique(),
            "utterances": len(seeds[0]),
            "by_corpus": {
                str(corpus): {
                    "uar": uar(rows["label"], rows["prediction"]),
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

    Classes that a tested corpus lacks don't count.
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


def read_arm(folders: Sequence[Path]) -> tuple[list[pd.DataFrame], list[Run]]:
    """Reads one arm that recipes/compare.py ran: one table of predictions per seed, and the records of all runs.

    Args:
        folders: Folders of the runs, each `seed<n>/fold<n>`.
    """
    tables: dict[str, list[pd.DataFrame]] = {}
    runs = []
    for folder in folders:
        run = Run.load(folder)
        tables.setdefault(folder.parent.name, []).append(read_table(folder).assign(fold=run.fold))
        runs.append(run)
    return [pd.concat(parts, ignore_index=True) for parts in tables.values()], runs


def markdown(result: Mapping[str, Mapping[str, Any]], cost: Mapping[str, Mapping[str, float]]) -> str:
    """Table of `compare_arms`. `cost` has `parameters`, `seconds` and `memory_mb` of the arms that were trained."""
    first = next(iter(result))
    corpora = list(result[first]["by_corpus"])
    header = ["arm", "UAR % (95 % interval)", "seeds, lowest to highest", *corpora, f"{first} minus this, points", "p"]
    header += ["trained parameters", "s a run", "peak MB"]
    rows = []
    for arm, figures in result.items():
        seeds = figures["uar_by_seed"]
        cells = [arm, f"{100 * figures['uar']:.1f}{_range(figures['uar_interval'])}"]
        cells += [f"{100 * min(seeds):.1f} to {100 * max(seeds):.1f}" if arm in cost else ""]
        cells += [f"{100 * figures['by_corpus'][name]['uar']:.1f}" for name in corpora]
        if paired := figures.get("difference"):
            p = paired["p_speakers"]
            cells += [f"{100 * paired['difference']:+.1f}{_range(paired['difference_interval'])}"]
            cells += ["too few speakers" if p is None else f"{p:.3f}"]
        else:
            cells += ["", ""]
        spent = cost.get(arm)
        cells += [f"{spent[key]:,.0f}" if spent else "" for key in ("parameters", "seconds", "memory_mb")]
        rows.append(cells)
    return markdown_table(header, rows)


def _range(interval: Sequence[float] | None) -> str:
    return f" ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})" if interval else ""


def _interval(table: pd.DataFrame) -> tuple[float, float] | None:
    if not enough_speakers(table["speaker"]):
        return None
    return bootstrap_uar(table["label"], table["prediction"], table["speaker"])


def _numbered(seeds: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """All seeds in one table; the seed's index and the fold make each `utterance_id` unique."""
    numbered = []
    for index, table in enumerate(seeds):
        names = table["utterance_id"] + f" {index}"
        numbered.append(table.assign(utterance_id=names + " " + table["fold"] if "fold" in table else names))
    return pd.concat(numbered, ignore_index=True)


def _permutation_p(shares: np.ndarray, other_shares: np.ndarray) -> float:
    """P-value of a permutation test that swaps the two models speaker by speaker; shares are `(speakers,)` each."""
    return float(
        permutation_test(
            (shares, other_shares),
            lambda first, second, axis: (first - second).sum(axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=_PERMUTATIONS,
            batch=1000,
            random_state=np.random.default_rng(0),
        ).pvalue
    )


def _p_text(p: float | None) -> str:
    if p is None:
        return "too few speakers"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"

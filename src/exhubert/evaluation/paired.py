"""Two models on the same utterances: is one better, or did these speakers happen to suit it?"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest, permutation_test

from .metrics import enough_speakers, percentile_interval, resampled_uars, speaker_counts

_PERMUTATIONS = 9999


def compare(table: pd.DataFrame, other: pd.DataFrame) -> dict[str, Any]:
    """One model minus another on the same utterances.

    Args:
        table: `utterance_id`, `label`, `prediction`, `speaker` of the first model.
        other: `utterance_id`, `label` and `prediction` of the other, in any order.

    Returns:
        `utterances`, `speakers` and `difference` of the UARs, from -1 to 1. Over speakers, None where they are unnamed
        or fewer than five: `difference_interval`, the 95 % bootstrap interval, in which both models get the same drawn
        speakers; and `p_speakers`, two-sided, of exchanging the two models' answers speaker by speaker, exact up to 13
        speakers. Over utterances, as if these were independent, and so too sure of itself: `only_this_right`,
        `only_other_right` and `p_mcnemar`, the exact binomial form of McNemar's test (Psychometrika 12, 1947).

    Raises:
        ValueError: The tables hold other utterances or other labels.
    """
    matched = other.set_index("utterance_id")[["label", "prediction"]]
    if len(matched) != len(table) or set(matched.index) != set(table["utterance_id"]):
        raise ValueError("The two models were evaluated on other utterances; evaluate both on the same.")
    matched = matched.reindex(table["utterance_id"])
    truth, guesses = table["label"].to_numpy(), (table["prediction"].to_numpy(), matched["prediction"].to_numpy())
    if (truth != matched["label"].to_numpy()).any():
        raise ValueError("The two evaluations have other labels for some utterances; evaluate both on the same build.")
    speakers = table["speaker"]
    (hits, totals), (other_hits, _) = (speaker_counts(truth, guess, speakers.fillna("unnamed")) for guess in guesses)
    shares, other_shares = ((h / totals.sum(axis=0)).mean(axis=1) for h in (hits, other_hits))
    this_only, other_only = (
        int(((guesses[first] == truth) & (guesses[second] != truth)).sum()) for first, second in ((0, 1), (1, 0))
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
        result["p_speakers"] = _exchange(shares, other_shares)
    return result


def compare_all(
    table: pd.DataFrame, others: Mapping[str, pd.DataFrame], unseen_languages: list[str]
) -> dict[str, dict[str, Any]]:
    """`compare` with each of `others`, by name: `overall` as in results, `unseen_languages` apart, None without any."""
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
    evaluations: Mapping[str, str | Path], expected: Mapping[str, Any] | None = None
) -> dict[str, pd.DataFrame]:
    """Predictions of finished evaluations, by the names given to their folders.

    Args:
        evaluations: Folders that recipes/evaluate.py wrote.
        expected: Keys of results.json that must be equal, such as `utterances_sha256` and `max_seconds`.

    Raises:
        FileNotFoundError: A folder holds no finished evaluation.
        ValueError: One differs from what is expected.
    """
    tables = {}
    for name, folder in evaluations.items():
        path = Path(folder) / "results.json"
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing; recipes/evaluate.py writes it.")
        found = json.loads(path.read_text(encoding="utf-8"))
        if any(found.get(key) != value for key, value in (expected or {}).items()):
            raise ValueError(
                f"{name} ({folder}) was evaluated on other utterances, or with another --max_seconds, than this "
                "model; evaluate both alike."
            )
        # by default pandas takes the language tag "nan" for a missing value
        tables[name] = pd.read_csv(path.with_name("predictions.csv"), keep_default_na=False, na_values=[""])
    return tables


def paired_table(paired: Mapping[str, Mapping[str, Any]], part: str = "overall") -> str:
    """A Markdown table of `compare_all`, one line for each other model; empty where there is none."""
    lines = []
    for name, parts in paired.items():
        if figures := parts[part]:
            difference = f"{100 * figures['difference']:+z.1f}"
            if figures["difference_interval"]:
                low, high = figures["difference_interval"]
                difference += f" ({100 * low:+z.1f} to {100 * high:+z.1f})"
            lines.append(
                f"| {name} | {difference} | {_p_text(figures['p_speakers'])} | {figures['only_this_right']} "
                f"| {figures['only_other_right']} | {_p_text(figures['p_mcnemar'])} |"
            )
    head = [
        "| this minus | UAR, points (95 % interval) | p, speakers | only this right | only other right | p, McNemar |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join(head + lines) if lines else ""


def _exchange(shares: np.ndarray, other_shares: np.ndarray) -> float:
    """P-value of the difference of two sums over speakers, `(speakers,)` each, if who is who were tossed for each."""
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

"""Ratings of arousal and valence as a built dataset holds them, and the classes that they stand for."""

from collections.abc import Callable, Iterable
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa

from ...labels import VALENCES, class_name

KEYS = ("corpus", "raw_label", "emotion", "language", "sentiment", "label")
RATINGS = ("arousal_rating", "valence_rating")
COLUMNS = (*KEYS, *RATINGS, "rating_scale")  # those of the dataset that decide on the class


def label_facts(table: pa.Table) -> pd.DataFrame:
    """The columns of a built dataset that decide on the class, one row per utterance; columns it lacks are null.

    Returns:
        `corpus`, `raw_label`, `emotion`, `language`, `sentiment`, `label` (index of the six classes), `arousal_rating`
        and `valence_rating` on the scale from `scale_low` to `scale_high`.
    """
    facts = table.select([name for name in (*KEYS, *RATINGS) if name in table.column_names]).to_pandas()
    facts = facts.reindex(columns=[*KEYS, *RATINGS])
    facts[["scale_low", "scale_high"]] = np.nan
    if "rating_scale" in table.column_names and table["rating_scale"].null_count < len(table):
        scales = [
            scale if scale and len(scale) == 2 else (np.nan, np.nan) for scale in table["rating_scale"].to_pylist()
        ]
        facts[["scale_low", "scale_high"]] = np.array(scales, dtype=float)
    return facts


def facts_of(rows: datasets.Dataset) -> pd.DataFrame:
    """The columns of a built dataset's rows that decide on the class, see [`label_facts`]."""
    columns = [name for name in COLUMNS if name in rows.column_names]
    return label_facts(rows.with_format("arrow").select_columns(columns)[:])


def ratings_of(rows: datasets.Dataset) -> pd.DataFrame:
    """`arousal_rating` and `valence_rating` of a built dataset's rows, see [`scaled_ratings`]."""
    return scaled_ratings(facts_of(rows))


def rated_only(table: pd.DataFrame) -> pd.Series:
    """Whether a row of a table from [`label_facts`] has no label, but ratings."""
    return table["raw_label"].fillna("").eq("") & table[list(RATINGS)].notna().any(axis=1)


def dimensions(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Arousal and valence of ratings, `(utterances,)` each; None where a rating or its scale is missing.

    Args:
        table: `arousal_rating`, `valence_rating`, `scale_low` and `scale_high`, as in [`label_facts`].
    """
    shares = scaled_ratings(table)
    arousal = np.where(shares["arousal_rating"] > 0.5, "high", "low").astype(object)
    third = np.digitize(shares["valence_rating"], [1 / 3, 2 / 3 + 1e-6])
    valence = np.array(VALENCES, dtype=object)[np.minimum(third, len(VALENCES) - 1)]
    arousal[shares["arousal_rating"].isna()] = None
    valence[shares["valence_rating"].isna()] = None
    return arousal, valence


def scaled_ratings(table: pd.DataFrame) -> pd.DataFrame:
    """`arousal_rating` and `valence_rating` as shares of their scale, from 0 to 1; NaN without a scale or outside it.

    Args:
        table: As in [`dimensions`].
    """
    low, width = table["scale_low"], table["scale_high"] - table["scale_low"]
    shares = table[list(RATINGS)].astype(float).sub(low, axis=0).div(width.where(width > 0), axis=0)
    return shares.where(shares.ge(-1e-6) & shares.le(1 + 1e-6)).clip(0, 1)


def _six_of(arousal: Iterable[str | None], valence: Iterable[str | None]) -> list[str | None]:
    pairs = zip(arousal, valence, strict=True)
    return [class_name(low_high, sign) if low_high and sign else None for low_high, sign in pairs]


BY_RATINGS: dict[str, Callable[[np.ndarray, np.ndarray], Any]] = {
    **dict.fromkeys(("six", "alternative", "corpus_valence"), _six_of),
    "arousal": lambda arousal, _: arousal,
    "valence": lambda _, valence: valence,
}

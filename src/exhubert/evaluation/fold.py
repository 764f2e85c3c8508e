"""One training run of a protocol."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Fold:
    """One training run of a protocol.

    Attributes:
        name: Name of the tested group, or for `cross_corpus` of the corpus that is trained on.
        partitions: Row numbers of `train`, `validation` and `test`.
        notes: What a protocol's file and the data don't share, one sentence each.
        shared: Number of speakers that two partitions share, by the names of both; empty if none do.
    """

    name: str
    partitions: dict[str, np.ndarray]
    notes: Sequence[str] = ()
    shared: Mapping[str, int] = field(default_factory=dict)

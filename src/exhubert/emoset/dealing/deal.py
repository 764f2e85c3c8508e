"""Deals whole units, such as speakers, into piles that are balanced over classes and, after these, over genders."""

import math
from collections.abc import Hashable, Sequence
from fractions import Fraction

import numpy as np
import pandas as pd

_FEW_DEALS = 600_000  # 12 units in 3 piles; this many deals are all tried
_FEW_COUNTS = 8_000_000  # counts of all sets of units by class, 64 MB
_RANDOM_DEALS, _RANDOM_CHOICES = 512, 2_000_000
_STARTS, _STARTED_UNITS = 64, 20_000
_MOST_SWAPPED = 256  # of more units, single moves are fine enough
_GENDER = 100  # classes weigh this many times as much as genders
_BITS = 58  # of the largest cost; leaves sums of a few costs within int64


def deal(
    units: Sequence[str],
    classes: Sequence[Hashable],
    shares: Sequence[float],
    seed: int,
    genders: Sequence[str | None] | None = None,
) -> list[int]:
    """Deals whole units into piles so that each pile gets close to its share of every class; no pile stays empty.

    Minimises the deviation from the target counts, sum((count - target)² / target) over piles and classes, plus a
    hundredth of the same sum over piles and genders: evenness of genders is paid for with little evenness of classes.
    Tries all deals of few units (12 in three piles); improves random deals of more by moves and swaps. scikit-learn's
    `StratifiedGroupKFold` leaves whole classes out of a partition if speakers are unequal.

    The order of the utterances doesn't matter, and costs are integers, so that every machine finds the same deal.

    Args:
        units: The unit of each utterance, such as its speaker, which stays in one pile.
        classes: Class of each utterance.
        shares: Share of each pile; they sum to one.
        seed: Decides between equally good deals, and where the search begins if there are too many to try them all.
        genders: Gender of each utterance's speaker; None if unknown, which counts for nothing.

    Returns:
        The pile of each utterance, counted from 0.

    Raises:
        ValueError: There are fewer units than piles.

    >>> deal(["anna", "anna", "ben", "cara"], ["joy", "joy", "joy", "joy"], [0.5, 0.25, 0.25], seed=0)[:2]
    [0, 0]
    """
    index, names = pd.factorize(np.asarray(units, dtype=object), sort=True)
    if len(names) < len(shares):
        raise ValueError(f"{len(shares)} piles need at least as many units, found {len(names)}.")
    size = len(names)
    del names  # of a million units, if each is one utterance
    known = np.array([gender is not None for gender in genders or [None] * len(index)])
    per_gender = _counts(index[known], size, np.array([g for g in genders or () if g is not None], dtype=object))
    names_of_classes = np.array(list(map(str, classes)), dtype=object)
    search = _Search(_counts(index, size, names_of_classes), per_gender, shares, np.random.default_rng(seed))
    return search.best()[index].tolist()


def _counts(unit: np.ndarray, units: int, values: np.ndarray) -> np.ndarray:
    """Utterances of each unit (rows) with each value (columns, sorted)."""
    value, names = pd.factorize(values, sort=True)
    cells = np.bincount(unit * len(names) + value, minlength=units * len(names))
    return cells.reshape(units, len(names))


def _distinct(rows: np.ndarray) -> np.ndarray:
    """Sorts the different rows of small numbers, as `np.unique` does along an axis, which takes 100 times the memory.

    >>> _distinct(np.array([[1, 0], [0, 300], [1, 0]])).tolist()
    [[0, 300], [1, 0]]
    """
    texts = sorted({row.astype(">u2").tobytes() for row in rows})
    return np.frombuffer(b"".join(texts), ">u2").reshape(-1, rows.shape[1]).astype(np.int16)


class _Search:
    """Looks for the deal of least cost.

    With shares w / W, a pile's cost is the sum of `weight * gap²` over classes and genders, where `gap` is
    `W * count - w * total`: the deviation times a power of two, rounded to integers.
    """

    def __init__(self, per_class: np.ndarray, per_gender: np.ndarray, shares: Sequence[float], rng):
        parts = [Fraction(share).limit_denominator(10_000) for share in shares]
        whole = math.lcm(*(part.denominator for part in parts))
        numerators = [int(part * whole) for part in parts]
        self.rng = rng
        self.sizes = per_class.sum(axis=1)
        self.added = np.concatenate([per_class, per_gender], axis=1)  # (units, columns)
        self.added *= whole
        totals = [*per_class.sum(axis=0).tolist(), *per_gender.sum(axis=0).tolist()]
        divisors = [whole * total for total in totals]
        divisors[per_class.shape[1] :] = [divisor * _GENDER for divisor in divisors[per_class.shape[1] :]]
        largest = sum(totals) * sum(whole // numerator + 1 for numerator in numerators)
        scale = 1 << max(_BITS - largest.bit_length(), 0)
        rows = [[max(scale // (numerator * divisor), 1) for divisor in divisors] for numerator in numerators]
        self.weights = np.array(rows, dtype=np.int64)  # (piles, columns)
        self.start = -np.outer(np.array(numerators, dtype=np.int64), np.array(totals, dtype=np.int64))

    def best(self) -> np.ndarray:
        """Returns the pile of each unit."""
        units, columns = self.added.shape
        piles = len(self.weights)
        if piles**units <= _FEW_DEALS and 2**units * columns <= _FEW_COUNTS:
            return self._best_of_all()
        return self._best_found()

    def _best_of_all(self) -> np.ndarray:
        units, columns = self.added.shape
        piles = len(self.weights)
        sums = np.zeros((1, columns), dtype=np.int64)  # of each set of units; bit i of its number is unit i
        for row in self.added:
            sums = np.concatenate([sums, sums + row])
        costs = []
        for start, weights in zip(self.start, self.weights, strict=True):
            gaps = sums + start
            costs.append(np.einsum("sk,sk,k->s", gaps, gaps, weights))
        sets = np.zeros((1, piles), dtype=np.int32)  # of each deal, the set of units in each pile
        for unit in range(units):
            sets = (sets[:, None] + np.eye(piles, dtype=np.int32) * (1 << unit)).reshape(-1, piles)
        sets = sets[(sets > 0).all(axis=1)]
        cost = sum(cost[members] for cost, members in zip(costs, sets.T, strict=True))
        equal = np.flatnonzero(cost == cost.min())
        members = sets[equal[self.rng.integers(len(equal))]]
        return np.array([np.flatnonzero(members >> unit & 1)[0] for unit in range(units)])

    def _best_found(self) -> np.ndarray:
        choices = _distinct(self._random_deals())
        costs = np.array([self._cost(self._gaps(choice)) for choice in choices])
        number = min(_STARTS, max(_STARTED_UNITS // len(self.added), 2))
        starts = choices[np.argsort(costs, kind="stable")[:number]]
        results = [self._improved(choice.copy()) for choice in starts]
        return min(results, key=lambda choice: self._cost(self._gaps(choice)))

    def _random_deals(self) -> np.ndarray:
        """Deals units in random orders, the large ones sooner, always to the pile that they fit best."""
        units = len(self.added)
        number = min(_RANDOM_DEALS, max(_RANDOM_CHOICES // units, 2))
        orders = np.argsort(-self.sizes * self.rng.uniform(0.3, 1.7, (number, units)), axis=1, kind="stable")
        gaps = np.repeat(self.start[None], number, axis=0)
        choices = np.zeros((number, units), dtype=np.int16)
        deals = np.arange(number)
        for unit in orders.T:
            added = self.added[unit][:, None, :]
            best = np.einsum("npk,nok,pk->np", 2 * gaps + added, added, self.weights).argmin(axis=1)
            gaps[deals, best] += added[:, 0]
            choices[deals, unit] = best
        return choices

    def _gaps(self, choice: np.ndarray) -> np.ndarray:
        gaps = self.start.copy()
        np.add.at(gaps, choice, self.added)
        return gaps

    def _cost(self, gaps: np.ndarray) -> int:
        return int((self.weights * gaps * gaps).sum())

    def _improved(self, choice: np.ndarray) -> np.ndarray:
        """Moves or swaps units, always to the greatest advantage, until nothing helps; fills empty piles first."""
        units, piles = len(self.added), len(self.weights)
        squares = self.added**2 @ self.weights.T  # (units, piles)
        everyone = np.arange(units)
        swaps = units <= _MOST_SWAPPED
        common = np.einsum("ik,jk,pk->pij", self.added, self.added, self.weights) if swaps else None
        gaps = self._gaps(choice)
        while True:
            inner = 2 * (self.added @ (self.weights * gaps).T)
            gain = squares + inner + (squares - inner)[everyone, choice][:, None]  # what moving a unit to a pile costs
            members = np.bincount(choice, minlength=piles)
            blocked = (members[choice] == 1)[:, None] | (choice[:, None] == np.arange(piles))
            if (members == 0).any():
                blocked = blocked | (members > 0)
            moves = np.where(blocked, np.iinfo(np.int64).max, gain)
            unit, pile = divmod(int(moves.argmin()), piles)
            best, changes = moves[unit, pile], [(unit, pile)]
            if common is not None and (members > 0).all():
                # both leave a pile and enter the other's; the products are what their separate moves count twice
                products = common[choice, everyone]
                exchange = gain[:, choice] + gain[:, choice].T - 2 * (products + products.T)
                exchange[choice[:, None] == choice] = 0
                first, second = divmod(int(exchange.argmin()), units)
                if exchange[first, second] < best:
                    best = exchange[first, second]
                    changes = [(first, int(choice[second])), (second, int(choice[first]))]
            if best >= 0 and (members > 0).all():
                return choice
            for unit, pile in changes:
                gaps[choice[unit]] -= self.added[unit]
                gaps[pile] += self.added[unit]
                choice[unit] = pile

"""Dealing: no pile empty, no unit divided, as good as the best of all deals, even in classes and then in genders."""

import random
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exhubert.emoset.dealing.deal import deal

SHARES = (0.6, 0.2, 0.2)
CLASSES = "abcd"


def rows_of(table):
    """`[[3, 0], [1, 2]]`: the first unit has 3 utterances of class a, the second 1 of a and 2 of b."""
    return [
        (f"s{unit:02d}", CLASSES[column])
        for unit, counts in enumerate(table)
        for column, count in enumerate(counts)
        for _ in range(count)
    ]


def deviation(filled, shares=SHARES):
    """`filled`: (..., piles, classes)."""
    targets = np.outer(shares, filled.sum(axis=-2).reshape(-1, filled.shape[-1])[0])
    return ((filled - targets) ** 2 / targets).sum(axis=(-1, -2))


def deviation_of(rows, piles, shares=SHARES):
    filled = pd.crosstab(np.array(piles), np.array([name for _, name in rows])).reindex(
        range(len(shares)), fill_value=0
    )
    return float(deviation(filled.to_numpy(float), shares))


def best_of_all(rows, shares=SHARES):
    """The least deviation of all deals that leave no pile empty, found in another way: pile by pile, unit by unit."""
    counts = pd.crosstab(np.array([unit for unit, _ in rows]), np.array([name for _, name in rows])).to_numpy()
    filled = np.zeros((1, len(shares), counts.shape[1]))
    for row in counts:
        filled = np.concatenate([filled + np.eye(len(shares))[pile][:, None] * row for pile in range(len(shares))])
    filled = filled[(filled.sum(axis=2) > 0).all(axis=1)]
    return float(deviation(filled, shares).min())


def tables(fewest, most, largest=20):
    row = st.lists(st.integers(0, largest), min_size=3, max_size=3).filter(any)
    return st.lists(row, min_size=fewest, max_size=most)


@settings(deadline=None, max_examples=150)
@given(tables(3, 7), st.integers(0, 3))
def test_few_units_get_the_best_of_all_deals_and_no_pile_is_empty(table, seed):
    rows = rows_of(table)
    piles = deal(*zip(*rows, strict=True), SHARES, seed)
    assert set(piles) == {0, 1, 2}
    assert all(len({pile for (own, _), pile in zip(rows, piles, strict=True) if own == unit}) == 1 for unit, _ in rows)
    assert deviation_of(rows, piles) <= best_of_all(rows) + 1e-9


@settings(deadline=None, max_examples=60)
@given(tables(3, 40, 300), st.integers(0, 3))
def test_many_unequal_units_leave_no_pile_empty_and_their_order_changes_nothing(table, seed):
    rows = rows_of(table)
    piles = deal(*zip(*rows, strict=True), SHARES, seed)
    assert set(piles) == {0, 1, 2}
    of_unit = dict(zip((unit for unit, _ in rows), piles, strict=True))
    assert piles == [of_unit[unit] for unit, _ in rows]
    shuffled = random.Random(seed).sample(rows, len(rows))
    assert deal(*zip(*shuffled, strict=True), SHARES, seed) == [of_unit[unit] for unit, _ in shuffled]


@pytest.mark.parametrize("seed", [0, 5, 29, 30])  # in the last three, random deals alone don't suffice
def test_the_search_among_thirteen_units_finds_the_best_of_all_deals(seed):
    rng = np.random.default_rng(seed)
    sizes = np.maximum(rng.lognormal(3, 1.2, 13).astype(int), 1)
    rows = rows_of([rng.multinomial(size, rng.dirichlet([1.0] * 3)) for size in sizes])
    assert deviation_of(rows, deal(*zip(*rows, strict=True), SHARES, 0)) <= best_of_all(rows) + 1e-6


@pytest.mark.parametrize(
    "table",
    [
        [[9, 3, 0, 0], [0, 6, 6, 0], [4, 0, 0, 8]],
        [[30, 0], [0, 1], [1, 0]],
        [[5, 0, 0, 0], [0, 5, 0, 0], [0, 0, 5, 0], [0, 0, 0, 5], [5, 0, 0, 0], [0, 5, 0, 0]],
    ],
)
def test_units_with_few_classes_leave_no_pile_empty(table):
    rows = rows_of(table)
    for seed in range(20):
        assert set(deal(*zip(*rows, strict=True), SHARES, seed)) == {0, 1, 2}


def test_genders_are_even_where_classes_allow_it_and_classes_come_first():
    rows = rows_of([[6, 6]] * 10)
    genders = ["f" if unit < "s05" else "m" for unit, _ in rows]
    piles = deal(*zip(*rows, strict=True), SHARES, 0, genders)
    assert deviation_of(rows, piles) == 0
    units = {unit: (pile, gender) for (unit, _), pile, gender in zip(rows, piles, genders, strict=True)}
    assert Counter(units.values()) == {
        (pile, gender): number for pile, number in ((0, 3), (1, 1), (2, 1)) for gender in "fm"
    }
    # uneven classes, a little: the best deal by classes alone has no man in one pile
    rows = rows_of([[10 + unit % 3, 10 + unit * 7 % 4] for unit in range(10)])
    genders = ["f" if unit < "s05" else "m" for unit, _ in rows]
    piles = deal(*zip(*rows, strict=True), SHARES, 0, genders)
    assert {*zip(piles, genders, strict=True)} == {(pile, gender) for pile in range(3) for gender in "fm"}
    assert deviation_of(rows, piles) < best_of_all(rows) + 1
    # only the speakers 0 to 4, all of one gender, have the second class
    rows = rows_of([[6, 6]] * 5 + [[12, 0]] * 5)
    piles = deal(*zip(*rows, strict=True), SHARES, 0, ["f" if unit < "s05" else "m" for unit, _ in rows])
    assert deviation_of(rows, piles) == pytest.approx(best_of_all(rows))


def test_unknown_genders_count_for_nothing():
    rows = rows_of([[5, 1], [2, 3], [1, 1], [4, 4], [7, 0]])
    with_gaps = [None if unit != "s01" else "f" for unit, _ in rows]
    for genders in (None, [None] * len(rows), with_gaps):
        assert deviation_of(rows, deal(*zip(*rows, strict=True), SHARES, 0, genders)) == pytest.approx(
            best_of_all(rows)
        )


def test_the_seed_decides_between_equal_deals_only():
    rows = rows_of([[3, 3]] * 5)
    deals = {tuple(deal(*zip(*rows, strict=True), SHARES, seed)) for seed in range(10)}
    assert len(deals) > 3 and all(deviation_of(rows, piles) == 0 for piles in deals)
    assert deal(*zip(*rows, strict=True), SHARES, 7) == deal(*zip(*rows, strict=True), SHARES, 7)


def test_two_piles_and_seven_piles_are_dealt_too():
    rows = rows_of([[unit % 3 + 1, 3, unit] for unit in range(8)])
    for shares in ((0.75, 0.25), (1 / 7,) * 7):
        piles = deal(*zip(*rows, strict=True), shares, 0)
        assert set(piles) == set(range(len(shares)))
    assert (
        deviation_of(rows, deal(*zip(*rows, strict=True), (0.8, 0.2), 0), (0.8, 0.2))
        <= best_of_all(rows, (0.8, 0.2)) + 1e-9
    )


def test_fewer_units_than_piles_are_an_error():
    with pytest.raises(ValueError, match="3 piles need at least as many units, found 2"):
        deal(["x", "y", "y"], ["a", "a", "b"], SHARES, 0)

"""The laws of shares: they add up, fit the definition, and treat alike what is alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import chain, combinations, permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracediff.explain.sampling import orders, permutation_masks, sampled, student
from tracediff.explain.shapley import (
    exact,
    interactions,
    mask_of,
    owen,
    owen_count,
    owen_masks,
)

AMOUNTS = st.fractions(-100, 100, max_denominator=60)


@st.composite
def games(draw: st.DrawFn, least: int = 1, most: int = 6) -> list[Fraction]:
    """What each coalition is worth; nobody may be worth something too."""
    size = 1 << draw(st.integers(least, most))
    # Bytes are drawn far sooner than numbers one by one.
    drawn = draw(st.binary(min_size=2 * size, max_size=2 * size))
    return [
        Fraction(int.from_bytes(drawn[at : at + 1], signed=True), drawn[at + 1] % 12 + 1)
        for at in range(0, 2 * size, 2)
    ]


def count(values: Sequence[Fraction]) -> int:
    return len(values).bit_length() - 1


@st.composite
def grouped(draw: st.DrawFn) -> tuple[list[Fraction], tuple[tuple[int, ...], ...]]:
    """A game and groups of its players, in any order."""
    values = draw(games(1, 6))
    label = st.integers(0, 3)
    labels = draw(st.lists(label, min_size=count(values), max_size=count(values)))
    players = draw(st.permutations(range(count(values))))
    parts: dict[int, tuple[int, ...]] = {}
    for player in players:
        parts[labels[player]] = (*parts.get(labels[player], ()), player)
    return values, tuple(parts.values())


def mean_over(values: Any, drawn: Sequence[Sequence[int]]) -> tuple[Fraction, ...]:
    """What each player adds on average: the definition."""
    sums = [Fraction(0)] * len(drawn[0])
    for order in drawn:
        mask = 0
        for player in order:
            sums[player] += values[mask | 1 << player] - values[mask]
            mask |= 1 << player
    return tuple(one / len(drawn) for one in sums)


def orders_of(groups: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    """All orders that keep each group together."""
    if not groups:
        return [()]
    found = []
    for at, group in enumerate(groups):
        rest = orders_of([*groups[:at], *groups[at + 1 :]])
        found += [(*inside, *after) for inside in permutations(group) for after in rest]
    return found


@given(games())
def test_shares_are_the_mean_over_all_orders_and_add_up(values: Any) -> None:
    n = count(values)
    shares = exact(values, n)
    assert shares == mean_over(values, list(permutations(range(n))))
    assert sum(shares) == values[-1] - values[0]
    assert exact(dict(enumerate(values)), n) == shares


@given(games(1, 5), st.data())
def test_one_that_does_nothing_gets_nothing(values: Any, data: st.DataObject) -> None:
    idle = data.draw(st.integers(0, count(values)))
    low = (1 << idle) - 1
    wider = [values[mask & low | mask >> 1 & ~low] for mask in range(2 * len(values))]
    n = count(wider)
    shares = exact(wider, n)
    assert shares[idle] == 0
    assert shares[:idle] + shares[idle + 1 :] == exact(values, n - 1)
    assert not [one for one in interactions(wider, n) if idle in one[:2]]


@given(games(2, 5))
def test_two_that_do_the_same_get_the_same(values: Any) -> None:
    swap = [mask & ~3 | mask >> 1 & 1 | (mask & 1) << 1 for mask in range(len(values))]
    alike = [(values[mask] + values[swap[mask]]) / 2 for mask in range(len(values))]
    first, second, *_ = exact(alike, count(alike))
    assert first == second


@given(games(1, 6), st.data())
def test_other_numbers_for_the_players_are_the_same_shares(values: Any, data: Any) -> None:
    n = count(values)
    named = data.draw(st.permutations(range(n)))
    renamed = {
        mask_of(named[one] for one in range(n) if mask >> one & 1): amount
        for mask, amount in enumerate(values)
    }
    shares = exact(values, n)
    assert exact(renamed, n) == tuple(shares[named.index(one)] for one in range(n))
    pairs = {frozenset((named[i], named[j])): amount for i, j, amount in interactions(values, n)}
    assert {frozenset(one[:2]): one[2] for one in interactions(renamed, n)} == pairs


@given(games(4, 4), games(4, 4), AMOUNTS)
def test_the_shares_of_a_sum_are_the_sums_of_the_shares(one: Any, other: Any, times: Any) -> None:
    both = [a + times * b for a, b in zip(one, other, strict=True)]
    sums = [a + times * b for a, b in zip(exact(one, 4), exact(other, 4), strict=True)]
    assert exact(both, 4) == tuple(sums)


@given(games(2, 5))
def test_interactions_are_what_the_definition_says(values: Any) -> None:
    n = count(values)
    wanted = {}
    for i, j in combinations(range(n), 2):
        rest = [one for one in range(n) if one not in (i, j)]
        subsets = chain.from_iterable(combinations(rest, k) for k in range(len(rest) + 1))
        a, b = 1 << i, 1 << j
        amount = Fraction(0)
        for subset in subsets:
            s, m = len(subset), mask_of(subset)
            weight = Fraction(math.factorial(s) * math.factorial(n - s - 2), math.factorial(n - 1))
            amount += weight * (values[m | a | b] - values[m | a] - values[m | b] + values[m])
        if amount:
            wanted[i, j] = amount
    found = interactions(values, n)
    assert {one[:2]: one[2] for one in found} == wanted
    sizes = [abs(one[2]) for one in found]
    assert sizes == sorted(sizes, reverse=True)


@given(st.lists(AMOUNTS, max_size=7), AMOUNTS)
def test_where_nobody_needs_another_nothing_interacts(alone: Any, nobody: Any) -> None:
    n = len(alone)
    values = [
        nobody + sum(alone[one] for one in range(n) if mask >> one & 1) for mask in range(1 << n)
    ]
    assert interactions(values, n) == ()
    assert exact(values, n) == tuple(alone)


def test_a_product_interacts_and_a_game_of_nobody_has_no_shares() -> None:
    assert interactions([Fraction(v) for v in (0, 0, 0, 6)], 2) == ((0, 1, Fraction(6)),)
    assert exact([Fraction(5)], 0) == ()
    assert owen({0: Fraction(5)}, ()) == ()


def test_twelve_players_are_right_to_the_last_digit() -> None:
    """The glove game, whose value is known: with 1 left glove and 11 right ones."""
    values = [Fraction(mask & 1 and mask > 1, 7) for mask in range(1 << 12)]
    shares = exact(values, 12)
    assert shares[0] == Fraction(11, 12) / 7
    assert set(shares[1:]) == {Fraction(1, 11 * 12) / 7}


@given(grouped())
def test_owens_shares_are_the_mean_over_the_orders_that_keep_groups_together(made: Any) -> None:
    values, groups = made
    masks = owen_masks(groups)
    assert len(masks) == owen_count(groups)
    needed = {mask: values[mask] for mask in masks}  # and no other
    shares = owen(needed, groups)
    drawn = orders_of(groups)
    assert shares == mean_over(values, drawn)
    assert masks == {mask for order in drawn for mask in permutation_masks(order)}
    quotient = {
        at: values[mask_of(one for index, group in enumerate(groups) if at >> index & 1
                           for one in group)]
        for at in range(1 << len(groups))
    }  # fmt: skip
    as_players = exact(quotient, len(groups))
    assert as_players == tuple(sum(shares[one] for one in group) for group in groups)


@given(games())
def test_one_group_or_groups_of_one_are_no_groups(values: Any) -> None:
    n = count(values)
    singles = tuple((one,) for one in range(n))
    assert owen(values, singles) == owen(values, (tuple(range(n)),)) == exact(values, n)
    assert len(owen_masks(singles)) == owen_count(singles) == 1 << n


def test_groups_of_many_need_few_mixtures() -> None:
    groups = tuple(tuple(range(4 * at, 4 * at + 4)) for at in range(6))
    assert len(owen_masks(groups)) == owen_count(groups) == 64 + 32 * 6 * 14
    with pytest.raises(ValueError, match="exactly one group"):
        owen_masks(((0, 1), (1, 2)))
    with pytest.raises(ValueError, match="exactly one group"):
        owen_masks(((0,), ()))


@given(games(2, 5))
def test_a_sample_of_all_orders_is_exact(values: Any) -> None:
    n = count(values)
    drawn = [one for order in permutations(range(n)) for one in (order, order[::-1])]
    shares, margins = sampled(dict(enumerate(values)), drawn)
    assert shares == exact(values, n)
    assert len(margins) == n


@given(grouped(), st.integers(), st.integers(2, 12))
def test_a_sample_adds_up_and_asks_only_for_what_its_orders_reach(
    made: Any, seed: int, pairs: int
) -> None:
    values, groups = made
    n = count(values)
    for drawn in (list(orders(n, seed, pairs)), list(orders(n, seed, pairs, groups))):
        assert len(drawn) == 2 * pairs
        assert all(sorted(order) == list(range(n)) for order in drawn)
        assert [order[::-1] for order in drawn[::2]] == drawn[1::2]
        reached = {mask: values[mask] for order in drawn for mask in permutation_masks(order)}
        shares, margins = sampled(reached, drawn)
        assert sum(shares) == values[-1] - values[0]
        assert shares == mean_over(values, drawn)
        assert all(margin >= 0 for margin in margins)
    assert list(orders(n, seed, pairs + 1, groups))[: 2 * pairs] == drawn
    together = {mask_of(group) for group in groups}
    for order in drawn:
        steps = {a ^ b for a, b in combinations(permutation_masks(order), 2)}
        assert together <= steps


def test_margins_are_those_of_the_mean_of_the_pairs() -> None:
    values = {0: Fraction(0), 1: Fraction(1), 2: Fraction(0), 3: Fraction(4)}
    drawn = [(0, 1), (1, 0), (0, 1), (0, 1)]  # player 0 adds 1 and 4, 1 and 1: means 2.5 and 1
    shares, margins = sampled(values, drawn)
    assert shares == (Fraction(7, 4), Fraction(9, 4))
    assert float(margins[0]) == pytest.approx(12.706205 * 0.75)
    with pytest.raises(ValueError, match="two pairs"):
        sampled(values, drawn[:3])


def test_most_intervals_hold_the_share() -> None:
    """Of 14 players that matter in pairs, with 200 samples: 95 % of 2,800, within six errors."""
    n = 14
    weights = [Fraction(3 * at % 7 - 2) for at in range(n)]

    def worth(mask: int) -> Fraction:
        on = [at for at in range(n) if mask >> at & 1]
        both = sum(weights[a] * weights[(a + 3) % n] for a in on if mask >> (a + 3) % n & 1)
        return sum((weights[at] for at in on), Fraction(0)) + both

    class Worth(dict[int, Fraction]):
        def __missing__(self, mask: int) -> Fraction:
            return self.setdefault(mask, worth(mask) ** 2)

    values = Worth()
    true = exact([values[mask] for mask in range(1 << n)], n)
    held = 0
    for seed in range(200):
        shares, margins = sampled(values, list(orders(n, seed, 15)))
        held += sum(
            abs(a - b) <= margin for a, b, margin in zip(shares, true, margins, strict=True)
        )
    assert 0.90 < held / (200 * n) < 0.99


@pytest.mark.parametrize("freedom", [1, 2, 3, 7, 8, 9, 20, 100, 5000])
def test_students_t_leaves_out_one_in_twenty(freedom: int) -> None:
    t = float(student(freedom))
    factor = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2))
    factor /= math.sqrt(freedom * math.pi)
    steps = 4000
    heights = [
        factor * (1 + (t * at / steps) ** 2 / freedom) ** (-(freedom + 1) / 2)
        for at in range(steps + 1)
    ]
    inside = heights[0] + heights[-1] + 4 * sum(heights[1::2]) + 2 * sum(heights[2:-1:2])
    assert 2 * inside * t / steps / 3 == pytest.approx(0.95, abs=2e-5)


def test_amounts_of_any_size_have_margins() -> None:
    huge = Fraction(Decimal("1E+4000"))
    values = {0: Fraction(0), 1: huge, 2: Fraction(1, 3), 3: huge * 3}
    shares, margins = sampled(values, [(0, 1), (1, 0), (0, 1), (0, 1)])
    assert sum(shares) == huge * 3
    assert margins[0] > 0

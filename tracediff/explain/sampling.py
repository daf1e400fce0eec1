"""Shares of more players than can be mixed in every way: estimated from orders drawn at random.

In each order the players come one by one, and each gets what it adds to those before it: a sample
of its Shapley value (J. Castro, D. Gómez and J. Tejada, "Polynomial calculation of the Shapley
value based on sampling", Computers & Operations Research 36, 2009). Each order is followed by its
reverse, an antithetic pair: what a player gains from the others being there in one of them, it
lacks in the other, so that the mean of the two varies less (R. Mitchell, J. Cooper, E. Frank and
G. Holmes, "Sampling permutations for Shapley value estimation", Journal of Machine Learning
Research 23, 2022).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import ROUND_CEILING, Context, Decimal
from fractions import Fraction
from statistics import NormalDist

from tracediff.explain.shapley import Groups, check_groups, whole

Order = tuple[int, ...]

_UP = Context(prec=12, rounding=ROUND_CEILING, Emax=10**17, Emin=-(10**17))
# Student's t for few pairs, from one degree of freedom; the expansion is good to 0.001 after that.
_T = ("12.706205", "4.302653", "3.182446", "2.776445", "2.570582", "2.446912", "2.364624")


def orders(players: int, seed: int, pairs: int, groups: Groups | None = None) -> Iterator[Order]:
    """Random orders of the players, each followed by its reverse.

    The same seed gives the same orders; more pairs only add to them.

    Args:
        players: How many there are.
        seed: Where the randomness starts.
        pairs: How many orders are drawn; twice as many come.
        groups: Players that stay together, in random order inside; the shares are Owen's then. By
            default each player is a group of its own.
    """
    units = [sorted(group) for group in groups] if groups is not None else []
    if groups is not None:
        check_groups(groups)
    else:
        units = [[player] for player in range(players)]
    rng = random.Random(seed)  # noqa: S311 - no secret; the same orders have to come again
    for _ in range(pairs):
        drawn = [rng.sample(unit, len(unit)) for unit in rng.sample(units, len(units))]
        order = tuple(player for unit in drawn for player in unit)
        yield order
        yield order[::-1]


def permutation_masks(order: Sequence[int]) -> tuple[int, ...]:
    """The coalitions that an order goes through, from nobody to everybody."""
    masks = [0]
    for player in order:
        masks.append(masks[-1] | 1 << player)
    return tuple(masks)


def sampled(
    values: Mapping[int, Fraction], drawn: Iterable[Sequence[int]]
) -> tuple[tuple[Fraction, ...], tuple[Fraction, ...]]:
    """Estimated shares, and how far off they may be.

    Args:
        values: What each coalition that the orders go through is worth.
        drawn: Orders as from ``orders``: each two that follow each other are a pair.

    Returns:
        The shares, whose sum is the worth of all minus that of none, exactly; and the half-widths
        of their 95 % confidence intervals: Student's t times the standard error of the pairs'
        means, rounded up to twelve digits. They hold for each share by itself, and where a player
        matters only in rare company they are too narrow until that company was drawn.

    Raises:
        ValueError: There are fewer than two whole pairs.
    """
    chains = [(order, permutation_masks(order)) for order in drawn]
    if len(chains) < 4 or len(chains) % 2:
        raise ValueError("two pairs of orders are needed at the least")
    masks = sorted({mask for _, chain in chains for mask in chain})
    amounts, common = whole(values, masks)
    worth = dict(zip(masks, amounts, strict=True))
    players, pairs = len(chains[0][0]), len(chains) // 2
    sums, squares = [0] * players, [0] * players
    for first, second in zip(chains[::2], chains[1::2], strict=True):
        added = [0] * players
        for order, chain in (first, second):
            for at, player in enumerate(order):
                added[player] += worth[chain[at + 1]] - worth[chain[at]]
        for player, amount in enumerate(added):
            sums[player] += amount
            squares[player] += amount * amount
    scale = 2 * pairs * common
    margins = [
        _half_width(pairs * square - total * total, pairs, common)
        for total, square in zip(sums, squares, strict=True)
    ]
    return tuple(Fraction(total, scale) for total in sums), tuple(margins)


def _half_width(spread: int, pairs: int, common: int) -> Fraction:
    """From K times the sum of the squares minus the square of the sum, of the pairs' sums."""
    if not spread:
        return Fraction(0)
    variance = Fraction(spread, 4 * pairs * pairs * (pairs - 1) * common * common)
    ratio = _UP.divide(Decimal(variance.numerator), Decimal(variance.denominator))
    return Fraction(_UP.multiply(_UP.sqrt(ratio), student(pairs - 1)))


def student(freedom: int) -> Decimal:
    """The 97.5 % quantile of Student's t distribution, to three decimals or better.

    M. Abramowitz and I. A. Stegun, "Handbook of Mathematical Functions", 26.7.5, 1964.
    """
    if freedom <= len(_T):
        return Decimal(_T[freedom - 1])
    z = NormalDist().inv_cdf(0.975)
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return Decimal(f"{sum(term / freedom**at for at, term in enumerate(terms)):.6f}")

"""Shares of a change among the players that made it: Shapley's and Owen's values, interactions.

Players are numbered from 0; a coalition of them is a bit mask; ``values`` says what each coalition
is worth. Everything is exact: whole numbers over one common denominator, which is also far sooner
than sums of fractions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from fractions import Fraction
from math import factorial, lcm
from operator import mul

Values = Sequence[Fraction] | Mapping[int, Fraction]
Groups = Sequence[Collection[int]]


def exact(values: Values, players: int) -> tuple[Fraction, ...]:
    """The Shapley value of each player; their sum is the worth of all minus that of none.

    It is the mean of what a player adds to those before it, over all orders in which they can come:
    the sum over S without i of |S|! (n - |S| - 1)! / n! (v(S + i) - v(S)). L. S. Shapley, "A value
    for n-person games", Contributions to the Theory of Games II, 1953.

    Args:
        values: What every one of the 2^n coalitions is worth, by its mask.
        players: How many there are.
    """
    if not players:
        return ()
    amounts, common = whole(values, range(1 << players))
    # v(T) counts with the weight of joining for the members of T, against those outside of it.
    joining = [0, *(factorial(s - 1) * factorial(players - s) for s in range(1, players + 1))]
    against = [factorial(s) * factorial(players - s - 1) for s in range(players)] + [0]
    without = sum(against[mask.bit_count()] * amount for mask, amount in enumerate(amounts))
    weights = [a + b for a, b in zip(joining, against, strict=True)]
    containing = _singles(_weighted(amounts, weights), players)
    scale = common * factorial(players)
    return tuple(Fraction(amount - without, scale) for amount in containing)


def interactions(values: Values, players: int) -> tuple[tuple[int, int, Fraction], ...]:
    """How much each two players do together beyond what each does: (first, second, amount).

    The Shapley interaction index: the sum over S without i and j of |S|! (n - |S| - 2)! / (n - 1)!
    (v(S + i + j) - v(S + i) - v(S + j) + v(S)). M. Grabisch and M. Roubens, "An axiomatic approach
    to the concept of interaction among players in cooperative games", International Journal of
    Game Theory 28, 1999.

    Args:
        values: What every one of the 2^n coalitions is worth, by its mask.
        players: How many there are.

    Returns:
        Those that are not zero, the largest first.
    """
    if players < 2:
        return ()
    amounts, common = whole(values, range(1 << players))
    weight = [factorial(s) * factorial(players - s - 2) for s in range(players - 1)]
    # By the size of T, how v(T) counts: none - i (none + one) - j (none + one) + ij (none + 2 one +
    # both), where i and j are 1 if those two are members of T.
    none, one, both = [*weight, 0, 0], [0, *weight, 0], [0, 0, *weight]
    outside = sum(_weighted(amounts, none))
    half = [-a - b for a, b in zip(none, one, strict=True)]
    alone = _singles(_weighted(amounts, half), players)
    full = [a + 2 * b + c for a, b, c in zip(none, one, both, strict=True)]
    together = _pairs(_weighted(amounts, full), players)
    scale = common * factorial(players - 1)
    found = [
        (i, j, Fraction(outside + alone[i] + alone[j] + amount, scale))
        for (i, j), amount in together.items()
    ]
    return tuple(
        sorted((one for one in found if one[2]), key=lambda one: (-abs(one[2]), one[0], one[1]))
    )


def owen(values: Values, groups: Groups) -> tuple[Fraction, ...]:
    """The Owen value of each player: Shapley's among the groups, and again inside of each.

    It is the mean of what a player adds to those before it, over the orders that keep each group
    together; a group's members share what the group would get as one player. G. Owen, "Values of
    games with a priori unions", Essays in Mathematical Economics and Game Theory, 1977.

    Args:
        values: What each coalition of ``owen_masks`` is worth.
        groups: The players of each group; every player is in exactly one.
    """
    check_groups(groups)
    shares: dict[int, Fraction] = {}
    for at, group in enumerate(groups):
        members = sorted(group)
        others = [mask_of(other) for index, other in enumerate(groups) if index != at]
        inner = _inner_game(values, members, others)
        shares |= zip(members, exact(inner, len(members)), strict=True)
    return tuple(shares[player] for player in range(len(shares)))


def owen_masks(groups: Groups) -> set[int]:
    """The coalitions that ``owen`` needs: any of the other groups, whole, and a part of one."""
    check_groups(groups)
    needed: set[int] = set()
    for at, group in enumerate(groups):
        parts = unions([1 << player for player in sorted(group)])
        outside = unions([mask_of(other) for index, other in enumerate(groups) if index != at])
        needed.update(out | part for out in outside for part in parts)
    return needed


def owen_count(groups: Groups) -> int:
    """How many coalitions ``owen_masks`` has, without making them."""
    if not groups:
        return 1
    half: int = 1 << (len(groups) - 1)
    return 2 * half + half * sum((1 << len(group)) - 2 for group in groups)


def mask_of(players: Iterable[int]) -> int:
    """The coalition of these players."""
    mask = 0
    for player in players:
        mask |= 1 << player
    return mask


def unions(parts: Sequence[int]) -> list[int]:
    """The union of each subset of disjoint coalitions; that of the subset with mask m is at m."""
    found = [0]
    for part in parts:
        found += [one | part for one in found]
    return found


def check_groups(groups: Groups) -> None:
    """Raise ValueError unless every player, from 0, is in exactly one group and none is empty."""
    members = sorted(player for group in groups for player in group)
    if members != list(range(len(members))) or not all(groups):
        raise ValueError("each player must be in exactly one group, and each group have one")


def whole(values: Values, masks: Iterable[int]) -> tuple[list[int], int]:
    """The worth of each mask as a whole number, over one common denominator."""
    found = [values[mask] for mask in masks]
    common = lcm(*{one.denominator for one in found})
    return [one.numerator * (common // one.denominator) for one in found], common


def _inner_game(
    values: Values, members: Sequence[int], others: Sequence[int]
) -> tuple[Fraction, ...]:
    """The mean worth of each subset of a group, with the other groups before or after it."""
    count = len(others)
    parts = unions([1 << player for player in members])
    outside = unions(others)
    amounts, common = whole(values, (out | part for part in parts for out in outside))
    weight = [factorial(s) * factorial(count - s) for s in range(count + 1)]
    weights = [weight[mask.bit_count()] for mask in range(len(outside))]
    scale = common * factorial(count + 1)
    width = len(outside)
    return tuple(
        Fraction(sum(map(mul, amounts[at : at + width], weights)), scale)
        for at in range(0, len(amounts), width)
    )


def _weighted(amounts: Sequence[int], weights: Sequence[int]) -> list[int]:
    """Each amount times the weight of the size of its coalition."""
    return [amount * weights[mask.bit_count()] for mask, amount in enumerate(amounts)]


def _singles(amounts: list[int], players: int) -> list[int]:
    """The sum over the coalitions that hold each player, in 2^(n + 1) additions."""
    sums = [0] * players
    for player in reversed(range(players)):
        upper = amounts[1 << player :]
        sums[player] = sum(upper)
        amounts = [a + b for a, b in zip(amounts, upper, strict=False)]
    return sums


def _pairs(amounts: list[int], players: int) -> dict[tuple[int, int], int]:
    """The sum over the coalitions that hold each two players."""
    sums: dict[tuple[int, int], int] = {}
    for second in reversed(range(players)):
        upper = amounts[1 << second :]
        for first, amount in enumerate(_singles(upper, second)):
            sums[first, second] = amount
        amounts = [a + b for a, b in zip(amounts, upper, strict=False)]
    return sums

"""Which rows of two lists are the same row, changed: those that share most of their fields."""

from __future__ import annotations

from typing import Any

from tracediff.compare.raw import shape, token, unwrapped
from tracediff.compare.sequences import Budget

_MANY = 64
_MOST = 0.5


def alike(old: list[Any], new: list[Any], budget: Budget) -> list[tuple[int, int]]:
    """Pair raw rows in order so that as many fields as can be stay equal.

    Rows that share nothing stay unpaired, as do all when there are too many of them.
    """
    if not old or not new or max(len(old), len(new)) > _MANY or len(old) == len(new) == 1:
        return []
    if not budget.take(len(old) * len(new)):
        return []
    left, right = [list(map(_fields, side)) for side in (old, new)]
    if not any(left) or not any(right):
        return []
    if len(old) == len(new) and all(map(_mostly, left, right)):
        return list(zip(range(len(old)), range(len(new)), strict=True))
    return _best([[_likeness(a, b) for b in right] for a in left])


def _fields(raw: Any) -> frozenset[Any]:
    found = shape(unwrapped(raw))
    if found is None or found.form == "set":
        return frozenset()
    if found.form == "seq":
        return frozenset((at, token(one)) for at, one in enumerate(found.members))
    return frozenset((key, token(value)) for key, _, value in found.members)


def _mostly(a: frozenset[Any], b: frozenset[Any]) -> bool:
    return _likeness(a, b) > _MOST


def _likeness(a: frozenset[Any], b: frozenset[Any]) -> float:
    shared = len(a & b)
    return shared / max(len(a), len(b)) if shared else 0.0


def _best(scores: list[list[float]]) -> list[tuple[int, int]]:
    """The pairs of the greatest sum that cross nowhere; the earliest among equals."""
    n, m = len(scores), len(scores[0])
    sums = [[0.0] * (m + 1) for _ in range(n + 1)]
    for i in range(n - 1, -1, -1):
        for j in range(m - 1, -1, -1):
            both = sums[i + 1][j + 1] + scores[i][j]
            sums[i][j] = max(both, sums[i + 1][j], sums[i][j + 1])
    pairs = []
    i = j = 0
    while i < n and j < m:
        if scores[i][j] and sums[i][j] == sums[i + 1][j + 1] + scores[i][j]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif sums[i][j] == sums[i + 1][j]:
            i += 1
        else:
            j += 1
    return pairs

"""How long things took, to 1 %, in a few hundred counters.

The sketch of Masson, Rim and Lee, "DDSketch: A fast and fully-mergeable quantile sketch with
relative-error guarantees" (PVLDB 12, 2019): a value is counted in the class of values that differ
by at most 1 % from one number, and classes grow like powers. Sketches are added, and subtracted, by
their counters. Their classes come from logarithms; these are of whole numbers alone, the same on
every machine: what one counted, another subtracts exactly.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from math import ceil
from typing import Final

LONGEST: Final = 2**63 - 1
"""Nanoseconds; what takes longer counts as this."""


@cache
def _classes() -> tuple[list[int], list[int]]:
    """The first value of each class, and the number that stands for it.

    From the first value ``low`` on, the number is the largest within 1 % of it, and the class goes
    on to the last value of which that number is within 1 %.
    """
    firsts, numbers = [0], [0]
    low = 1
    while low <= LONGEST:
        number = low * 101 // 100
        firsts.append(low)
        numbers.append(number)
        low = max(number * 100 // 99, low) + 1
    return firsts, numbers


def classes() -> int:
    """How many classes there are."""
    return len(_classes()[0])


def counts(durations: Iterable[int]) -> dict[int, int]:
    """How many of these nanoseconds fall in each class."""
    firsts = _classes()[0]
    # A clock that went backwards gives -1, which counts in the first class.
    return Counter([bisect_right(firsts, duration, 1) - 1 for duration in durations])


def number(at: int) -> int:
    """The nanoseconds that stand for a class: within 1 % of each value in it."""
    return _classes()[1][at]


def quantile(found: Mapping[int, int], share: float) -> int | None:
    """The duration that ``share`` of all do not exceed, to 1 %; None of none.

    It is that of rank ⌈share × count⌉, the first for a share of 0.
    """
    total = sum(count for count in found.values() if count > 0)
    rank = max(1, ceil(share * total))
    for at in sorted(found):
        if found[at] > 0:
            rank -= found[at]
            if rank <= 0:
                return number(at)
    return None


def longest(found: Mapping[int, int]) -> int | None:
    """The longest, to 1 %; None of none."""
    return quantile(found, 1.0)

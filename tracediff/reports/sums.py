"""Sums over many traces as people read them: of one precision, and parts that add up to the whole.

``amounts`` writes what one trace changed by, in the precision of its values; a sum over traces has
no such precision, so it gets one here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Final

from tracediff.checked import Bin, Total
from tracediff.reports import amounts

_PLACES: Final = 2
_MOST_PLACES: Final = 12
_LONGEST: Final = 10**24
_FAINT: Final = Fraction(1, 1000)
_LEVELS: Final = "▂▃▄▅▆▇█"
_EMPTY: Final = "▁"
_INDEX: Final = re.compile(r"\[\d+\]")


def without_places(name: str) -> str:
    """Return a field's name for sums over traces: the third line of one is that of no other."""
    return _INDEX.sub("[]", name)


def places_of(found: Iterable[Fraction]) -> int:
    """Return how many digits after the point some amounts get.

    None where all are whole numbers; else two, or as many as show two digits of the largest.
    """
    largest, whole = Fraction(0), True
    for one in found:
        largest = max(largest, abs(one))
        whole = whole and one.denominator == 1
    if whole:
        return 0
    places = _PLACES
    while places < _MOST_PLACES and largest * 10**places < 10:
        places += 1
    return places


def written(amount: Fraction, places: int) -> str:
    """Return an amount with its sign; with more digits where none of these would show it."""
    units = round(amount * 10**places)
    return digits(units, places) if units or not amount else f"{amounts.decimal(amount):+.2g}"


def digits(units: int, places: int) -> str:
    """Return so many units of the last place as a signed amount; a very long one is rounded."""
    if not units:
        return f"{0:.{places}f}"
    if abs(units) >= _LONGEST:
        return amounts.plain(amounts.decimal(Fraction(units, 10**places)), sign=True)
    sign, (whole, part) = "-" if units < 0 else "+", divmod(abs(units), 10**places)
    return f"{sign}{whole:,}.{part:0{places}d}" if places else f"{sign}{whole:,}"


def rounded(parts: Sequence[Fraction], places: int) -> list[int]:
    """Return the parts in units of the last place, so that they add up to their rounded sum.

    That is by largest remainder.
    """
    exact = [one * 10**places for one in parts]
    units = [math.floor(one) for one in exact]
    left = round(sum(exact, Fraction(0))) - sum(units)
    for at in sorted(range(len(units)), key=lambda at: (units[at] - exact[at], at))[:left]:
        units[at] += 1
    return units


def part_of(part: Fraction, whole: Fraction) -> str:
    """Return what part of a sum a cause has, in per cent; nothing where that would tell nothing.

    So it is where causes cancel out nearly all of each other.
    """
    if not whole or not part or abs(part) > 10 * abs(whole):
        return ""
    return "<0.1%" if abs(part) < abs(whole) * _FAINT else amounts.per_cents([part], whole)[0]


def length(part: Fraction, largest: Fraction) -> float:
    """Return how long a bar is beside the longest, from 0 to 1."""
    if not largest:
        return 0.0
    return 1.0 if abs(part) >= abs(largest) else float(abs(part) / abs(largest))


def median(total: Total) -> Fraction | None:
    """Return about the middle one of the changes, by their distribution; None where it is unknown.

    Within a bin they are taken to lie evenly.
    """
    if total.least == total.most:
        return total.least
    half, before = sum(max(one.count, 0) for one in total.bins) / 2, 0
    for one in total.bins:
        if one.count > 0 and before + one.count >= half:
            inside = one.low + (one.high - one.low) * (half - before) / one.count
            if not math.isfinite(inside):
                return None
            return min(max(Fraction(inside), total.least), total.most)
        before += max(one.count, 0)
    return None


def sparkline(bins: Sequence[Bin]) -> str:
    """Return a distribution as one character a bin; what has any is told from what has none."""
    most = max((one.count for one in bins), default=0)
    return "".join(
        _LEVELS[min(one.count * len(_LEVELS) // (most + 1), len(_LEVELS) - 1)]
        if one.count > 0 else _EMPTY
        for one in bins
    )  # fmt: skip


def of_field(totals: Iterable[Total], field: str) -> Total | None:
    """Return the sum of one field; None where there is none."""
    return next((one for one in totals if one.field == field), None)

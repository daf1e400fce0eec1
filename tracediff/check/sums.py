"""Adding amounts up, exactly, and how they are spread, in memory that does not grow with them."""

from __future__ import annotations

import math
from fractions import Fraction

from tracediff.checked import Bin, Total

BINS = 12
_GROWTH = math.log(1.05)
"""Two amounts of one bucket differ by at most 5 %, as in a DDSketch of that accuracy.

C. Masson, J. E. Rim, H. K. Lee, "DDSketch: a fast and fully-mergeable quantile sketch with
relative-error guarantees", 2019.
"""
_LEAST, _MOST = 1e-12, 1e300
_START = math.log(_LEAST)


class Sum:
    """Changes of one field, added up."""

    __slots__ = ("_buckets", "_high", "_low", "_parts", "count", "down", "least", "most", "up")

    def __init__(self) -> None:
        self.count = self.up = self.down = 0
        self.least: Fraction | None = None
        self.most: Fraction | None = None
        self._low, self._high = math.inf, -math.inf
        self._parts: dict[int, int] = {}  # by denominator: adding fractions is much slower
        self._buckets: dict[int, int] = {}

    def add(self, change: Fraction) -> None:
        """Add one."""
        above, below = change.as_integer_ratio()
        self.count += 1
        self._parts[below] = self._parts.get(below, 0) + above
        if above > 0:
            self.up += 1
        elif above < 0:
            self.down += 1
        amount = _float(change)
        if amount <= self._low and (self.least is None or change < self.least):
            self._low, self.least = amount, change
        if amount >= self._high and (self.most is None or change > self.most):
            self._high, self.most = amount, change
        bucket = _bucket(amount)
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1

    @property
    def change(self) -> Fraction:
        """What they come to."""
        return sum((Fraction(above, below) for below, above in self._parts.items()), Fraction(0))

    def total(self, name: str) -> Total:
        """All of them, as a value."""
        zero = Fraction(0)
        return Total(
            field=name, count=self.count, change=self.change,
            least=self.least or zero, most=self.most or zero, up=self.up, down=self.down,
            bins=tuple(self._bins()),
        )  # fmt: skip

    def _bins(self) -> list[Bin]:
        """The buckets in bins of one width, between the least and the largest amount."""
        if not self.count:
            return []
        low, high = _float(self.least or Fraction(0)), _float(self.most or Fraction(0))
        width = high / BINS - low / BINS
        if width <= 0:  # also where they are too close for floats to lie between them
            return [Bin(low, high, self.count)]
        counts = [0] * BINS
        for bucket, count in self._buckets.items():
            amount = min(max(_middle(bucket), low), high)
            counts[min(int((amount - low) / width), BINS - 1)] += count
        return [
            Bin(low + width * at, low + width * (at + 1) if at + 1 < BINS else high, count)
            for at, count in enumerate(counts)
        ]


def _float(amount: Fraction) -> float:
    above, below = amount.as_integer_ratio()
    try:
        found = above / below
    except OverflowError:
        return _MOST if above > 0 else -_MOST
    return max(-_MOST, min(_MOST, found))


def _bucket(amount: float) -> int:
    """The number of an amount's bucket: 0 for none, negative for negative ones."""
    size = abs(amount)
    if size < _LEAST:
        return 0
    at = math.floor((math.log(size) - _START) / _GROWTH) + 1
    return at if amount > 0 else -at


def _middle(bucket: int) -> float:
    """The amount in the middle of a bucket."""
    if not bucket:
        return 0.0
    size = math.exp(_START + (abs(bucket) - 0.5) * _GROWTH)
    return math.copysign(size, bucket)

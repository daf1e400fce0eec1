"""Adding amounts up, exactly, and how they are spread, in memory that does not grow with them."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction

from tracediff.checked import Bin, Total

BINS = 12
_GROWTH = math.log(1.05)
"""Two amounts of one bucket differ by at most 5 %, as in a DDSketch of that accuracy.

C. Masson, J. E. Rim, H. K. Lee, "DDSketch: a fast and fully-mergeable quantile sketch with
relative-error guarantees", 2019.
"""
_LEAST, _MOST = 1e-12, 1e300
_INDEX = re.compile(r"\[\d+\]")


def without_places(name: str) -> str:
    """A field's name for sums over traces: the third line of one is that of no other."""
    return _INDEX.sub("[]", name)


@dataclass(slots=True)
class Sum:
    """Changes of one field, added up."""

    count: int = 0
    change: Fraction = Fraction(0)
    least: Fraction | None = None
    most: Fraction | None = None
    up: int = 0
    down: int = 0
    buckets: Counter[int] = field(default_factory=Counter)

    def add(self, change: Fraction) -> None:
        """Add one."""
        self.count += 1
        self.change += change
        self.least = change if self.least is None else min(self.least, change)
        self.most = change if self.most is None else max(self.most, change)
        self.up += change > 0
        self.down += change < 0
        self.buckets[_bucket(change)] += 1

    def total(self, name: str) -> Total:
        """What they come to."""
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
        for bucket, count in self.buckets.items():
            amount = min(max(_middle(bucket), low), high)
            counts[min(int((amount - low) / width), BINS - 1)] += count
        return [
            Bin(low + width * at, low + width * (at + 1) if at + 1 < BINS else high, count)
            for at, count in enumerate(counts)
        ]


def _float(amount: Fraction) -> float:
    try:
        found = float(amount)
    except OverflowError:
        return _MOST if amount > 0 else -_MOST
    return max(-_MOST, min(_MOST, found))


def _bucket(amount: Fraction) -> int:
    """The number of an amount's bucket: 0 for none, negative for negative ones."""
    size = abs(_float(amount))
    if size < _LEAST:
        return 0
    at = math.floor((math.log(size) - math.log(_LEAST)) / _GROWTH) + 1
    return at if amount > 0 else -at


def _middle(bucket: int) -> float:
    """The amount in the middle of a bucket."""
    if not bucket:
        return 0.0
    size = math.exp(math.log(_LEAST) + (abs(bucket) - 0.5) * _GROWTH)
    return math.copysign(size, bucket)

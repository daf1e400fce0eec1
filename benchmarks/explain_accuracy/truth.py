"""What is true of a case, worked out by running every choice of its guilty changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import factorial

from benchmarks.explain_accuracy.running import Outcome, Path_

Value = Callable[[int], Fraction]
"""The number that a choice of changes gives: bit i of the mask is change i."""


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The exact share of each guilty change in each field that changes, numbers first.

    ``values`` has the field's number for each mask; a field that is no number has 1 where it
    differs from the old one.
    """

    shares: Mapping[Path_, tuple[Fraction, ...]]
    values: Mapping[Path_, tuple[Fraction, ...]]

    def expected(self) -> list[bool]:
        """Which of the changes have a share in anything."""
        return [any(column) for column in zip(*self.shares.values(), strict=True)]

    def main(self) -> Path_:
        """The number of the result that changed most."""
        numbers = [path for path in self.shares if path[0] == "result"]
        return max(numbers, key=lambda path: abs(sum(self.shares[path])))


def truth_of(outcomes: Sequence[Outcome]) -> Truth:
    """The truth from the outcomes by mask, the old one first."""
    old, new = outcomes[0], outcomes[-1]
    values: dict[Path_, tuple[Fraction, ...]] = {}
    for path in old.numbers:
        found = tuple(one.numbers[path] for one in outcomes)
        if len(set(found)) > 1:
            values[path] = found
    for path, text in old.others.items():
        if new.others[path] != text:
            values[path] = tuple(Fraction(one.others[path] != text) for one in outcomes)
    count = (len(outcomes) - 1).bit_length()
    shares = {path: shapley(table.__getitem__, count) for path, table in values.items()}
    return Truth(shares=shares, values=values)


def shapley(value: Value, count: int) -> tuple[Fraction, ...]:
    """The Shapley value of each of ``count`` players (Shapley 1953), exactly."""
    found = []
    for player in range(count):
        total = Fraction(0)
        for mask in range(1 << count):
            if mask >> player & 1:
                continue
            size = mask.bit_count()
            weight = Fraction(factorial(size) * factorial(count - size - 1), factorial(count))
            total += weight * (value(mask | 1 << player) - value(mask))
        found.append(total)
    return tuple(found)

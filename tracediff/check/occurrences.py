"""How many traces have each value, counted exactly, in memory that does not grow with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Final

from tracediff.checked import Scalar

Pair = tuple[str, Scalar]

MOST_VALUES: Final = 100
"""A name with more different values than this tells traces apart and not kinds of traces."""

_NAMES: Final = 300
_FIRST_LIMIT: Final = 10_000
_ENTRIES: Final = 200_000
_CAUSES: Final = 200
_EVERY: Final = 512


class Weighed:
    """The traces of a group: how many, what they weigh, and how often each value is met."""

    __slots__ = ("count", "squares", "values", "weight")

    def __init__(self) -> None:
        self.count = 0
        self.weight = self.squares = 0.0
        self.values: Counter[Pair] = Counter()

    def add(self, pairs: Iterable[Pair], weight: float) -> None:
        """Add a trace."""
        self.count += 1
        self.weight += weight
        self.squares += weight * weight
        if weight == 1:
            self.values.update(pairs)  # which counts in C
        else:
            values = self.values
            for pair in pairs:
                values[pair] += weight  # type: ignore[assignment]  # a Counter counts any number


class Occurrences:
    """Counts of values, of all traces and by cause.

    A name with more than ``MOST_VALUES`` values is not counted, in whatever order they come; of
    names there are 300 at most, the first ones. Of more than 200 causes, or where they are too much
    to keep, those with the fewest traces are given up.
    """

    def __init__(self) -> None:
        self.all = Weighed()
        self.changed = Weighed()  # its weight only
        self.causes: dict[str, Weighed] = {}
        self._given_up: set[str] = set()
        self._open: set[str] = set()
        self._closed: set[str] = set()
        self._limit = _FIRST_LIMIT

    def add(self, pairs: Iterable[Pair], causes: Collection[str], weight: float) -> None:
        """Add a trace with its attributes, each of them once."""
        names = self._open
        if unknown := {pair[0] for pair in pairs} - names:
            self._notice(unknown)
            pairs = [pair for pair in pairs if pair[0] in names]
        self.all.add(pairs, weight)
        if causes:
            changed = self.changed
            changed.count += 1
            changed.weight += weight
            changed.squares += weight * weight
        for cause in causes:
            found = self.causes.get(cause)
            if found is None:
                if cause in self._given_up:
                    continue
                found = self.causes[cause] = Weighed()
            found.add(pairs, weight)
        if len(self.all.values) > self._limit:
            self._close()
        if self.all.count % _EVERY == 0:
            self._give_up()

    def counted(self) -> dict[str, int]:
        """The names that are counted, and how many values each has."""
        values = Counter(name for name, _ in self.all.values)
        return {name: count for name, count in values.items() if count <= MOST_VALUES}

    def _notice(self, names: set[str]) -> None:
        for name in names - self._closed:
            if len(self._open) + len(self._closed) < _NAMES:
                self._open.add(name)

    def _close(self) -> None:
        """Stop counting names that have shown too many values."""
        counted = self.counted()
        self._closed |= self._open - counted.keys()
        self._open &= counted.keys()
        for one in (self.all, *self.causes.values()):
            one.values = Counter(
                {pair: count for pair, count in one.values.items() if pair[0] in counted}
            )
        self._limit = max(_FIRST_LIMIT, 2 * len(self.all.values))

    def _give_up(self) -> None:
        """Drop the smallest causes where all together are too much to keep."""
        entries = sum(len(one.values) for one in self.causes.values())
        if entries <= _ENTRIES and len(self.causes) <= _CAUSES:
            return
        for cause in sorted(self.causes, key=lambda it: self.causes[it].count):
            entries -= len(self.causes.pop(cause).values)
            self._given_up.add(cause)
            if entries <= _ENTRIES // 2 and len(self.causes) <= _CAUSES // 2:
                return

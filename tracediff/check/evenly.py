"""An even sample of traces, and which of them have what."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from tracediff.check.occurrences import Pair

Kept = tuple[int, int, tuple[Pair, ...], tuple[str, ...]]
"""What a trace drew (negative: the heap gives up the highest), how many came before it, its
attributes and its causes."""


class Sample:
    """The traces that drew the lowest numbers, at most ``most``, in whatever order they come."""

    __slots__ = ("count", "kept", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self.count = 0
        self.kept: list[Kept] = []

    def wants(self, drawn: int) -> bool:
        """Count a trace; whether it is to be kept."""
        self.count += 1
        return len(self.kept) < self.most or -drawn > self.kept[0][0]

    def keep(self, drawn: int, attributes: tuple[Pair, ...], causes: tuple[str, ...]) -> None:
        """Keep a trace that is wanted."""
        one = (-drawn, self.count, attributes, causes)
        if len(self.kept) < self.most:
            heapq.heappush(self.kept, one)
        else:
            heapq.heapreplace(self.kept, one)

    def shrink(self, most: int) -> None:
        """Keep fewer from now on; what is kept is even still."""
        self.most = most
        while len(self.kept) > most:
            heapq.heappop(self.kept)


class Members:
    """Some traces, and for each attribute the set of those that have it, as bits of a number."""

    def __init__(self, traces: Sequence[tuple[Pair, ...]]) -> None:
        self.size: Final = len(traces)
        self.places: dict[Pair, list[int]] = {}
        numbers: dict[str, list[tuple[float, int]]] = {}
        for at, attributes in enumerate(traces):
            for pair in attributes:
                self.places.setdefault(pair, []).append(at)
                kind = type(pair[1])
                if (kind is int or kind is float) and pair[1] == pair[
                    1
                ]:  # a nan has no place in an order
                    numbers.setdefault(pair[0], []).append((pair[1], at))  # type: ignore[arg-type]  # a number
        self.numbers: dict[str, tuple[list[float], list[int]]] = {}
        for name, found in numbers.items():
            found.sort()
            self.numbers[name] = [value for value, _ in found], [at for _, at in found]
        self.cuts: Final = 2 * sum(len(set(values)) for values, _ in self.numbers.values())

    def having(self, pair: Pair) -> int:
        """Those that have this value."""
        return self._bits(self.places.get(pair, ()))

    def above(self, name: str, cut: float) -> int:
        """Those with a number of this name that is larger."""
        values, places = self.numbers.get(name, _NONE)
        return self._bits(places[bisect_right(values, cut) :])

    def within(self, name: str, cut: float) -> int:
        """Those with a number of this name that is as large at most."""
        values, places = self.numbers.get(name, _NONE)
        return self._bits(places[: bisect_right(values, cut)])

    def numbers_of(self, name: str, some: int) -> list[float]:
        """The numbers of this name of some of them, in order."""
        values, places = self.numbers.get(name, _NONE)
        chosen = f"{some:0{self.size}b}"[::-1]
        return [value for value, at in zip(values, places, strict=True) if chosen[at] == "1"]

    def _bits(self, places: Sequence[int]) -> int:
        bits = bytearray(self.size // 8 + 1)
        for at in places:
            bits[at >> 3] |= 1 << (at & 7)
        return int.from_bytes(bits, "little")


_NONE: Final[tuple[list[float], list[int]]] = ([], [])

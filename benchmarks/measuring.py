"""Taking turns, so that what slows the machine down slows every side of a ratio down."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from time import perf_counter_ns

FLOOR = "floors"
"""The floor: what any recorder must do at least, two clock reads and a tuple appended, inlined."""


def in_turns(subjects: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Call every subject once a round, another one first each time; their results by round.

    The first round is thrown away. Garbage collection stays on: a program has it on too.
    """
    names = list(subjects)
    found: dict[str, list[float]] = {name: [] for name in names}
    gc.collect()
    gc.freeze()
    for number in range(rounds + 1):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            result = subjects[name]()
            if number:
                found[name].append(result)
    gc.unfreeze()
    return found


def per_call(body: Callable[[int], object], calls: int) -> float:
    """Seconds a call, where ``body`` loops that many times."""
    start = perf_counter_ns()
    body(calls)
    return (perf_counter_ns() - start) / calls / 1e9


def once(body: Callable[[], object]) -> float:
    """Seconds that one call takes."""
    start = perf_counter_ns()
    body()
    return (perf_counter_ns() - start) / 1e9


def floor(calls: int) -> None:
    """The floor, that many times."""
    spans: list[tuple[int, int]] = []
    append, clock = spans.append, perf_counter_ns
    for _ in range(calls):
        start = clock()
        append((start, clock()))

"""Blocks of requests to a server, plain and in a recorded job, that take turns.

What the background writer does is done between the blocks: a service that waits for its answers
gives it that time. The share is the median of the rounds' own.
"""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable
from statistics import median
from time import perf_counter_ns, thread_time_ns

import tracediff as td
from benchmarks.figures import Figure, spread, timed
from benchmarks.measuring import in_turns

BLOCK = 25

Ask = Callable[[], object]
Block = Callable[[Ask], tuple[float, float]]


def block(ask: Ask) -> tuple[float, float]:
    """Seconds that a request takes, and of them those of this thread's own work."""
    start, worked = perf_counter_ns(), thread_time_ns()
    for _ in range(BLOCK):
        ask()
    worked = thread_time_ns() - worked
    return (perf_counter_ns() - start) / BLOCK / 1e9, worked / BLOCK / 1e9


def settled(run: Block, ask: Ask, work: list[float]) -> float:
    """The seconds of a block that begins when nothing is left to write; its work goes to a list."""
    td.flush()
    gc.collect()
    seconds, worked = run(ask)
    work.append(worked)
    return seconds


def compared(
    what: str, name: str, ask: Ask, recorded: Block, rounds: int, target: float | None = 5.0
) -> tuple[list[Figure], float]:
    """A request's time and the share that recording adds; and the share of the thread's work.

    Args:
        what: What is asked, as the first figure has it.
        name: What tells it from others in the second.
        ask: Asks it once.
        recorded: ``block`` in a job.
        rounds: How many.
        target: The most that may be added, in percent.
    """
    work: dict[str, list[float]] = {"plain": [], "recorded": []}
    runs = {"plain": block, "recorded": recorded}
    found = in_turns(
        {side: functools.partial(settled, run, ask, work[side]) for side, run in runs.items()},
        rounds,
    )
    plain = found["plain"]
    shares = [new / old - 1 for new, old in zip(found["recorded"], plain, strict=True)]
    added = median(work["recorded"][1:]) - median(work["plain"][1:])
    figures = [
        timed(what, plain, "µs"),
        Figure(what=f"the same as an input of a recorded job, over that ({name})", unit="%",
               value=median(shares) * 100, spread=spread(shares, 100), target=target),
    ]  # fmt: skip
    return figures, added / median(plain)

"""What it costs a job that its trace is written in parts while it runs, beside at its end.

As in the benchmark ``job``, in sums of processor time: of the thread that runs the job, and of the
whole process until the trace is in the store.
"""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter_ns, process_time_ns, thread_time_ns

import tracediff as td
from benchmarks.cases.job import turns_for, work
from benchmarks.figures import Figure, timed
from benchmarks.measuring import in_turns
from tracediff.model import Mode

JOB = 0.05
STEPS = 130
LONG = 100_000
STEP = 30e-6
"""Seconds that a step of the long job takes."""

EVERY = 100
INPUT = 100_000
"""Of the long job's steps one in so many reads so many bytes: 100 MB in all."""

SETTLED = 120
MODES: tuple[Mode, Mode] = ("deferred", "live")


def short_job(mode: Mode) -> Callable[[], object]:
    """A job of 50 ms and 130 steps, which ends before its second part."""
    turns = turns_for(JOB / STEPS)

    @td.step("Line")
    def priced(line: int, price: int) -> int:
        work(turns)
        return line + price

    @td.job("benchmarks/short", mode=mode)
    def calculate() -> int:
        price = 0
        for line in range(STEPS):
            price = priced(line, price)
        return price

    return calculate


def long_job(mode: Mode, steps: int, held: list[float]) -> Callable[[], object]:
    """A job of so many short steps; ``held`` is told what memory the process has meanwhile."""
    turns = turns_for(STEP)

    @td.step("Line")
    def priced(line: int, price: int) -> int:
        work(turns)
        return line + price

    @td.input("Reading")
    def read(line: int) -> bytes:
        return os.urandom(INPUT)

    @td.job("benchmarks/long", mode=mode)
    def calculate() -> int:
        price = 0
        for line in range(steps - steps // EVERY - 1):
            price = priced(line, price)
            if not line % (EVERY - 1):
                read(line)
                held.append(_resident())
        return price

    return calculate


def _resident() -> float:
    """The bytes of memory that this process has."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return float(pages * os.sysconf("SC_PAGE_SIZE"))


def _spent(job: Callable[[], object], clock: Callable[[], int], *, flush: bool) -> float:
    start = clock()
    job()
    if flush:
        td.flush(SETTLED)
    seconds = (clock() - start) / 1e9
    td.flush(SETTLED)
    return seconds


@contextmanager
def _recording() -> Iterator[None]:
    with tempfile.TemporaryDirectory() as directory:
        td.configure(store=str(Path(directory) / "store"))
        try:
            yield
        finally:
            td.configure(enabled=False)


def _more(what: str, jobs: dict[Mode, Callable[[], object]], rounds: int) -> list[Figure]:
    """What the live one takes more than the deferred one."""
    figures = []
    for name, clock, flush, target in (
        ("the job's thread", thread_time_ns, False, 1.0),
        ("all threads, until it is stored", process_time_ns, True, None),
        ("from its start until it is stored", perf_counter_ns, True, None),
    ):
        samples = {
            str(mode): functools.partial(_spent, job, clock, flush=flush)
            for mode, job in jobs.items()
        }
        found = in_turns(samples, rounds)
        pairs = zip(found["live"], found["deferred"], strict=True)
        more = [one / other - 1 for one, other in pairs]
        figures.append(timed(f"{what}, live beside deferred: {name}", more, "%", target=target))
    return figures


def _memory(steps: int) -> list[Figure]:
    """How much the process grows in the second half of a long job."""
    figures = []
    for mode in reversed(MODES):  # what the deferred one takes is not all given back
        held: list[float] = []
        with _recording():
            long_job(mode, steps, held)()
            td.flush(SETTLED)
        first = max(held[: max(1, len(held) // 2)])
        figures.append(
            Figure(
                what=f"memory that a {mode} job of {steps:,} steps and {steps // EVERY:,} inputs "
                "of 100 KB takes in its second half",
                unit="MB",
                value=max(0.0, max(held) - first) / 1e6,
                target=10 if mode == "live" else None,
            )
        )
    return figures


def measure(quick: bool) -> list[Figure]:
    steps = 2_000 if quick else LONG
    figures = _memory(steps)
    with _recording():
        short = {mode: short_job(mode) for mode in MODES}
        figures += _more(f"a job of 50 ms and {STEPS} steps", short, 2 if quick else 60)
        long = {mode: long_job(mode, steps, []) for mode in MODES}
        figures += _more(f"a job of {steps:,} steps", long, 1 if quick else 3)
    return figures

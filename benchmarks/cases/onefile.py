"""Pages in one file: how large they get, and what making one takes.

A step has the values of the made-up prices, some 700 bytes: a product, the quote that the step
before it gave, and its own.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from benchmarks.figures import Figure, timed
from benchmarks.made_up import STEPS, price_trace
from tracediff.compare import compare
from tracediff.model import Trace
from tracediff.reports.pages.onecomparison import comparison_html
from tracediff.reports.pages.onetrace import trace_html

NOW = 1_800_000_000 * 10**9
MOST = 5
"""Megabytes that a page of 1,000 steps may have."""


def measure(quick: bool) -> list[Figure]:
    few, many = (100, 1_000) if quick else (1_000, 100_000)
    rounds = 1 if quick else 3
    short, comparison = _long(few), compare(_long(few), _long(few, changed=1))
    trace_html(_long(STEPS), now=NOW)  # what is imported and read once is not measured
    long = _long(many)
    before = _memory()
    figures = _figures(f"a trace of {many:,} steps", partial(trace_html, long, now=NOW), 1, None)
    grown = Figure(what=f"a trace of {many:,} steps: memory for it, beside the trace's own",
                   unit="MB", value=_memory() - before)  # fmt: skip
    return [
        *_figures(f"a trace of {few:,} steps", partial(trace_html, short, now=NOW), rounds, MOST),
        *_figures(f"a comparison of {few:,} steps", partial(comparison_html, comparison, now=NOW),
                  rounds, MOST),
        *figures,
        grown,
    ]  # fmt: skip


def _long(total: int, changed: int = 0) -> Trace:
    """Many prices, one after the other; of each 50 steps so many have another result."""
    first = price_trace(0, changed=changed)
    steps = list(first.steps)
    for part in range(1, total // STEPS):
        at = len(steps)
        for step in price_trace(part, changed=changed).steps:
            parent = 0 if step.parent < 0 else step.parent + at
            steps.append(
                replace(step, parent=parent, kind="step" if step.kind == "job" else step.kind)
            )
    return replace(first, id=f"long-{total}-{changed}", steps=tuple(steps))


def _figures(what: str, made: Callable[[], str], rounds: int, most: float | None) -> list[Figure]:
    samples: list[float] = []
    size = 0
    for _ in range(rounds):
        begun = time.process_time()
        size = len(made())
        samples.append(time.process_time() - begun)
    return [
        Figure(what=f"{what}: the file", unit="MB", value=size / 1e6, target=most),
        timed(f"{what}: processor time to make it", samples, "s"),
    ]


def _memory() -> float:
    """The most that this process had so far, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3

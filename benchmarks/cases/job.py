"""What recording adds to a job of 5 ms with 50 steps.

Two sums of processor time, which other programs of the machine disturb little: that of the thread
that runs the job, which has the targets, and that of the whole process, the background writer's
included, until the traces are in the store. Jobs come in fours, which is what fits into the time
the writer waits for more.
"""

from __future__ import annotations

import functools
import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from time import perf_counter_ns, process_time_ns, thread_time_ns
from typing import Any

import tracediff as td
from benchmarks.figures import Figure, timed
from benchmarks.made_up import product, quote
from benchmarks.measuring import in_turns
from tracediff.recording import session

JOB = 0.005
STEPS = 50
INPUTS = 5
BLOCK = 4
SETTLED = 60
CALLER = "the job's thread"
ALL = "all threads, until it is stored"
Sample = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to run the job; ``base`` is the same job without decorators."""

    what: str
    base: str
    target: float


VARIANTS = {
    "off": Variant("recording off", "plain", 0.2),
    "inputs": Variant("depth `inputs`", "plain", 1),
    "exact": Variant("small exact arguments", "plain", 7),
    "rich": Variant("33 KB of rich values", "plain rich", 20),
}


def work(turns: int) -> int:
    """The step's own calculation."""
    amount = 7
    for _ in range(turns):
        amount = (amount * 31 + 17) % 1_000_003
    return amount


def turns_for(seconds: float) -> int:
    """How many turns take that long on this machine."""
    best = 1e9
    for _ in range(20):
        start = perf_counter_ns()
        work(10_000)
        best = min(best, (perf_counter_ns() - start) / 1e9)
    return max(1, int(10_000 * seconds / best))


def undecorated(name: str) -> Callable[[Any], Any]:
    """In place of ``td.step`` and ``td.input``."""
    return lambda function: function


def exact_job(step: Any, read: Any, turns: int) -> Callable[[int], Decimal]:
    """A job of 49 steps below it, five of them inputs, with small exact arguments and results."""

    @read("Fetching the rate")
    def fetch_rate(country: str, line: int) -> Decimal:
        work(turns)
        return Decimal(line).scaleb(-2)

    @step("Line")
    def priced(line: int, price: Decimal, factor: Decimal) -> Decimal:
        work(turns)
        return price * factor

    def calculate(product_id: int) -> Decimal:
        total = Decimal(product_id).scaleb(-2)
        for line in range(INPUTS):
            factor = fetch_rate("DE", line)
        for line in range(STEPS - 1 - INPUTS):
            total += priced(line, Decimal("19.90"), factor)
        work(turns)
        return total

    return calculate


def rich_job(step: Any, read: Any, turns: int) -> Callable[[int], Any]:
    """The same job with dicts of amounts, dates and lists: 33 KB a trace.

    Each step takes the product and the quote of the step before it, and gives a quote of its own.
    """
    dice = random.Random(7)
    about = product(dice)
    quotes = [quote(dice, line) for line in range(STEPS)]

    @read("Fetching the rate")
    def fetch_rate(about: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
        work(turns)
        return quotes[given["line"] + 1]

    @step("Line")
    def priced(about: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
        work(turns)
        return quotes[given["line"] + 1]

    def calculate(product_id: int) -> Any:
        given = quotes[0]
        for _ in range(INPUTS):
            given = fetch_rate(about, given)
        for _ in range(STEPS - 1 - INPUTS):
            given = priced(about, given)
        work(turns)
        return given

    return calculate


def jobs() -> dict[str, Callable[[int], object]]:
    """The job with and without decorators, at each depth and with both kinds of values."""
    turns = turns_for(JOB / STEPS)
    exact = exact_job(td.step, td.input, turns)
    return {
        "plain": exact_job(undecorated, undecorated, turns),
        "off": td.job("benchmarks/off")(exact_job(td.step, td.input, turns)),
        "inputs": td.job("benchmarks/inputs", depth="inputs")(exact),
        "exact": td.job("benchmarks/exact")(exact_job(td.step, td.input, turns)),
        "plain rich": rich_job(undecorated, undecorated, turns),
        "rich": td.job("benchmarks/rich")(rich_job(td.step, td.input, turns)),
    }


def without_recording(sample: Sample) -> Sample:
    """The same with recording off, in one process and without closing the store in between."""
    process = session._process  # noqa: SLF001 - configure() would start another writer each time
    recorder = process.recorder

    def off() -> float:
        process.recorder = None
        try:
            return sample()
        finally:
            process.recorder = recorder

    return off


def in_caller(job: Callable[[int], object]) -> float:
    """Seconds a job of the thread that runs it; the writer is idle before and done after."""
    return _spent(job, thread_time_ns, flush=False)


def in_all(job: Callable[[int], object]) -> float:
    """Seconds a job of all threads, until a block of jobs is in the store."""
    return _spent(job, process_time_ns, flush=True)


def _spent(job: Callable[[int], object], clock: Callable[[], int], *, flush: bool) -> float:
    start = clock()
    for number in range(BLOCK):
        job(number)
    if flush:
        td.flush(SETTLED)
    seconds = (clock() - start) / 1e9 / BLOCK
    td.flush(SETTLED)
    return seconds


def measure(quick: bool) -> list[Figure]:
    with tempfile.TemporaryDirectory() as directory:
        td.configure(store=str(Path(directory) / "store"))
        variants = jobs()
        off = without_recording(functools.partial(in_caller, variants.pop("off")))
        plain = functools.partial(in_caller, variants["plain"])
        figures = table(in_turns({"plain": plain, "off": off}, 2 if quick else 1_000), CALLER)
        for how, name in ((in_caller, CALLER), (in_all, ALL)):
            samples = {key: functools.partial(how, job) for key, job in variants.items()}
            figures += table(in_turns(samples, 2 if quick else 250), name)[1:]
        kept = len(list(Path(directory).rglob("*.seg")))
        td.configure(enabled=False)
    if not kept:
        raise RuntimeError("nothing was recorded")
    return figures


def table(found: dict[str, list[float]], name: str, *, targets: bool = False) -> list[Figure]:
    """A row for the undecorated job and one for each variant that was measured."""
    plain = timed(f"a job of {STEPS} steps, not decorated: {name}", found["plain"], "ms")
    return [plain, *(_added(found, key, name, targets) for key in VARIANTS if key in found)]


def _added(found: dict[str, list[float]], key: str, name: str, targets: bool) -> Figure:
    variant = VARIANTS[key]
    base = found[variant.base]
    added = [one / other - 1 for one, other in zip(found[key], base, strict=True)]
    target = variant.target if targets or name == CALLER else None
    return timed(f"{variant.what}: {name}", added, "%", target=target)

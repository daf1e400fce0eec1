"""Replaying, recording and digesting traces of 50 steps, without the job's own work."""

from __future__ import annotations

import tempfile
from decimal import Decimal
from pathlib import Path

import tracediff as td
from benchmarks.figures import Figure, rate, timed
from benchmarks.measuring import FLOOR, floor, in_turns, once, per_call
from tracediff import digests
from tracediff.config import load_config, override
from tracediff.model import Query, Trace
from tracediff.replay.engine import replay_here
from tracediff.stores.local import LocalStore

INPUTS = 5
STEPS = 50


@td.input("Fetching the rate")
def fetch_rate(country: str, line: int) -> Decimal:
    """A recorded input."""
    return Decimal(line).scaleb(-2)


@td.step("Line")
def priced(line: int, price: Decimal, factor: Decimal) -> Decimal:
    """A step with next to no work of its own."""
    return price * factor


@td.job("benchmarks/replay")
def calculate(product_id: int) -> Decimal:
    """50 steps: the job, five inputs, 44 steps."""
    total = Decimal(product_id).scaleb(-2)
    for line in range(INPUTS):
        factor = fetch_rate("DE", line)
    for line in range(STEPS - 1 - INPUTS):
        total += priced(line, Decimal("19.90"), factor)
    return total


def recorded(directory: Path, count: int) -> list[Trace]:
    """That many traces, each of other arguments."""
    td.configure(store=str(directory))
    for number in range(count):
        calculate(number)
    td.flush()
    td.configure(enabled=False)
    store = LocalStore(directory)
    try:
        return [store.load(row) for row in store.search(Query(limit=count)).rows]
    finally:
        store.close()


def measure(quick: bool) -> list[Figure]:
    rounds = 5 if quick else 400
    with tempfile.TemporaryDirectory() as directory:
        traces = iter(recorded(Path(directory) / "store", 2 * (rounds + 1)))
    config = override(load_config(), jobs=["benchmarks.*"], store="memory:")

    def replayed() -> Trace:
        new = replay_here(next(traces), config)
        digests.tree_digest(new)
        digests.outcome_digest(new)
        return new

    found = in_turns(
        {
            "floor": lambda: per_call(floor, 300),
            "own work": lambda: once(lambda: calculate(7)),
            "replayed": lambda: once(replayed),
        },
        rounds,
    )
    new = replayed()
    if len(new.steps) != STEPS or new.replay is None or len(new.replay.served) != INPUTS:
        raise RuntimeError("the replay is not what it should be")
    net = [a - b for a, b in zip(found["replayed"], found["own work"], strict=True)]
    against = {"base": found["floor"], "against": FLOOR}
    return [
        rate(f"replay, record and digest a fresh trace of {STEPS} steps, own work taken off",
             net, **against, target=1_500),
        timed("the job's own work, recording off", found["own work"], "µs", **against),
    ]  # fmt: skip

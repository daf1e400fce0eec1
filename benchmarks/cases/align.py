"""Aligning and walking two traces of 50 steps that differ."""

from __future__ import annotations

from typing import Any

from deepdiff import DeepDiff

from benchmarks.figures import Figure, rate, timed
from benchmarks.made_up import price_trace
from benchmarks.measuring import FLOOR, floor, in_turns, once, per_call
from tracediff import values
from tracediff.compare import compare
from tracediff.model import Trace

CHANGED = 25
FEW = 2


def as_data(trace: Trace) -> list[dict[str, Any]]:
    """The trace as DeepDiff can take it."""
    return [
        {
            "name": step.name,
            "args": values.inert(step.args) if step.args is not None else None,
            "result": values.inert(step.result) if step.result is not None else None,
        }
        for step in trace.steps
    ]


def measure(quick: bool) -> list[Figure]:
    rounds = 5 if quick else 300
    seeds = iter(range(10**6))

    def fresh() -> tuple[Trace, Trace]:
        """Two traces that nothing has seen before: whatever is remembered by value is of no use."""
        seed = next(seeds)
        return price_trace(seed), price_trace(seed, changed=CHANGED, removed=True)

    def compared() -> float:
        old, new = fresh()
        return once(lambda: _found(old, new))

    def few() -> float:
        seed = next(seeds)
        old, new = price_trace(seed), price_trace(seed, changed=FEW)
        return once(lambda: compare(old, new))

    def equal() -> float:
        seed = next(seeds)
        old, new = price_trace(seed), price_trace(seed)
        return once(lambda: compare(old, new))

    def deepdiff() -> float:
        before, after = map(as_data, fresh())
        return once(lambda: DeepDiff(before, after))

    found = in_turns(
        {
            "floor": lambda: per_call(floor, 300),
            "compared": compared,
            "few": few,
            "equal": equal,
        },
        rounds,
    )
    peer = in_turns({"compared": compared, "deepdiff": deepdiff}, 2 if quick else 20)
    against = {"base": found["floor"], "against": FLOOR}
    return [
        rate(f"align and walk two traces of 50 steps, {CHANGED} changed, one removed, one added",
             found["compared"], **against, target=2_000),
        timed(f"the same where {FEW} results differ", found["few"], "µs", **against),
        timed("the same where nothing differs", found["equal"], "µs", **against),
        timed("DeepDiff on the same two, by position and already decoded", peer["deepdiff"], "ms",
              base=peer["compared"], against="times the comparison"),
    ]  # fmt: skip


def _found(old: Trace, new: Trace) -> None:
    found = compare(old, new)
    if len(found.divergences) < CHANGED:
        raise RuntimeError(f"only {len(found.divergences)} differences were found")

"""What a step costs while nothing is recorded. The call itself is included."""

from __future__ import annotations

import functools

import tracediff as td
from benchmarks.cases.steps import bare_steps, blocks, priced_steps
from benchmarks.figures import Figure, timed
from benchmarks.measuring import FLOOR, floor, in_turns, per_call

CALLS = 2_000


def undecorated() -> None:
    """What ``steps.bare`` would be without its decorator."""


def plain_calls(calls: int) -> None:
    for _ in range(calls):
        undecorated()


def measure(quick: bool) -> list[Figure]:
    td.configure(enabled=False)
    bodies = {
        "floor": floor, "plain": plain_calls, "bare": bare_steps, "priced": priced_steps,
        "block": blocks,
    }  # fmt: skip
    found = in_turns(
        {name: functools.partial(per_call, body, CALLS) for name, body in bodies.items()},
        5 if quick else 600,
    )
    base = found["floor"]
    against = {"base": base, "against": FLOOR}
    return [
        timed("the same call, not decorated", found["plain"], "µs", **against),
        timed("inactive decorator, the call included", found["bare"], "µs", **against, target=0.10),
        timed("the same with three arguments", found["priced"], "µs", **against),
        timed("inactive `with` block", found["block"], "µs", **against, target=0.35),
    ]

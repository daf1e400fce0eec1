"""What an autotraced function costs over the plain call, and the import of what is autotraced."""

from __future__ import annotations

import contextlib
import functools
import importlib
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from itertools import repeat
from types import ModuleType
from typing import Any

import tracediff as td
from benchmarks.figures import Figure, timed
from benchmarks.measuring import in_turns, once, per_call

CALLS = 300
PACKAGE = "click"
"""Some 300 functions and methods, without dependencies."""


def function(a: int, b: int) -> int:
    """What is autotraced."""
    return a


def plain(a: int, b: int) -> int:
    """The same, and never traced: its name says that it is another module's."""
    return a


plain.__module__ = "elsewhere"


async def awaited(a: int, b: int) -> int:
    return a


async def plain_awaited(a: int, b: int) -> int:
    return a


async def items(a: int, b: int) -> AsyncIterator[int]:
    for item in range(10):
        yield item


async def plain_items(a: int, b: int) -> AsyncIterator[int]:
    for item in range(10):
        yield item


for elsewhere in (plain_awaited, plain_items):
    elsewhere.__module__ = "elsewhere"


def finished(made: Coroutine[Any, Any, object]) -> None:
    """Run a coroutine that waits for nothing."""
    with contextlib.suppress(StopIteration):  # so it says that it has ended
        made.send(None)


def awaiting(called: Callable[[int, int], Coroutine[Any, Any, int]]) -> Callable[[int], None]:
    async def all_of(calls: int) -> None:
        for _ in repeat(None, calls):
            await called(1, 2)

    return lambda calls: finished(all_of(calls))


def iterating(called: Callable[[int, int], AsyncIterator[int]]) -> Callable[[int], None]:
    async def all_of(calls: int) -> None:
        for _ in repeat(None, calls):
            async for _item in called(1, 2):
                pass

    return lambda calls: finished(all_of(calls))


def looped(called: Callable[[int, int], int]) -> Callable[[int], None]:
    def loop(calls: int) -> None:
        for _ in repeat(None, calls):
            called(1, 2)

    loop.__module__ = "elsewhere"
    return loop


@td.job("benchmarks/full", depth="full")
def at_full(body: Callable[[int], object]) -> float:
    """Measure in a job whose autotraced functions are steps; its trace is then dropped."""
    td.ignore()
    return per_call(body, CALLS)


@td.job("benchmarks/steps", depth="steps")
def at_steps(body: Callable[[int], object]) -> float:
    """Measure in a job whose autotraced functions are none."""
    td.ignore()
    return per_call(body, CALLS)


def imported() -> None:
    """Import the package anew."""
    importlib.import_module(PACKAGE)


def fresh_import(*, traced: bool) -> float:
    kept = {name: one for name, one in sys.modules.items() if name.partition(".")[0] == PACKAGE}
    for name in kept:
        del sys.modules[name]
    switched(f"{PACKAGE}.*" if traced else "nothing")
    found = once(imported)
    sys.modules.update(kept)
    return found


def switched(pattern: str, *, values: bool = True) -> None:
    td.configure(
        store="memory:", strict=True, autotrace=[pattern, f"!{__name__}.no"],
        autotrace_values=values,
    )  # fmt: skip


def measure(quick: bool) -> list[Figure]:
    module: ModuleType = sys.modules[__name__]
    traced, bare = looped(module.function), looped(module.plain)
    rounds = 5 if quick else 600

    def full(*, values: bool) -> float:
        switched(__name__, values=values)
        return at_full(traced)

    switched(__name__)
    at_full(bare)  # what is autotraced gets its code now
    subjects = {
        "plain": functools.partial(per_call, bare, CALLS),
        "off": functools.partial(per_call, traced, CALLS),
        "steps": functools.partial(at_steps, traced),
        "full": functools.partial(full, values=True),
        "bare": functools.partial(full, values=False),
        "plain coroutine": functools.partial(per_call, awaiting(plain_awaited), CALLS),
        "coroutine": functools.partial(per_call, awaiting(module.awaited), CALLS),
        "plain items": functools.partial(per_call, iterating(plain_items), CALLS),
        "items": functools.partial(per_call, iterating(module.items), CALLS),
    }
    found = in_turns(subjects, rounds)
    bases = {"coroutine": "plain coroutine", "items": "plain items"}
    over = {
        name: [
            max(one - base, 0.0)
            for one, base in zip(found[name], found[bases.get(name, "plain")], strict=True)
        ]
        for name in ("off", "steps", "full", "bare", "coroutine", "items")
    }
    imports = in_turns(
        {
            "traced": functools.partial(fresh_import, traced=True),
            "plain": functools.partial(fresh_import, traced=False),
        },
        3 if quick else 40,
    )
    ratio = timed("", imports["traced"], "s", base=imports["plain"]).ratio
    return [
        timed("autotraced function over the plain call, no job recorded", over["off"], "µs",
              target=0.2),
        timed("the same in a job of depth `steps`", over["steps"], "µs", target=0.2),
        timed("the same of a coroutine, no job recorded", over["coroutine"], "µs", target=0.2),
        timed("the same of an async generator of ten items", over["items"], "µs", target=0.2),
        timed("the same as a step without values", over["bare"], "µs", target=1.5),
        timed("the same as a step with two small arguments and a result", over["full"], "µs"),
        Figure(what=f"import of an autotraced package ({PACKAGE}) against the plain import",
               unit="times", value=ratio, target=1.3),
    ]  # fmt: skip

"""Autotrace by ``sys.monitoring`` (PEP 669), a prototype, beside the code that is put in place.

The prototype does less than would be needed: it takes the current span for that of the call, which
is wrong where a call was no step, and it knows no limits of a trace. So it is at its fastest here.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator
from itertools import repeat
from types import FunctionType
from typing import Any

import tracediff as td
from benchmarks import placed
from benchmarks.figures import Figure, timed
from benchmarks.measuring import in_turns, once, per_call
from tracediff.recording.buffers import UNSET
from tracediff.recording.marks import Mark
from tracediff.recording.spans import ended, new_span, open_span
from tracediff.runtime import current

CALLS = 300
FUNCTIONS = 300
"""As many as a package like click has."""
PYTHON = (3, 12)


class Subjects:
    """The same three functions, each time others, and of no module that is autotraced."""

    def __init__(self) -> None:
        made: dict[str, FunctionType] = {}
        for function in (placed.call, placed.raising, placed.items):
            code = getattr(function, "__wrapped__", function).__code__
            made[function.__name__] = FunctionType(code.replace(co_name="x"), {"range": range,
                                                   "ValueError": ValueError}, "x")  # fmt: skip
        self.plain: Any = made["call"]
        self.raising: Any = made["raising"]
        self.items: Any = made["items"]

    def all(self) -> list[FunctionType]:
        return [self.plain, self.raising, self.items]


class Monitor:
    """Steps of functions, made by what the interpreter tells."""

    def __init__(self, functions: list[FunctionType], *, values: bool) -> None:
        self.tool: Any = getattr(sys, "monitoring")  # noqa: B009 - not there for a type checker of 3.11
        self.codes = [one.__code__ for one in functions]
        # By id: the hash of a code object is that of all its constants, each time anew.
        self.marks = {id(one.__code__): Mark("step", "x", one, drop=0) for one in functions}
        self.names = {id(one): one.co_varnames[: one.co_argcount] for one in self.codes}
        self.values = values

    def start(self, code: Any, offset: int) -> None:
        parent = current.get()
        if parent is None or parent.buffer.tracing is None:
            return
        at = id(code)
        if self.values:
            found = sys._getframe(1).f_locals  # noqa: SLF001 - the arguments are nowhere else
            args = tuple([found[name] for name in self.names[at]])
            span = open_span(self.marks[at], parent.buffer, parent, args, {})
        else:
            span = new_span(self.marks[at], parent.buffer, parent, UNSET, None)
        current.set(span)

    def returned(self, code: Any, offset: int, result: Any) -> None:
        span = current.get()
        if span is None or span.mark is not self.marks[id(code)]:
            return
        ended(span, (), {}, result)
        current.set(span.parent)

    def unwound(self, code: Any, offset: int, error: BaseException) -> None:
        span = current.get()
        if span is None or span.mark is not self.marks.get(id(code)):
            return
        span.error = span.buffer.fault(error, span.parent)
        current.set(span.parent)

    def yielded(self, code: Any, offset: int, item: Any) -> None:
        span = current.get()
        if span is None or span.mark is not self.marks[id(code)]:
            return
        if self.values:
            span.buffer.capture(item)
        self.waiting = span
        current.set(span.parent)

    def resumed(self, code: Any, offset: int) -> None:
        if current.get() is not None:
            current.set(self.waiting)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """While this lasts the interpreter tells of the functions."""
        tool, events = self.tool, self.tool.events
        tool.use_tool_id(4, "tracediff")
        heard = {
            events.PY_START: self.start, events.PY_RETURN: self.returned,
            events.PY_YIELD: self.yielded, events.PY_RESUME: self.resumed,
            events.PY_UNWIND: self.unwound,
        }  # fmt: skip
        for event, callback in heard.items():
            tool.register_callback(4, event, callback)
        self.switch(on=True)
        tool.set_events(4, events.PY_UNWIND)  # of no single code object, before 3.14
        try:
            yield
        finally:
            self.switch(on=False)
            tool.set_events(4, 0)
            for event in heard:
                tool.register_callback(4, event, None)
            tool.free_tool_id(4)

    def switch(self, *, on: bool) -> None:
        events = self.tool.events
        wanted = events.PY_START | events.PY_RETURN | events.PY_YIELD | events.PY_RESUME
        for code in self.codes:
            self.tool.set_local_events(4, code, wanted if on else 0)


def calling(function: Any) -> Callable[[int], None]:
    def loop(calls: int) -> None:
        for _ in repeat(None, calls):
            function(1, 2)

    return loop


def raising(function: Any) -> Callable[[int], None]:
    def loop(calls: int) -> None:
        for _ in repeat(None, calls):
            try:  # noqa: SIM105 - a block of contextlib's takes as long as what is measured
                function(1, 2)
            except ValueError:  # what the function is there to raise
                pass

    return loop


def iterating(function: Any) -> Callable[[int], None]:
    def loop(calls: int) -> None:
        for _ in repeat(None, calls):
            for _ in function(1, 2):
                pass

    return loop


KINDS: dict[str, Callable[[Any], Callable[[int], None]]] = {
    "call": calling, "call that raises": raising, "generator of ten items": iterating,
}  # fmt: skip


@td.job("benchmarks/monitored", depth="full")
def at_full(body: Callable[[int], object], calls: int) -> float:
    """Measure in a job whose autotraced functions are steps; its trace is then dropped."""
    td.ignore()
    return per_call(body, calls)


def switched(*, values: bool) -> None:
    td.configure(store="memory:", strict=True, autotrace=[placed.__name__], autotrace_values=values)


def in_place(loop: Callable[[int], None], *, recorded: bool, values: bool) -> float:
    if not recorded:
        return per_call(loop, CALLS)
    switched(values=values)
    return at_full(loop, CALLS)


def monitored(
    loop: Callable[[int], None], functions: list[FunctionType], *, recorded: bool, values: bool
) -> float:
    with Monitor(functions, values=values).running():
        return in_place(loop, recorded=recorded, values=values)


def others(loop: Callable[[int], None], *, watched: bool) -> float:
    """Functions that nobody traces."""
    if not watched:
        return per_call(loop, CALLS)
    with Monitor(Subjects().all(), values=True).running():
        return per_call(loop, CALLS)


def switching() -> float:
    """Watching a package's functions for one job only, and no more after it."""
    functions = [one for _ in range(FUNCTIONS // 3) for one in Subjects().all()]
    monitor = Monitor(functions, values=True)

    def job() -> None:
        with monitor.running():
            pass

    return once(job)


def measure(quick: bool) -> list[Figure]:
    if sys.version_info < PYTHON:
        return [
            Figure(what="autotrace by `sys.monitoring`", unit="µs", missing="needs Python 3.12")
        ]
    rounds = 5 if quick else 200
    switched(values=True)
    at_full(lambda calls: None, 1)  # what is autotraced gets its code now
    given = dict(zip(KINDS, (placed.call, placed.raising, placed.items), strict=True))
    subjects: dict[str, Callable[[], float]] = {}
    for name, make in KINDS.items():
        other = Subjects()
        one = dict(zip(KINDS, other.all(), strict=True))[name]
        subjects[f"{name}, plain"] = functools.partial(per_call, make(one), CALLS)
        for what, recorded, values in (
            ("no job recorded", False, True),
            ("step without values", True, False),
            ("step", True, True),
        ):
            asked = functools.partial(in_place, recorded=recorded, values=values)
            subjects[f"{name}, {what}, in place"] = functools.partial(asked, make(given[name]))
            subjects[f"{name}, {what}, monitored"] = functools.partial(
                monitored, make(one), other.all(), recorded=recorded, values=values
            )
    found = in_turns(subjects, rounds)
    figures = [
        timed(name, over(found[name], found[f"{name.partition(',')[0]}, plain"]), "µs")
        for name in subjects
        if not name.endswith("plain")
    ]
    untraced = Subjects()
    loops = {"raises": raising(untraced.raising), "returns": calling(untraced.plain)}
    for name, loop in loops.items():
        both = in_turns({"off": functools.partial(others, loop, watched=False),
                         "on": functools.partial(others, loop, watched=True)}, rounds)  # fmt: skip
        figures.append(
            timed(
                f"a function nobody traces {name}, monitored", over(both["on"], both["off"]), "µs"
            )
        )
    alone = in_turns({"switching": switching}, 5 if quick else 50)["switching"]
    what = f"watching {FUNCTIONS} functions for one job alone, once"
    return [*figures, timed(what, alone, "µs")]


def over(samples: list[float], base: list[float]) -> list[float]:
    return [one - other for one, other in zip(samples, base, strict=True)]

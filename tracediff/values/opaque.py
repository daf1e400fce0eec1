"""Values without an exact form: what can be said of them without being hurt by their code."""

from __future__ import annotations

import re
import sys
import time
import types
from collections.abc import Callable
from typing import Any, Final

from tracediff.values.interrupts import is_interrupt
from tracediff.values.refs import class_attribute, clean, type_ref

MAX_TEXT: Final = 500
_MAX_EVENTS: Final = 20_000
_MAX_NANOSECONDS: Final = 50_000_000
_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")
_VIEWS: Final[tuple[type, ...]] = (type({}.keys()), type({}.values()), type({}.items()))
_slow: dict[int, type] = {}
_MAX_SLOW: Final = 1_000


class _Stop(BaseException):
    """Ends a repr that goes on for too long."""


def describe(obj: Any, scrub: Callable[[str], str] | None = None) -> str:
    """The object's repr: bounded in time and length, addresses taken out, never an error."""
    cls = type(obj)
    own = class_attribute(cls, "__repr__")
    if own is object.__repr__ or cls in _VIEWS:
        text = f"<{type_ref(cls).replace(':', '.')} object>"
    elif id(cls) in _slow:
        text = _unwilling(cls, "slow")
    elif type(own) is types.FunctionType:
        text = _guarded(obj, cls)
    else:
        text = _called(obj, cls)
    text = clean(_ADDRESS.sub(" at 0x…", text[: 4 * MAX_TEXT]))
    if scrub is not None:
        text = clean(str(scrub(text)))
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def _unwilling(cls: type, why: str) -> str:
    return f"<{type_ref(cls).replace(':', '.')} object, {why} repr>"


def _called(obj: Any, cls: type) -> str:
    start = time.perf_counter_ns()
    try:
        text = repr(obj)
    except BaseException as error:  # whatever foreign code raises, the job must go on
        if is_interrupt(error):
            raise
        return _unwilling(cls, "raising")
    if time.perf_counter_ns() - start > _MAX_NANOSECONDS:
        return _too_slow(cls)
    return str.__str__(text)


def _guarded(obj: Any, cls: type) -> str:
    """Call a repr written in Python under a trace function that ends it when it goes on."""
    left = _MAX_EVENTS
    deadline = time.perf_counter_ns() + _MAX_NANOSECONDS
    stopped = False

    def watch(frame: Any, event: str, arg: Any) -> Any:
        nonlocal left, stopped
        left -= 1
        if left < 0 or time.perf_counter_ns() > deadline:
            stopped = True
            raise _Stop
        return watch

    before = sys.gettrace()
    sys.settrace(watch)
    try:
        text = _called(obj, cls)
    finally:
        sys.settrace(before)
    return _too_slow(cls) if stopped else text


def _too_slow(cls: type) -> str:
    if len(_slow) < _MAX_SLOW:
        _slow[id(cls)] = cls
    return _unwilling(cls, "slow")

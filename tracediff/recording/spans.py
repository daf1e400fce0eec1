"""What the job thread writes while it runs: spans in a buffer. This is the hot path.

A span is both the open step and the raw record of it. Spans are appended when they open, so a
parent always comes before its children.
"""

from __future__ import annotations

import sys
import weakref
from _thread import get_ident
from collections.abc import Mapping
from time import perf_counter_ns
from types import CodeType
from typing import TYPE_CHECKING, Any

from tracediff import values
from tracediff.model import ErrorInfo, Kind, Source
from tracediff.recording.buffers import CHANGEABLE, FIXED, UNSET, Buffer
from tracediff.recording.faults import brief
from tracediff.recording.marks import Mark
from tracediff.recording.snapshots import Held
from tracediff.runtime import current

if TYPE_CHECKING:
    from tracediff.recording.cutting import Written

is_fixed = FIXED.issuperset


class Span:
    """One step: open while it is the context's current span, raw record afterwards."""

    __slots__ = (
        "args", "buffer", "depth", "end", "error", "inside", "key", "kwargs", "lane", "mark",
        "mutated", "packed", "parent", "result", "start", "state", "written",
    )  # fmt: skip

    mark: Mark | Line
    buffer: Buffer
    parent: Span | None
    depth: int
    args: Any
    kwargs: Any
    result: Any
    error: ErrorInfo | None
    inside: bool
    state: str | None
    key: Any
    mutated: tuple[str, ...]
    packed: bool
    lane: Any
    end: int
    start: int
    written: Written  # of a live trace, once it was looked at


def new_span(
    mark: Mark | Line, buffer: Buffer, parent: Span | None, args: Any, kwargs: Any
) -> Span:
    """Open a span. All in one function, since each call is a tenth of what a step costs."""
    span = Span()
    span.mark = mark
    span.buffer = buffer
    span.parent = parent
    span.args = args
    span.kwargs = kwargs
    span.result = UNSET
    span.error = None
    span.state = None
    span.key = UNSET
    span.mutated = ()
    span.packed = False
    span.end = 0
    span.lane = get_ident() if buffer.running is None else lane(buffer.running())
    spans = buffer.spans
    spans.append(span)
    if len(spans) >= buffer.limit:
        buffer.crowded()
    span.start = perf_counter_ns()
    return span


def lane(loop: Any) -> int | tuple[int, Any]:
    """The thread that runs, with its asyncio task when it has one.

    The task is referred to weakly: it does not live longer for it, and while the reference is kept
    no later task is taken for it, as its address alone may be.
    """
    if loop is None:
        return get_ident()
    import asyncio  # there is a loop, so it is loaded

    task = asyncio.current_task(loop)
    return get_ident(), None if task is None else weakref.ref(task)


class Line:
    """A step, note or artifact that is written in place rather than by a decorator."""

    __slots__ = ("code", "head", "kind", "lasti", "module", "name")

    def __init__(self, kind: Kind, name: str, head: bool, depth: int) -> None:
        frame = sys._getframe(depth)
        self.kind = kind
        self.name = name
        self.head = head
        self.code: CodeType = frame.f_code
        self.lasti = frame.f_lasti
        self.module: str = frame.f_globals.get("__name__", "?")

    def source(self) -> Source:
        """The file, line and unit this was written in."""
        line = self.code.co_firstlineno
        for start, end, number in self.code.co_lines():
            if start <= self.lasti < end and number is not None:
                line = number
        unit = f"{values.module_name(self.module)}:{self.code.co_qualname}"
        return Source(self.code.co_filename, line, unit)


def open_span(
    mark: Mark,
    buffer: Buffer,
    parent: Span | None,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Span:
    """Capture a call's arguments and open its span; the job's own has no parent."""
    captured: Any = args[mark.drop :] if mark.drop else args
    named: Any = kwargs
    if mark.special:
        captured, named = adjusted(mark, captured, kwargs)
    packed = False
    if captured and not is_fixed(map(type, captured)):
        if buffer.rooted:
            captured = [
                buffer.capture_below(mark.place(at), value) for at, value in enumerate(captured)
            ]
        else:
            captured = [
                value if type(value) in FIXED else buffer.capture(value) for value in captured
            ]
        packed = not CHANGEABLE.isdisjoint(map(type, captured))
    if named:
        if buffer.rooted:
            named = {name: buffer.capture_below(name, value) for name, value in named.items()}
        else:
            named = {name: buffer.capture(value) for name, value in named.items()}
        packed = packed or not CHANGEABLE.isdisjoint(map(type, named.values()))
    span = new_span(mark, buffer, parent, captured, named)
    span.packed = packed
    if mark.key is not None:
        span.key = user_key(mark, buffer, args, kwargs)
    return span


def ended(span: Span, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> None:
    """Keep the result of a step that has returned, and what it has changed."""
    if span.packed:
        mutations(span, args, kwargs)
    span.result = result if type(result) in FIXED else span.buffer.capture(result)


def adjusted(
    mark: Mark, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments without the ignored ones, and with the defaults that the call may change.

    Ignored positional ones become None, to keep the places of the others; ``assembly`` drops them.
    """
    ignore, names = mark.ignore, mark.names
    kept = [
        None if (names[place] if place < len(names) else mark.rest) in ignore else value
        for place, value in enumerate(args)
    ]
    named = {name: value for name, value in kwargs.items() if name not in ignore}
    if mark.keywords in ignore:
        named = {name: value for name, value in named.items() if name in mark.known}
    for name in mark.volatile:
        if name not in named and name not in names[: len(args)]:
            named[name] = mark.defaults[name]
    return tuple(kept), named


def user_key(mark: Mark, buffer: Buffer, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """What the user's key function says identifies this call; a failing one becomes a warning."""
    key = mark.key
    if not callable(key):
        return UNSET
    try:
        return buffer.capture(buffer.apart(key, *args, **kwargs))
    except Exception as error:  # the job must not fail because of its recording
        buffer.warn(f"the key function of {mark.name!r} raised {brief(error)}")
        return UNSET


def mutations(span: Span, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Mark the arguments that the step changed."""
    buffer, mark = span.buffer, span.mark
    if type(mark) is not Mark:
        return
    changed: list[str] = []
    at = -1
    for before in span.args:
        at += 1
        if type(before) not in CHANGEABLE or (type(before) is Held and before.is_unchanged()):
            continue
        name = mark.place(at)
        if not buffer.is_unchanged(name, args[at + mark.drop], before):
            changed.append(name)
    for name, before in (span.kwargs or {}).items():
        if type(before) in CHANGEABLE:
            value = kwargs[name] if name in kwargs else mark.defaults[name]
            if not buffer.is_unchanged(name, value, before):
                changed.append(name)
    if changed:
        span.mutated = tuple(dict.fromkeys(changed))


def leave(token: Any) -> None:
    """Make the span current again that was when the token was made.

    An async generator that another task closes ends in another context, which is not ours; a block
    that was entered twice at once has given its token back already.
    """
    try:
        current.reset(token)
    except (ValueError, RuntimeError):
        return

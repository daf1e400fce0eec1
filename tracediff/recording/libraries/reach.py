"""One way a library reaches the outside world, recorded and served as an input or output is.

What crosses is plain data: the library's own object is made of it while recording and in a replay
alike. Nothing below an input or output is recorded again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Container
from time import perf_counter_ns
from types import FrameType
from typing import Any

from tracediff import runtime, values
from tracediff.model import Kind
from tracediff.recording.buffers import Packed
from tracediff.recording.marks import Mark
from tracediff.recording.serving import answer
from tracediff.recording.spans import Span, open_span
from tracediff.runtime import current

_ENDS = frozenset({"input", "output"})
_THREADS = frozenset(
    {"concurrent.futures.thread", "threading", "tracediff.recording.propagation"}
)  # they begin what a program gave them
_OWN = sys.stdlib_module_names | {"tracediff"}


class Reach:
    """A function of plain values, whose calls are inputs or outputs of the active trace.

    Args:
        kind: ``input`` or ``output``.
        name: The step's name.
        function: Reads or writes for real; its parameters' names are those in the trace.
    """

    __slots__ = ("function", "mark")

    def __init__(self, kind: Kind, name: str, function: Callable[..., Any]) -> None:
        self.mark = Mark(kind, name, function, drop=0)
        self.function = function

    def __call__(
        self,
        parent: Span,
        *args: Any,
        secret: Callable[[Any], bool] | None = None,
        run: Callable[..., Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """The recorded answer in a replay, else what the function gives, recorded.

        Args:
            parent: What ``recorded_here`` gave.
            args: The function's arguments.
            secret: Whether a result is sealed in the trace.
            run: What runs in the function's place, for a library's object that goes beside it.
            kwargs: More of its arguments.
        """
        buffer = parent.buffer
        span = open_span(self.mark, buffer, parent, args, kwargs)
        token = current.set(span)
        try:
            if buffer.server is not None:
                served = answer(span)
                if not served.live:
                    span.result = Packed(served.data or b"")
                    return served.result
            result = (run or self.function)(*args, **kwargs)
            span.result = buffer.capture(result)
            if secret is not None and secret(result):
                span.result = Packed(values.seal(buffer.packed(span.result), buffer.redactor))
        except BaseException as error:
            span.error = buffer.fault(error, parent)
            raise
        else:
            return result
        finally:
            span.end = perf_counter_ns()
            current.reset(token)


def recorded_here() -> Span | None:
    """The span that a library's call becomes a child of; None where it is a plain call."""
    parent: Span | None = current.get()
    if parent is None:
        return None
    try:
        if parent.inside:
            return None
    except AttributeError:  # the first that is asked of it
        if _inside(parent):
            return None
    if parent.buffer.full:
        parent.buffer.unserved += 1
        return None
    return parent


def _inside(span: Span) -> bool:
    """Whether a span is an input or output or below one; each span is looked at once."""
    above: Span | None = span
    unknown: list[Span] = []
    found = False
    while above is not None and not found:
        known: bool | None = getattr(above, "inside", None)
        if known is not None:
            found = known
            break
        unknown.append(above)
        found = above.mark.kind in _ENDS
        above = above.parent
    for one in unknown:
        one.inside = found
    return found


def refuse_output(name: str) -> None:
    """Raise where a replayed job would write for real, outside of its context."""
    _refuse("output", name)


def refuse_input(name: str) -> None:
    """Raise where a replayed job would ask a server, outside of its context, unless it may."""
    _refuse("input", name)


def _refuse(kind: Kind, name: str) -> None:
    guard = runtime.guard
    if guard is not None and guard.begun and current.get() is None:
        guard.refuse(kind, name)


def asked_by_python(passed: Container[str] = (), others: Container[str] = ()) -> bool:
    """Whether Python's own library, tracediff or an import made the call, rather than the program.

    What they read once a process would be in the first trace alone.

    Args:
        passed: Modules that only pass a program's call on.
        others: Packages that count as Python's own.
    """
    frame = sys._getframe(2)  # noqa: SLF001 - the only way to see who calls
    while (name := frame.f_globals.get("__name__") or "") in _THREADS or _public(name) in passed:
        if frame.f_back is None:
            return False
        frame = frame.f_back
    top = name.partition(".")[0]
    return top in _OWN or top in others or _importing(frame)


def _public(name: str) -> str:
    """The module that a private one is part of: from 3.13 on ``pathlib._local`` of ``pathlib``."""
    return name.partition("._")[0]


def _importing(frame: FrameType | None) -> bool:
    """Whether a module is being imported that the job, or the step it is in, needs only now."""
    while frame is not None:
        name = frame.f_globals.get("__name__") or ""
        if name in ("importlib._bootstrap", "_frozen_importlib"):
            return True
        if name.startswith("tracediff."):
            return False
        frame = frame.f_back
    return False

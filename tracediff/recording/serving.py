"""How a replayed call asks the recording: inputs and outputs, and steps that a what-if answers."""

from __future__ import annotations

from tracediff.recording.assembly import arguments
from tracediff.recording.buffers import UNSET, Later
from tracediff.recording.marks import Mark
from tracediff.recording.spans import Span
from tracediff.runtime import Call, Served

_LIVE = Served(live=True)


def answer(span: Span, *, items: bool = False) -> Served:
    """Ask the active server for the recorded answer; raises the recorded error if it is one.

    Args:
        span: The call.
        items: It is a generator's: an error comes after what was yielded, and is not raised here.
    """
    server = span.buffer.server
    mark = span.mark
    if server is None or not isinstance(mark, Mark):
        return _LIVE
    if mark.kind == "step" and mark.name not in server.steps:
        return _LIVE
    args = arguments(span, mark)
    identity = args if span.key is UNSET else span.buffer.packed(span.key)
    later = span.args if isinstance(span.args, Later) else None
    url = None if later is None else later.url
    call = Call(mark.kind, mark.name, identity, args, path(span), position(span), url)
    served = server.serve(call)
    if later is not None and served.args is not None:
        later.become(served.args)
    if served.error is not None and not items:
        raise served.error
    return served


def path(span: Span) -> tuple[str, ...]:
    """The names of the enclosing steps, outermost first, without the job."""
    names: list[str] = []
    parent = span.parent
    while parent is not None and parent.parent is not None:
        names.append(parent.mark.name)
        parent = parent.parent
    return tuple(reversed(names))


def position(span: Span) -> int:
    """The span's index in its trace; it is among the last."""
    spans = span.buffer.spans
    for index in range(len(spans) - 1, -1, -1):
        if spans[index] is span:
            return index
    return -1

"""Events of Sentry carry the id of the trace that is recorded where they happen."""

from __future__ import annotations

import logging
import sys
from typing import Any, Final

from tracediff.recording.buffers import Buffer
from tracediff.recording.faults import TRACE_ID, brief
from tracediff.runtime import current

TAG: Final = "tracediff.trace"
_CAUSES: Final = 10
log = logging.getLogger("tracediff")


class _Process:
    """Whether events of this process are tagged."""

    ready = False


def watch(buffer: Buffer, trace_id: str) -> None:
    """Have the events of a job tagged with its trace's id, if the program has Sentry's SDK."""
    scope = sys.modules.get("sentry_sdk.scope")
    if scope is None:
        return
    buffer.reached[TAG] = trace_id
    if not _Process.ready:
        try:
            scope.add_global_event_processor(_tagged)
        except Exception as error:  # another thread may be importing it now: the next job tries
            buffer.warn(f"events of Sentry are not tagged: {brief(error)}")
        else:
            _Process.ready = True


def remember(error: BaseException, buffer: Buffer) -> None:
    """Let an exception that leaves a job say which trace it left: it is told of only later."""
    trace_id = buffer.reached.get(TAG)
    if trace_id is None:
        return
    try:
        vars(error)[TRACE_ID] = trace_id
    except Exception as problem:  # its class may forbid it
        log.debug("tracediff: an event of Sentry will have no trace's id: %s", brief(problem))


def _tagged(event: Any, hint: Any) -> Any:
    """The event with the tag; Sentry calls it on the thread that the event happened on."""
    try:
        trace_id = _trace_of(hint)
        if trace_id is not None:
            tags = event.get("tags")
            if isinstance(tags, list):
                tags.append([TAG, trace_id])
            else:
                event["tags"] = {**(tags or {}), TAG: trace_id}
    except Exception as error:  # an event without a tag is better than none
        log.debug("tracediff could not tag an event of Sentry: %s", brief(error))
    return event


def _trace_of(hint: Any) -> str | None:
    span = current.get()
    if span is not None and TAG in span.buffer.reached:
        found: str = span.buffer.reached[TAG]
        return found
    error = ((hint or {}).get("exc_info") or (None, None))[1]
    for _ in range(_CAUSES):
        if error is None:
            return None
        left = getattr(error, "__dict__", {}).get(TRACE_ID)
        if isinstance(left, str):
            return left
        error = error.__cause__ or error.__context__
    return None

"""What loggers say inside of a job, as notes of its trace: bounded, and never in a circle."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, Final

from tracediff.recording.faults import brief
from tracediff.recording.redaction import REDACTED
from tracediff.recording.remarks import MAX_NOTE
from tracediff.recording.spans import Line, Span, new_span
from tracediff.runtime import current

MAX_RECORDS: Final = 1_000
"""Records of one trace that become notes; a logger in a loop is no reason to fill a store."""

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_COUNT: Final = "notes of loggers"


class _Thread(threading.local):
    """What this thread is doing: ``making`` a note, or ``inside`` of structlog."""

    making = False
    inside = 0


thread = _Thread()


def say(text: Callable[[], str | None], is_callers: Callable[[str, str], bool]) -> None:
    """Add what a logger says to the job that runs in this context; never raises.

    Args:
        text: Gives the text, with the level and the logger's name; None where it is no note.
        is_callers: Whether a frame of this file and module is the one that called the logger.
    """
    parent: Span | None = current.get()
    if parent is None or thread.making or parent.buffer.shallow:
        return
    buffer = parent.buffer
    thread.making = True
    try:
        said = text()
        if said is None:
            return
        count = buffer.reached.get(_COUNT, 0)
        if count >= MAX_RECORDS:
            buffer.warn(f"records of loggers after the first {MAX_RECORDS:,} are no notes")
            return
        buffer.reached[_COUNT] = count + 1
        line = Line("note", said[:MAX_NOTE], False, _depth(is_callers))
        span = new_span(line, buffer, parent, (), None)
        span.end = span.start
    except Exception as error:  # what a logger is given may raise when it is read
        buffer.warn(f"a record of a logger is no note: {brief(error)}")
    finally:
        thread.making = False


def without_secrets(given: Mapping[Any, Any]) -> dict[Any, Any]:
    """What a message is filled with by names, inside of a job: those that are secret hide it."""
    parent = current.get()
    secret = parent.buffer.redactor.secret
    return {name: REDACTED if secret(str(name)) else one for name, one in given.items()}


def _depth(is_callers: Callable[[str, str], bool]) -> int:
    """How many frames above ``Line``'s own constructor the logger was called."""
    depth = 2
    frame: FrameType | None = sys._getframe(depth)  # noqa: SLF001 - as spans do
    while frame is not None and depth < 40:
        if is_callers(frame.f_code.co_filename, frame.f_globals.get("__name__", "")):
            return depth
        depth, frame = depth + 1, frame.f_back
    return 2

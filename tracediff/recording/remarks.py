"""What a job says about its own trace, and the clock, randomness and ids it may ask for.

Outside a recorded job the remarks do nothing, and the clock and randomness are the real ones.
"""

from __future__ import annotations

import mimetypes
import os
import random as random_module
import uuid
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

from tracediff.recording.faults import brief
from tracediff.recording.spans import Line, Span, new_span
from tracediff.recording.wrappers import input as recorded_input
from tracediff.runtime import current

MAX_NOTE = 16_000
"""Characters that are looked at for secrets; fewer are kept."""

MAX_ARTIFACT = 256 * 1024 * 1024


def note(text: object, *, head: bool = False) -> None:
    """Add a free line of text to the trace; ``head`` makes it a section heading."""
    parent: Span | None = current.get()
    if parent is None:
        return
    if parent.buffer.shallow:
        parent.buffer.skipped += 1
        return
    line = Line("note", _text(text)[:MAX_NOTE], head, 2)
    span = new_span(line, parent.buffer, parent, (), None)
    span.end = span.start


def tag(*tags: str) -> None:
    """Add search labels to the trace."""
    parent: Span | None = current.get()
    if parent is not None:
        parent.buffer.tag(map(_text, tags))


def artifact(name: str, content: bytes | str | os.PathLike[str], media_type: str = "") -> None:
    """Keep a file with the trace.

    Args:
        name: What it is called in the trace.
        content: Its bytes, or the path of a file to read now. Secrets in it are not looked for.
        media_type: Its type; guessed from the name by default.
    """
    parent: Span | None = current.get()
    if parent is None:
        return
    buffer, name = parent.buffer, _text(name)[:MAX_NOTE]
    try:
        data = _content(content)
    except Exception as error:  # the job must not fail because of its recording
        buffer.warn(f"artifact {name!r} cannot be read: {brief(error)}")
        return
    if len(data) > MAX_ARTIFACT:
        buffer.warn(f"artifact {name!r} is larger than {MAX_ARTIFACT} bytes and was left out")
        return
    guessed = media_type or mimetypes.guess_type(name)[0] or "application/octet-stream"
    buffer.artifacts.append((name, data, guessed))
    buffer.bytes += len(data)
    span = new_span(Line("artifact", name, False, 2), buffer, parent, (), None)
    span.end = span.start


def _text(given: object) -> str:
    try:
        return str.__str__(str(given))
    except (Exception, SystemExit) as error:  # the job must not fail because of its recording
        return f"<{type(given).__name__}, whose text raised {type(error).__name__}>"


def _content(given: Any) -> bytes:
    if isinstance(given, bytes | bytearray | memoryview):
        return bytes(given)
    with Path(given).open("rb") as file:
        return file.read(MAX_ARTIFACT + 1)


def warn() -> None:
    """Set the state of the current step and of the trace to warning."""
    _set_state("warning")


def fail() -> None:
    """Set the state of the current step and of the trace to error."""
    _set_state("error")


def _set_state(state: str) -> None:
    span: Span | None = current.get()
    if span is None:
        return
    if span.state != "error":
        span.state = state
    if span.buffer.state != "error":
        span.buffer.state = state


def ignore() -> None:
    """Do not keep this trace."""
    span: Span | None = current.get()
    if span is not None:
        span.buffer.ignored = True


@recorded_input("now")
def now(tz: tzinfo | None = None) -> datetime:
    """The time, as a recorded input; in local time without zone by default."""
    return datetime.now(tz)


@recorded_input("random")
def random() -> float:
    """A random number in [0, 1), as a recorded input."""
    return random_module.random()  # noqa: S311 - the job's numbers, not a secret


@recorded_input("uuid4")
def uuid4() -> uuid.UUID:
    """A random UUID, as a recorded input."""
    return uuid.uuid4()

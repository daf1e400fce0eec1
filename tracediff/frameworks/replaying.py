"""What the frameworks' jobs ask of the trace that is being replayed here."""

from __future__ import annotations

from collections.abc import Mapping

from tracediff.model import Trace
from tracediff.runtime import current


class _Process:
    trace: Trace | None = None


def use(trace: Trace) -> None:
    """The trace whose job runs next."""
    _Process.trace = trace


def recorded_context() -> Mapping[str, str | int | float | bool]:
    """The context fields of the trace that is replayed."""
    return _Process.trace.context if _Process.trace is not None else {}


def is_replayed() -> bool:
    """Whether the job that runs here is a replay's."""
    here = current.get()
    return here is not None and here.buffer.server is not None

"""Which trace is being recorded, and who answers its inputs.

Recorder and replayer share one recorder; a replay only adds a ``Server`` that answers inputs and
outputs from a recording. The module is tiny because every instrumented call touches it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

current: ContextVar[Any] = ContextVar("tracediff.current", default=None)
"""The innermost open span of the active trace, or None."""


@dataclass(frozen=True, slots=True)
class Call:
    """An input or output that replayed code reached, or a step that a what-if answers.

    ``identity`` is the canonical form of what tells this call from others of the same name: the
    user's key, or the arguments. ``args`` is the canonical dict of all captured arguments.
    ``path`` holds the names of the enclosing steps, outermost first. ``step`` is the index the
    call gets in the new trace. ``url`` names the argument that says which server is asked.
    """

    kind: str
    name: str
    identity: bytes
    args: bytes
    path: tuple[str, ...]
    step: int
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Served:
    """The recorded answer to a call: a fresh ``result`` and its canonical ``data``, or ``error``.

    A generator has both when it raised: ``result`` lists what it had yielded by then.
    ``live`` means that the real function must be called after all. ``args`` are the recorded
    arguments where they stand for the call's own, which asked another server for the same.
    """

    result: Any = None
    data: bytes | None = None
    error: BaseException | None = None
    live: bool = False
    args: bytes | None = None


class Server(Protocol):
    """Answers inputs and outputs from a recording."""

    @property
    def steps(self) -> frozenset[str]:
        """The names of the steps that it may answer too."""
        ...

    @property
    def begun(self) -> bool:
        """Whether the job runs; before that, its modules are imported."""
        ...

    def serve(self, call: Call) -> Served:
        """Return the recorded answer; raises ``ReplayAbort`` when there is none."""
        ...

    def refuse(self, kind: str, name: str) -> None:
        """Raise: an input or output was reached outside the replayed job's context."""
        ...

    def recorded(self, name: str) -> Sequence[bytes]:
        """The canonical arguments of the recorded inputs of this name."""
        ...


class ReplayAbort(BaseException):
    """Unwinds a replayed job that cannot go on.

    A BaseException, so that ``except Exception`` in the job does not swallow it; the server has
    noted the reason, so swallowing it all the same changes nothing.

    Args:
        message: What could not go on, one sentence without a final full stop.
        slug: The stable name of the reason, explained in ``docs/errors.md``.
        hint: What the user can do about it, or None.
    """

    def __init__(
        self, message: str = "", *, slug: str = "replay-aborted", hint: str | None = None
    ) -> None:
        super().__init__(message)
        self.slug = slug
        self.hint = hint


class _Aside:
    """Stands for the current span where tracediff works for itself."""

    inside = True


_ASIDE = _Aside()


@contextlib.contextmanager
def aside() -> Iterator[None]:
    """Around what is no part of a job although its thread runs it: nothing in it is recorded.

    A replay serves and refuses nothing of it either.
    """
    token = current.set(_ASIDE)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # left in another context than it was entered
            current.reset(token)


def is_aside() -> bool:
    """Whether what runs is no part of a job."""
    return current.get() is _ASIDE


REPLAYING = "TRACEDIFF_REPLAYING"
"""The environment variable by which processes that a replay starts know that they belong to it."""


class _Child:
    """In a process that a replayed job started: nothing is served there, and nothing runs."""

    steps: frozenset[str] = frozenset()
    begun = True

    def serve(self, call: Call) -> Served:
        raise self._aborted(call.kind, call.name)

    def refuse(self, kind: str, name: str) -> None:
        raise self._aborted(kind, name)

    def recorded(self, name: str) -> Sequence[bytes]:
        return ()

    def _aborted(self, kind: str, name: str) -> ReplayAbort:
        return ReplayAbort(
            f"the {kind} {name!r} was reached in another process than the replay's",
            slug="outside-replay",
            hint="a trace does not reach into other processes: reach it in the job's own",
        )


guard: Server | None = _Child() if os.environ.get(REPLAYING) else None
"""Set for the whole process while it replays: no input or output may run for real."""

"""Traces on their way through one process that replays, whatever becomes of the process."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from tracediff.check import page as pages
from tracediff.check.frames import BrokenFrameError
from tracediff.check.replaying import ROBBED
from tracediff.check.warmed import GRACE, Warmed, robbed
from tracediff.checked import Result
from tracediff.errors import ReplayError
from tracediff.model import Row
from tracediff.replay.starting import died

MOST_IN_VAIN: Final = 3
"""How often a process is started again without an answer before a trace is blamed for it."""


@dataclass(slots=True, eq=False)
class Task:
    """A trace to be replayed: its bytes, the old side's replay, what came of it the first time."""

    row: Row
    data: bytes
    other: bytes | None = None
    again: bool = False
    found: Result | None = None
    cause: str | None = None

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return len(self.data) + len(self.other or b"")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the process says of a task, and whether it replayed nothing before it."""

    task: Task
    said: list[Any]
    fresh: bool


class Lane:
    """One process at a time, started when it is needed and again when it is gone.

    Args:
        start: Starts a process.
        whole: Whether the new traces are wanted, instead of what is to be said of them.
    """

    def __init__(self, start: Callable[[], Warmed], *, whole: bool = False) -> None:
        self._start, self._whole = start, whole
        self._warmed: Warmed | None = None
        self._flying: dict[int, Task] = {}
        self._serial = 0
        self._in_vain = 0
        self._was_ready = False
        self._quiet: float | None = None
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._flying)

    def put(self, task: Task) -> None:
        """Send a task; what differs for the second time is sent to a fresh process."""
        warmed = self._warmed
        if warmed is None:
            warmed = self._warmed = self._start()
        self._serial += 1
        self._flying[self._serial] = task
        self.bytes += task.size
        if task.again:
            warmed.send(None)
        row = task.row
        warmed.send([self._serial, task.data, row.id, row.path_signature, self._whole, task.other])

    def turn(self) -> Iterator[Answer]:
        """Write and read what can be at once, without waiting.

        Raises:
            ReplayError: The process cannot be started, or ends before it does anything.
        """
        warmed = self._warmed
        if warmed is None:
            return
        warmed.write()
        try:
            for message in warmed.read():
                self._quiet = None
                yield from self._heard(warmed, *message)
        except BrokenFrameError:
            yield from self._lost(warmed, robbed())
        except EOFError:
            yield from self._lost(warmed, None)
        else:
            if warmed.is_gone:
                yield from self._lost(warmed, None)
            elif self._is_stuck(warmed):
                yield from self._lost(warmed, robbed())

    def _is_stuck(self, warmed: Warmed) -> bool:
        """Whether it has been waiting for a request that is sent: a job took it from the pipe."""
        waits = warmed.ready and warmed.page.read().phase in (pages.READING, pages.IDLE)
        if not self._flying or warmed.is_sending or not waits:
            self._quiet = None
            return False
        now = time.monotonic()
        self._quiet = self._quiet or now
        return now - self._quiet > GRACE

    def _heard(
        self, warmed: Warmed, kind: str, serial: int, fresh: bool, *rest: Any
    ) -> Iterator[Answer]:
        self._in_vain, self._was_ready = 0, True
        task = self._taken(serial)
        if task is None:
            return
        if kind != "ended":
            yield Answer(task, [kind, *rest], fresh)
            return
        (code,) = rest
        error = warmed.limit_of(serial)
        if error is None:
            error = robbed() if code == ROBBED else _died(code, warmed.printed())
        yield Answer(task, said(error), fresh)

    def _taken(self, serial: int) -> Task | None:
        task = self._flying.pop(serial, None)
        if task is not None:
            self.bytes -= task.size
        return task

    def _lost(self, warmed: Warmed, error: ReplayError | None) -> Iterator[Answer]:
        """The whole process is gone: say which trace it was for, and send the others again."""
        self._quiet = None
        doing, printed, ready = warmed.page.read(), warmed.printed(), warmed.ready
        limit = warmed.limit_of(doing.serial)
        self.close()
        code = warmed.process.returncode
        self._in_vain += 1
        if not ready and (not self._was_ready or self._in_vain > MOST_IN_VAIN):
            raise _died(code, printed)
        if limit and not self._was_ready and self._in_vain > MOST_IN_VAIN:
            raise limit  # the modules of the jobs do not come to an end
        serial = doing.serial if doing.phase != pages.READING else 0
        if serial not in self._flying and (error is not None or self._in_vain > MOST_IN_VAIN):
            serial = next(iter(self._flying), 0)
        task = self._taken(serial)
        self._again()
        if task is not None:
            fresh = doing.fresh or doing.phase == pages.IMPORTING
            yield Answer(task, said(limit or error or _died(code, printed)), fresh)

    def _again(self) -> None:
        left = list(self._flying.values())
        self._flying.clear()
        self.bytes = 0
        for task in left:
            self.put(task)

    @property
    def waited_for(self) -> Iterable[tuple[int, int]]:
        """What to wait for, as ``poll`` takes it."""
        return self._warmed.waited_for if self._warmed is not None else ()

    def forget(self) -> None:
        """End the process, and forget what is under way."""
        self._flying.clear()
        self.bytes = 0
        self.close()

    def end(self) -> None:
        """Let the process end at once; from any thread."""
        warmed = self._warmed
        if warmed is not None:
            warmed.end()

    def close(self) -> None:
        """End the process."""
        warmed, self._warmed = self._warmed, None
        if warmed is not None:
            warmed.close()


def said(error: ReplayError) -> list[Any]:
    """An error as a process says it."""
    return ["failed", error.message, error.slug, error.hint or ""]


def _died(code: int, printed: str) -> ReplayError:
    return died("the process that replayed it", code, printed)


def wait(lanes: Iterable[Lane], seconds: float) -> None:
    """Wait until one of some lanes can go on."""
    poll = select.poll()
    for lane in lanes:
        for handle, events in lane.waited_for:
            poll.register(handle, events)
    poll.poll(seconds * 1000)

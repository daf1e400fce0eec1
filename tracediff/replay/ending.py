"""Ends processes that run code before they are done: from another thread, or with their starter.

A thread that waits for a replay cannot be interrupted, as ctrl-C interrupts a command. So what it
does is done within an ``Ending``, which any thread may ask for. And a replay hangs on a pipe: when
the process that started it is gone, however it went, the kernel ends the replay and its children.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar

_current: ContextVar[Ending | None] = ContextVar("tracediff_ending", default=None)


class Ended(BaseException):
    """The work was ended. No ``Exception``: like ctrl-C, it is nothing to go on after."""


class Ending:
    """Lets work be ended while it is done; ``asked`` says that it is to end."""

    def __init__(self) -> None:
        self.asked = False
        self._lock = threading.Lock()
        self._stops: list[Callable[[], None]] = []

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """A context of this thread, in which the processes that it starts are ended when asked."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    def ask(self) -> None:
        """End the processes that are at work now, and those that are started yet as they start."""
        with self._lock:
            self.asked = True
            for stop in self._stops:
                stop()

    def heed(self) -> None:
        """Go no further if it is to end.

        Raises:
            Ended: It is.
        """
        if self.asked:
            raise Ended

    def _add(self, stop: Callable[[], None]) -> None:
        with self._lock:
            self._stops.append(stop)
            if self.asked:
                stop()

    def _remove(self, stop: Callable[[], None]) -> None:
        with self._lock:
            self._stops.remove(stop)


def when_ended(stop: Callable[[], None]) -> Callable[[], None]:
    """Have something called when the work of this thread is to end; at once if it is already.

    Args:
        stop: Ends a process, which may have ended.

    Returns:
        What takes that back.
    """
    ending = _current.get()
    if ending is None:
        return lambda: None
    ending._add(stop)  # noqa: SLF001 - the other half of this module
    return lambda: ending._remove(stop)  # noqa: SLF001 - as above


def heed() -> None:
    """Go no further if the work of this thread is to end: what was stopped gave no results.

    Raises:
        Ended: It is.
    """
    ending = _current.get()
    if ending is not None:
        ending.heed()


def end_group(pid: int) -> None:
    """End a process that leads a group, and what it forked."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # it has ended
        os.killpg(pid, signal.SIGKILL)


def hang_on(pipe: int) -> None:
    """Have the kernel end this process and its group when the pipe's other end is closed.

    The other end is closed when the process that has it ends, even if it is killed. Only Linux does
    this; elsewhere a killed starter leaves its replays to run to their end.

    Args:
        pipe: The end to read of a pipe that nothing is written to.
    """
    os.set_inheritable(pipe, False)
    choose = getattr(fcntl, "F_SETSIG", None)
    if choose is None:
        return
    fcntl.fcntl(pipe, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(pipe, choose, signal.SIGKILL)
    fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([pipe], [], [], 0)[0]:  # it was closed before the kernel was told
        os.killpg(0, signal.SIGKILL)

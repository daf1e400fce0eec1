"""The forwarder: one process of a machine that moves what all its processes record.

They only write to the spool: none of them imports a client of a server or connects. What they gave
up is merged first, so that one object and one batch of rows hold the traces of many processes.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from tracediff.stores.forwarding import ForwarderLock, call
from tracediff.stores.remote import RemoteStore
from tracediff.stores.shipping import MAX_PAUSE, MIN_PAUSE, Shipper
from tracediff.stores.spooled import is_left, segments

log = logging.getLogger("tracediff")

GATHER = 0.2
"""Seconds between a call and the pass it is for: what others give up meanwhile goes with it."""

Spools = Mapping[Path, Callable[[], RemoteStore]]
"""Directories of spools, and what opens the store that each is for."""


class Forwarder:
    """Moves what lies in some spools, each on a thread of its own, until it is stopped.

    Args:
        spools: The spools.
        every: Seconds within which a segment is moved that somebody has given up.
    """

    def __init__(self, spools: Spools, every: float) -> None:
        self._lines = [_Line(directory, opened, every) for directory, opened in spools.items()]
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        """Hold the lock of each spool from now on.

        Raises:
            StoreError: ``forwarder-running``: somebody else does.
        """
        held: list[_Line] = []
        try:
            for line in self._lines:
                line.lock.__enter__()
                held.append(line)
        except BaseException:
            for line in held:
                line.lock.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        for line in self._lines:
            line.lock.__exit__()

    def start(self, *, once: bool = False) -> None:
        """Begin to move; with ``once`` only what nobody writes now."""
        for line in self._lines:
            work = line.run_once if once else line.run
            thread = threading.Thread(target=work, name="tracediff-forwarder")
            self._threads.append(thread)
            thread.start()

    @property
    def running(self) -> bool:
        """Whether anything is being moved or waited for."""
        return any(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """Move what is being moved to its end, and stop."""
        for line in self._lines:
            line.stop()
        while self._threads:
            self._threads.pop().join()

    def stays(self) -> dict[Path, str]:
        """The spools in which something stays that nobody writes, with the reason."""
        found = {line.directory: line.stays() for line in self._lines}
        return {directory: why for directory, why in found.items() if why is not None}

    @property
    def problems(self) -> dict[Path, str | None]:
        """What each store says against what is moved to it, None where nothing is wrong."""
        return {line.directory: line.problem for line in self._lines}


class _Line:
    """One spool and its store."""

    def __init__(
        self, directory: Path, open_remote: Callable[[], RemoteStore], every: float
    ) -> None:
        self.directory = directory
        self.lock = ForwarderLock(directory)
        self.problem: str | None = None
        self._every = every / 2  # a process gives a segment up within as long
        self._shipper = Shipper(directory, open_remote, every, alone=True)
        self._stopped = threading.Event()

    def run(self) -> None:
        """Move until it is stopped; nothing that is raised ends it."""
        failures = 0
        while not self._stopped.is_set():
            failures = 0 if self.move() is None else failures + 1
            self._rest(failures)
        self.close()

    def run_once(self) -> None:
        """Move all that nobody writes."""
        self.move()
        self.close()

    def stays(self) -> str | None:
        """Why something stays that nobody writes; None where nothing does."""
        if self.problem is not None:
            return self.problem
        left = sum(map(is_left, segments(self.directory)))
        return f"{left} segments were not begun with" if left else None

    def move(self) -> str | None:
        """Move all that nobody writes; what the store says against it."""
        self._shipper.ship()
        problem = self._shipper.problem
        if problem is None and self.problem is not None:
            log.warning("tracediff: what lay in %s is moved", self.directory)
        if problem != self.problem:
            self.problem = problem
            self.lock.say(problem)
        return problem

    def stop(self) -> None:
        """End after the segment that is being moved."""
        self._stopped.set()
        self._shipper.stop()
        call(self.directory)  # it may be waiting for one

    def close(self) -> None:
        """Let go of the store."""
        self._shipper.close()

    def _rest(self, failures: int) -> None:
        """Wait until it is time again, or somebody waits, and a moment more for others."""
        pause = min(MAX_PAUSE, MIN_PAUSE * 2 ** min(failures, 10)) if failures else self._every
        if self.lock.wait(pause):
            self._stopped.wait(MIN_PAUSE if failures else GATHER)
            self.lock.wait(0)

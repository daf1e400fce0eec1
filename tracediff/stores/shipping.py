"""Moving finished segments from a spool to the store: one thread for each spool of a process.

It decides when; how a segment is moved, ``moving`` says. Where a forwarder moves them, the thread
only gives segments up, and no client of a server is imported or connected.
"""

from __future__ import annotations

import functools
import logging
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from tracediff.errors import StoreError
from tracediff.model import Row
from tracediff.stores import merging, standing_in
from tracediff.stores.base import LiveIndex
from tracediff.stores.dictionaries import Dictionary
from tracediff.stores.failures import system_error
from tracediff.stores.forwarding import Forwarding, call, forwarding
from tracediff.stores.liveness import settle
from tracediff.stores.moving import Mover
from tracediff.stores.remote import RemoteStore
from tracediff.stores.spooled import SEGMENTS, segments

log = logging.getLogger("tracediff")

MIN_PAUSE = 0.5
MAX_PAUSE = 60.0
"""Seconds between two attempts at a store that refuses; each is cut short by up to a half."""

IDLE = 10.0
"""Seconds after which the thread of a spool that nobody uses ends."""

LOOK = 0.05
"""Seconds between two looks at segments of this process that another one is moving."""

FORK_DEADLINE = 5.0
IMPORTS_DEADLINE = 30.0
"""Seconds that a fork waits for a store to be opened, and while modules are imported for it."""

_OF_ALL = frozenset({
    "bucket-missing", "store-busy", "store-denied", "store-driver", "store-foreign", "store-full",
    "store-newer", "store-old-server", "store-unknown", "store-unprepared", "store-unreachable",
    "store-unsuitable", "store-url-invalid",
})  # fmt: skip
"""What the store says of itself: the next segment would fare no better."""


class Source(Protocol):
    """Who fills a spool in this process."""

    def roll(self, *, at_once: bool) -> None:
        """Give up the segments that are old enough to be moved, or all of them."""


class _EndedError(Exception):
    """The process ends and starts no thread any more: another is to move what is left."""


class Shipper:
    """Moves the segments of one spool.

    Args:
        directory: The spool.
        open_remote: Opens the store, called on the thread.
        every: Seconds between two looks into the spool.
        alone: Move them also where a forwarder does: this is the forwarder's own.
    """

    def __init__(
        self,
        directory: Path,
        open_remote: Callable[[], RemoteStore],
        every: float,
        *,
        alone: bool = False,
    ) -> None:
        self.directory = directory
        self._alone = alone
        self.problem: str | None = None
        self._open_remote = open_remote
        self._every = every
        self._remote: RemoteStore | None = None
        self._mover = Mover(directory, self._opened)
        self._stale = False
        self._own: set[Path] = set()
        self._sources: list[Source] = []
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._hurry = False
        self._replaced = False
        self._forwarded = False
        self._stopped = False
        self._done = threading.Condition(self._lock)
        self._begun = 0
        self._ended = 0
        self._failed = 0
        self._thread: threading.Thread | None = None

    @property
    def dictionary(self) -> Dictionary | None:
        """What the store compresses with, once a segment was moved."""
        return self._mover.dictionary

    def renew(self, open_remote: Callable[[], RemoteStore], every: float) -> None:
        """Move to the same store by other means from now on, such as a new password."""
        with self._lock:
            self._stale = self._stale or not _same(open_remote, self._open_remote)
            self._open_remote, self._every = open_remote, every

    def attach(self, source: Source) -> None:
        """Start to move what this source fills the spool with."""
        with self._lock:
            self._sources.append(source)
            if self._thread is not None:
                return
            thread = threading.Thread(target=self._run, name="tracediff-shipper", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # the interpreter ends: another process moves it
                self.problem = str(error)
            else:
                self._thread = thread

    def detach(self, source: Source) -> None:
        """The source is closed; what it left is still moved."""
        with self._lock:
            self._sources = [one for one in self._sources if one is not source]
        self._wake.set()

    def wake(self) -> None:
        """There is something to move."""
        self._wake.set()

    def given_up(self, path: Path) -> None:
        """A segment of this process is complete: ``drain`` waits until it is moved."""
        with self._lock:
            self._own.add(path)

    def waiting(self) -> int:
        """How many complete segments of this process are not moved yet."""
        with self._lock:
            self._own = {path for path in self._own if path.exists()}
            return len(self._own)

    def drain(self, deadline: float | None = None, *, patient: bool = True) -> bool:
        """Wait until all is moved that lies in the spool now; False when it is not.

        What living processes still write is theirs. What this one wrote is waited for when
        another is moving it.

        Args:
            deadline: The seconds to keep trying; by default, until the store refuses.
            patient: Whether to try again, until the deadline, when the store refuses.
        """
        until = None if deadline is None else time.monotonic() + deadline
        with self._lock:
            sources = list(self._sources)
        for source in sources:
            source.roll(at_once=True)
        if self._remote is None and self._forwarding() is None and standing_in.needed():
            return not self.waiting() or self._moved_elsewhere(deadline)
        while self._passed(until, patient=patient):
            if not self.waiting():
                return True
            time.sleep(LOOK)
        return False

    def ship_here(self, own: Collection[Path]) -> None:
        """Move all that nobody writes, on this thread, until the store refuses.

        Those of ``own`` that another is moving are waited for.
        """
        while self.ship() and any(path.exists() for path in own):
            time.sleep(LOOK)
        self.close()

    def _moved_elsewhere(self, deadline: float | None) -> bool:
        """Have another process move what this one has no client for, and wait for it."""
        with self._lock:
            self._replaced, own = True, list(self._own)
        self._tell(standing_in.move(self.directory, self._open_remote, own, deadline))
        return not self.waiting()

    def _passed(self, until: float | None, *, patient: bool) -> bool:
        """Wait for a pass through the spool that begins now and does not fail."""
        with self._lock:
            target, failed = self._begun + 1, self._failed
            self._hurry = True
        self._wake.set()
        with self._done:
            while self._ended < target:
                left = None if until is None else until - time.monotonic()
                if (left is not None and left <= 0) or self._thread is None:
                    return False
                self._done.wait(left)
                if self._failed > failed:
                    if until is None or not patient:
                        return False
                    failed = self._failed
                    self._done.wait(MIN_PAUSE if left is None else min(MIN_PAUSE, left))
                    self._wake.set()
        return True

    def _run(self) -> None:
        failures, idle = 0, 0.0
        while True:
            pause = _pause(failures) if failures else self._every
            self._wake.wait(pause)
            self._wake.clear()
            if self._replaced:
                return
            with self._lock:
                sources, hurry, self._hurry = list(self._sources), self._hurry, False
                self._begun += 1
                stale, self._stale = self._stale, False
            if stale:
                self.close()
            moved = self._ship_all(sources, hurry=hurry)
            failures = 0 if moved or self._forwarded else failures + 1
            with self._done:
                idle = 0.0 if self._sources else idle + pause
                if moved:
                    self._ended = self._begun
                else:
                    self._failed += 1
                self._own = {path for path in self._own if path.exists()}
                over = not self._sources and idle >= IDLE
                if over:
                    self._thread = None
                self._done.notify_all()
            if over:
                self.close()
                return

    def _ship_all(self, sources: Sequence[Source], *, hurry: bool) -> bool:
        """Move all that nobody writes; False when the store refused any of it."""
        forwarder = self._forwarding()
        self._forwarded = forwarder is not None
        if forwarder is not None:
            return self._left_to(forwarder, sources, hurry=hurry)
        problem = None
        for work in self._work(sources, hurry=hurry):
            if self._stopped:
                break
            try:
                work()
            except _EndedError:  # no refusal: ``drain`` has another process move them
                return False
            except Exception as error:  # noqa: BLE001 - of a client, too: nothing ends this thread
                problem = problem or self._said(error)
                if getattr(error, "slug", None) in _OF_ALL:
                    break
        self._tell(problem)
        return problem is None

    def _lose(self, rows: list[Row]) -> None:
        """Traces of processes that are gone: all that they wrote is where it can be found."""
        index = self._opened().index
        if isinstance(index, LiveIndex):
            index.lose(rows)

    def _are_moved(self, names: Collection[str]) -> bool:
        return not any((self.directory / SEGMENTS / name).exists() for name in names)

    def _forwarding(self) -> Forwarding | None:
        """Who moves in place of this process, if somebody does."""
        if self._alone:
            return None
        try:
            return forwarding(self.directory)
        except OSError:  # it is seen again when a segment is moved
            return None

    def _left_to(self, forwarder: Forwarding, sources: Sequence[Source], *, hurry: bool) -> bool:
        """Give segments up and leave them to the forwarder; False when the store refuses it."""
        for source in sources:
            source.roll(at_once=hurry)
        self.close()  # this process needs no connection any more
        if hurry and self.waiting():
            call(self.directory)
        problem = forwarder.problem if self.waiting() else None
        self._tell(problem)
        return problem is None

    def ship(self) -> bool:
        """Move all that nobody writes, on this thread; False when the store refused any of it."""
        return self._ship_all([], hurry=True)

    def stop(self) -> None:
        """Let ``ship`` end after the segment that is being moved."""
        self._stopped = True

    def _tell(self, problem: str | None) -> None:
        if problem is not None and problem != self.problem:
            log.warning("tracediff keeps traces in %s: %s", self.directory, problem)
        self.problem = problem

    def _work(self, sources: Sequence[Source], *, hurry: bool) -> Iterator[Callable[[], None]]:
        for source in sources:
            yield functools.partial(source.roll, at_once=hurry)
        yield functools.partial(merging.merge_small, self.directory)
        for path in segments(self.directory):
            yield functools.partial(self._mover.move, path)
        yield functools.partial(merging.tidy, self.directory)
        yield functools.partial(settle, self.directory, self._lose, moved=self._are_moved)

    def _said(self, error: Exception) -> str:
        if isinstance(error, StoreError):
            return f"{error.message} ({error.hint})" if error.hint else error.message
        if isinstance(error, OSError):
            return system_error(error, f"use {error.filename or self.directory}").message
        log.error("tracediff could not move traces", exc_info=error)
        return f"{type(error).__name__}: {error}"

    def _opened(self) -> RemoteStore:
        """The store. A fork waits meanwhile: a child would find modules half imported for ever."""
        if self._remote is None:
            with _opening:
                opened = self._open_remote()
                opened.connect()
                if standing_in.needed():  # only now: importing took a while
                    opened.close()
                    raise _EndedError
            self._remote = opened
        return self._remote

    def close(self) -> None:
        """Let go of the store; the next segment opens it again."""
        remote, self._remote = self._remote, None
        if remote is not None:
            try:
                remote.close()
            except Exception:  # of a client, at its end
                log.exception("tracediff could not close the store")


def _same(one: Callable[[], RemoteStore], other: Callable[[], RemoteStore]) -> bool:
    if isinstance(one, functools.partial) and isinstance(other, functools.partial):
        return (one.func, one.args, one.keywords) == (other.func, other.args, other.keywords)
    return one == other


def _pause(failures: int) -> float:
    longest: float = min(MAX_PAUSE, MIN_PAUSE * 2 ** min(failures - 1, 10))
    return longest * (0.5 + random.random() / 2)  # noqa: S311 - so that not all try at once


_shippers: dict[Path, Shipper] = {}
_lock = threading.Lock()


def shipper_of(directory: Path, open_remote: Callable[[], RemoteStore], every: float) -> Shipper:
    """The one shipper that this process has for a spool."""
    with _lock:
        known = _shippers.get(directory)
        if known is None:
            known = _shippers[directory] = Shipper(directory, open_remote, every)
        else:
            known.renew(open_remote, every)
        return known


_inherited: list[Shipper] = []
_opening = threading.RLock()
_held: list[Any] = []


def _before_fork() -> None:
    until = time.monotonic() + IMPORTS_DEADLINE
    while not _opening.acquire(timeout=FORK_DEADLINE):
        if not _importing() or time.monotonic() > until:  # a server is waited for: the child is fit
            return
    _held.append(_opening)


def _importing() -> bool:
    specs = [getattr(module, "__spec__", None) for module in list(sys.modules.values())]
    return any(getattr(spec, "_initializing", False) for spec in specs)


def _after_fork_in_parent() -> None:
    while _held:
        _held.pop().release()


def _forget() -> None:
    """A child has none of its parent's threads; closing its clients would hurt the parent's."""
    global _lock, _opening  # the inherited ones may be held by threads that are gone
    _held.clear()
    _lock, _opening = threading.Lock(), threading.RLock()
    _inherited.extend(_shippers.values())
    _shippers.clear()


os.register_at_fork(
    before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_forget
)

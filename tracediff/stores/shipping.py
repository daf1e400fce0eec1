"""Moving finished segments from a spool to the store: one thread for each spool of a process.

A segment is taken under its lock, so several processes share the work and none takes what another
still writes: what a dead process left is anybody's. Artifacts go first, then the segment as one
object, then its rows in one batch; only then is the file removed. Every part may be done again.
"""

from __future__ import annotations

import functools
import logging
import os
import random
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tracediff.errors import StoreError
from tracediff.model import Row
from tracediff.stores.dictionaries import Dictionary
from tracediff.stores.failures import system_error
from tracediff.stores.files import make_directories, write_whole
from tracediff.stores.open_segment import SUFFIX, Ownership, segment_name
from tracediff.stores.places import artifact_key, segment_key
from tracediff.stores.remote import RemoteStore
from tracediff.stores.retention import is_class
from tracediff.stores.rows import frame_row
from tracediff.stores.segments import TRACE, Frame, good_end, scan

log = logging.getLogger("tracediff")

SEGMENTS = "segments"
ARTIFACTS = "artifacts"
REJECTED = "rejected"
MIN_PAUSE = 0.5
MAX_PAUSE = 60.0
"""Seconds between two attempts at a store that refuses; each is cut short by up to a half."""

IDLE = 10.0
"""Seconds after which the thread of a spool that nobody uses ends."""

LOOK = 0.05
"""Seconds between two looks at segments of this process that another one is moving."""

FORK_DEADLINE = 5.0
_SHA256 = re.compile(r"[0-9a-f]{64}")

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


@dataclass(frozen=True, slots=True)
class Waiting:
    """What lies in a spool: how many segments and bytes, and how old the oldest is, in seconds."""

    segments: int = 0
    bytes: int = 0
    age: float = 0.0


def waiting(directory: Path) -> Waiting:
    """Look into a spool; one that does not exist holds nothing."""
    now, oldest, count, size = time.time(), None, 0, 0
    for path in _files(directory):
        try:
            found = path.stat()
        except FileNotFoundError:
            continue
        size += found.st_size
        if path.suffix == SUFFIX:
            count += 1
            oldest = min(oldest or now, found.st_mtime)
    return Waiting(count, size, 0.0 if oldest is None else max(0.0, now - oldest))


class Shipper:
    """Moves the segments of one spool.

    Args:
        directory: The spool.
        open_remote: Opens the store, called on the thread.
        every: Seconds between two looks into the spool.
    """

    def __init__(
        self, directory: Path, open_remote: Callable[[], RemoteStore], every: float
    ) -> None:
        self.directory = directory
        self.problem: str | None = None
        self.uploaded = 0
        self.rejected = 0
        self.dictionary: Dictionary | None = None
        self._open_remote = open_remote
        self._every = every
        self._remote: RemoteStore | None = None
        self._stale = False
        self._own: set[Path] = set()
        self._sources: list[Source] = []
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._hurry = False
        self._done = threading.Condition(self._lock)
        self._begun = 0
        self._ended = 0
        self._failed = 0
        self._thread: threading.Thread | None = None

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
        while self._passed(until, patient=patient):
            if not self.waiting():
                return True
            time.sleep(LOOK)
        return False

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
            with self._lock:
                sources, hurry, self._hurry = list(self._sources), self._hurry, False
                self._begun += 1
                stale, self._stale = self._stale, False
            if stale:
                self._close()
            moved = self._ship_all(sources, hurry=hurry)
            failures = 0 if moved else failures + 1
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
                self._close()
                return

    def _ship_all(self, sources: Sequence[Source], *, hurry: bool) -> bool:
        """Move all that nobody writes; False when the store refused any of it."""
        problem = None
        for work in self._work(sources, hurry=hurry):
            try:
                work()
            except Exception as error:  # noqa: BLE001 - of a client, too: nothing ends this thread
                problem = problem or self._said(error)
                if getattr(error, "slug", None) in _OF_ALL:
                    break
        if problem is not None and problem != self.problem:
            log.warning("tracediff keeps traces in %s: %s", self.directory, problem)
        self.problem = problem
        return problem is None

    def _work(self, sources: Sequence[Source], *, hurry: bool) -> Iterator[Callable[[], None]]:
        for source in sources:
            yield functools.partial(source.roll, at_once=hurry)
        for path in _segments(self.directory):
            yield functools.partial(self._ship, path)

    def _said(self, error: Exception) -> str:
        if isinstance(error, StoreError):
            return f"{error.message} ({error.hint})" if error.hint else error.message
        if isinstance(error, OSError):
            return system_error(error, f"read the spool {self.directory}").message
        log.error("tracediff could not move traces", exc_info=error)
        return f"{type(error).__name__}: {error}"

    def _ship(self, path: Path) -> None:
        try:
            with Ownership(path) as file:
                if file is None or os.fstat(file).st_nlink == 0:
                    return  # somebody writes it, or has moved it just now
                try:
                    self._move(path, path.read_bytes())
                except StoreError as error:
                    if error.slug != "blob-exists":
                        raise
                    renamed = self._rename(path)
                    self._move(renamed, renamed.read_bytes())
        except FileNotFoundError:
            return

    def _move(self, path: Path, data: bytes) -> None:
        kept, name = path.parent.name, path.name
        items = list(scan(data))
        data = data[: good_end(items)]
        beside = self.directory / ARTIFACTS / kept / name
        rows = list(_rows(items, segment_key(kept, name)))
        if data:
            remote = self._opened()
            for artifact in _artifacts(beside):
                remote.blobs.put(artifact_key(kept, name, artifact.name), artifact.read_bytes())
            remote.blobs.put(segment_key(kept, name), data)
            self.dictionary = remote.dictionary()
            self._index(remote, rows, data)
            self.uploaded += len(rows)
        shutil.rmtree(beside, ignore_errors=True)  # first: nobody would find them without it
        path.unlink()

    def _rename(self, path: Path) -> Path:
        """Give a segment a new name: its own is taken by other bytes.

        A machine that lost power after an upload may have lost the end of the file too. Rows that
        were indexed by then stay where they point to.
        """
        name = segment_name()
        beside = self.directory / ARTIFACTS / path.parent.name
        if (beside / path.name).exists():
            (beside / path.name).rename(beside / name)
        return path.rename(path.with_name(name))

    def _opened(self) -> RemoteStore:
        """The store. A fork waits meanwhile: a child would find modules half imported for ever."""
        if self._remote is None:
            with _opening:
                opened = self._open_remote()
                opened.connect()
            self._remote = opened
        return self._remote

    def _index(self, remote: RemoteStore, rows: list[Row], data: bytes) -> None:
        try:
            remote.index.create(rows)
        except StoreError as error:
            if error.slug != "row-invalid":
                raise
        else:
            return
        for row in rows:  # one of them the index cannot keep; the others it can
            try:
                remote.index.create([row])
            except StoreError as error:
                if error.slug != "row-invalid":
                    raise
                self._set_aside(row, data, error)

    def _set_aside(self, row: Row, data: bytes, error: StoreError) -> None:
        """Keep the frame of a trace that the index does not take, where ``doctor`` sees it."""
        _, start, length = row.location
        make_directories(self.directory / REJECTED)
        place = self.directory / REJECTED / f"{row.id}{SUFFIX}"
        write_whole(place, data[start : start + length], sync=False)
        self.rejected += 1
        log.error("tracediff keeps trace %s aside: %s", row.id, error.message)

    def _close(self) -> None:
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


def _segments(directory: Path) -> list[Path]:
    try:
        found = list((directory / SEGMENTS).glob(f"*/*{SUFFIX}"))
    except OSError:  # it is being taken away
        return []
    # Reading a pipe would wait for ever, and unlinking is for files that are ours.
    return sorted(
        path
        for path in found
        if is_class(path.parent.name) and path.is_file() and not path.is_symlink()
    )


def _files(directory: Path) -> Iterator[Path]:
    for part in (SEGMENTS, ARTIFACTS):
        for folder, _, names in os.walk(directory / part):
            yield from (Path(folder) / name for name in names)


def _artifacts(directory: Path) -> Iterable[Path]:
    if not directory.is_dir():
        return []
    return [
        one
        for one in directory.iterdir()
        if _SHA256.fullmatch(one.name) and one.is_file() and not one.is_symlink()
    ]


def _rows(items: Iterable[object], key: str) -> Iterator[Row]:
    """The rows of the good frames, with their places; frames without a usable row have none."""
    for one in items:
        if not isinstance(one, Frame):
            log.error("tracediff: bytes of a segment are hurt: %s", one)
        elif one.kind == TRACE:
            try:
                yield frame_row(one, key)
            except ValueError as error:
                log.error("tracediff: trace %s has no usable row: %s", one.id, error)  # noqa: TRY400 - the row is at fault, not the code


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
    if _opening.acquire(timeout=FORK_DEADLINE):
        _held.append(_opening)


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

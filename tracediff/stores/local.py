"""The local driver: segments in a directory, found again through an SQLite index.

    DIRECTORY/.gitignore        "*"
    DIRECTORY/store.json        the schema; see ``versions``
    DIRECTORY/index.sqlite      rows, and how far each segment is indexed
    DIRECTORY/segments/*.seg    traces; see ``segments`` for the format
    DIRECTORY/segments/tenants/<tenant>/*.seg    those of tenants
    DIRECTORY/sources/…         source files by git blob id
    DIRECTORY/live/*.live       which live traces each process has begun; see ``liveness``

Bytes first, rows last. A process that dies in between leaves frames without rows; whoever opens the
store next and finds the segment unowned cuts its torn tail and indexes the rest.
"""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tracediff.errors import StoreError
from tracediff.model import Page, Part, Query, Row, Trace
from tracediff.statistics.checking import Checked, Rebuilt
from tracediff.statistics.folding import Statistics
from tracediff.statistics.places import Run
from tracediff.stores import sources
from tracediff.stores.appending import Appender
from tracediff.stores.base import Capabilities
from tracediff.stores.encryption import NO_KEYS, Keyring
from tracediff.stores.failures import closed, full, read_only, trace_gone
from tracediff.stores.files import FileBlobs
from tracediff.stores.liveness import live_file
from tracediff.stores.local_opening import INDEX, is_hurt, open_index, prepare
from tracediff.stores.packing import packed_frames, unpack
from tracediff.stores.parts import in_order, load_live, read_parts, with_live
from tracediff.stores.places import Layout
from tracediff.stores.recovery import hurt_frames, lose_dead
from tracediff.stores.rereading import asks_again, asks_again_for_all
from tracediff.stores.rows import has_ended, is_id
from tracediff.stores.segments import MAX_BYTES
from tracediff.stores.sqlite_file import locked, set_aside
from tracediff.stores.sqlite_index import SqliteIndex
from tracediff.stores.sqlite_upgrades import refuse_newer_index
from tracediff.stores.walking import Unread

DURABILITIES = ("process", "host")
LOOK = 1.0
"""Seconds between two looks at whether the processes of running traces still live."""

_OLD = 4
"""Connections that may still be in use; a process that retries must not pile them up."""

T = TypeVar("T")

if TYPE_CHECKING:
    from tracediff.stores.upkeep.base import Kept


class LocalStore:
    """Traces in a directory. Thread-safe, and several processes may use it at once.

    Args:
        directory: Made when it does not exist.
        durability: ``process``: saved means written to the system; ``host``: to the disk.
        max_bytes: What a trace may decompress to.
        keyring: What payloads are encrypted and decrypted with.
        tenant: The context field that names the tenant.

    Raises:
        StoreError: The directory is something else, or cannot be used.
    """

    capabilities = Capabilities(durable=True, shared=False, sources=True, live=True)

    def __init__(
        self,
        directory: Path,
        *,
        durability: str = "process",
        max_bytes: int = MAX_BYTES,
        keyring: Keyring = NO_KEYS,
        tenant: str | None = None,
    ) -> None:
        if durability not in DURABILITIES:
            raise StoreError(
                f"there is no durability {durability!r}",
                slug="store-option-invalid",
                hint=f"use one of {', '.join(DURABILITIES)}",
            )
        self.directory = directory.absolute()  # the job may change its working directory
        self.url = str(directory)
        self._sync = durability == "host"
        self._max_bytes = max_bytes
        self._lock = threading.RLock()
        self.layout = Layout(tenant=tenant, keyring=keyring)
        self._appender = Appender(self.directory, self.layout, sync=self._sync)
        self._old: list[SqliteIndex] = []
        self._pid = os.getpid()
        self._closed = False
        self._full = False
        self._looked_at = float("-inf")
        self.blobs = FileBlobs(self.directory, sync=self._sync)
        self.read_only, self.index = self._open()

    def save(self, traces: Sequence[Trace]) -> None:
        """Keep these traces; when it returns they are acknowledged. Saving one twice keeps one."""
        self._write(lambda index: self._appender.append(index, traces))

    def save_parts(self, parts: Sequence[Part]) -> None:
        """Keep these parts of live traces; when it returns they are acknowledged."""
        live = live_file(self.directory)
        live.begin((part.row for part in parts if not has_ended(part.row)), sync=self._sync)
        self._write(lambda index: self._appender.append_parts(index, parts))
        live.end(part.row.id for part in parts if has_ended(part.row))

    def ignore(self, ids: Iterable[str]) -> None:
        """Take back what was saved of these live traces; their bytes stay until ``gc``."""
        wanted = list(filter(is_id, ids))
        self._write(lambda index: self._appender.bury(index, wanted, unknown=True))
        live_file(self.directory).end(wanted)

    def load_parts(self, row: Row, first: int = 0) -> list[Part]:
        """The parts of a live trace from this number on, in order."""
        return in_order(self._parts(row, first, row.parts))

    def _parts(
        self, row: Row, first: int = 0, end: int | None = None
    ) -> Iterator[Part | StoreError]:
        places = self._ask(lambda index: index.parts(row.id))
        wanted = [one for one in places if first <= one[0] and (end is None or one[0] < end)]
        keyring = self.layout.keyring
        return read_parts(self.blobs, row, wanted, max_bytes=self._max_bytes, keyring=keyring)

    @asks_again
    def load(self, row: Row) -> Trace:
        """The whole trace; raises StoreError when its bytes are gone, hurt or not its own."""
        if row.parts:
            return load_live(row, self._parts(row))
        key, start, length = row.location
        try:
            data = self.blobs.get(key, start, length)
        except StoreError as error:
            raise trace_gone(row.id, error) from error
        return unpack(data, row.id, max_bytes=self._max_bytes, keyring=self.layout.keyring)

    @asks_again_for_all
    def load_packed(self, rows: Sequence[Row]) -> Iterator[tuple[Row, bytes | StoreError]]:
        """Each row with its trace's bytes, or why they cannot be read; see ``PackedStore``."""
        keyring = self.layout.keyring
        frames = functools.partial(
            packed_frames, self.blobs, max_bytes=self._max_bytes, keyring=keyring
        )
        return with_live(rows, frames, self.load)

    def find(self, prefix: str, limit: int = 2) -> list[Row]:
        """Rows whose id starts with ``prefix``, newest first, at most ``limit``."""
        rows = self._ask(lambda index: index.find(prefix, limit))
        return self._ask(lambda index: index.find(prefix, limit)) if self._lost(rows) else rows

    def search(self, query: Query) -> Page:
        """One page of the rows that match, newest first."""
        page = self._ask(lambda index: index.search(query))
        return self._ask(lambda index: index.search(query)) if self._lost(page.rows) else page

    def _lost(self, rows: Iterable[Row]) -> bool:
        """Whether any of these turns out to be lost: its process may have died just now."""
        if self.read_only or self._full or all(row.state != "running" for row in rows):
            return False
        with self._lock:
            now = time.monotonic()
            if now - self._looked_at < LOOK:
                return False
            self._looked_at = now
        return bool(self._ask(lambda index: lose_dead(self.directory, index)))

    def delete(self, ids: Iterable[str]) -> int:
        """Remove these traces; a tombstone keeps a recovery from bringing them back."""
        wanted = list(ids)
        return self._write(lambda index: self._appender.bury(index, wanted))

    def statistics(self, key: str, runs: Sequence[Run]) -> Statistics:
        """The buckets of traces whose keys begin with ``key``."""
        return self._ask(lambda index: index.statistics(key, runs))

    def counted_span(self, key: str) -> tuple[int, int] | None:
        """About from which to which minute traces of a key began."""
        return self._ask(lambda index: index.counted_span(key))

    def fold_statistics(self) -> int:
        """Make what was written last cheap to read; returns how many deltas that was."""
        return self._write(lambda index: index.fold_statistics())

    def verify_statistics(self) -> Iterator[Checked]:
        """Count all rows, and say of each bucket whether it says the same."""
        return self._ask(lambda index: index.verify_statistics())

    def rebuild_statistics(self) -> Rebuilt:
        """Count all rows, and make the buckets say so."""
        return self._write(lambda index: index.rebuild_statistics())

    def save_source(self, blob: str, data: bytes) -> None:
        """Keep a source file under its git blob id."""
        keyring = self.layout.keyring
        self._write(lambda index: sources.save_source(self.blobs, blob, data, keyring))

    def load_source(self, blob: str) -> bytes | None:
        """The source file with this git blob id, None when it is not kept."""
        return sources.load_source(self.blobs, blob, self.layout.keyring)

    def flush(self, deadline: float | None = None, *, patient: bool = True) -> bool:
        """Nothing to wait for: what is saved is there."""
        return True

    def check(self) -> list[str]:
        """Read everything back; one sentence for each thing that is hurt."""
        return [
            *self._hurt_rows(),
            *hurt_frames(self.directory),
            *sources.hurt_sources(self.blobs, self.layout.keyring),
        ]

    def upkeep(self) -> Kept:
        """What gc and erasure need of it; see ``upkeep.base``."""
        from tracediff.stores.upkeep.local import LocalKept  # nobody else needs it

        self._usable()
        with self._lock:
            self._appender.give_up()
        return LocalKept(self)

    def close(self) -> None:
        """Give up the open segment and the index."""
        if self._closed:
            return
        self._closed = True
        if self._pid != os.getpid():
            self._after_fork()  # lets go of the parent's; nothing else is open here
            return
        live_file(self.directory).close()
        with self._lock:
            self._appender.give_up()
            for index in (self.index, *self._old):
                index.close()

    def _hurt_rows(self) -> Iterator[str]:
        try:
            index = self._usable()
            yield from index.check()
            unread = Unread()
            for row in index.rows():
                try:
                    self.load(row)
                except StoreError as error:
                    unread.add(row.id, error)
            yield from unread.sentences()
        except StoreError as error:
            yield f"{error.message} ({error.hint})"

    def _ask(self, ask: Callable[[SqliteIndex], T]) -> T:
        """What the index says; when it turns out to be hurt it is rebuilt and asked again."""
        index = self._usable()
        try:
            return ask(index)
        except StoreError as error:
            if error.slug != "index-hurt":
                raise
        return ask(self._mend(index))

    def _write(self, change: Callable[[SqliteIndex], T]) -> T:
        self._usable()
        with self._lock:
            if self._full or (self.read_only and os.access(self.directory, os.W_OK)):
                self._reopen()
            if self.read_only:
                raise read_only(self.url)
            if self._full:
                raise full(f"cannot write to {self.url}: the disk is full")
            return self._ask(change)

    def _usable(self) -> SqliteIndex:
        """The index, opened anew after a fork and when another file has taken its place."""
        if self._pid != os.getpid():
            self._after_fork()
        if self._closed:
            raise closed(f"cannot use {self.url}")
        index = self.index
        if not self.read_only and index.replaced:
            with self._lock:
                if self.index is index:
                    self._reopen()
        return self.index

    def _mend(self, hurt: SqliteIndex) -> SqliteIndex:
        with self._lock:
            if self.index is hurt:
                if not self.read_only:
                    with locked(self.directory):
                        if not hurt.replaced:
                            refuse_newer_index(hurt.path)
                            set_aside(hurt.path)
                self._reopen()
            return self.index

    def _open(self) -> tuple[bool, SqliteIndex]:
        only_read = prepare(self.directory)
        path = self.directory / INDEX
        self._full = False
        try:
            return only_read, open_index(path, only_read=only_read)
        except StoreError as error:
            if error.slug == "store-full" and path.exists():
                self._full = True  # there is no room for SQLite's log, but one can read without
                return only_read, open_index(path, only_read=True)
            if error.slug != "index-hurt" or only_read:
                raise
        with locked(self.directory):
            if path.exists() and is_hurt(path):  # another process may have been quicker
                refuse_newer_index(path)
                set_aside(path)
        return only_read, open_index(path, only_read=only_read)

    def _reopen(self) -> None:
        self._appender.give_up()  # so that its frames can be indexed like everybody else's
        index = self.index
        self.read_only, self.index = self._open()  # where that fails, the one before stays
        self._old.append(index)  # another thread may be reading from it
        while len(self._old) > _OLD:
            self._old.pop(0).close()

    def _after_fork(self) -> None:
        """A child never touches its parent's segment, lock or connection."""
        with _forks.lock:
            if self._pid == os.getpid():
                return
            self._lock = threading.RLock()
            self._appender.give_up()  # closes this process's handle; the parent's keeps the lock
            _forks.inherited += [self.index, *self._old]
            self._old = []
            if not self._closed:
                self.read_only, self.index = self._open()
            self._pid = os.getpid()


class _Forks:
    """What a child process has of its parent's.

    ``inherited`` are connections: closing one would drop the parent's locks.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inherited: list[SqliteIndex] = []

    def renew(self) -> None:
        """The inherited lock may be held by a thread that the child does not have."""
        self.lock = threading.Lock()


_forks = _Forks()
os.register_at_fork(after_in_child=_forks.renew)

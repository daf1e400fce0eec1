"""The local driver: segments in a directory, found again through an SQLite index.

    DIRECTORY/.gitignore        "*"
    DIRECTORY/index.sqlite      rows, and how far each segment is indexed
    DIRECTORY/segments/*.seg    traces; see ``segments`` for the format
    DIRECTORY/sources/…         source files by git blob id

Bytes first, rows last. A process that dies in between leaves frames without rows; whoever opens the
store next and finds the segment unowned cuts its torn tail and indexes the rest.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from tracediff.errors import StoreError
from tracediff.model import Page, Query, Row, Trace
from tracediff.stores import sources
from tracediff.stores.base import Capabilities
from tracediff.stores.failures import closed, full, read_only, system_error, trace_gone
from tracediff.stores.files import FileBlobs, make_directories, write_whole
from tracediff.stores.open_segment import SUFFIX, OpenSegment
from tracediff.stores.packing import pack, packed_frames, unpack
from tracediff.stores.recovery import SEGMENTS, hurt_frames, recover
from tracediff.stores.segments import MAX_BYTES, tombstone_frame
from tracediff.stores.sqlite_index import Entry, Progress, SqliteIndex, locked, set_aside

INDEX = "index.sqlite"
DURABILITIES = ("process", "host")
_OLD = 4
"""Connections that may still be in use; a process that retries must not pile them up."""

_OWN = {SEGMENTS, "sources", ".gitignore", "redaction.key", "spool", "status", "check"}
_OWN_BEGIN = (INDEX, ".tmp-", "executed.sqlite")

T = TypeVar("T")


class LocalStore:
    """Traces in a directory. Thread-safe, and several processes may use it at once.

    Args:
        directory: Made when it does not exist.
        durability: ``process``: saved means written to the system; ``host``: to the disk.
        max_bytes: What a trace may decompress to.

    Raises:
        StoreError: The directory is something else, or cannot be used.
    """

    capabilities = Capabilities(durable=True, shared=False, sources=True)

    def __init__(
        self, directory: Path, *, durability: str = "process", max_bytes: int = MAX_BYTES
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
        self._segment: OpenSegment | None = None
        self._old: list[SqliteIndex] = []
        self._pid = os.getpid()
        self._closed = False
        self._full = False
        self.blobs = FileBlobs(self.directory, sync=self._sync)
        self.read_only, self.index = self._open()

    def save(self, traces: Sequence[Trace]) -> None:
        """Keep these traces; when it returns they are acknowledged. Saving one twice keeps one."""
        self._write(lambda index: self._append(index, traces))

    def load(self, row: Row) -> Trace:
        """The whole trace; raises StoreError when its bytes are gone, hurt or not its own."""
        key, start, length = row.location
        try:
            data = self.blobs.get(key, start, length)
        except StoreError as error:
            raise trace_gone(row.id, error) from error
        return unpack(data, row.id, max_bytes=self._max_bytes)

    def load_packed(self, rows: Sequence[Row]) -> Iterator[tuple[Row, bytes | StoreError]]:
        """Each row with its trace's bytes, or why they cannot be read; see ``PackedStore``."""
        return packed_frames(self.blobs, rows, max_bytes=self._max_bytes)

    def find(self, prefix: str, limit: int = 2) -> list[Row]:
        """Rows whose id starts with ``prefix``, newest first, at most ``limit``."""
        return self._ask(lambda index: index.find(prefix, limit))

    def search(self, query: Query) -> Page:
        """One page of the rows that match, newest first."""
        return self._ask(lambda index: index.search(query))

    def delete(self, ids: Iterable[str]) -> int:
        """Remove these traces; a tombstone keeps a recovery from bringing them back."""
        wanted = list(ids)
        return self._write(lambda index: self._bury(index, wanted))

    def save_source(self, blob: str, data: bytes) -> None:
        """Keep a source file under its git blob id."""
        self._write(lambda index: sources.save_source(self.blobs, blob, data))

    def load_source(self, blob: str) -> bytes | None:
        """The source file with this git blob id, None when it is not kept."""
        return sources.load_source(self.blobs, blob)

    def flush(self, deadline: float | None = None, *, patient: bool = True) -> bool:
        """Nothing to wait for: what is saved is there."""
        return True

    def check(self) -> list[str]:
        """Read everything back; one sentence for each thing that is hurt."""
        return [
            *self._hurt_rows(),
            *hurt_frames(self.directory),
            *sources.hurt_sources(self.blobs),
        ]

    def close(self) -> None:
        """Give up the open segment and the index."""
        if self._closed:
            return
        self._closed = True
        if self._pid != os.getpid():
            self._after_fork()  # lets go of the parent's; nothing else is open here
            return
        with self._lock:
            self._give_up_segment()
            for index in (self.index, *self._old):
                index.close()

    def _append(self, index: SqliteIndex, traces: Sequence[Trace]) -> None:
        known, graves = index.known([trace.id for trace in traces])
        fresh: dict[str, Trace] = {}
        for trace in traces:
            if trace.id not in known:
                fresh.setdefault(trace.id, trace)
        packed = [pack(trace, graves.get(trace.id, -1) + 1) for trace in fresh.values()]
        if not packed:
            return
        segment = self._current()
        start = at = segment.append(b"".join(one.frame for one in packed))
        key = f"{SEGMENTS}/{segment.name}"
        entries = []
        for one in packed:
            row = replace(one.row, location=(key, at, len(one.frame)))
            entries.append(Entry(row, one.generation))
            at += len(one.frame)
        self._record(index, segment, start, entries)

    def _bury(self, index: SqliteIndex, ids: list[str]) -> int:
        known, graves = index.known(ids)
        buried = {one: max(known[one], graves.get(one, 0)) for one in known}
        if buried:
            segment = self._current()
            start = segment.append(
                b"".join(tombstone_frame(one, generation) for one, generation in buried.items())
            )
            self._record(index, segment, start, [], buried)
        return len(buried)

    def _record(
        self,
        index: SqliteIndex,
        segment: OpenSegment,
        start: int,
        entries: list[Entry],
        tombstones: dict[str, int] | None = None,
    ) -> None:
        progress = Progress(segment.name, start, segment.end)
        try:
            index.record(entries, tombstones=tombstones, progress=progress)
        except StoreError as error:
            if error.slug in ("store-full", "store-busy"):  # nothing was recorded, for certain
                segment.cut(start)
            raise

    def _hurt_rows(self) -> Iterator[str]:
        try:
            index = self._usable()
            yield from index.check()
            for row in index.rows():
                try:
                    self.load(row)
                except StoreError as error:
                    yield error.message
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
                            set_aside(hurt.path)
                self._reopen()
            return self.index

    def _open(self) -> tuple[bool, SqliteIndex]:
        only_read = _prepare(self.directory)
        path = self.directory / INDEX
        self._full = False
        try:
            return only_read, _open_index(path, only_read=only_read)
        except StoreError as error:
            if error.slug == "store-full" and path.exists():
                self._full = True  # there is no room for SQLite's log, but one can read without
                return only_read, _open_index(path, only_read=True)
            if error.slug != "index-hurt" or only_read:
                raise
        with locked(self.directory):
            if path.exists() and _is_hurt(path):  # another process may have been quicker
                set_aside(path)
        return only_read, _open_index(path, only_read=only_read)

    def _reopen(self) -> None:
        self._give_up_segment()  # so that its frames can be indexed like everybody else's
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
            self._give_up_segment()  # closes this process's handle; the parent's keeps the lock
            _forks.inherited += [self.index, *self._old]
            self._old = []
            if not self._closed:
                self.read_only, self.index = self._open()
            self._pid = os.getpid()

    def _give_up_segment(self) -> None:
        if self._segment is not None:
            self._segment.close()
            self._segment = None

    def _current(self) -> OpenSegment:
        if self._segment is not None and self._segment.full:
            self._give_up_segment()
        if self._segment is None:
            self._segment = OpenSegment(self.directory / SEGMENTS, sync=self._sync)
        return self._segment


def _open_index(path: Path, *, only_read: bool) -> SqliteIndex:
    """The index with everything in it that the segments of gone processes hold."""
    index = SqliteIndex(path, read_only=only_read)
    try:
        if not only_read:
            recover(path.parent, index)
    except BaseException:
        index.close()
        raise
    return index


def _is_hurt(path: Path) -> bool:
    try:
        index = SqliteIndex(path)
        try:
            return bool(index.check())
        finally:
            index.close()
    except StoreError as error:
        if error.slug != "index-hurt":
            raise
        return True


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


def _prepare(directory: Path) -> bool:
    """Make the directory or check that it is one of ours; returns whether it is read-only."""
    try:
        if directory.is_dir():
            names = {entry.name for entry in os.scandir(directory)}
            if not _ours(directory, names):
                raise StoreError(
                    f"{directory} holds other files and no traces",
                    slug="store-foreign",
                    hint="name a directory of its own for the store",
                )
        else:
            make_directories(directory)
            names = set()
        if ".gitignore" not in names and os.access(directory, os.W_OK):
            write_whole(directory / ".gitignore", b"*\n", sync=False)
    except (OSError, ValueError) as error:
        if isinstance(error, ValueError):  # NUL or half a surrogate pair in the name
            error = OSError(errno.EINVAL, str(error))
        raise system_error(error, f"use {str(directory)!a} as a store") from error
    return not os.access(directory, os.W_OK)


def _ours(directory: Path, names: set[str]) -> bool:
    """Whether a directory is a store, or may become one because nothing else is in it.

    A .gitignore or a directory called sources says nothing: many projects have one.
    """
    if INDEX in names or all(name in _OWN or name.startswith(_OWN_BEGIN) for name in names):
        return True
    return any((directory / SEGMENTS).glob(f"*{SUFFIX}"))

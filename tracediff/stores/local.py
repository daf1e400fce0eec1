"""The local driver: segments in a directory, found again through an SQLite index.

    DIRECTORY/.gitignore        "*"
    DIRECTORY/index.sqlite      rows, and how far each segment is indexed
    DIRECTORY/segments/*.seg    traces; see ``segments`` for the format
    DIRECTORY/sources/…         source files by git blob id

Bytes first, rows last. A process that dies in between leaves frames without rows; whoever opens the
store next and finds the segment unowned cuts its torn tail and indexes the rest.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from tracediff.errors import StoreError
from tracediff.model import Page, Query, Row, Trace
from tracediff.stores import sources
from tracediff.stores.base import Capabilities
from tracediff.stores.failures import read_only, system_error, trace_gone
from tracediff.stores.files import FileBlobs, make_directories
from tracediff.stores.open_segment import SUFFIX, OpenSegment, Ownership
from tracediff.stores.packing import pack, unpack
from tracediff.stores.rows import load_row
from tracediff.stores.segments import (
    MAX_BYTES,
    TOMBSTONE,
    Damage,
    Frame,
    good_end,
    scan,
    tombstone_frame,
)
from tracediff.stores.sqlite_index import Entry, Progress, SqliteIndex

INDEX = "index.sqlite"
SEGMENTS = "segments"
_OWN = {INDEX, SEGMENTS, "sources", ".gitignore", "redaction.key"}


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
        self.directory = directory
        self.url = str(directory)
        self._sync = durability == "host"
        self._max_bytes = max_bytes
        self._lock = threading.RLock()
        self._segment: OpenSegment | None = None
        self._pid = os.getpid()
        self.read_only = _prepare(directory)
        self.blobs = FileBlobs(directory, sync=self._sync)
        self.index = self._open_index()
        if not self.read_only:
            self._recover()

    def save(self, traces: Sequence[Trace]) -> None:
        """Keep these traces; when it returns they are acknowledged. Saving one twice keeps one."""
        with self._writing():
            known, graves = self.index.known([trace.id for trace in traces])
            fresh = {trace.id: trace for trace in traces if trace.id not in known}
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
            self.index.record(entries, progress=Progress(segment.name, start, segment.end))

    def load(self, row: Row) -> Trace:
        """The whole trace; raises StoreError when its bytes are gone, hurt or not its own."""
        key, start, length = row.location
        try:
            data = self.blobs.get(key, start, length)
        except StoreError as error:
            raise trace_gone(row.id, error) from error
        return unpack(data, row.id, max_bytes=self._max_bytes)

    def find(self, prefix: str, limit: int = 2) -> list[Row]:
        """Rows whose id starts with ``prefix``, newest first, at most ``limit``."""
        return self._own_index().find(prefix, limit)

    def search(self, query: Query) -> Page:
        """One page of the rows that match, newest first."""
        return self._own_index().search(query)

    def delete(self, ids: Iterable[str]) -> int:
        """Remove these traces; a tombstone keeps a recovery from bringing them back."""
        with self._writing():
            known, graves = self.index.known(list(ids))
            buried = {one: max(known[one], graves.get(one, 0)) for one in known}
            if buried:
                segment = self._current()
                frames = b"".join(tombstone_frame(one, at) for one, at in buried.items())
                start = segment.append(frames)
                progress = Progress(segment.name, start, segment.end)
                self.index.record([], tombstones=buried, progress=progress)
            return len(buried)

    def save_source(self, blob: str, data: bytes) -> None:
        """Keep a source file under its git blob id."""
        with self._writing():
            sources.save_source(self.blobs, blob, data)

    def load_source(self, blob: str) -> bytes | None:
        """The source file with this git blob id, None when it is not kept."""
        return sources.load_source(self.blobs, blob)

    def check(self) -> list[str]:
        """Read everything back; one sentence for each thing that is hurt."""
        said = self._own_index().check()
        for path in self._segments():
            for found in scan(path.read_bytes()):
                if isinstance(found, Damage):
                    whose = f" (trace {found.id})" if found.id else ""
                    said.append(
                        f"{SEGMENTS}/{path.name} at byte {found.offset}{whose}: {found.reason}"
                    )
        for row in self.index.rows():
            try:
                self.load(row)
            except StoreError as error:
                said.append(error.message)
        return said + sources.hurt_sources(self.blobs)

    def close(self) -> None:
        """Give up the open segment and the index."""
        with self._lock:
            if self._pid == os.getpid():
                if self._segment is not None:
                    self._segment.close()
                self.index.close()
            self._segment = None

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        if self.read_only:
            raise read_only(self.url)
        if self._pid != os.getpid():
            self._after_fork()
        with self._lock:
            yield

    def _own_index(self) -> SqliteIndex:
        if self._pid != os.getpid():
            self._after_fork()
        return self.index

    def _after_fork(self) -> None:
        """A child never touches its parent's segment, lock or connection."""
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._segment = None
        _inherited.append(self.index)
        self.index = self._open_index()

    def _current(self) -> OpenSegment:
        if self._segment is not None and self._segment.full:
            self._segment.close()
            self._segment = None
        if self._segment is None:
            self._segment = OpenSegment(self.directory / SEGMENTS, sync=self._sync)
        return self._segment

    def _open_index(self) -> SqliteIndex:
        path = self.directory / INDEX
        try:
            return SqliteIndex(path, read_only=self.read_only)
        except StoreError as error:
            if error.slug != "index-hurt" or self.read_only:
                raise
        for suffix in ("", "-wal", "-shm"):
            hurt = path.with_name(path.name + suffix)
            with contextlib.suppress(FileNotFoundError):
                os.replace(hurt, path.with_name(f"{hurt.name}.hurt"))
        return SqliteIndex(path)

    def _segments(self) -> list[Path]:
        return sorted((self.directory / SEGMENTS).glob(f"*{SUFFIX}"))

    def _recover(self) -> None:
        """Index what processes that are gone left unindexed."""
        marks = self.index.segments()
        for path in self._segments():
            start = marks.get(path.name, 0)
            try:
                if path.stat().st_size <= start:
                    continue
                with Ownership(path) as file:
                    if file is not None:
                        self._index_segment(path, file, start)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise system_error(error, f"recover {path.name}") from error

    def _index_segment(self, path: Path, file: int, start: int) -> None:
        data = path.read_bytes()[start:]
        items = list(scan(data, start))
        end = good_end(items, start)
        if end < start + len(data):
            os.ftruncate(file, end)
        key = f"{SEGMENTS}/{path.name}"
        frames = [one for one in items if isinstance(one, Frame)]
        entries = [
            Entry(load_row(one.row, (key, one.offset, one.length)), one.generation)
            for one in frames
            if one.kind != TOMBSTONE
        ]
        buried = {one.id: one.generation for one in frames if one.kind == TOMBSTONE}
        self.index.record(entries, tombstones=buried, progress=Progress(path.name, start, end))


_inherited: list[SqliteIndex] = []
"""Connections that belong to a parent process: closing one would drop the parent's locks."""


def _prepare(directory: Path) -> bool:
    """Make the directory or check that it is one of ours; returns whether it is read-only."""
    try:
        if directory.is_dir():
            names = {entry.name for entry in os.scandir(directory)}
            if names and not names & _OWN:
                raise StoreError(
                    f"{directory} holds other files and no traces",
                    slug="store-foreign",
                    hint="Name a directory of its own for the store.",
                )
        else:
            make_directories(directory)
            names = set()
        if ".gitignore" not in names and os.access(directory, os.W_OK):
            (directory / ".gitignore").write_text("*\n", encoding="ascii")
    except OSError as error:
        raise system_error(error, f"use {directory} as a store") from error
    return not os.access(directory, os.W_OK)

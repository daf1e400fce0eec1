"""The index of a local store: rows in SQLite, found by labels in keyset order.

A trace has one label for each thing it can be searched by: everything, each prefix of its key, each
tag, each context field, its path signature. A label is 64 bits of a hash; ``labels`` is ordered by
(label, state, start, id), so every search is a merge of ranges that are already in order, whatever
the filters, and nothing is counted or sorted. What a hash or a secondary filter lets through is
checked on the row itself. Text with lone surrogates, which SQLite refuses, never reaches it.

All of it can be rebuilt from the segments, which is why ``synchronous`` may be NORMAL.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import heapq
import itertools
import json
import os
import secrets
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tracediff.errors import StoreError
from tracediff.model import Page, Query, Row
from tracediff.stores.failures import sqlite_error, system_error, trace_unknown
from tracediff.stores.labels import row_labels, search_labels, search_states
from tracediff.stores.queries import check_limit, matches, page, position, read_cursor
from tracediff.stores.rows import checked, dump_row, load_row

if TYPE_CHECKING:
    import sqlite3

SCHEMA = 1
_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE traces (
    id TEXT PRIMARY KEY, started_at INTEGER NOT NULL, state TEXT NOT NULL,
    generation INTEGER NOT NULL, blob TEXT NOT NULL, start INTEGER NOT NULL,
    length INTEGER NOT NULL, row BLOB NOT NULL
);
CREATE TABLE labels (
    label INTEGER, state INTEGER, started_at INTEGER, id TEXT,
    PRIMARY KEY (label, state, started_at, id)
) WITHOUT ROWID;
CREATE TABLE tombstones (id TEXT PRIMARY KEY, generation INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE segments (name TEXT PRIMARY KEY, indexed INTEGER NOT NULL) WITHOUT ROWID;
"""
_INT64 = 1 << 63
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})
"""What file systems without hard links say of one."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A row to insert and the generation of its frame."""

    row: Row
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a segment is indexed: everything from ``start`` up to ``end`` now is."""

    segment: str
    start: int
    end: int


class SqliteIndex:
    """Rows in one SQLite file. Thread-safe; several processes may use the file at once.

    Args:
        path: The file; made when it does not exist.
        read_only: Open it for reading, even where nothing can be written beside it.
        timeout: How many seconds to wait for another process that is writing.
    """

    def __init__(self, path: Path, *, read_only: bool = False, timeout: float = 30.0) -> None:
        self.path = path
        self._lock = threading.RLock()
        with _errors("open the index"):
            if not read_only and not path.exists():
                make_file(path)
            self._db = _connect(path, read_only=read_only, timeout=timeout)
            try:
                found = os.stat(path)
                self._inode = (found.st_dev, found.st_ino)
                self._check_schema()
            except BaseException:
                self._db.close()
                raise

    def create(self, rows: Sequence[Row]) -> None:
        """Insert the rows in one batch; a row whose id is there already is left as it is."""
        self.record([Entry(row) for row in rows])

    def record(
        self,
        entries: Sequence[Entry],
        *,
        tombstones: Mapping[str, int] | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Insert rows and tombstones and move a segment's mark on, in one transaction.

        A row is left out when a tombstone covers its generation, and replaces one of an older
        generation: segments may be read in any order. The mark only moves when it
        stands at ``progress.start``: bytes that failed to be indexed before are scanned again
        by the next recovery instead of being skipped for ever.
        """
        rows = [(checked(entry.row), entry.generation) for entry in entries]
        values = [(_values(row, generation), row_labels(row)) for row, generation in rows]
        with self._writing("add rows to the index"):
            if tombstones:
                self._bury(tombstones)
            for value, labels in values:
                self._bury_row(value[0], value[3] - 1)
                if self._db.execute(_INSERT, value).rowcount:
                    self._db.executemany(_INSERT_LABEL, labels)
            if progress is not None:
                self._db.execute(_ADVANCE, (progress.segment, progress.end, progress.start))

    def update(self, row: Row) -> None:
        """Replace the row with this id; raises StoreError ``trace-unknown`` when there is none."""
        checked(row)
        with self._writing("update the index"):
            found = self._db.execute(
                "SELECT row, blob, start, length, generation FROM traces WHERE id = ?", (row.id,)
            ).fetchone()
            if found is None:
                raise trace_unknown(row.id)
            self._remove(_row(found[:4]))
            self._db.execute(_INSERT, _values(row, found[4]))
            self._db.executemany(_INSERT_LABEL, row_labels(row))

    def delete(self, ids: Iterable[str]) -> int:
        """Remove these rows; returns how many were there."""
        with self._writing("delete from the index"):
            return sum(self._delete(trace_id) for trace_id in set(ids))

    def find(self, prefix: str, limit: int = 2) -> list[Row]:
        """Rows whose id starts with ``prefix``, newest first, at most ``limit``."""
        check_limit(limit)
        if not prefix:
            return list(self.search(Query(limit=limit)).rows)
        if not prefix.isascii() or "\0" in prefix:
            return []
        bounds = (prefix, prefix + "\x7f", min(limit, _INT64 - 1))
        with self._lock, _errors("read the index"):
            return [_row(found) for found in self._db.execute(_FIND, bounds)]

    def search(self, query: Query) -> Page:
        """One page of the rows that match, newest first."""
        check_limit(query.limit)
        after = read_cursor(query)
        with self._lock, _errors("read the index"), contextlib.ExitStack() as cursors:
            streams = [
                self._stream(label, state, query, after, cursors)
                for label in search_labels(query)
                for state in search_states(query)
            ]
            merged = heapq.merge(*streams, key=position, reverse=True)
            # A trace that has two of the tags asked for comes twice, one right after the other.
            rows = (next(same) for _, same in itertools.groupby(merged, key=position))
            return page((row for row in rows if matches(row, query)), query)

    def _stream(
        self,
        label: int,
        state: int,
        query: Query,
        after: tuple[int, str] | None,
        cursors: contextlib.ExitStack,
    ) -> Iterator[Row]:
        low = -_INT64 if query.since is None else query.since
        high = _INT64 if query.until is None else query.until
        if low >= _INT64 or high <= -_INT64:
            return iter(())
        bounds = [label, state, max(low, -_INT64), min(high - 1, _INT64 - 1)]
        sql = _STREAM
        if after is not None:
            sql += " AND (l.started_at, l.id) < (?, ?)"
            bounds += after  # type: ignore[arg-type]  # SQLite takes both kinds
        cursor = self._db.execute(f"{sql} ORDER BY l.started_at DESC, l.id DESC", bounds)
        cursors.callback(cursor.close)
        return map(_row, cursor)

    def rows(self) -> Iterator[Row]:
        """Every row, by id; read in batches, so that others can write meanwhile."""
        last = ""
        while True:
            with self._lock, _errors("read the index"):
                batch = [_row(found) for found in self._db.execute(_ALL, (last,))]
            if not batch:
                return
            yield from batch
            last = batch[-1].id

    def known(self, ids: Iterable[str]) -> tuple[dict[str, int], dict[str, int]]:
        """Of these ids, the generations of those that have a row, and of those deleted."""
        wanted = (json.dumps(list(ids)),)
        with self._lock, _errors("read the index"):
            rows = self._db.execute(_KNOWN.format("traces"), wanted).fetchall()
            graves = self._db.execute(_KNOWN.format("tombstones"), wanted).fetchall()
        return dict(rows), dict(graves)

    def segments(self) -> dict[str, int]:
        """How far each segment is indexed."""
        with self._lock, _errors("read the index"):
            return dict(self._db.execute("SELECT name, indexed FROM segments").fetchall())

    def forget_segment(self, name: str) -> None:
        """Drop the mark of a segment whose file is gone."""
        with self._writing("update the index"):
            self._db.execute("DELETE FROM segments WHERE name = ?", (name,))

    def check(self) -> list[str]:
        """What SQLite itself finds wrong with the file."""
        with self._lock, _errors("check the index"):
            found = [text for (text,) in self._db.execute("PRAGMA integrity_check")]
        if found == ["ok"]:
            return []
        return [
            f"The index is hurt: {text} (delete {self.path.name}, it is rebuilt from the segments)"
            for text in found
        ]

    @property
    def replaced(self) -> bool:
        """Whether the file that is open is no longer the one under this name."""
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            return True
        except OSError as error:
            raise system_error(error, "find the index") from error
        return (found.st_dev, found.st_ino) != self._inode

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._db.close()

    def _check_schema(self) -> None:
        found = self._db.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()
        if found is None or found[0] != SCHEMA:
            raise StoreError(
                f"the index {self.path.name} has another schema than this tracediff's",
                slug="index-hurt",
                hint="it is rebuilt from the segments when the store can be written",
            )

    @contextlib.contextmanager
    def _writing(self, doing: str) -> Iterator[None]:
        """BEGIN IMMEDIATE: a deferred transaction that reads first fails against another writer."""
        with self._lock, _errors(doing):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _bury(self, tombstones: Mapping[str, int]) -> None:
        for trace_id, generation in tombstones.items():
            self._db.execute(_BURY, (trace_id, generation))
            self._bury_row(trace_id, generation)

    def _bury_row(self, trace_id: str, generation: int) -> None:
        """Remove a row that is of this generation or older: a newer one replaces it."""
        if generation < 0:
            return
        found = self._db.execute(
            "SELECT generation FROM traces WHERE id = ?", (trace_id,)
        ).fetchone()
        if found is not None and found[0] <= generation:
            self._delete(trace_id)

    def _delete(self, trace_id: str) -> int:
        if not trace_id.isascii():
            return 0
        found = self._db.execute(
            "SELECT row, blob, start, length FROM traces WHERE id = ?", (trace_id,)
        ).fetchone()
        if found is None:
            return 0
        self._remove(_row(found))
        return 1

    def _remove(self, row: Row) -> None:
        self._db.execute("DELETE FROM traces WHERE id = ?", (row.id,))
        self._db.executemany(
            "DELETE FROM labels WHERE label = ? AND state = ? AND started_at = ? AND id = ?",
            row_labels(row),
        )


_INSERT = """INSERT INTO traces SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8
WHERE NOT EXISTS (SELECT 1 FROM tombstones WHERE id = ?1 AND generation >= ?4)
ON CONFLICT (id) DO NOTHING"""
_INSERT_LABEL = "INSERT OR IGNORE INTO labels VALUES (?, ?, ?, ?)"
_ADVANCE = """INSERT INTO segments SELECT ?1, ?2
WHERE ?3 = 0 OR EXISTS (SELECT 1 FROM segments WHERE name = ?1)
ON CONFLICT (name) DO UPDATE SET indexed = ?2 WHERE indexed = ?3"""
_BURY = """INSERT INTO tombstones VALUES (?, ?)
ON CONFLICT (id) DO UPDATE SET generation = max(generation, excluded.generation)"""
_KNOWN = "SELECT id, generation FROM {} WHERE id IN (SELECT value FROM json_each(?))"
_FIND = """SELECT row, blob, start, length FROM traces WHERE id >= ? AND id < ?
ORDER BY started_at DESC, id DESC LIMIT ?"""
_ALL = "SELECT row, blob, start, length FROM traces WHERE id > ? ORDER BY id LIMIT 1000"
_STREAM = """SELECT t.row, t.blob, t.start, t.length
FROM labels l CROSS JOIN traces t ON t.id = l.id
WHERE l.label = ? AND l.state = ? AND l.started_at >= ? AND l.started_at <= ?"""


def make_file(path: Path) -> None:
    """Make an empty index under its final name at once, already in WAL mode.

    Switching to WAL needs the file for itself and does not wait for others, so it is done before
    anybody else can see the file. A log that a deleted index left behind is set aside: SQLite
    would play it into the new one.
    """
    with locked(path.parent):
        if not path.exists():
            set_aside(path)
            _make_file(path)


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the directory while its index is made or set aside: one process at a time."""
    with _errors("lock the store"):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with _errors("lock the store"):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def set_aside(path: Path) -> None:
    """Rename an index that is hurt, its log first, so that nobody opens one without the other."""
    for suffix in ("-wal", "-shm", ""):
        hurt = path.with_name(path.name + suffix)
        with _errors("set the hurt index aside"), contextlib.suppress(FileNotFoundError):
            os.replace(hurt, path.with_name(f"{hurt.name}.hurt"))


def _make_file(path: Path) -> None:
    temporary = path.with_name(f".tmp-{path.name}-{secrets.token_hex(8)}")
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        db = _connect(temporary, read_only=False, timeout=30.0)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.executescript(_TABLES)
            db.execute("INSERT INTO meta VALUES ('schema', ?)", (SCHEMA,))
        finally:
            db.close()
        _give_name(temporary, path)
    finally:
        for name in (temporary.name, f"{temporary.name}-wal", f"{temporary.name}-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path.with_name(name))


def _give_name(temporary: Path, path: Path) -> None:
    """Never in the place of another's; where there are no links, the lock alone sees to that."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.rename(temporary, path)


def _connect(path: Path, *, read_only: bool, timeout: float) -> sqlite3.Connection:
    import sqlite3

    mode = "rw"
    if read_only:
        # Without a write-ahead log nobody is writing; with one, SQLite must be able to map it.
        wal = path.with_name(path.name + "-wal")
        mode = "ro" if wal.exists() and wal.stat().st_size else "ro&immutable=1"
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=timeout,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        db.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        db.close()
        raise
    return db


@contextlib.contextmanager
def _errors(doing: str) -> Iterator[None]:
    import sqlite3

    try:
        yield
    except (sqlite3.Error, ValueError) as error:
        raise sqlite_error(error, doing) from error
    except OSError as error:
        raise system_error(error, doing) from error


def _row(found: tuple[bytes, str, int, int]) -> Row:
    data, blob, start, length = found
    return load_row(data, (blob, start, length))


def _values(row: Row, generation: int) -> tuple[str, int, str, int, str, int, int, bytes]:
    data = dump_row(replace(row, location=("", 0, 0)))
    return (row.id, row.started_at, row.state, generation, *row.location, data)

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
import heapq
import itertools
import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tracediff.model import Page, Query, Row
from tracediff.stores.failures import system_error, trace_unknown
from tracediff.stores.labels import search_labels, search_states
from tracediff.stores.queries import check_limit, matches, page, position, read_cursor
from tracediff.stores.rows import checked, is_id
from tracediff.stores.sqlite_changes import Change, read_row
from tracediff.stores.sqlite_file import connect, errors, make_file
from tracediff.stores.sqlite_statistics import KeepsStatistics, write_delta
from tracediff.stores.sqlite_upgrades import check_schema, make_current, refuse_newer

if TYPE_CHECKING:
    import sqlite3

_INT64 = 1 << 63
_FEW = 200


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


class SqliteIndex(KeepsStatistics):
    """Rows in one SQLite file. Thread-safe; several processes may use the file at once.

    Args:
        path: The file; made when it does not exist.
        read_only: Open it for reading, even where nothing can be written beside it.
        timeout: How many seconds to wait for another process that is writing.
    """

    def __init__(self, path: Path, *, read_only: bool = False, timeout: float = 30.0) -> None:
        self.path = path
        self._lock = threading.RLock()
        with errors("open the index"):
            refuse_newer(path)
            if not read_only and not path.exists():
                make_file(path)
            self._db = connect(path, read_only=read_only, timeout=timeout)
            try:
                found = os.stat(path)
                self._inode = (found.st_dev, found.st_ino)
                make_current(self._db, path, read_only=read_only)
            except BaseException:
                self._db.close()
                raise

    def create(self, rows: Sequence[Row]) -> None:
        """Insert the rows in one batch; one whose id is there gives way to one of more parts."""
        _, graves = self.known([row.id for row in rows])
        entries = [
            Entry(row) if row.parts else Entry(row, graves.get(row.id, -1) + 1) for row in rows
        ]
        self.record(entries)

    def record(
        self,
        entries: Sequence[Entry],
        *,
        tombstones: Mapping[str, int] | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Insert rows and tombstones and move a segment's mark on, in one transaction.

        A row is left out when a tombstone covers its generation, and replaces one of an older
        generation, or of fewer parts: segments may be read in any order. The mark only moves when
        it stands at ``progress.start``: bytes that failed to be indexed before are scanned again
        by the next recovery instead of being skipped for ever.
        """
        for entry in entries:
            checked(entry.row)
        blob = "" if progress is None else f"segments/{progress.segment}"
        with self._writing("add rows to the index") as change:
            change.bury(tombstones or {}, blob)
            for entry in entries:
                change.insert(entry.row, entry.generation)
            if progress is not None:
                self._db.execute(
                    _ADVANCE,
                    {"segment": progress.segment, "end": progress.end, "start": progress.start},
                )

    def update(self, row: Row) -> None:
        """Replace the row with this id; raises StoreError ``trace-unknown`` when there is none."""
        checked(row)
        with self._writing("update the index") as change:
            if not change.update(row):
                raise trace_unknown(row.id)

    def delete(self, ids: Iterable[str]) -> int:
        """Remove these rows; returns how many were there."""
        with self._writing("delete from the index") as change:
            return sum(change.delete(trace_id, grave=True) for trace_id in set(ids))

    def parts(self, trace_id: str) -> list[tuple[int, tuple[str, int, int]]]:
        """The number and location of each part that is known of a live trace, in order."""
        with self._lock, errors("read the index"):
            found = self._db.execute(_PARTS, (trace_id,)).fetchall()
        return [(number, (blob, start, length)) for number, blob, start, length in found]

    def lose(self, rows: Iterable[Row]) -> int:
        """Make those of these traces lost that are running; returns how many that were."""
        with self._writing("update the index") as change:
            return sum(change.lose(trace_id) for trace_id in {row.id for row in rows})

    def bury(self, ids: Iterable[str]) -> None:
        """Remove these live traces, and leave out what comes of them later."""
        self.record([], tombstones=dict.fromkeys(filter(is_id, ids), 0))

    def expire(self, ids: Iterable[str], now: int) -> int:
        """Remove those of these rows that have expired; the statistics go on counting them."""
        with self._writing("remove rows that have expired") as change:
            return change.expire(sorted(set(ids)), now)

    def find(self, prefix: str, limit: int = 2) -> list[Row]:
        """Rows whose id starts with ``prefix``, newest first, at most ``limit``."""
        check_limit(limit)
        if not prefix:
            return list(self.search(Query(limit=limit)).rows)
        if not prefix.isascii() or "\0" in prefix:
            return []
        bounds = (prefix, prefix + "\x7f")
        with self._lock, errors("read the index"):
            found = self._db.execute(_FIND, (*bounds, _FEW)).fetchall()
            if len(found) == _FEW:  # of a short prefix there may be millions: they are not sorted
                return self._newest(bounds, limit)
        return sorted(map(read_row, found), key=position, reverse=True)[:limit]

    def _newest(self, ids: tuple[str, str], limit: int) -> list[Row]:
        """The newest rows whose ids lie between two, in the order of every listing."""
        (label,), _ = search_labels(Query())
        with contextlib.ExitStack() as cursors:
            streams = []
            for state in search_states(Query()):
                cursor = self._db.execute(_BETWEEN, (label, state, -_INT64, _INT64 - 1, *ids))
                cursors.callback(cursor.close)
                streams.append(map(read_row, cursor))
            merged = heapq.merge(*streams, key=position, reverse=True)
            return list(itertools.islice(merged, min(limit, _INT64 - 1)))

    def search(self, query: Query) -> Page:
        """One page of the rows that match, newest first."""
        check_limit(query.limit)
        after = read_cursor(query)
        any_of, all_of = search_labels(query)
        with self._lock, errors("read the index"), contextlib.ExitStack() as cursors:
            streams = [
                self._stream([label, *all_of], state, query, after, cursors)
                for label in any_of
                for state in search_states(query)
            ]
            merged = heapq.merge(*streams, key=position, reverse=True)
            # A trace that has two of the tags asked for comes twice, one right after the other.
            rows = (next(same) for _, same in itertools.groupby(merged, key=position))
            return page((row for row in rows if matches(row, query)), query)

    def _stream(
        self,
        labels: Sequence[int],
        state: int,
        query: Query,
        after: tuple[int, str] | None,
        cursors: contextlib.ExitStack,
    ) -> Iterator[Row]:
        low = -_INT64 if query.since is None else query.since
        high = _INT64 if query.until is None else query.until
        if low >= _INT64 or high <= -_INT64:
            return iter(())
        bounds = [labels[0], state, max(low, -_INT64), min(high - 1, _INT64 - 1)]
        # Asked of the index: reading each row that one filter leaves over would take far longer.
        sql = _STREAM + _HAS * len(labels[1:])
        bounds += labels[1:]
        if after is not None:
            sql += " AND (l.started_at, l.id) < (?, ?)"
            bounds += after  # type: ignore[arg-type]  # SQLite takes both kinds
        cursor = self._db.execute(f"{sql} ORDER BY l.started_at DESC, l.id DESC", bounds)
        cursors.callback(cursor.close)
        return map(read_row, cursor)

    def rows(self) -> Iterator[Row]:
        """Every row, by id; read in batches, so that others can write meanwhile."""
        last = ""
        while True:
            with self._lock, errors("read the index"):
                batch = [read_row(found) for found in self._db.execute(_ALL, (last,))]
            if not batch:
                return
            yield from batch
            last = batch[-1].id

    def known(self, ids: Iterable[str]) -> tuple[dict[str, int], dict[str, int]]:
        """Of these ids, the generations of those that have a row, and of those deleted."""
        wanted = (json.dumps(list(ids)),)
        with self._lock, errors("read the index"):
            rows = self._db.execute(_KNOWN.format("traces"), wanted).fetchall()
            graves = self._db.execute(_KNOWN.format("tombstones"), wanted).fetchall()
        return dict(rows), dict(graves)

    def known_parts(self, ids: Iterable[str]) -> tuple[set[tuple[str, int]], set[str]]:
        """Of these ids, each with the count of parts up to one that is known; and those deleted.

        One that was written at once counts as deleted: its parts are of no use any more.
        """
        wanted = (json.dumps(list(ids)),)
        with self._lock, errors("read the index"):
            known = self._db.execute(_KNOWN_PARTS, wanted).fetchall()
            gone = self._db.execute(_NOT_LIVE, wanted * 2).fetchall()
        return set(known), {one for (one,) in gone}

    def segments(self) -> dict[str, int]:
        """How far each segment is indexed."""
        with self._lock, errors("read the index"):
            return dict(self._db.execute("SELECT name, indexed FROM segments").fetchall())

    def forget_segment(self, name: str) -> None:
        """Drop the mark of a segment whose file is gone."""
        with self._writing("update the index"):
            self._db.execute("DELETE FROM segments WHERE name = ?", (name,))

    def check(self) -> list[str]:
        """What SQLite itself finds wrong with the file."""
        with self._lock, errors("check the index"):
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
        except FileNotFoundError:  # it was taken away: as good as replaced
            return True
        except OSError as error:
            raise system_error(error, "find the index") from error
        return (found.st_dev, found.st_ino) != self._inode

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._db.close()

    @contextlib.contextmanager
    def _writing(self, doing: str) -> Iterator[Change]:
        """BEGIN IMMEDIATE: a deferred transaction that reads first fails against another writer."""
        with self._lock, errors(doing):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                check_schema(self._db, self.path)  # a newer tracediff may have it by now
                change = Change(self._db)
                yield change
                write_delta(self._db, change.added, change.removed)
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def truncate_log(self) -> bool:
        """Write the log into the file and empty it; False while somebody reads from it."""
        with self._lock, errors("write the log of the index"):
            busy, _, _ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, to read from in one view of the index; for upkeep."""
        with self._lock, errors("read the index"):
            self._db.execute("BEGIN")
            try:
                yield self._db
            finally:
                self._db.execute("COMMIT")

    @contextlib.contextmanager
    def writing(self, doing: str, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """The connection, in a transaction that only one process has; for upkeep.

        Args:
            doing: What is done, for errors.
            durable: Wait until the disk has it, which a row that can be found anew need not.
        """
        with self._lock:
            if durable:
                self._db.execute("PRAGMA synchronous = FULL")
            try:
                with self._writing(doing):
                    yield self._db
            finally:
                if durable:
                    self._db.execute("PRAGMA synchronous = NORMAL")


_ADVANCE = """INSERT INTO segments SELECT :segment, :end
WHERE :start = 0 OR EXISTS (SELECT 1 FROM segments WHERE name = :segment)
ON CONFLICT (name) DO UPDATE SET indexed = :end WHERE indexed = :start"""
_PARTS = "SELECT number, blob, start, length FROM parts WHERE id = ? ORDER BY number"
_KNOWN = "SELECT id, generation FROM {} WHERE id IN (SELECT value FROM json_each(?))"
_KNOWN_PARTS = """SELECT id, number + 1 FROM parts
WHERE id IN (SELECT value FROM json_each(?))"""
_NOT_LIVE = """SELECT id FROM tombstones WHERE id IN (SELECT value FROM json_each(?))
UNION SELECT id FROM traces WHERE parts = 0 AND id IN (SELECT value FROM json_each(?))"""
_FIND = "SELECT row, blob, start, length FROM traces WHERE id >= ? AND id < ? LIMIT ?"
_ALL = "SELECT row, blob, start, length FROM traces WHERE id > ? ORDER BY id LIMIT 1000"
_STREAM = """SELECT t.row, t.blob, t.start, t.length
FROM labels l CROSS JOIN traces t ON t.id = l.id
WHERE l.label = ? AND l.state = ? AND l.started_at >= ? AND l.started_at <= ?"""
_BETWEEN = f"{_STREAM} AND l.id >= ? AND l.id < ? ORDER BY l.started_at DESC, l.id DESC"
_HAS = """ AND EXISTS (SELECT 1 FROM labels m WHERE m.label = ? AND m.state = l.state
AND m.started_at = l.started_at AND m.id = l.id)"""

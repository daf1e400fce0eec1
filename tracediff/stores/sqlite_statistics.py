"""The statistics of a local store, in the file of its index.

A batch's delta is written in the transaction of its rows. Every so many deltas, the transaction
that writes one folds them too: whoever is killed in it has written neither.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Final

from tracediff import statistics
from tracediff.errors import StoreError
from tracediff.model import STATES, Query, Row
from tracediff.statistics.buckets import Bucket
from tracediff.statistics.checking import Checked, Rebuilt
from tracediff.statistics.folding import Statistics, applied, folded, of_key, span_of_key
from tracediff.statistics.packing import dump_bucket, load_bucket, load_delta
from tracediff.statistics.places import (
    KEPT_DAYS,
    MARGIN,
    MINUTE,
    RESOLUTIONS,
    WIDTHS,
    Place,
    Run,
    kept_since,
    narrowed,
)  # fmt: skip
from tracediff.stores import counting
from tracediff.stores.counting import Moment, hurt, minute_now
from tracediff.stores.labels import search_labels
from tracediff.stores.rows import load_row
from tracediff.stores.sqlite_file import SCHEMA, errors

if TYPE_CHECKING:
    import sqlite3

EVERY: Final = 256
"""Deltas that are folded at once."""

_AT_MOST: Final = 1024
_BYTES: Final = 256 * 1024
"""Bytes of deltas that are unpacked at once where many wait: they take sixty times as much."""

_INT64: Final = 1 << 63


def write_delta(db: sqlite3.Connection, added: Sequence[Row], removed: Sequence[Row] = ()) -> None:
    """Insert into ``deltas``; called within a transaction.

    Args:
        db: The index.
        added: Rows that have ended by this batch: each trace comes once, however often it is
            written. Of one that is lost only ``key`` and ``started_at`` count, here and when it is
            removed: neither its duration nor its tags.
        removed: Rows that were among those added once, and are deleted or no longer lost.
    """
    for data in statistics.deltas(added, removed):
        last = db.execute("INSERT INTO deltas (data) VALUES (?)", (data,)).lastrowid
        if last is not None and last % EVERY == 0:
            fold(db)


def fold(db: sqlite3.Connection, largest: int | None = None) -> int:
    """Lay the oldest deltas into buckets, within a transaction; returns how many.

    ``largest`` are the bytes after which the others are left for the next time.
    0 where the statistics are hurt: rows are written all the same.
    """
    found: list[tuple[int, bytes]] = []
    size = 0
    for one in db.execute("SELECT id, data FROM deltas ORDER BY id LIMIT ?", (_AT_MOST,)):
        found.append(one)
        size += len(one[1])
        if largest is not None and size >= largest:
            break
    now = minute_now()
    try:
        changes = folded((data for _, data in found), now)
        made = {place: applied(_bucket(db, place), change) for place, change in changes.items()}
    except ValueError:  # hurt, which readers are told
        return 0
    replace(db, {place: dump_bucket(one) if one else None for place, one in made.items()})
    if found:
        db.execute("DELETE FROM deltas WHERE id <= ?", (found[-1][0],))
        _prune(db, now)
    return len(found)


def read(db: sqlite3.Connection, key: str, runs: Sequence[Run]) -> dict[Place, Bucket]:
    """The buckets of a key, with what is not folded yet; within a transaction."""
    try:
        found = {
            Place(run.resolution, key, start): load_bucket(data)
            for run in runs
            for start, data in db.execute(
                _RANGE, (_number(run), _bytes(key), _bound(run.first), _bound(run.end))
            )
        }
        for place, change in of_key(_pending(db), key, runs).items():
            found[place] = applied(found.get(place), change)
    except ValueError:
        raise hurt() from None
    return {place: bucket for place, bucket in found.items() if bucket}


def span(db: sqlite3.Connection, key: str) -> tuple[int, int] | None:
    """The minutes from the first trace of a key to the last; within a transaction."""
    try:
        known = span_of_key(_pending(db), key)
    except ValueError:
        raise hurt() from None
    spans = []
    for number, resolution in enumerate(RESOLUTIONS):
        first, last = db.execute(_SPAN, (number, _bytes(key)) * 2).fetchone()
        if first is not None:
            spans.append((first, last + WIDTHS[resolution]))
    return narrowed(spans, known)


def replace(db: sqlite3.Connection, buckets: Mapping[Place, bytes | None]) -> None:
    """Write buckets; None removes one."""
    for place, data in buckets.items():
        where = (RESOLUTIONS.index(place.resolution), _bytes(place.key), place.start)
        if data is None:
            db.execute(_REMOVE, where)
        else:
            db.execute(_REPLACE, (*where, data))


class KeepsStatistics:
    """What an index in SQLite says of its statistics; see ``base.Counting``."""

    _db: sqlite3.Connection
    _lock: AbstractContextManager[object]

    def statistics(self, key: str, runs: Sequence[Run]) -> Statistics:
        """The buckets of traces whose keys begin with ``key``."""
        with self._reading():
            (found,) = self._db.execute(_SCHEMA).fetchone()  # an older one is read as it is
            return Statistics(buckets=read(self._db, key, runs), complete=found == SCHEMA)

    def counted_span(self, key: str) -> tuple[int, int] | None:
        """About from which to which minute traces of a key began."""
        with self._reading():
            return span(self._db, key)

    def fold_statistics(self) -> int:
        """Lay all deltas into buckets; returns how many."""
        recount, total = self._recount(), 0
        while True:
            with recount.still(write=True):
                done = fold(self._db, _BYTES)
            total += done
            if not done:
                return total

    def verify_statistics(self) -> Iterator[Checked]:
        """Count all rows, and say of each bucket whether it says the same."""
        with contextlib.suppress(StoreError):  # it may be read alone, or hurt, which is then said
            self.fold_statistics()
        return counting.verify(self._recount())

    def rebuild_statistics(self) -> Rebuilt:
        """Count all rows, and make the buckets say so."""
        self.fold_statistics()
        return counting.rebuild(self._recount())

    def _recount(self) -> SqliteRecount:
        return SqliteRecount(self._db, self._lock)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._recount().still(write=False):
            yield


class SqliteRecount:
    """The statistics of an index, to be checked and counted anew."""

    def __init__(self, db: sqlite3.Connection, lock: AbstractContextManager[object]) -> None:
        self._db = db
        self._lock = lock

    @contextmanager
    def still(self, *, write: bool) -> Iterator[None]:
        """One transaction: it sees one moment, and one that writes lets nobody else write."""
        with self._lock, errors("use the statistics"):
            self._db.execute("BEGIN IMMEDIATE" if write else "BEGIN")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def days(self) -> list[int]:
        """The first minutes of the days of which there is a row or a bucket."""
        width = WIDTHS["day"]
        with self.still(write=False):
            found = {start - start % width for (start,) in self._db.execute(_STARTS)}
            for state in range(len(STATES)):
                found.update(day * width for day in self._days(state, width * MINUTE))
        return sorted(found)

    def _days(self, state: int, width: int) -> Iterator[int]:
        """The days of rows in one state: each is found by skipping the rows of the one before."""
        after = -_INT64
        while row := self._db.execute(_NEXT, (_everything(), state, after)).fetchone():
            day = row[0] // width
            yield day
            after = (day + 1) * width
            if after >= _INT64:
                return

    def moments(self, day: int) -> Iterator[Moment]:
        """The whole day: a transaction sees one moment."""
        end = day + WIDTHS["day"]
        yield Moment(day, end, self._rows(day, end), _pending(self._db))

    def kept(self, day: int) -> dict[Place, bytes]:
        """The buckets of a day, of all resolutions."""
        end = day + WIDTHS["day"]
        return {
            Place(resolution, key.decode("utf-8", "surrogatepass"), start): data
            for key in _keys(self._db)
            for number, resolution in enumerate(RESOLUTIONS)
            for start, data in self._db.execute(_RANGE, (number, key, _bound(day), _bound(end)))
        }

    def replace(self, buckets: Mapping[Place, bytes | None]) -> None:
        """Write these buckets; None removes one."""
        replace(self._db, buckets)

    def discard(self) -> int:
        """Remove the deltas that are none; returns how many those were."""
        gone = 0
        for number, data in self._db.execute("SELECT id, data FROM deltas").fetchall():
            try:
                load_delta(data)
            except ValueError:  # hurt: it is removed, and counted
                gone += self._db.execute("DELETE FROM deltas WHERE id = ?", (number,)).rowcount
        return gone

    def _rows(self, first: int, end: int) -> Iterator[Row]:
        low, high = max(first * MINUTE, -_INT64), min(end * MINUTE, _INT64) - 1
        for state in range(len(STATES)):
            for (data,) in self._db.execute(_ROWS, (_everything(), state, low, high)):
                yield load_row(data, ("", 0, 0))


def _pending(db: sqlite3.Connection) -> list[bytes]:
    return [data for (data,) in db.execute("SELECT data FROM deltas ORDER BY id")]


def _bucket(db: sqlite3.Connection, place: Place) -> Bucket | None:
    where = (RESOLUTIONS.index(place.resolution), _bytes(place.key), place.start)
    found = db.execute(_ONE, where).fetchone()
    return load_bucket(found[0]) if found else None


def _prune(db: sqlite3.Connection, now: int) -> None:
    """Remove the buckets that are no longer kept."""
    keys = list(_keys(db))
    for number, resolution in enumerate(RESOLUTIONS):
        if resolution in KEPT_DAYS:
            until = kept_since(resolution, now) - MARGIN
            db.executemany(_PRUNE, [(number, key, until) for key in keys])


def _keys(db: sqlite3.Connection) -> Iterator[bytes]:
    """All keys: each found by skipping the buckets of the one before."""
    day = RESOLUTIONS.index("day")
    found = db.execute(_FIRST_KEY, (day,)).fetchone()
    while found:
        yield found[0]
        found = db.execute(_NEXT_KEY, (day, *found)).fetchone()


def _everything() -> int:
    (label,), _ = search_labels(Query())
    return label


def _number(run: Run) -> int:
    return RESOLUTIONS.index(run.resolution)


def _bound(minute: int) -> int:
    return max(-_INT64, min(minute, _INT64 - 1))


def _bytes(key: str) -> bytes:
    """SQLite refuses text with half a surrogate pair."""
    return key.encode("utf-8", "surrogatepass")


_SCHEMA = "SELECT value FROM meta WHERE name = 'schema'"
_RANGE = """SELECT start, data FROM statistics
WHERE resolution = ? AND key = ? AND start >= ? AND start < ?"""
_ONE = "SELECT data FROM statistics WHERE resolution = ? AND key = ? AND start = ?"
_SPAN = """SELECT (SELECT min(start) FROM statistics WHERE resolution = ? AND key = ?),
(SELECT max(start) FROM statistics WHERE resolution = ? AND key = ?)"""
_REMOVE = "DELETE FROM statistics WHERE resolution = ? AND key = ? AND start = ?"
_REPLACE = "INSERT OR REPLACE INTO statistics (resolution, key, start, data) VALUES (?, ?, ?, ?)"
_PRUNE = "DELETE FROM statistics WHERE resolution = ? AND key = ? AND start < ?"
_STARTS = "SELECT DISTINCT start FROM statistics"
_FIRST_KEY = "SELECT key FROM statistics WHERE resolution = ? ORDER BY key LIMIT 1"
_NEXT_KEY = "SELECT key FROM statistics WHERE resolution = ? AND key > ? ORDER BY key LIMIT 1"
_NEXT = """SELECT started_at FROM labels WHERE label = ? AND state = ? AND started_at >= ?
ORDER BY started_at LIMIT 1"""
_ROWS = """SELECT t.row FROM labels l CROSS JOIN traces t ON t.id = l.id
WHERE l.label = ? AND l.state = ? AND l.started_at >= ? AND l.started_at <= ?"""

"""The rows of a local store's index, for upkeep."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tracediff.stores.sqlite_index import SqliteIndex
from tracediff.stores.upkeep.base import WHOLE, Living, Location, Move, Surveyed
from tracediff.stores.upkeep.decisions import is_over, silent

if TYPE_CHECKING:
    import sqlite3

_PAGE = 4_000
_FEW = 1000
# A context field called so has a value: what never expires can be told without reading the row.
_NEVER = "instr(row, CAST(',\"expires_at\":null' AS BLOB)) > 0"
_PAGED = "FROM traces WHERE rowid > :after AND rowid <= :upto"
_TALLY = f"SELECT blob, COUNT(*), SUM(length) {_PAGED} AND parts = 0 AND {_NEVER} GROUP BY blob"
_OTHERS = f"""SELECT id, row, state, parts, blob, length {_PAGED}
AND (state = 'running' OR NOT {_NEVER})"""
_UPTO = """SELECT MAX(rowid), COUNT(*) FROM
(SELECT rowid FROM traces WHERE rowid > ? ORDER BY rowid LIMIT ?)"""
_PARTS = """SELECT p.id, p.number, p.blob, p.length, t.row
FROM parts p LEFT JOIN traces t ON t.id = p.id
WHERE (p.id, p.number) > (?, ?) ORDER BY p.id, p.number LIMIT ?"""
_WANTED = "IN (SELECT value FROM json_each(?))"
_LIVING = f"SELECT id, parts, row, blob, start, length FROM traces WHERE id {_WANTED}"  # noqa: S608 - ours
_PLACES = f"SELECT id, number, blob, start, length FROM parts WHERE id {_WANTED}"  # noqa: S608 - ours
_MOVE = """UPDATE {} SET blob = ?, start = ?, length = ?
WHERE id = ? AND blob = ? AND start = ? AND length = ?"""


class SqliteLedger:
    """Upkeep's view of the index that a local store has open just now."""

    def __init__(self, index: Callable[[], SqliteIndex]) -> None:
        self._index = index

    def count(self) -> int:
        """How many rows there are."""
        found = self._asked("SELECT COUNT(*) FROM traces")
        return int(found[0][0])

    def survey_rows(self, now: int, silent_before: int) -> Iterator[Surveyed]:
        """All rows, in the order in which they were inserted."""
        after = -1 << 62
        while True:
            upto, count = self._asked(_UPTO, after, _PAGE)[0]
            if not count:
                return
            given = {"after": after, "upto": upto}
            with self._index().reading() as db:
                tallied = {blob: (many, size) for blob, many, size in db.execute(_TALLY, given)}
                others = db.execute(_OTHERS, given).fetchall()
            yield _surveyed(count, tallied, others, now, silent_before)
            after = upto

    def survey_parts(self, now: int) -> Iterator[Surveyed]:
        """All parts, by id."""
        last: tuple[str, int] = ("", -1)
        while found := self._asked(_PARTS, *last, _PAGE):
            tallied: dict[str, tuple[int, int]] = {}
            astray = []
            for trace_id, number, blob, length, row in found:
                if row is None:
                    astray.append((trace_id, number))
                elif not is_over(json.loads(row)["expires_at"], now):
                    _count(tallied, blob, length)
            yield Surveyed(count=len(found), tallied=tallied, astray=astray)
            last = found[-1][:2]

    def living(self, ids: Iterable[str]) -> dict[str, Living]:
        """Those of these traces that have a row."""
        made: dict[str, Living] = {}
        for some in _batches(ids):
            wanted = json.dumps(some)
            with self._index().reading() as db:  # both in one view of the index
                rows = db.execute(_LIVING, (wanted,)).fetchall()
                parts = db.execute(_PLACES, (wanted,)).fetchall()
            places: dict[str, dict[int, Location]] = {}
            for trace_id, number, *at in parts:
                places.setdefault(trace_id, {})[number] = (at[0], at[1], at[2])
            for trace_id, count, row, *at in rows:
                own = places.get(trace_id, {}) if count else {WHOLE: (at[0], at[1], at[2])}
                made[trace_id] = Living(places=own, expires_at=json.loads(row)["expires_at"])
        return made

    def buried(self, ids: Iterable[str]) -> dict[str, int]:
        """Those of these traces that were deleted, and up to which generation."""
        found: dict[str, int] = {}
        for some in _batches(ids):
            found.update(self._index().known(some)[1])
        return found

    def expire(self, ids: Sequence[str], now: int) -> int:
        """Remove the rows of these that have expired; no tombstone: the bytes go as well."""
        return sum(self._index().expire(some, now) for some in _batches(ids))

    def take_back(self, ids: Sequence[str]) -> int:
        """None is there: what is buried loses its row at once."""
        return 0

    def forget_parts(self, parts: Sequence[tuple[str, int]]) -> int:
        """Remove places of parts whose traces have no row."""
        sql = """DELETE FROM parts WHERE id = ? AND number = ?
        AND NOT EXISTS (SELECT 1 FROM traces WHERE traces.id = parts.id)"""
        with self._index().writing("forget parts") as db:
            return db.executemany(sql, parts).rowcount

    def lose(self, ids: Sequence[str], before: int) -> int:
        """Make traces lost that run and were not heard of since; returns how many that were."""
        index = self._index()
        return index.lose(silent(index, ids, before))

    def entomb(self, ids: Sequence[str]) -> None:
        """Nobody sends anything twice here; but what a row said must not stay in free pages."""
        with self._index().reading() as db:
            db.execute("PRAGMA secure_delete = ON")

    def scrub(self) -> bool:
        """Have the log of the index let go of old pages; False while somebody reads from it."""
        return self._index().truncate_log()

    def graves(self) -> Iterator[Sequence[tuple[str, int, str]]]:
        """All tombstones, with the blobs where they stand."""
        last = ""
        sql = "SELECT id, generation, blob FROM tombstones WHERE id > ? ORDER BY id LIMIT ?"
        while found := self._asked(sql, last, _PAGE):
            yield found
            last = found[-1][0]

    def unbury(self, graves: Sequence[tuple[str, int]]) -> int:
        """Forget these tombstones, unless they are of another generation by now."""
        with self._index().writing("forget deletions") as db:
            sql = "DELETE FROM tombstones WHERE id = ? AND generation = ?"
            return db.executemany(sql, graves).rowcount

    def tidy(self, now: int, *, dry_run: bool) -> int:
        """Lay what is not folded yet into buckets; those that are too old go with that."""
        fold = getattr(self._index(), "fold_statistics", None)
        if fold is not None and not dry_run:
            fold()
        return 0

    def indexed(self, segment: str) -> int:
        """How far a segment is indexed."""
        found = self._asked("SELECT indexed FROM segments WHERE name = ?", segment)
        return int(found[0][0]) if found else 0

    def marks(self) -> Iterator[str]:
        """The segments that are known."""
        last = ""
        sql = "SELECT name FROM segments WHERE name > ? ORDER BY name LIMIT 1000"
        while found := self._asked(sql, last):
            yield from (name for (name,) in found)
            last = found[-1][0]

    def replace(self, old: str, new: str, end: int, moves: Sequence[Move]) -> bool:
        """Have rows point into a new segment, unless one would go on pointing to the old one.

        On the disk when this returns: what it pointed to before may be removed then.

        Args:
            old: The key of the segment that is to go.
            new: The file name of the new one.
            end: How far that is indexed: all of it.
            moves: The frames that were copied.
        """
        with self._index().writing("move rows", durable=True) as db:
            for table in ("traces", "parts"):
                db.executemany(_MOVE.format(table), ((*one.new, one.id, *one.old) for one in moves))
            if self._points(db, old, {one.id for one in moves}):
                db.rollback()
                db.execute("BEGIN")  # an empty one, for the end of the context
                return False
            db.execute("UPDATE tombstones SET blob = ? WHERE blob = ?", (f"segments/{new}", old))
            db.execute("INSERT OR REPLACE INTO segments VALUES (?, ?)", (new, end))
        return True

    def points_to(self, blob: str, ids: Iterable[str]) -> bool:
        """Whether one of these traces has bytes in this blob."""
        with self._index().reading() as db:
            return self._points(db, blob, ids)

    def _points(self, db: sqlite3.Connection, blob: str, ids: Iterable[str]) -> bool:
        for some in _batches(ids):
            given = (blob, json.dumps(some))
            for table in ("traces", "parts"):
                sql = f"SELECT 1 FROM {table} WHERE blob = ? AND id {_WANTED} LIMIT 1"  # noqa: S608 - two names of ours
                if db.execute(sql, given).fetchone() is not None:
                    return True
        return False

    def _asked(self, sql: str, *values: Any) -> list[Any]:
        with self._index().reading() as db:
            return db.execute(sql, values).fetchall()


def _surveyed(
    count: int, tallied: dict[str, tuple[int, int]], others: list[Any], now: int, before: int
) -> Surveyed:
    """A page, with the rows that have to be read: those that expire one day, or run."""
    expired, silent = [], []
    for trace_id, data, state, parts, blob, length in others:
        row = json.loads(data)
        if is_over(row["expires_at"], now):
            expired.append(trace_id)
            continue
        if not parts and row["expires_at"] is not None:
            _count(tallied, blob, length)
        if state == "running" and row["started_at"] + row["duration"] < before:
            silent.append(trace_id)
    return Surveyed(count=count, tallied=tallied, expired=expired, silent=silent)


def _count(tallied: dict[str, tuple[int, int]], blob: str, length: int) -> None:
    count, size = tallied.get(blob, (0, 0))
    tallied[blob] = (count + 1, size + length)


def _batches(ids: Iterable[str]) -> Iterator[list[str]]:
    waiting = iter(ids)
    while some := list(itertools.islice(waiting, _FEW)):
        yield some

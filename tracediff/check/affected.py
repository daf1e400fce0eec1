"""Which traces are known to give what was recorded with the code as it is now.

A replay that gave the recorded outcome is remembered with all that it depended on; as long as that
is what it was, another replay would give the same. It is kept in ``.tracediff/executed.sqlite``:
traces share sets, sets share units, and each unit is looked at once, however many traces there are.
What cannot be read or written costs replays, and is never an error.
"""

from __future__ import annotations

import array
import contextlib
import itertools
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import xxhash

from tracediff.check.executed import set_id
from tracediff.check.surroundings import Current, Unit
from tracediff.checked import Result
from tracediff.config import Config
from tracediff.errors import StoreError
from tracediff.expectations.rules import packed
from tracediff.model import Row, Tolerance
from tracediff.stores.sqlite_file import locked, set_aside

DIRECTORY = ".tracediff"
FILE = "executed.sqlite"
SCHEMA = 1
MOST_TRACES = 1_000_000
_BATCH = 500
_PATIENCE = 10.0
"""Seconds to wait for another check that is writing."""

_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE units (
    number INTEGER PRIMARY KEY, file TEXT NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL,
    UNIQUE (file, name, digest)
);
CREATE TABLE sets (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, units BLOB NOT NULL);
CREATE TABLE traces (
    turn INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, outcome BLOB NOT NULL,
    rules TEXT NOT NULL, ran INTEGER NOT NULL
);
"""
_ASKED = "CREATE TEMP TABLE asked (id TEXT PRIMARY KEY, outcome BLOB NOT NULL) WITHOUT ROWID"
_LEARN = """INSERT OR REPLACE INTO traces (id, outcome, rules, ran)
SELECT a.id, a.outcome, ?, s.number FROM asked a, sets s WHERE a.id = ? AND s.id = ?"""

_FORGET = "DELETE FROM traces WHERE turn IN (SELECT turn FROM traces ORDER BY turn LIMIT ?)"


class Known:
    """What is known of traces, as a context.

    Args:
        directory: ``.tracediff`` of the project.
        rules: What counts as the same in this check.
        most: How many traces are kept; the oldest are forgotten.
    """

    def __init__(
        self, directory: Path, rules: Sequence[Tolerance] = (), most: int = MOST_TRACES
    ) -> None:
        self.path = directory / FILE
        self.remarks: list[str] = []
        self._rules = xxhash.xxh3_128_hexdigest(repr(packed(rules)).encode())
        self._most = most
        self._db: sqlite3.Connection | None = None
        self._writable = False
        self._good: dict[int, bool] = {}
        self._units: dict[int, bool] = {}
        self._waiting: list[tuple[str, str]] = []
        self._told: dict[str, tuple[Unit, ...]] = {}
        self._kept: set[str] = set()
        self._learned = False

    def __enter__(self) -> Self:
        try:
            self._db, self._writable = _opened(self.path, self.remarks)
            if self._db is not None:
                self._db.execute(_ASKED)
        except (sqlite3.Error, OSError, StoreError) as error:
            self._give_up(error, "read")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._flush()
        if self._learned:
            self._forget()
        self._close()

    def unaffected(self, rows: Iterable[Row], config: Config) -> Iterator[tuple[Row, bool]]:
        """Each row, and whether its trace is known to give the same with the code as it is now.

        Args:
            rows: The traces that are asked about.
            config: The project's settings.
        """
        current = Current(config)
        source = iter(rows)
        while batch := list(itertools.islice(source, _BATCH)):
            known = self._known(batch, current)
            for row in batch:
                yield row, row.id in known

    def learn(self, results: Iterable[Result]) -> None:
        """Remember what came of traces that were asked about and had to be replayed."""
        for one in results:
            if one.units and one.ran not in self._kept:
                self._told[one.ran] = one.units
            if one.ran and one.kind == "same":
                self._waiting.append((one.id, one.ran))
            if len(self._waiting) >= _BATCH:
                self._flush()

    def _known(self, batch: Sequence[Row], current: Current) -> frozenset[str]:
        if self._db is None:
            return frozenset()
        try:
            found = self._found(batch)
            known = frozenset(
                row.id
                for row in batch
                if row.outcome
                and row.id in found
                and found[row.id][:2] == (row.outcome, self._rules)
                and self._is_good(found[row.id][2], current)
            )
            self._db.executemany(
                "INSERT OR REPLACE INTO asked VALUES (?, ?)",
                [(row.id, row.outcome) for row in batch if row.outcome and row.id not in known],
            )
        except (sqlite3.Error, ValueError, TypeError) as error:
            self._give_up(error, "read")
            return frozenset()
        return known

    def _found(self, batch: Sequence[Row]) -> dict[str, tuple[bytes, str, int]]:
        marks = ",".join("?" * len(batch))
        sql = f"SELECT id, outcome, rules, ran FROM traces WHERE id IN ({marks})"  # noqa: S608 - marks only
        rows = self._execute(sql, [row.id for row in batch])
        return {name: (outcome, rules, ran) for name, outcome, rules, ran in rows}

    def _is_good(self, number: int, current: Current) -> bool:
        """Whether all units of a set are what they were."""
        if number not in self._good:
            self._good[number] = self._holds(number, current)
        return self._good[number]

    def _holds(self, number: int, current: Current) -> bool:
        found = self._execute("SELECT id, units FROM sets WHERE number = ?", [number])
        if not found:
            return False
        name, data = found[0]
        numbers = array.array("I")
        numbers.frombytes(data)
        if not all(self._units.get(one, True) for one in numbers):
            return False
        units: dict[int, Unit] = {}
        for start in range(0, len(numbers), _BATCH):
            part = numbers[start : start + _BATCH]
            marks = ",".join("?" * len(part))
            sql = f"SELECT number, file, name, digest FROM units WHERE number IN ({marks})"  # noqa: S608 - marks only
            units |= {one: tuple(unit) for one, *unit in self._execute(sql, list(part))}
        if set_id(tuple(sorted(units.values()))) != name:  # hurt, or not all of it is there
            return False
        for one, (file, what, digest) in sorted(units.items()):
            if one not in self._units:
                self._units[one] = current.digest(file, what) == digest
            if not self._units[one]:
                return False
        return True

    def _execute(self, sql: str, values: Sequence[Any]) -> list[Any]:
        if self._db is None:
            return []
        return self._db.execute(sql, values).fetchall()

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        told, self._told = self._told, {}
        if self._db is None or not self._writable or not (waiting or told):
            return
        try:
            with _writing(self._db):
                for name, units in told.items():
                    self._keep(name, units)
                values = [(self._rules, trace, ran) for trace, ran in waiting]
                self._db.executemany(_LEARN, values)
            self._kept |= told.keys()
            self._learned = True
        except (sqlite3.Error, ValueError) as error:
            self._give_up(error, "kept")

    def _keep(self, name: str, units: tuple[Unit, ...]) -> None:
        if set_id(units) != name or self._execute("SELECT 1 FROM sets WHERE id = ?", [name]):
            return
        db = self._db
        if db is not None:
            db.executemany(
                "INSERT OR IGNORE INTO units (file, name, digest) VALUES (?, ?, ?)", units
            )
            sql = "SELECT number FROM units WHERE file = ? AND name = ? AND digest = ?"
            numbers = array.array("I", (self._execute(sql, unit)[0][0] for unit in units))
            db.execute("INSERT INTO sets (id, units) VALUES (?, ?)", (name, numbers.tobytes()))

    def _forget(self) -> None:
        """Drop the oldest traces above the bound, and what no other needs."""
        if self._db is None:
            return
        try:
            (count,) = self._db.execute("SELECT count(*) FROM traces").fetchone()
            if count <= self._most:
                return
            with _writing(self._db):
                self._db.execute(_FORGET, (count - self._most,))
                self._db.execute("DELETE FROM sets WHERE number NOT IN (SELECT ran FROM traces)")
                kept: set[int] = set()
                for (data,) in self._db.execute("SELECT units FROM sets"):
                    kept.update(array.array("I", data))
                gone = [
                    one
                    for one in self._db.execute("SELECT number FROM units")
                    if one[0] not in kept
                ]
                self._db.executemany("DELETE FROM units WHERE number = ?", gone)
        except (sqlite3.Error, ValueError) as error:
            self._give_up(error, "kept")

    def _give_up(self, error: Exception, what: str) -> None:
        """Go on without: what is not known is replayed."""
        why = error.message if isinstance(error, StoreError) else error
        if what == "read":
            self.remarks.append(f"nothing is known of what earlier replays ran: {why}")
        else:
            self.remarks.append(f"what these replays ran is not remembered: {why}")
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(
            error, sqlite3.OperationalError
        ):
            self._close()
            with contextlib.suppress(StoreError):  # it stays: the remark says what is wrong
                _set_aside(self.path)
        self._close()

    def _close(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            with contextlib.suppress(sqlite3.Error):  # what it held can be learnt again
                db.close()


def _opened(path: Path, remarks: list[str]) -> tuple[sqlite3.Connection | None, bool]:
    """The database and whether it can be written; made where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        _make(path)
    try:
        return _checked(path)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
    remarks.append(f"{path} was hurt and is set aside: everything is replayed")
    _set_aside(path)
    _make(path)
    return _checked(path)


def _set_aside(path: Path) -> None:
    """Rename what is hurt, unless another check did so already."""
    # Held by another check: it is that one's to rename.
    with locked(path.parent), contextlib.suppress(sqlite3.OperationalError):
        try:
            db, _ = _checked(path)
        except sqlite3.DatabaseError as error:
            if not isinstance(error, sqlite3.OperationalError):
                set_aside(path)
            return
        try:
            sound = db.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
        except sqlite3.DatabaseError:
            sound = False
        finally:
            db.close()
        if not sound:
            set_aside(path)


def _checked(path: Path) -> tuple[sqlite3.Connection, bool]:
    writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    log = path.with_name(f"{path.name}-wal")
    reading = "ro" if log.exists() and log.stat().st_size else "ro&immutable=1"
    db = _connected(path, "rw" if writable else reading)
    try:
        if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone() is None:
            raise sqlite3.DatabaseError("it is another database")
        (schema,) = db.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone() or (0,)
        if schema != SCHEMA:
            raise StoreError(
                f"it is of schema {schema}, and this tracediff reads {SCHEMA}",
                slug="store-newer",
                hint="delete it, or update tracediff",
            )
    except BaseException:
        db.close()
        raise
    return db, writable


def _make(path: Path) -> None:
    """Make the file under its final name at once, in WAL mode; one process at a time."""
    ignore = path.parent / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")
    with locked(path.parent):
        if path.exists():
            return
        set_aside(path)  # a log that was left alone would be played into the new file
        fresh = path.with_name(f".tmp-{path.name}-{os.getpid()}")
        try:
            db = _connected(fresh, "rwc")
            try:
                db.execute("PRAGMA journal_mode = WAL")
                db.executescript(_TABLES)
                db.execute("INSERT INTO meta VALUES ('schema', ?)", (SCHEMA,))
            finally:
                db.close()
            fresh.replace(path)
        finally:
            for suffix in ("", "-wal", "-shm"):
                fresh.with_name(f"{fresh.name}{suffix}").unlink(missing_ok=True)


def _connected(path: Path, mode: str) -> sqlite3.Connection:
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=_PATIENCE, isolation_level=None
    )
    try:
        db.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        db.close()
        raise
    return db


@contextlib.contextmanager
def _writing(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise

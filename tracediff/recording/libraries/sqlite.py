"""``sqlite3``: what a query reads is an input, a statement that changes something an output.

Connections and cursors are of classes below the library's own, which keep their behaviour. In a
replay they lie on an empty database in memory, from which only the names of columns come. Rows are
recorded as the job fetches them: of a cursor that is read half, that half.
"""

from __future__ import annotations

import functools
import os
import re
import sqlite3
from collections.abc import Iterable, Iterator
from time import perf_counter_ns
from typing import Any

from tracediff import runtime
from tracediff.config import Config
from tracediff.recording.buffers import Items
from tracediff.recording.libraries.patching import Patch
from tracediff.recording.libraries.reach import Reach, recorded_here, refuse_output
from tracediff.recording.serving import answer
from tracediff.recording.spans import Span, open_span

_HEAD = re.compile(r"(?:\s+|--[^\n]*\n|/\*.*?\*/)*(\w*)", re.DOTALL)
_CHANGES = re.compile(r"\b(?:insert|update|delete|replace)\b", re.IGNORECASE)
_MEMORY = frozenset({":memory:", ""})


def patches(config: Config) -> Iterable[Patch]:
    """What records the library."""
    return [Patch(sqlite3, "connect", _connecting(sqlite3.connect), everywhere=True)]


def _connect(database: str) -> None:
    """Open a database."""


def _query(database: str, sql: str, parameters: Any) -> None:
    """Read: what is recorded are the cursor's columns and counts."""


def _rows(database: str, sql: str, parameters: Any) -> None:
    """The rows of a query."""


def _change(database: str, sql: str, parameters: Any) -> None:
    """Write: what is recorded are the cursor's columns and counts."""


def _end(database: str) -> None:
    """Commit or roll back."""


CONNECT = Reach("input", "sqlite3.connect", _connect)
QUERY = Reach("input", "sqlite3 query", _query)
ROWS = Reach("input", "sqlite3 rows", _rows)
MORE = Reach("input", "sqlite3 rows that were not fetched", _rows)
CHANGE = Reach("output", "sqlite3 statement", _change)
COMMIT = Reach("output", "sqlite3 commit", _end)
ROLLBACK = Reach("output", "sqlite3 rollback", _end)


def _connecting(real: Any) -> Any:
    @functools.wraps(real)
    def connect(database: Any, *args: Any, **kwargs: Any) -> Any:
        given = isinstance(database, str | bytes | os.PathLike)
        name = os.fsdecode(database) if given else ""
        if len(args) > 4 or "factory" in kwargs or name in _MEMORY or "mode=memory" in name:
            return real(database, *args, **kwargs)
        kwargs["factory"] = Connection
        parent = recorded_here()
        if parent is None and runtime.guard is None:
            return _named(real(database, *args, **kwargs), name)
        if parent is None:
            return _outside(real, database, name, args, kwargs)
        made: list[Any] = []

        def run(database_: str) -> None:
            made.append(real(database, *args, **kwargs))

        CONNECT(parent, name, run=run)
        return _named(made[0] if made else real(":memory:", *args, **kwargs), name, not made)

    return connect


def _named(connection: Connection, name: str, empty: bool = False) -> Connection:
    connection.database, connection.empty = name, empty
    return connection


def _outside(real: Any, database: Any, name: str, args: Any, kwargs: Any) -> Connection:
    """In a replay, but not in the job: the real database where there is one; none is made."""
    there = os.path.exists(name) or name.startswith("file:")
    return _named(real(database if there else ":memory:", *args, **kwargs), name, not there)


class Connection(sqlite3.Connection):
    """A connection whose statements are recorded while a job runs."""

    database = ""
    empty = False
    changed = False

    def cursor(self, factory: Any = None) -> Any:
        """A cursor that records; one of the program's own class is a plain one."""
        return super().cursor(Cursor if factory is None else factory)

    def execute(self, sql: str, parameters: Any = (), /) -> Any:
        """A cursor that has run the statement."""
        return self.cursor().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Any, /) -> Any:
        """A cursor that has run the statement for each of the parameters."""
        return self.cursor().executemany(sql, parameters)

    def executescript(self, script: str, /) -> Any:
        """A cursor that has run the script."""
        return self.cursor().executescript(script)

    def commit(self) -> None:
        """End the transaction: an output."""
        self._end(COMMIT, super().commit)

    def rollback(self) -> None:
        """Undo the transaction: an output."""
        self._end(ROLLBACK, super().rollback)

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open; in a replay, whether one would be."""
        return self.changed if self.served() else super().in_transaction

    def served(self) -> bool:
        """Whether a replay answers, so that the database is not asked."""
        parent = recorded_here()
        return self.empty or (parent is not None and parent.buffer.server is not None)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> Any:
        """Commit, or roll back what raised."""
        if error is None:
            self.commit()
        else:
            self.rollback()
        return False

    def _end(self, reach: Reach, real: Any) -> None:
        parent = recorded_here()
        if parent is None:
            if runtime.guard is not None:
                refuse_output(reach.mark.name)
            real()
        else:
            reach(parent, self.database, run=lambda _: real())
        self.changed = False


class Cursor(sqlite3.Cursor):
    """A cursor whose statements and rows are recorded while a job runs."""

    counts: tuple[int, int | None] | None = None
    query: tuple[Any, ...] | None = None
    rows: _Rows | None = None
    ran = False

    def execute(self, sql: str, parameters: Any = (), /) -> Any:
        """Run a statement."""
        return self._run(sql, parameters, super().execute)

    def executemany(self, sql: str, parameters: Any, /) -> Any:
        """Run a statement for each of the parameters."""
        if recorded_here() is not None:
            parameters = list(parameters)
        return self._run(sql, parameters, super().executemany)

    def executescript(self, script: str, /) -> Any:
        """Run several statements."""
        return self._run(script, None, lambda sql, _: super(Cursor, self).executescript(sql))

    @property
    def rowcount(self) -> int:
        """How many rows the statement changed."""
        return super().rowcount if self.counts is None else self.counts[0]

    @property
    def lastrowid(self) -> int | None:
        """The id of the row that was inserted last."""
        return super().lastrowid if self.counts is None else self.counts[1]

    def fetchone(self) -> Any:
        """The next row, or None."""
        if self.query is None:
            return super().fetchone()
        factory = self.row_factory
        self.row_factory = None
        try:
            row = self._next()
        finally:
            self.row_factory = factory
        return row if row is None or factory is None else factory(self, row)

    def fetchmany(self, size: int | None = None) -> list[Any]:
        """The next rows, as many as asked for."""
        if self.query is None:
            return super().fetchmany(self.arraysize if size is None else size)
        wanted = self.arraysize if size is None else size
        found: list[Any] = []
        while len(found) < wanted and (row := self.fetchone()) is not None:
            found.append(row)
        return found

    def fetchall(self) -> list[Any]:
        """The rows that are left."""
        return super().fetchall() if self.query is None else list(self)

    def __next__(self) -> Any:
        """The next row."""
        if self.query is None:
            return super().__next__()
        row = self.fetchone()
        if row is None:
            raise StopIteration
        return row

    def _next(self) -> tuple[Any, ...] | None:
        parent = recorded_here()
        if parent is None and self.ran:
            row: tuple[Any, ...] | None = super().fetchone()
            return row
        if parent is None or self.query is None:
            return None
        if self.rows is None:
            self.rows = _Rows(parent, self.query, self.ran)
        return self.rows.next(super().fetchone)

    def _run(self, sql: Any, parameters: Any, real: Any) -> Any:
        connection: Any = self.connection
        parent = recorded_here() if type(sql) is str else None
        self.counts = self.query = self.rows = None
        changes = changing(sql) if type(sql) is str else True
        if parent is None or type(connection) is not Connection or not connection.database:
            of_file = isinstance(connection, Connection) and connection.database != ""
            if runtime.guard is not None and changes and of_file:
                refuse_output(CHANGE.mark.name)
            real(sql, parameters)
            return self
        ran: list[bool] = []

        def run(database: str, sql: str, parameters: Any) -> Any:
            real(sql, parameters)
            ran.append(True)
            columns = self.description
            names = None if columns is None else [column[0] for column in columns]
            return [names, _native("rowcount", self), _native("lastrowid", self)]

        reach = CHANGE if changes else QUERY
        said = reach(parent, connection.database, sql, parameters, run=run)
        self.ran = bool(ran)
        self._begin(said, (connection.database, sql, parameters))
        connection.changed |= changes and connection.isolation_level is not None
        return self

    def _begin(self, said: Any, asked: tuple[Any, ...]) -> None:
        names, count, last = said if type(said) is list else (None, -1, None)
        if not self.ran:  # the columns' names, which rows of the library's own class take from here
            columns = ["NULL AS " + _quoted(str(one)) for one in names or ()]
            super().execute(f"SELECT {', '.join(columns)}" if columns else "")
        self.counts = (count, last)
        self.query = asked if names is not None else None


class _Rows:
    """The rows of one query, as they are fetched.

    Args:
        parent: The span they are fetched in first.
        query: The database, the statement and its parameters.
        ran: Whether the query ran for real.
    """

    def __init__(self, parent: Span, query: tuple[Any, ...], ran: bool) -> None:
        self.parent = parent
        self.query = query
        self.ran = ran
        self.span = open_span(ROWS.mark, parent.buffer, parent, query, {})
        self.items = Items()
        self.span.result = self.items
        self.span.end = perf_counter_ns()
        self.served: Iterator[Any] = iter(())
        self.error: BaseException | None = None
        if not ran:
            found = answer(self.span, items=True)
            self.span.result = Items(found.data)
            self.served, self.error = iter(found.result or ()), found.error

    def next(self, real: Any) -> tuple[Any, ...] | None:
        """The next row, None at the end, which is recorded as well."""
        if not self.ran:
            return self._again()
        try:
            row: tuple[Any, ...] | None = real()
        except Exception as error:
            self.span.error = self.span.buffer.fault(error, self.parent)
            raise
        finally:
            self.span.end = perf_counter_ns()
        if row is not None or not self.items or self.items[-1] is not None:
            self.items.append(self.span.buffer.capture(row))
        return row

    def _again(self) -> tuple[Any, ...] | None:
        for row in self.served:
            if row is None:
                self.served = iter((None,))  # however often it is asked for
            return row  # type: ignore[no-any-return]  # a recorded tuple
        if self.error is not None:
            self.span.error = self.span.buffer.fault(self.error, self.parent)
            raise self.error
        return MORE(self.parent, *self.query)  # type: ignore[no-any-return]  # there is none recorded


def changing(sql: str) -> bool:
    """Whether a statement writes, or begins or ends a transaction."""
    found = _HEAD.match(sql)
    word = found[1].lower() if found is not None else ""
    if word == "with":
        return _CHANGES.search(sql) is not None
    if word == "pragma":
        return "=" in sql
    return word not in ("select", "values", "explain")


def _native(name: str, cursor: Cursor) -> Any:
    return vars(sqlite3.Cursor)[name].__get__(cursor)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'

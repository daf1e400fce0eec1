"""``sqlite3``: what a query reads is an input, a statement that changes something an output.

Connections and cursors are of classes below the library's own, which keep their behaviour. In a
replay they lie on an empty database in memory, from which only the names of columns come. Rows are
recorded as the job fetches them: of a cursor that is read half, that half.
"""

from __future__ import annotations

import functools
import os
import sqlite3
from collections.abc import Iterable
from typing import Any

from tracediff import runtime
from tracediff.config import Config
from tracediff.recording.libraries.patching import Patch
from tracediff.recording.libraries.reach import Reach, recorded_here, refuse_output
from tracediff.recording.libraries.rows import Rows, RowsOf
from tracediff.recording.libraries.sealing import (
    sealed_parameters,
    sealed_statement,
    secret_names,
)
from tracediff.recording.libraries.statements import changing

_MEMORY = frozenset({":memory:", ""})


def patches(config: Config) -> Iterable[Patch]:
    """What records the library."""
    connect = _connecting(sqlite3.connect, os.path.join(config.root, ""))
    return [Patch(sqlite3, "connect", connect, everywhere=True)]


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
ROWS = RowsOf("sqlite3", _rows)
CHANGE = Reach("output", "sqlite3 statement", _change)
COMMIT = Reach("output", "sqlite3 commit", _end)
ROLLBACK = Reach("output", "sqlite3 rollback", _end)


def _connecting(real: Any, root: str) -> Any:
    @functools.wraps(real)
    def connect(database: Any, *args: Any, **kwargs: Any) -> Any:
        given = isinstance(database, str | bytes | os.PathLike)
        name = os.fsdecode(database) if given else ""
        if len(args) > 4 or "factory" in kwargs or name in _MEMORY or "mode=memory" in name:
            return real(database, *args, **kwargs)
        kwargs["factory"] = Connection
        parent = recorded_here()
        if parent is None and runtime.guard is None:
            return _named(real(database, *args, **kwargs), name.removeprefix(root))
        if parent is None:
            made_outside = _outside(real, database, name, args, kwargs)
            return _named(made_outside, name.removeprefix(root), made_outside.empty)
        made: list[Any] = []

        def run(database_: str) -> None:
            made.append(real(database, *args, **kwargs))

        shown = name.removeprefix(root)  # the project's own is elsewhere where old code is laid out
        CONNECT(parent, shown, run=run)
        return _named(made[0] if made else real(":memory:", *args, **kwargs), shown, not made)

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
    columns: tuple[str, ...] = ()
    rows: Rows | None = None
    ran = False

    def execute(self, sql: str, parameters: Any = (), /) -> Any:
        """Run a statement."""
        return self._run(sql, parameters, super().execute)

    def executemany(self, sql: str, parameters: Any, /) -> Any:
        """Run a statement for each of the parameters."""
        if recorded_here() is not None:
            parameters = list(parameters)
        return self._run(sql, parameters, super().executemany, many=True)

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
        found = self._fetch(1, functools.partial(_one, super().fetchone))
        return found[0] if found else None

    def fetchmany(self, size: int | None = None) -> list[Any]:
        """The next rows, as many as asked for."""
        wanted = self.arraysize if size is None else size
        return self._fetch(wanted, functools.partial(super().fetchmany, wanted))

    def fetchall(self) -> list[Any]:
        """The rows that are left."""
        return self._fetch(None, super().fetchall)

    def __next__(self) -> Any:
        """The next row."""
        row = self.fetchone()
        if row is None:
            raise StopIteration
        return row

    def _fetch(self, size: int | None, real: Any) -> list[Any]:
        parent = recorded_here()
        if self.query is None or (parent is None and self.ran):
            return real()  # type: ignore[no-any-return]  # a list
        if parent is None:
            return []
        if self.rows is None:
            names = secret_names(parent.buffer.redactor, self.query[1], self.columns)
            self.rows = Rows(ROWS, parent, self.query, ran=self.ran, columns=names)
        factory = self.row_factory
        self.row_factory = None
        try:
            found = self.rows.several(real, size)
        finally:
            self.row_factory = factory
        return found if factory is None else [factory(self, row) for row in found]

    def _run(self, sql: Any, parameters: Any, real: Any, *, many: bool = False) -> Any:
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

        def run(*_: Any) -> Any:
            real(sql, parameters)
            ran.append(True)
            columns = self.description
            names = None if columns is None else [column[0] for column in columns]
            return [names, _native("rowcount", self), _native("lastrowid", self)]

        reach = CHANGE if changes else QUERY
        shown = sealed_parameters(parent.buffer, sql, parameters, many=many)
        asked = (connection.database, sealed_statement(parent.buffer, sql), shown)
        said = reach(parent, *asked, run=run)
        self.ran = bool(ran)
        self._begin(said, asked)
        connection.changed |= changes and connection.isolation_level is not None
        return self

    def _begin(self, said: Any, asked: tuple[Any, ...]) -> None:
        names, count, last = said if type(said) is list else (None, -1, None)
        if not self.ran:  # the columns' names, which rows of the library's own class take from here
            columns = ["NULL AS " + _quoted(str(one)) for one in names or ()]
            super().execute(f"SELECT {', '.join(columns)}" if columns else "")
        self.counts = (count, last)
        self.columns = tuple(names or ())
        self.query = asked if names is not None else None


def _one(fetch: Any) -> list[Any]:
    row = fetch()
    return [] if row is None else [row]


def _native(name: str, cursor: Cursor) -> Any:
    return vars(sqlite3.Cursor)[name].__get__(cursor)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'

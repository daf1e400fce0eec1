"""What stands in a replay for libpq's objects: psycopg's own cursors and connections work on them.

So row factories, several result sets, ``description``, ``scroll`` and transactions are psycopg's in
a replay too, and nothing reaches a server.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NoReturn

from psycopg import pq
from psycopg.adapt import Transformer

from tracediff.recording.libraries.queries import Query
from tracediff.recording.libraries.statements import transaction_after
from tracediff.runtime import ReplayAbort

IDLE, INTRANS, INERROR = (
    pq.TransactionStatus.IDLE,
    pq.TransactionStatus.INTRANS,
    pq.TransactionStatus.INERROR,
)


class StandIn:
    """Stands for libpq's connection.

    Args:
        given: The address, and the arguments of ``connect``, for statements that run for real.
        address: The parameters of the connection, by name.
    """

    def __init__(self, given: tuple[str, dict[str, Any]], address: dict[str, Any]) -> None:
        self.given = given
        self.address = address
        self.status = pq.ConnStatus.OK
        self.transaction_status = IDLE
        self.pipeline_status = pq.PipelineStatus.OFF
        self.facts: dict[str, Any] = {}
        self.real: Any = None
        self.notice_handler = self.notify_handler = None
        self.socket = -1
        self.info: list[Any] = []
        self.error_message = b""
        self.protocol_version, self.full_protocol_version = 3, 30000
        self.used_gssapi = self.ssl_in_use = False
        self._encoding = "utf-8"

    def ends(self, text: str) -> None:
        """A statement has worked: whether a transaction is open now."""
        is_open = transaction_after(text, self.transaction_status != IDLE)
        if not is_open:
            self.transaction_status = IDLE
        elif self.transaction_status == IDLE or text.upper().startswith("ROLLBACK"):
            self.transaction_status = INTRANS

    def fails(self, closed: bool) -> None:
        """A statement has raised."""
        if closed:
            self.finish()
        elif self.transaction_status == INTRANS:
            self.transaction_status = INERROR

    def finish(self) -> None:
        """Close it."""
        self.status = pq.ConnStatus.BAD
        if self.real is not None:
            self.real.close()

    def parameter_status(self, name: bytes) -> bytes | None:
        """What the server said of itself when the job first used it."""
        found = (self.facts.get("parameters") or {}).get(name.decode())
        return None if found is None else str(found).encode()

    @property
    def server_version(self) -> int:
        """As ``parameter_status``."""
        return int(self.facts.get("server_version") or 0)

    @property
    def backend_pid(self) -> int:
        """As ``parameter_status``."""
        return int(self.facts.get("backend_pid") or 0)

    def _given(self, name: str) -> bytes:
        return str(self.address.get(name) or "").encode()

    host = property(lambda self: self._given("host"))
    hostaddr = property(lambda self: self._given("hostaddr"))
    port = property(lambda self: self._given("port"))
    db = property(lambda self: self._given("dbname"))
    user = property(lambda self: self._given("user"))
    password = property(lambda self: self._given("password"))
    options = property(lambda self: self._given("options"))

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise ReplayAbort(
            f"the job uses libpq's own {name!r}, and there is no server in a replay",
            slug="driver-not-recorded",
            hint="run the statement with a cursor of psycopg",
        )


_SIZES = {
    16: 1, 18: 1, 19: 64, 20: 8, 21: 2, 23: 4, 26: 4, 28: 4, 700: 4, 701: 8, 790: 8, 1082: 4,
    1083: 8, 1114: 8, 1184: 8, 1186: 16, 1266: 12, 2950: 16,
}  # fmt: skip
"""The bytes of PostgreSQL's types that are always as long, by their number."""


class Result:
    """Stands for libpq's result.

    Args:
        said: What the recorded cursor said.
        status: Which kind of result it is.
    """

    binary_tuples = False

    def __init__(self, said: dict[str, Any], status: pq.ExecStatus | None = None) -> None:
        self._said = said
        self._columns: list[str] | None = said.get("columns")
        has_rows = self._columns is not None
        count = said.get("rowcount")
        is_whole = has_rows and count != -1  # one of a cursor in the server has none yet
        self.status = status or (pq.ExecStatus.TUPLES_OK if is_whole else pq.ExecStatus.COMMAND_OK)
        self.nfields = len(self._columns or ())
        self.ntuples = max(0, count or 0) if has_rows else 0
        self.command_tuples = None if count is None or count < 0 else count
        message = said.get("status")
        self.command_status = b"" if message is None else str(message).encode()

    def fname(self, at: int) -> bytes:
        """The name of a column."""
        return str((self._columns or ())[at]).encode()

    def ftype(self, at: int) -> int:
        """Its type's number."""
        return self._number("types", at, 0)

    def fmod(self, at: int) -> int:
        """What limits its type."""
        return self._number("modifiers", at, -1)

    def fsize(self, at: int) -> int:
        """The bytes of a value."""
        return _SIZES.get(self.ftype(at), -1)

    def fformat(self, at: int) -> int:
        """Text."""
        return 0

    def _number(self, name: str, at: int, other: int) -> int:
        found = self._said.get(name)
        return int(found[at]) if found else other


class Loaded:
    """Stands for what makes values of a result: it has them.

    Args:
        cursor: Whose they are.
        query: Gives more of them, from the recording.
        rows: Those that are there.
    """

    def __init__(self, cursor: Any, query: Query | None, rows: list[Any] | None = None) -> None:
        self.query = query
        self.rows = rows if rows is not None else []
        self.sets: list[list[Any]] = []
        self._cursor = cursor
        self._plain: Any = None

    def set_pgresult(self, result: Any, **options: Any) -> None:
        """Go to another result set."""
        if self.sets:
            self.rows = self.sets[self._cursor._iresult]

    def load_row(self, row: int, make_row: Any) -> Any:
        """A row, None where there is none."""
        found = self.load_rows(row, row + 1, make_row)
        return found[0] if found else None

    def load_rows(self, start: int, end: int, make_row: Any) -> list[Any]:
        """Some rows."""
        query = self.query
        while query is not None and len(self.rows) < end and (row := query.again()) is not None:
            self.rows.append(row)
        return [row if make_row is tuple else make_row(row) for row in self.rows[start:end]]

    def page(self, size: int | None, make_row: Any) -> list[Any]:
        """The next rows of a cursor in the server."""
        query = self.query
        found: list[Any] = []
        if query is None:
            found, self.rows = self.rows[:size], self.rows[len(self.rows[:size]) :]
        while query is not None and (size is None or len(found) < size):
            try:
                row = query.again()
            except BaseException:
                self._cursor.connection.pgconn.fails(query.broke)
                raise
            if row is None:
                break
            found.append(row)
        return [row if make_row is tuple else make_row(row) for row in found]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if self._plain is None:
            self._plain = transformer(self._cursor)
        return getattr(self._plain, name)


def transformer(cursor: Any) -> Any:
    """What turns values into texts for a server, without one."""
    context: Any = SimpleNamespace(adapters=cursor.adapters, connection=None)
    return Transformer(context)


class Noted:
    """What makes values of a result, which are recorded as the job fetches them.

    Args:
        real: Psycopg's own.
        query: The statement.
        total: How many rows there are; None where they come in pages.
        here: Whether the job still runs here.
    """

    def __init__(self, real: Any, query: Query, total: int | None, here: Any) -> None:
        self.real = real
        self.query = query
        self._total = total
        self._have = 0
        self._here = here

    def load_row(self, row: int, make_row: Any) -> Any:
        """A row."""
        return self.load_rows(row, row + 1, make_row)[0]

    def load_rows(self, start: int, end: int, make_row: Any) -> list[Any]:
        """Some rows: those before them are recorded too, which the job has gone past."""
        have, query = self._have, self.query
        if self._here() is None or (self._total is not None and end <= have):
            found: list[Any] = self.real.load_rows(start, end, make_row)
            return found
        rows: list[Any] = self.real.load_rows(
            start if self._total is None else min(have, end), end, tuple
        )
        query.adds(rows)
        if self._total is not None:
            self._have = end
            if end >= self._total:
                query.ends()
            if start != have:
                rows = self.real.load_rows(start, end, tuple)
        return rows if make_row is tuple else [make_row(row) for row in rows]

    def __getattr__(self, name: str) -> Any:
        if name == "real":
            raise AttributeError(name)
        return getattr(self.real, name)

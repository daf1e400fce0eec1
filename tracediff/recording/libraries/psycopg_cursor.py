"""The cursors of psycopg: their statements and rows, recorded and served.

A cursor stays psycopg's own. While recording, what makes values of its result is one of ours around
psycopg's; in a replay its result is one of ours as well.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from psycopg import Connection, pq, sql
from psycopg.rows import tuple_row

from tracediff import runtime
from tracediff.recording.faults import brief
from tracediff.recording.libraries.cursors import by_name, known
from tracediff.recording.libraries.madeup import made_up
from tracediff.recording.libraries.psycopg_connection import (
    DRIVER,
    changes,
    database,
    is_prepared_here,
    real_connect,
)
from tracediff.recording.libraries.psycopg_served import (
    IDLE,
    INTRANS,
    Loaded,
    Noted,
    Result,
    StandIn,
    transformer,
)
from tracediff.recording.libraries.queries import Query
from tracediff.recording.libraries.reach import recorded_here
from tracediff.recording.libraries.statements import changing, subject
from tracediff.recording.spans import Span

NAME = "psycopg"
_TUPLES = pq.ExecStatus.TUPLES_OK
_BAD = pq.ConnStatus.BAD
_OWN = frozenset({Noted, Loaded})


class Asking:
    """One statement of a cursor.

    Args:
        cursor: Psycopg's.
        parent: What ``recorded_here`` gave.
        query: The statement as the program gave it.
        params: Its parameters.
        many: Whether ``params`` are those of several runs.
    """

    __slots__ = (
        "count",
        "cursor",
        "known",
        "params",
        "parent",
        "query",
        "shown",
        "sql",
        "statement",
    )

    def __init__(
        self, cursor: Any, parent: Span, query: Any, params: Any, *, many: bool = False
    ) -> None:
        self.cursor = cursor
        self.parent = parent
        self.params = params
        self.count = len(params) if many else 1
        self.sql = text = query if type(query) is str else text_of(query)
        statement = known(NAME, text)
        where = database(cursor.connection, parent)
        given = by_name(text, params, many=True) if many else statement.named(params, text)
        shown, text = statement.shown(parent.buffer, text, given, many=many)
        self.shown = shown
        if statement.changes:
            changes(cursor.connection)
        self.statement, self.known = query, statement
        self.query = Query(statement.step, statement.more, parent, (shown, text, where))

    def noted(self) -> None:
        """Record what psycopg's cursor says, and its rows as they are fetched; never raises."""
        try:
            self._note()
        except Exception as error:  # a recorder never breaks the job
            _unnoted(self.parent, error)

    def _note(self) -> None:
        cursor = self.cursor
        results = cursor._results
        if len(results) < 2:
            result = cursor.pgresult
            said = said_of(cursor, result)
            columns = said.get("columns")
            self.query.tells(said, columns or (), self.known)
            if columns is not None:
                total = None if result.status != _TUPLES else result.ntuples
                cursor._tx = Noted(cursor._tx, self.query, total, recorded_here)
            return
        for at, result in enumerate(results):
            cursor._select_current_result(at)
            said = said_of(cursor, result)
            self.query.tells(said, said.get("columns") or ())
            if result.status == _TUPLES:
                self.query.adds(cursor._tx.load_rows(0, result.ntuples, tuple))
        cursor._select_current_result(0)

    def failed(self) -> None:
        """Note that psycopg closed the connection, where it did."""
        if self.cursor.connection.closed:
            self.query.breaks()

    def serve(self) -> None:
        """Give the cursor what is recorded of the statement."""
        cursor, query = self.cursor, self.query
        held = cursor.connection.pgconn
        _begin(cursor.connection, held)
        if query.ran:  # for real, where a replay may
            query.ran = False
            sets = run_for_real(held, self.statement, self.params)
            query.tells(sets[0][0], sets[0][0].get("columns") or ())
            query.adds([row for _, rows in sets for row in rows])
            give(cursor, sets)
        elif query.error is not None and (query.said is None or query.broke):
            held.fails(query.broke)
            return
        elif query.said is None:
            said, rows = made_up(self.parent.buffer, self.sql, self.shown, self.count)
            if rows is None:
                known(NAME, self.sql).more(self.parent, *query._asked)
            give(cursor, [(said, rows or [])])
        elif "sets" in query.said:
            give(cursor, list(query.sets()))
        else:
            _put(cursor, [Result(query.said)], Loaded(cursor, query), query.said)
        held.ends(self.sql)


def text_of(query: Any) -> str:
    """The text of a statement that is no str."""
    if isinstance(query, bytes | bytearray):
        return bytes(query).decode(errors="replace")
    try:
        return query.as_string(None) if isinstance(query, sql.Composable) else str(query)
    except Exception:  # what the program composed
        return type(query).__name__


def said_of(cursor: Any, result: Any) -> dict[str, Any]:
    """What a cursor says of its result."""
    said: dict[str, Any] = {}
    if result is not None and (result.nfields or result.status == _TUPLES):
        places = range(result.nfields)
        encoding = cursor._encoding
        said["columns"] = [result.fname(at).decode(encoding) for at in places]
        said["types"] = [result.ftype(at) for at in places]
        limits = [result.fmod(at) for at in places]
        if limits.count(-1) < len(limits):
            said["modifiers"] = limits
    said["rowcount"] = cursor.rowcount
    said["status"] = cursor.statusmessage
    results = cursor._results
    if len(results) > 1 and result is results[0]:
        said["sets"] = len(results)
    return said


def give(cursor: Any, sets: list[tuple[dict[str, Any], list[Any]]]) -> None:
    """Give a cursor result sets, whose rows are all there."""
    loaded = Loaded(cursor, None, sets[0][1])
    loaded.sets = [rows for _, rows in sets]
    _put(cursor, [Result(said) for said, _ in sets], loaded, sets[0][0])


def _put(cursor: Any, results: list[Any], loaded: Loaded, said: dict[str, Any]) -> None:
    cursor._reset()
    cursor._tx = loaded
    cursor._results = results
    cursor._select_current_result(0)
    if hasattr(cursor, "_described"):  # one in the server
        cursor._described, cursor._iter_rows, cursor._page_pos = True, None, 0
    if "columns" not in said:
        cursor._rowcount = said.get("rowcount", -1)


def _begin(connection: Any, held: StandIn) -> None:
    if not connection.autocommit and held.transaction_status == IDLE:
        held.transaction_status = INTRANS


def run_for_real(
    held: StandIn, query: Any, params: Any
) -> list[tuple[dict[str, Any], list[tuple[Any, ...]]]]:
    """Run a statement on a connection of its own, which is rolled back: what it gives."""
    if held.real is None:
        conninfo, options = held.given
        held.real = real_connect(Connection, conninfo, **options)
    connection = held.real
    try:
        with connection.cursor(row_factory=tuple_row) as cursor:
            cursor.execute(query, params)
            found = []
            for at, result in enumerate(cursor._results):
                cursor._select_current_result(at)
                rows = cursor.fetchall() if result.status == _TUPLES else []
                found.append((said_of(cursor, result), rows))
            return found
    finally:
        connection.rollback()


def _unnoted(parent: Span, error: Exception) -> None:
    parent.buffer.warn(f"{NAME}: what a statement gave could not be recorded: {brief(error)}")


def bare(cursor: Any) -> None:
    """Give a cursor back what is psycopg's own."""
    held = getattr(cursor, "_tx", None)
    if type(held) is Noted:
        cursor._tx = held.real


def asks(cursor: Any, query: Any, params: Any, *, many: bool = False) -> Asking | None:
    """The statement that is recorded or served; None where the call is a plain one.

    A replay refuses it where nothing answers.
    """
    bare(cursor)
    parent = recorded_here()
    connection = cursor.connection
    held = connection.pgconn
    if parent is not None and (is_prepared_here(connection) or DRIVER.serves_another()):
        return None
    if parent is None:
        if type(held) is StandIn and held.status != _BAD and not is_prepared_here(connection):
            refuse(query)
        return None
    if connection._pipeline is not None:
        parent.buffer.warn(f"{NAME}: statements in a pipeline are not recorded")
        return None
    if cursor.closed or held.status == _BAD:
        return None  # psycopg says so
    if parent.buffer.server is not None and type(held) is not StandIn:
        refuse(query, inside=True)
    return Asking(cursor, parent, query, params, many=many)


def refuse(query: Any, *, inside: bool = False) -> None:
    """Raise where a replay reaches a statement outside of its job, unless it may read there."""
    text = query if type(query) is str else text_of(query)
    guard = runtime.guard
    if guard is not None and (inside or runtime.current.get() is None):
        guard.refuse("output" if changing(text) else "input", f"{NAME} {subject(text)}")


def _plainly(cursor: Any, real: Callable[..., Any], query: Any, params: Any, kwargs: Any) -> Any:
    """A statement that nothing records; on a stand-in it runs on a connection of its own."""
    held = cursor.connection.pgconn
    if type(held) is StandIn and held.status != _BAD:
        own = is_prepared_here(cursor.connection)
        give(cursor, [({}, [])] if own else run_for_real(held, query, params))
        return None
    return real(cursor, query, params, **kwargs)


def executing(real: Any) -> Any:
    """``execute`` of a cursor."""

    @functools.wraps(real)
    def execute(self: Any, query: Any, params: Any = None, **kwargs: Any) -> Any:
        asking = asks(self, query, params)
        if asking is None:
            _plainly(self, real, query, params, kwargs)
        elif type(self.connection.pgconn) is StandIn:
            asking.serve()
            asking.query.settle()
        else:
            try:
                with asking.query:
                    real(self, query, params, **kwargs)
            except BaseException:
                asking.failed()
                raise
            asking.noted()
        return self

    return execute


def executing_async(real: Any) -> Any:
    """``execute`` of an asynchronous cursor."""

    @functools.wraps(real)
    async def execute(self: Any, query: Any, params: Any = None, **kwargs: Any) -> Any:
        asking = asks(self, query, params)
        if asking is None:
            found = _plainly(self, real, query, params, kwargs)
            if found is not None:
                await found
        elif type(self.connection.pgconn) is StandIn:
            asking.serve()
            await asking.query.settled()
        else:
            try:
                with asking.query:
                    await real(self, query, params, **kwargs)
            except BaseException:
                asking.failed()
                raise
            asking.noted()
        return self

    return execute


def executing_many(real: Any) -> Any:
    """``executemany`` of a cursor."""

    @functools.wraps(real)
    def executemany(self: Any, query: Any, params_seq: Any, **kwargs: Any) -> None:
        asking, many = _many(self, query, params_seq)
        if asking is None:
            real(self, query, many, **kwargs)
        elif type(self.connection.pgconn) is StandIn:
            asking.serve()
            asking.query.settle()
        else:
            try:
                with asking.query:
                    real(self, query, many, **kwargs)
            except BaseException:
                asking.failed()
                raise
            asking.noted()

    return executemany


def executing_many_async(real: Any) -> Any:
    """``executemany`` of an asynchronous cursor."""

    @functools.wraps(real)
    async def executemany(self: Any, query: Any, params_seq: Any, **kwargs: Any) -> None:
        asking, many = _many(self, query, params_seq)
        if asking is None:
            await real(self, query, many, **kwargs)
        elif type(self.connection.pgconn) is StandIn:
            asking.serve()
            await asking.query.settled()
        else:
            try:
                with asking.query:
                    await real(self, query, many, **kwargs)
            except BaseException:
                asking.failed()
                raise
            asking.noted()

    return executemany


def _many(cursor: Any, query: Any, given: Any) -> tuple[Asking | None, Any]:
    if recorded_here() is None:
        bare(cursor)
        if type(cursor.connection.pgconn) is StandIn:
            refuse(query)
        return None, given
    many = given if isinstance(given, list | tuple) else list(given)
    return asks(cursor, query, many, many=True), many


def quoting(real: Any) -> Any:
    """``mogrify`` of a cursor: a replay quotes without a server."""

    @functools.wraps(real)
    def mogrify(self: Any, query: Any, params: Any = None) -> str:
        if type(self._pgconn) is not StandIn:
            bare(self)
            return str(real(self, query, params))
        self._tx = transformer(self)
        return str(self._convert_query(query, params).query.decode(self._encoding))

    return mogrify


def fetching(real: Any) -> Any:
    """What fetches of a cursor in the server, as psycopg's generators do."""

    @functools.wraps(real)
    def _fetch_gen(self: Any, num: int | None) -> Any:
        held = getattr(self, "_tx", None)
        if type(held) is Loaded:
            return held.page(num, self._make_row)
        parent = recorded_here()
        if type(held) is not Noted or parent is None:
            if parent is not None and not DRIVER.serves_another():
                parent.buffer.warn(
                    "psycopg: rows of a cursor that it did not declare itself are not recorded"
                )
            return (yield from real(self, num))
        try:
            rows = yield from real(self, num)
        except BaseException as error:
            held.query.fails(error)
            if self.connection.closed:
                held.query.breaks()
            raise
        if num is None or len(rows) < num:
            held.query.ends()
        return rows

    return _fetch_gen

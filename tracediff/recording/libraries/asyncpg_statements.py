"""The statements of asyncpg: those of its connections, prepared statements and cursors."""

from __future__ import annotations

import functools
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from tracediff import runtime
from tracediff.recording.buffers import Buffer
from tracediff.recording.faults import brief
from tracediff.recording.libraries.asyncpg_connection import (
    DRIVER,
    NAME,
    changed,
    changes,
    database,
    live,
)
from tracediff.recording.libraries.asyncpg_served import StandIn, cells, records
from tracediff.recording.libraries.cursors import by_name, known
from tracediff.recording.libraries.madeup import made_up
from tracediff.recording.libraries.queries import Query
from tracediff.recording.libraries.reach import Reach, recorded_here
from tracediff.recording.libraries.statements import changing, subject
from tracediff.recording.spans import Span
from tracediff.runtime import current

_OWN_NAME = re.compile(r"__asyncpg_(\w+?)_[0-9a-f]+__")
_NAMES = "asyncpg names"


def _end(database: str) -> None:
    """Commit or roll back."""


ENDS = {name: Reach("output", f"{NAME} {name}", _end) for name in ("commit", "rollback")}


def parent_of(connection: Any, sql: str) -> Span | None:
    """The span that a statement becomes a child of; None where it is a plain one.

    A replay refuses it where nothing answers.
    """
    parent = recorded_here()
    served = type(connection._protocol) is StandIn
    if parent is None and served and DRIVER.is_at_work():
        return None
    if parent is None:
        guard = runtime.guard
        if served and guard is not None and current.get() is None:
            guard.refuse("output" if changing(sql) else "input", f"{NAME} {subject(sql)}")
        return None
    if DRIVER.serves_another():
        return None
    if parent.buffer.server is not None and not served and runtime.guard is not None:
        runtime.guard.refuse("output" if changing(sql) else "input", f"{NAME} {subject(sql)}")
    return parent


def shown(buffer: Buffer, sql: str) -> str:
    """A statement, in which the names that asyncpg made up are numbered within the trace."""
    if "__asyncpg_" not in sql:
        return sql
    names: dict[str, str] = buffer.reached.setdefault(_NAMES, {})
    return _OWN_NAME.sub(lambda m: names.setdefault(m[0], f"{m[1]}_{len(names) + 1}"), sql)


class Asking:
    """One statement.

    Args:
        connection: Asyncpg's.
        parent: What ``parent_of`` gave.
        sql: Its text.
        params: Its parameters; a list of those of several runs.
        many: Whether there are several.
    """

    __slots__ = ("connection", "count", "known", "parent", "query", "shown", "sql")

    def __init__(
        self, connection: Any, parent: Span, sql: str, params: Any, *, many: bool = False
    ) -> None:
        self.connection = connection
        self.parent = parent
        self.sql = sql = shown(parent.buffer, sql)
        self.count = len(params) if many else 1
        statement = known(NAME, sql)
        where = database(connection, parent)
        given = params or None
        if given is not None:
            given = by_name(sql, given, many=True) if many else statement.named(given, sql)
        given, text = statement.shown(parent.buffer, sql, given, many=many)
        self.shown, self.known = given, statement
        if statement.changes:
            changes(connection)
        self.query = Query(statement.step, statement.more, parent, (given, text, where))

    async def run(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """What the server gives."""
        try:
            with self.query:
                return await call()
        except BaseException:
            if self.connection.is_closed():
                self.query.breaks()
            raise

    def noted(self, rows: Sequence[Any] | None, limit: int, status: bytes | str | None) -> None:
        """Record what the server gave; never raises."""
        try:
            self.page(rows or (), status)
            if limit == 0 or len(rows or ()) < limit:
                self.query.ends()
        except Exception as error:  # a recorder never breaks the job
            self.parent.buffer.warn(
                f"{NAME}: what a statement gave could not be recorded: {brief(error)}"
            )

    def page(self, rows: Sequence[Any], status: bytes | str | None = None) -> None:
        """Record some rows."""
        query = self.query
        if query.said is None:
            said: dict[str, Any] = {}
            if rows:
                said["columns"] = list(rows[0].keys())
            if status is not None:
                said["status"] = status if isinstance(status, str) else status.decode()
            query.tells(said, said.get("columns") or (), self.known)
        if rows:
            query.adds(list(cells(rows)))

    async def served(self, limit: int, kind: type) -> tuple[list[Any], str | None]:
        """What is recorded: the rows, at most ``limit`` unless that is 0, and the status."""
        held, query = self.connection._protocol, self.query
        if query.error is not None:
            held.fails(query.broke)
        await query.settled()
        held.ends(self.sql)
        held.queries_count += 1
        if query.said is None:
            said, rows = made_up(self.parent.buffer, self.sql, self.shown, self.count)
            if rows is None:
                known(NAME, self.sql).more(self.parent, *query._asked)  # none is recorded
            return records(said.get("columns") or (), rows or [], kind), _status(self.sql, said)
        rows = await self.take(limit)
        columns = query.said.get("columns") or ()
        status = query.said.get("status")
        return records(columns, rows, kind), status or _status(self.sql, {"rowcount": len(rows)})

    async def take(self, limit: int) -> list[Any]:
        """The next recorded rows."""
        rows: list[Any] = []
        if limit and self.query.said == {}:
            return rows
        while (not limit or len(rows) < limit) and (row := self._again()) is not None:
            rows.append(row)
        return rows

    def _again(self) -> Any:
        try:
            return self.query.again()
        except BaseException:
            self.connection._protocol.fails(self.query.broke)
            raise


def _status(sql: str, said: dict[str, Any]) -> str:
    """The status of a statement of which none is recorded."""
    verb = subject(sql).partition(" ")[0]
    count = max(0, said.get("rowcount", 0))
    return f"INSERT 0 {count}" if verb == "INSERT" else f"{verb} {count}"


def executing_rows(real: Any) -> Any:
    """What ``fetch`` and its like go through."""

    @functools.wraps(real)
    async def _execute(
        self: Any, query: str, args: Any, limit: int, timeout: Any, **options: Any
    ) -> Any:
        parent = parent_of(self, query)
        held = self._protocol
        if parent is None:
            if type(held) is StandIn and DRIVER.is_at_work():  # a pool prepares a connection
                return ([], b"", True) if options.get("return_status") else []
            if type(held) is StandIn:
                return await _for_real(self, real, query, args, limit, timeout, **options)
            return await real(self, query, args, limit, timeout, **options)
        asking = Asking(self, parent, query, args)
        whole = options.get("return_status", False)
        if type(held) is StandIn and not asking.query.ran:
            kind = options.get("record_class") or held.get_record_class()
            rows, status = await asking.served(limit, kind)
            return (rows, (status or "").encode(), True) if whole else rows
        call = _for_real if type(held) is StandIn else _plainly
        found = await asking.run(lambda: call(self, real, query, args, limit, timeout, **options))
        asking.noted(found[0] if whole else found, limit, found[1] if whole else None)
        return found

    return _execute


async def _plainly(connection: Any, real: Any, *args: Any, **options: Any) -> Any:
    return await real(connection, *args, **options)


async def _for_real(connection: Any, real: Any, *args: Any, **options: Any) -> Any:
    """A statement on a connection of its own, which is rolled back."""
    other = await live(connection)
    try:
        async with other.transaction(readonly=True):
            return await real(other, *args, **options)
    finally:
        await other.close()


def executing_text(real: Any) -> Any:
    """``execute``: with arguments it goes through the same as ``fetch``."""

    @functools.wraps(real)
    async def execute(self: Any, query: str, *args: Any, timeout: Any = None) -> Any:
        word = query[:12].strip(" ;\n").upper()
        parent = None if args else parent_of(self, query)
        held = self._protocol
        if args or (parent is None and type(held) is not StandIn):
            return await real(self, query, *args, timeout=timeout)
        if word.startswith(("BEGIN", "START")) or parent is None:
            return await _outside(self, real, query, timeout)
        if word in ("COMMIT", "END", "ROLLBACK", "ABORT"):
            return await _ending(self, parent, real, query, timeout)
        asking = Asking(self, parent, query, None)
        if type(held) is StandIn and not asking.query.ran:
            return (await asking.served(1, held.get_record_class()))[1]
        call = _for_real if type(held) is StandIn else _plainly
        status = await asking.run(lambda: call(self, real, query, timeout=timeout))
        asking.noted(None, 0, status)
        return status

    return execute


async def _outside(connection: Any, real: Any, query: str, timeout: Any) -> Any:
    """What is no step: the beginning of a transaction."""
    held = connection._protocol
    if type(held) is StandIn:
        held.ends(query)
        return query.strip(" ;").partition(" ")[0].upper()
    return await real(connection, query, timeout=timeout)


async def _ending(connection: Any, parent: Span, real: Any, query: str, timeout: Any) -> Any:
    """The end of a transaction: an output where something was written in it."""
    word = query.strip(" ;\n").upper()
    reach = ENDS["commit" if word in ("COMMIT", "END") else "rollback"]
    held = connection._protocol
    if not changed(connection):
        return await _outside(connection, real, query, timeout)
    ending = Query(reach, reach, parent, (database(connection, parent),))
    if type(held) is StandIn:
        held.ends(query)
        await ending.settled()
        return (ending.said or {}).get("status") or word
    with ending:
        status = await real(connection, query, timeout=timeout)
    ending.tells({"status": status})
    return status


def executing_many(real: Any) -> Any:
    """What ``executemany`` and ``fetchmany`` of a connection go through."""

    @functools.wraps(real)
    async def _executemany(
        self: Any, query: str, args: Any, timeout: Any, *more: Any, **options: Any
    ) -> Any:
        def call(given: Any) -> Awaitable[Any]:
            found: Awaitable[Any] = real(self, query, given, timeout, *more, **options)
            return found

        returns = bool(options.get("return_rows") or (more and more[0]))
        return await many(self, query, args, options.get("record_class"), call, returns=returns)

    return _executemany


async def many(
    connection: Any,
    query: str,
    args: Any,
    kind: type | None,
    call: Callable[[Any], Awaitable[Any]],
    *,
    returns: bool,
) -> Any:
    """Run a statement for each of the arguments."""
    parent = parent_of(connection, query)
    if parent is None:
        return await call(args)
    given = args if isinstance(args, list | tuple) else [one async for one in _each(args)]
    asking = Asking(connection, parent, query, given, many=True)
    held = connection._protocol
    if type(held) is StandIn:
        rows, _ = await asking.served(0, kind or held.get_record_class())
        return rows if returns else None
    found = await asking.run(lambda: call(given))
    asking.noted(found, 0, None)
    return found


async def _each(given: Any) -> Any:
    if hasattr(given, "__aiter__"):
        async for one in given:
            yield one
    else:
        for one in given:
            yield one

"""Prepared statements and cursors of asyncpg: their rows, recorded and served."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from tracediff.recording.libraries.asyncpg_connection import DRIVER, NAME, database
from tracediff.recording.libraries.asyncpg_served import StandIn, State, records
from tracediff.recording.libraries.asyncpg_statements import Asking, many, parent_of, shown
from tracediff.recording.libraries.reach import Reach, recorded_here
from tracediff.recording.spans import Span
from tracediff.runtime import current

_CURSORS, _PREPARED = "asyncpg cursors", "asyncpg prepared"


def _prepare(sql: str, database: str, attempt: int) -> None:
    """Prepare a statement."""


def _described(sql: str, database: str) -> None:
    """What the server says of a prepared statement."""


PREPARE = Reach("input", f"{NAME} prepare", _prepare)
DESCRIBED = Reach("input", f"{NAME} types", _described)


def preparing(real: Any) -> Any:
    """What asks the server to prepare a statement, which is recorded where it fails."""

    @functools.wraps(real)
    async def _get_statement(self: Any, query: str, timeout: Any, **options: Any) -> Any:
        parent = recorded_here()
        held = self._protocol
        served = type(held) is StandIn
        if parent is None or DRIVER.serves_another():
            if served:
                parent_of(self, query)
            return await real(self, query, timeout, **options)
        where = database(self, parent)
        attempts: dict[str, int] = parent.buffer.reached.setdefault(_PREPARED, {})
        sql = shown(parent.buffer, query)
        number = attempts[sql] = attempts.get(sql, 0) + 1
        if served:
            if (sql, number) in _failed(parent):
                PREPARE(parent, sql, where, number)
            kind = options.get("record_class") or held.get_record_class()
            return State(query, kind, self._get_unique_id("stmt"))
        token = DRIVER.of(parent).enter_shield()
        try:
            return await real(self, query, timeout, **options)
        except Exception as error:
            failed = error
        finally:
            current.reset(token)
        return PREPARE(parent, sql, where, number, run=functools.partial(_raise, failed))

    return _get_statement


def _raise(error: BaseException, *args: Any) -> None:
    raise error


def _failed(parent: Span) -> set[tuple[str, int]]:
    reached, server = parent.buffer.reached, parent.buffer.server
    found: set[tuple[str, int]] | None = reached.get(PREPARE.mark.name)
    if found is None:
        from tracediff import values  # in a replay only

        given: list[Any] = [
            values.inert(one) for one in (server.recorded(PREPARE.mark.name) if server else ())
        ]
        found = reached[PREPARE.mark.name] = {(one["sql"], one["attempt"]) for one in given}
    return found


def binding(real: Any) -> Any:
    """What a prepared statement's ``fetch`` and its like go through."""

    @functools.wraps(real)
    async def bind_execute(self: Any, args: Any, limit: int, timeout: Any) -> Any:
        connection, sql = self._connection, self._state.query
        parent = parent_of(connection, sql)
        if parent is None:
            return await real(self, args, limit, timeout)
        asking = Asking(connection, parent, sql, args)
        if type(connection._protocol) is StandIn:
            rows, _ = await asking.served(limit, self._state.record_class)
            status = (asking.query.said or {}).get("status")  # none where rows are left
            self._last_status = None if status is None else status.encode()
            return rows
        found = await asking.run(lambda: real(self, args, limit, timeout))
        asking.noted(found, limit, self._last_status)
        return found

    return bind_execute


def binding_many(real: Any, *, returns: bool) -> Any:
    """``executemany`` and ``fetchmany`` of a prepared statement."""

    @functools.wraps(real)
    async def method(self: Any, args: Any, **options: Any) -> Any:
        return await many(self._connection, self._state.query, args, self._state.record_class,
                          lambda given: real(self, given, **options), returns=returns)  # fmt: skip

    return method


def describing(real: Any, made: Callable[[Any], Any]) -> Any:
    """What a prepared statement says of its parameters or columns: an input."""

    @functools.wraps(real)
    def method(self: Any) -> Any:
        parent = recorded_here()
        if parent is None:
            return real(self)
        asked = (shown(parent.buffer, self._state.query), database(self._connection, parent))
        found = DESCRIBED(parent, *asked, run=lambda *_: [_plain(one) for one in real(self)])
        return tuple(made(one) for one in found or ())

    return method


def _plain(given: Any) -> Any:
    return [_plain(one) for one in given] if isinstance(given, tuple) else given


# --- cursors -------------------------------------------------------------------------------------


def _cursors(parent: Span) -> dict[str, Asking]:
    found: dict[str, Asking] = parent.buffer.reached.setdefault(_CURSORS, {})
    return found


def opening(real: Any, *, fetches: bool) -> Any:
    """What opens a cursor, one that is iterated with its first page."""

    @functools.wraps(real)
    async def bind(self: Any, *args: Any) -> Any:
        connection, sql = self._connection, self._state.query
        parent = parent_of(connection, sql)
        if parent is None:
            return await real(self, *args)
        self._check_ready()
        asking = Asking(connection, parent, sql, self._args)
        if type(connection._protocol) is StandIn:
            connection._protocol.fails(asking.query.broke)
            await asking.query.settled()
            self._portal_name = connection._get_unique_id("portal")
            _cursors(parent)[self._portal_name] = asking
            return await _page(self, asking, args[0]) if fetches else None
        found = await asking.run(lambda: real(self, *args))
        _cursors(parent)[self._portal_name] = asking
        if fetches:
            asking.page(found)
            if self._exhausted:
                asking.query.ends()
        return found

    return bind


def fetching(real: Any) -> Any:
    """What fetches of a cursor."""

    @functools.wraps(real)
    async def _exec(self: Any, n: int, timeout: Any) -> Any:
        parent = recorded_here()
        asking = None if parent is None else _cursors(parent).get(self._portal_name)
        if asking is None:
            return await real(self, n, timeout)
        self._check_ready()
        if type(self._connection._protocol) is StandIn:
            return await _page(self, asking, n)
        found = await asking.run(lambda: real(self, n, timeout))
        asking.page(found)
        if self._exhausted:
            asking.query.ends()
        return found

    return _exec


async def _page(cursor: Any, asking: Asking, size: int) -> list[Any]:
    """The next recorded rows of a cursor."""
    query = asking.query
    rows = [] if cursor._exhausted else await asking.take(size)
    cursor._exhausted = len(rows) < size
    return records((query.said or {}).get("columns") or (), rows, cursor._state.record_class)


def closing(real: Any) -> Any:
    """What closes a cursor."""

    @functools.wraps(real)
    async def _close_portal(self: Any, timeout: Any) -> Any:
        if type(self._connection._protocol) is StandIn:
            self._portal_name = None
            return None
        return await real(self, timeout)

    return _close_portal


def moving(real: Any) -> Any:
    """``forward`` of a cursor."""

    @functools.wraps(real)
    async def forward(self: Any, n: int, *, timeout: Any = None) -> int:
        connection = self._connection
        sql = f"MOVE FORWARD {n} {self._portal_name}"
        parent = parent_of(connection, sql)
        if parent is None:
            return int(await real(self, n, timeout=timeout))
        asking = Asking(connection, parent, sql, None)
        if type(connection._protocol) is StandIn:
            await asking.query.settled()
            moved = int((asking.query.said or {}).get("moved", n))
            self._exhausted = self._exhausted or moved < n
            return moved
        found = int(await asking.run(lambda: real(self, n, timeout=timeout)))
        asking.query.tells({"moved": found})
        return found

    return forward

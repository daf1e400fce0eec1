"""The connections and pools of asyncpg: where they lead, and what stands for them in a replay."""

from __future__ import annotations

import functools
import os
import sys
from typing import Any
from urllib.parse import unquote, urlsplit
from weakref import WeakKeyDictionary

import asyncpg

from tracediff import runtime
from tracediff.recording.libraries.asyncpg_served import StandIn, stand_in
from tracediff.recording.libraries.databases import Driver, address
from tracediff.recording.libraries.queries import Query
from tracediff.recording.libraries.reach import Reach, recorded_here
from tracediff.recording.spans import Span
from tracediff.runtime import current

NAME = "asyncpg"
DRIVER = Driver(NAME)
_labels: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
_before: WeakKeyDictionary[Any, tuple[Any, str]] = WeakKeyDictionary()
_changed: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()
_ASKED = (
    "server_version server_encoding client_encoding DateStyle IntervalStyle TimeZone"
    " integer_datetimes standard_conforming_strings application_name"
).split()
_real: list[Any] = []
"""What ``asyncpg.connect`` was."""


def changes(connection: Any) -> None:
    """Note that a statement writes, so that the end of the transaction is an output."""
    _changed[connection] = True


def changed(connection: Any) -> bool:
    """Whether anything was written since this was last asked."""
    return _changed.pop(connection, False)


def database(connection: Any, parent: Span) -> str:
    """The name of a connection's database in this trace, which the job reaches now."""
    before = _before.get(connection)
    if before is not None and before[0] is parent.buffer.tags:
        return before[1]
    name = _database(connection, parent)
    _before[connection] = (parent.buffer.tags, name)  # one object of this trace, and a small one
    return name


def _database(connection: Any, parent: Span) -> str:
    own = _labels.get(connection)
    if own is None:
        where = connection._addr
        host, port = where if isinstance(where, tuple) else (where, None)
        own = _labels[connection] = address("postgresql", host, port, connection._params.database)
    known = DRIVER.of(parent)
    name = known.name(own)
    found = known.facts(name, parent, lambda: _facts(connection, parent))
    held = connection._protocol
    if type(held) is StandIn and not held.facts and type(found) is dict:
        _tell(connection, found)
    return name


def _facts(connection: Any, parent: Span) -> dict[str, Any]:
    """What a server says of itself, which costs no query."""
    if parent.buffer.server is None:
        parent.buffer.learn(_password(connection._params.password))
    settings = connection.get_settings()
    said = {name: getattr(settings, name, None) for name in _ASKED}
    return {
        "server_pid": connection.get_server_pid(),
        "settings": {name: one for name, one in said.items() if type(one) is str},
        "version": list(connection.get_server_version()),
    }


def _password(given: Any) -> str:
    return given if isinstance(given, str) else ""


def _tell(connection: Any, facts: dict[str, Any]) -> None:
    connection._protocol.facts = facts
    version = facts.get("version")
    if version:
        connection._server_version = asyncpg.types.ServerVersion(*version)


def place(args: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, Any, Any]:
    """The host, port and database that ``connect`` is given; a wrong one it refuses itself."""
    dsn = args[0] if args else options.get("dsn")
    try:
        split = urlsplit(dsn or "")
        host, port, base = split.hostname, split.port, unquote(split.path.lstrip("/"))
    except ValueError:
        host = port = base = None
    user = options.get("user") or os.environ.get("PGUSER")
    return (
        options.get("host") or host or os.environ.get("PGHOST") or "localhost",
        options.get("port") or port or os.environ.get("PGPORT"),
        options.get("database") or base or os.environ.get("PGDATABASE") or user,
    )


def _secret(args: tuple[Any, ...], options: dict[str, Any]) -> str:
    given = options.get("password")
    if not given:
        try:
            given = unquote(urlsplit(args[0] if args else options.get("dsn") or "").password or "")
        except (ValueError, TypeError):  # asyncpg says so
            given = None
    return _password(given) or os.environ.get("PGPASSWORD") or ""


async def live(connection: Any) -> Any:
    """A connection on which statements run for real; close it."""
    args, options = connection._protocol.given
    plain = {one: value for one, value in options.items() if one != "loop"}
    return await _real[0](*args, **plain)


def connecting(real: Any) -> Any:
    """``asyncpg.connect``."""
    _real[:] = [real]

    @functools.wraps(real)
    async def connect(*args: Any, **options: Any) -> Any:
        parent, guard = recorded_here(), runtime.guard
        asks = sys._getframe(1).f_globals.get("__name__")
        pooled = asks == "asyncpg.pool"
        if (guard is None and (parent is None or pooled or DRIVER.serves_another())) or (
            guard is not None
            and parent is None
            and current.get() is not None
            and not DRIVER.is_at_work()  # else an input that runs for real
        ):
            return await real(*args, **options)
        where = place(args, options)
        if parent is None or pooled:
            return stand_in(args, options, where)
        if parent.buffer.server is None:
            parent.buffer.learn(_secret(args, options))
        known = DRIVER.of(parent)
        own = address("postgresql", *where)
        name = known.name(own)
        query = Query(DRIVER.connect, DRIVER.connect, parent, (name,))
        if guard is None:
            with query:
                made = await real(*args, **options)
            facts = _facts(made, parent)
            query.tells(facts)
        elif query.ran:
            with query:
                other = await real(*args, **options)
            facts = _facts(other, parent)
            await other.close()
            query.tells(facts)
            made = stand_in(args, options, where)
        else:
            await query.settled()
            facts = query.said or {}
            made = stand_in(args, options, where)
        if guard is not None:
            _tell(made, facts)
        _labels[made] = own
        known.connected(name, facts)
        return made

    return connect


# --- pools ---------------------------------------------------------------------------------------


def taking(real: Any) -> Any:
    """What a pool does to give a connection, which is recorded where it fails."""

    @functools.wraps(real)
    async def take(self: Any, *args: Any, **kwargs: Any) -> Any:
        parent = recorded_here()
        if parent is None:
            return await real(self, *args, **kwargs)
        known = DRIVER.of(parent)
        where = place(self._connect_args, self._connect_kwargs)
        name, number, failed = known.attempt(address("postgresql", *where))
        if failed:
            known.took_none(parent, name, number, None)
        try:
            return await real(self, *args, **kwargs)
        except Exception as error:
            known.took_none(parent, name, number, error)
            raise

    return take


def preparing(real: Any) -> Any:
    """What makes a pool's connections, with the program's ``init``; how often is no difference."""

    @functools.wraps(real)
    async def _get_new_connection(self: Any) -> Any:
        parent = recorded_here()
        if parent is None:
            return await real(self)
        token = DRIVER.of(parent).enter_shield()
        try:
            return await real(self)
        finally:
            current.reset(token)

    return _get_new_connection


# --- what asyncpg does for itself ----------------------------------------------------------------


def shielded(real: Any) -> Any:
    """What asks the server for itself, of which nothing is recorded: a replay does nothing."""

    @functools.wraps(real)
    async def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if type(self._protocol) is StandIn:
            return None
        parent = recorded_here()
        if parent is None:
            return await real(self, *args, **kwargs)
        token = DRIVER.of(parent).enter_shield()
        try:
            return await real(self, *args, **kwargs)
        finally:
            current.reset(token)

    return method


def resetting(real: Any) -> Any:
    """``reset``, which a pool calls when it gets a connection back."""
    plainly = shielded(real)

    @functools.wraps(real)
    async def reset(self: Any, *args: Any, **kwargs: Any) -> Any:
        _changed.pop(self, None)
        if type(self._protocol) is StandIn:
            self._listeners.clear()
            self._log_listeners.clear()
            self._top_xact, self._protocol.in_transaction = None, False
            return None
        return await plainly(self, *args, **kwargs)

    return reset


def _used(database: str) -> None:
    """What is not recorded."""


LISTENS = Reach("input", f"{NAME} add_listener", _used)


def listening(real: Any) -> Any:
    """``add_listener``, which is a plain call."""
    plainly = shielded(real)

    @functools.wraps(real)
    async def add_listener(self: Any, *args: Any, **kwargs: Any) -> Any:
        parent, guard = recorded_here(), runtime.guard
        if type(self._protocol) is StandIn and parent is not None:
            LISTENS(parent, database(self, parent))
        elif type(self._protocol) is StandIn and guard is not None:
            guard.refuse("input", LISTENS.mark.name)
        elif parent is not None:
            parent.buffer.warn(
                "asyncpg: what a listener hears is not recorded: a replay stops there"
            )
        return await plainly(self, *args, **kwargs)

    return add_listener

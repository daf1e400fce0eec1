"""``psycopg``: what a statement reads is an input, what it writes an output; pools included.

Cursors, row factories, transactions and pools are psycopg's own, on a stand-in for libpq's
connection in a replay. Connections that were open before recording started are covered too.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from typing import Any

import psycopg
from psycopg import AsyncConnection, AsyncCursor, AsyncServerCursor, Connection, Cursor
from psycopg._connection_base import BaseConnection
from psycopg._server_cursor_base import ServerCursorMixin
from psycopg.client_cursor import ClientCursorMixin

from tracediff.config import Config
from tracediff.recording.libraries import psycopg_connection as connection
from tracediff.recording.libraries import psycopg_copy as copies
from tracediff.recording.libraries import psycopg_cursor as cursors
from tracediff.recording.libraries import psycopg_pools as pools
from tracediff.recording.libraries import psycopg_streams as streams
from tracediff.recording.libraries.patching import Patch
from tracediff.recording.libraries.psycopg_served import StandIn

NAME = "psycopg"


def patches(config: Config) -> Iterable[Patch]:
    """What records the library."""
    connection.DRIVER.set_inputs(config.inputs)
    yield from _connections()
    yield from _cursors()
    if importlib.util.find_spec("psycopg_pool") is not None:
        import psycopg_pool  # only where it is installed

        for pool, taking in (
            (psycopg_pool.ConnectionPool, pools.taking),
            (psycopg_pool.AsyncConnectionPool, pools.taking_async),
        ):
            yield Patch(pool, "getconn", taking(pool.getconn))
            yield Patch(pool, "wait", taking(pool.wait))


def _connections() -> Iterable[Patch]:
    connect = connection.connecting(_function(Connection, "connect"))
    yield Patch(psycopg, "connect", connect.__get__(None, Connection), everywhere=True)
    yield Patch(Connection, "connect", connect)
    other = connection.connecting_async(_function(AsyncConnection, "connect"))
    yield Patch(AsyncConnection, "connect", other)
    base: Any = BaseConnection
    yield Patch(base, "_exec_command", connection.commanding(base._exec_command))
    yield Patch(base, "connection", property(_context))
    for cls in (Connection, AsyncConnection):
        for name in ("notifies", "pipeline"):
            yield Patch(cls, name, connection.warning_of(name, getattr(cls, name)))


def _context(self: Any) -> Any:
    """The connection, for what quotes values; a stand-in is none, and they are quoted without."""
    return None if type(self.pgconn) is StandIn else self


def _function(owner: Any, name: str) -> Any:
    return vars(owner)[name].__func__


def _cursors() -> Iterable[Patch]:
    for cls in (Cursor, psycopg.ServerCursor):
        yield Patch(cls, "execute", cursors.executing(cls.execute))
    for other in (AsyncCursor, AsyncServerCursor):
        yield Patch(other, "execute", cursors.executing_async(other.execute))
    yield Patch(Cursor, "executemany", cursors.executing_many(Cursor.executemany))
    yield Patch(AsyncCursor, "executemany", cursors.executing_many_async(AsyncCursor.executemany))
    yield Patch(Cursor, "stream", streams.streaming(Cursor.stream))
    yield Patch(AsyncCursor, "stream", streams.streaming_async(AsyncCursor.stream))
    yield Patch(Cursor, "copy", copies.copying(Cursor.copy))
    yield Patch(AsyncCursor, "copy", copies.copying_async(AsyncCursor.copy))
    client: Any = ClientCursorMixin
    yield Patch(client, "mogrify", cursors.quoting(client.mogrify))
    base: Any = ServerCursorMixin
    yield Patch(base, "_fetch_gen", cursors.fetching(base._fetch_gen))

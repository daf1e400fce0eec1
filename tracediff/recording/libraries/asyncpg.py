"""``asyncpg``: what a statement reads is an input, what it writes an output; pools included.

Connections, pools, transactions, cursors and records are asyncpg's own, on a stand-in for its
protocol in a replay. Connections that were open before recording started are covered too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import asyncpg
from asyncpg import connection, cursor, pool, prepared_stmt, types

from tracediff.config import Config
from tracediff.recording.libraries import asyncpg_connection as connections
from tracediff.recording.libraries import asyncpg_copy as copies
from tracediff.recording.libraries import asyncpg_prepared as prepared
from tracediff.recording.libraries import asyncpg_statements as statements
from tracediff.recording.libraries.patching import Patch


def patches(config: Config) -> Iterable[Patch]:
    """What records the library."""
    connections.DRIVER.set_inputs(config.inputs)
    connect = connections.connecting(asyncpg.connect)
    yield Patch(connection, "connect", connect, everywhere=True)
    yield Patch(asyncpg, "connect", connect)
    own: Any = pool.Pool
    for name in ("_acquire", "_async__init__"):
        yield Patch(own, name, connections.taking(getattr(own, name)))
    made = connections.preparing(own._get_new_connection)
    yield Patch(own, "_get_new_connection", made)
    yield from _connections()
    yield from _prepared()
    yield from _cursors()


def _connections() -> Iterable[Patch]:
    own: Any = connection.Connection
    shapes = {
        "_execute": statements.executing_rows,
        "execute": statements.executing_text,
        "_executemany": statements.executing_many,
        "_get_statement": prepared.preparing,
        "_copy_out": copies.reading,
        "_copy_in": copies.writing,
        "copy_records_to_table": copies.writing_records,
        "reset": connections.resetting,
        "_reset": connections.resetting,
        "set_type_codec": connections.shielded,
        "reset_type_codec": connections.shielded,
        "set_builtin_type_codec": connections.shielded,
        "reload_schema_state": connections.shielded,
        "add_listener": connections.listening,
        "remove_listener": connections.shielded,
    }
    for name, shape in shapes.items():
        yield Patch(own, name, shape(getattr(own, name)))


def _prepared() -> Iterable[Patch]:
    own: Any = prepared_stmt.PreparedStatement
    bound = "_PreparedStatement__bind_execute"  # as Python writes the name
    yield Patch(own, bound, prepared.binding(getattr(own, bound)))
    for name in ("executemany", "fetchmany"):
        real = getattr(own, name)
        yield Patch(own, name, prepared.binding_many(real, returns=name == "fetchmany"))
    parameters = prepared.describing(own.get_parameters, lambda one: types.Type(*one))
    yield Patch(own, "get_parameters", parameters)
    columns = prepared.describing(
        own.get_attributes, lambda one: types.Attribute(one[0], types.Type(*one[1]))
    )
    yield Patch(own, "get_attributes", columns)


def _cursors() -> Iterable[Patch]:
    own: Any = cursor.BaseCursor
    yield Patch(own, "_bind_exec", prepared.opening(own._bind_exec, fetches=True))
    yield Patch(own, "_bind", prepared.opening(own._bind, fetches=False))
    yield Patch(own, "_exec", prepared.fetching(own._exec))
    yield Patch(own, "_close_portal", prepared.closing(own._close_portal))
    yield Patch(cursor.Cursor, "forward", prepared.moving(cursor.Cursor.forward))

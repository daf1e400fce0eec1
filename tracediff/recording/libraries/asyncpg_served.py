"""What stands in a replay for asyncpg's protocol; its connections, pools and cursors work on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any, NoReturn

import asyncpg
from asyncpg import connect_utils

from tracediff.recording.libraries.statements import transaction_after
from tracediff.runtime import ReplayAbort
from tracediff.values._asyncpg import Maker

UNKNOWN = "15.0"
"""The version of a server of which nothing is known yet."""


class StandIn:
    """Stands for the protocol of a connection.

    Args:
        given: The arguments of ``connect``, for statements that run for real.
        record_class: The class of its rows.
    """

    def __init__(self, given: tuple[tuple[Any, ...], dict[str, Any]], record_class: type) -> None:
        self.given = given
        self.facts: dict[str, Any] = {}
        self.open = True
        self.in_transaction = False
        self.queries_count = 0
        self._record_class = record_class

    def ends(self, sql: str) -> None:
        """A statement has worked: whether a transaction is open now."""
        self.in_transaction = transaction_after(sql, self.in_transaction)

    def fails(self, closed: bool) -> None:
        """A statement has raised."""
        self.open = self.open and not closed

    def get_settings(self) -> Any:
        """What the server says of itself."""
        return SimpleNamespace(**{"server_version": UNKNOWN, **(self.facts.get("settings") or {})})

    def get_server_pid(self) -> int:
        """The server's process, once the job has used it."""
        return int(self.facts.get("server_pid") or 0)

    def get_record_class(self) -> type:
        """The class of rows."""
        return self._record_class

    def is_in_transaction(self) -> bool:
        """Whether one would be open."""
        return self.in_transaction

    def is_connected(self) -> bool:
        """Whether it was not closed."""
        return self.open

    def is_closed(self) -> bool:
        """Whether it was closed."""
        return not self.open

    def abort(self) -> None:
        """Close it."""
        self.open = False

    async def close(self, timeout: float | None) -> None:
        """Close it."""
        self.open = False

    async def close_portal(self, *args: object) -> None:
        """Close a cursor."""

    close_statement = close_portal

    def set_connection(self, connection: object) -> None:
        """Its connection does not matter."""

    def _get_timeout(self, timeout: float | None) -> float | None:
        return timeout

    def _is_cancelling(self) -> bool:
        return False

    async def _wait_for_cancellation(self, timeout: float | None = None) -> float | None:
        return timeout

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise ReplayAbort(
            f"the job uses {name!r} of asyncpg's protocol, and there is no server in a replay",
            slug="driver-not-recorded",
            hint="run the statement with a connection of asyncpg",
        )


class State:
    """Stands for a prepared statement.

    Args:
        query: Its text.
        record_class: The class of its rows.
        name: Its name in the server.
    """

    def __init__(self, query: str, record_class: type, name: str) -> None:
        self.query = query
        self.record_class = record_class
        self.name = name
        self.closed = self.ignore_custom_codec = False
        self.refs = 0

    def attach(self) -> None:
        """Count who uses it."""
        self.refs += 1

    def detach(self) -> None:
        """Count who uses it."""
        self.refs -= 1

    def mark_closed(self) -> None:
        """Close it."""
        self.closed = True

    def mark_unprepared(self) -> None:
        """There is nothing to prepare."""

    def _get_parameters(self) -> tuple[Any, ...]:
        return ()

    _get_attributes = _get_parameters


def stand_in(args: tuple[Any, ...], options: dict[str, Any], address: tuple[Any, ...]) -> Any:
    """A connection of asyncpg without a server."""
    import asyncio  # the program uses it

    cls = options.get("connection_class") or asyncpg.Connection
    protocol = StandIn((args, options), options.get("record_class") or asyncpg.Record)
    loop = options.get("loop") or asyncio.get_event_loop()
    none: Any = dict.fromkeys(connect_utils._ClientConfiguration._fields, 0)
    config = connect_utils._ClientConfiguration(**{**none, "command_timeout": None})
    host, port, database = address
    parameters: Any = SimpleNamespace(user=options.get("user"), password=None, database=database)
    return cls(protocol, None, loop, (host, port), config, parameters)


def records(columns: Sequence[str], rows: Sequence[Any], kind: type) -> list[Any]:
    """Rows as asyncpg gives them."""
    if not rows:
        return []
    maker = Maker(columns, kind)
    return [maker.record(row) for row in rows]


def cells(rows: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """Rows as they are recorded."""
    for row in rows:
        yield tuple(row.values())

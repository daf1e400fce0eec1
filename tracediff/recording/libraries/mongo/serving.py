"""What a client of pymongo works on in a replay: server, pool and connection without a socket.

They are of classes below pymongo's own, so that sessions, cursors, codecs and errors are its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from functools import lru_cache
from time import perf_counter_ns
from types import SimpleNamespace
from typing import Any

from pymongo import _csot
from pymongo.errors import NetworkTimeout
from pymongo.hello import Hello
from pymongo.message import _OpMsg
from pymongo.server_description import ServerDescription

from tracediff.recording.buffers import Packed
from tracediff.recording.libraries.mongo.messages import command, reply
from tracediff.recording.libraries.mongo.stepping import named, opened
from tracediff.recording.libraries.mongo.told import made_up
from tracediff.recording.libraries.reach import recorded_here, refuse_input
from tracediff.recording.serving import answer
from tracediff.runtime import ReplayAbort

CANCELLED_AFTER = 60.0
"""Seconds that a replayed command waits to be cancelled, as the recorded one was."""
_VERSION = 21
QUIET = frozenset({"killCursors", "endSessions"})
"""Commands by which a client tidies up at a server, whenever it comes to it."""


def server_of(
    classes: tuple[Any, Any, Any], settings: Any, label: str, facts: Mapping[str, Any]
) -> Any:
    """A server for the commands of a replay.

    Args:
        classes: pymongo's server, pool and connection, synchronous or asynchronous.
        settings: Those of the client's topology.
        label: The name of the deployment in the trace.
        facts: What the recording says of it.
    """
    server_class, pool_class, connection_class = classes
    host, _, port = label.partition(",")[0].rpartition(":")
    address = (host, int(port)) if host and port.isdecimal() else (label, 27017)
    description = ServerDescription(address, Hello(_hello(address, facts)), round_trip_time=0.0)
    pool = _pool_class(pool_class, connection_class)(address, settings.pool_options)
    pool.label, pool.facts = label, facts
    return server_class(description, pool, monitor=SimpleNamespace(request_check=lambda: None))


def _hello(address: tuple[str, int], facts: Mapping[str, Any]) -> dict[str, Any]:
    kind = facts.get("type") or "RSPrimary"
    found = {
        "ok": 1,
        "helloOk": True,
        "isWritablePrimary": True,
        "minWireVersion": 0,
        "maxWireVersion": facts.get("version") or _VERSION,
        "logicalSessionTimeoutMinutes": facts.get("sessions"),
    }
    if kind == "Mongos":
        found["msg"] = "isdbgrid"
    elif kind.startswith("RS"):
        host = f"{address[0]}:{address[1]}"
        found |= {"setName": facts.get("name") or "rs", "hosts": [host], "me": host}
        found["primary"] = host
    return found


@lru_cache
def _pool_class(pool_class: Any, connection_class: Any) -> Any:
    """A pool whose connections are served."""
    made = _connection_class(connection_class)
    is_async = asyncio.iscoroutinefunction(pool_class.checkin)

    def connected(self: Any) -> Any:
        wire = SimpleNamespace(
            get_conn=SimpleNamespace(settimeout=lambda _: None, gettimeout=lambda: None),
            settimeout=lambda _: None, gettimeout=lambda: None, is_closing=lambda: False,
        )  # fmt: skip
        found = made(wire, self, self.address, 1, False)
        hello = Hello(_hello(self.address, self.facts))
        found.label = self.label
        found.performed_handshake = found.ready = found.active = True
        found.is_writable = True
        found.max_wire_version = hello.max_wire_version
        found.logical_session_timeout_minutes = hello.logical_session_timeout_minutes
        found.supports_sessions = hello.logical_session_timeout_minutes is not None
        kind = self.facts.get("type") or "RSPrimary"
        found.is_repl = kind.startswith("RS")
        found.is_mongos, found.is_standalone = kind == "Mongos", kind == "Standalone"
        return found

    def checkin(self: Any, conn: Any) -> None:
        conn.active = False

    async def connected_async(self: Any) -> Any:
        return connected(self)

    async def checkin_async(self: Any, conn: Any) -> None:
        checkin(self, conn)

    take = connected_async if is_async else connected
    members = {
        "_get_conn": lambda self, *args, **kwargs: take(self),
        "checkin": checkin_async if is_async else checkin,
    }
    return type(pool_class.__name__, (pool_class,), members)


@lru_cache
def _connection_class(connection_class: Any) -> Any:
    """A connection whose commands a recording answers."""

    def send(self: Any, message: bytes, size: int) -> None:
        try:
            self.said = _served(self, message)
        except NetworkTimeout:
            time.sleep(_left())
            raise

    def receive(self: Any, number: int | None) -> _OpMsg:
        found: _OpMsg = self.said
        return found

    async def send_async(self: Any, message: bytes, size: int) -> None:
        try:
            self.said = _served(self, message)
        except NetworkTimeout:
            await asyncio.sleep(_left())
            raise
        except asyncio.CancelledError:
            await asyncio.sleep(CANCELLED_AFTER)
            raise

    async def receive_async(self: Any, number: int | None) -> _OpMsg:
        return receive(self, number)

    def close(self: Any, reason: Any) -> None:
        self.closed = True

    async def close_async(self: Any, reason: Any) -> None:
        self.closed = True

    is_async = asyncio.iscoroutinefunction(connection_class.send_message)
    members = {
        "send_message": send_async if is_async else send,
        "receive_message": receive_async if is_async else receive,
        "close_conn": close_async if is_async else close,
        "__hash__": object.__hash__,
        "__eq__": object.__eq__,
    }
    return type(connection_class.__name__, (connection_class,), members)


def _left() -> float:
    """Seconds until a limit of ``pymongo.timeout`` is over, within which a client tries again."""
    return min(max(_csot.remaining() or 0.0, 0.0), CANCELLED_AFTER)


def _served(connection: Any, message: bytes) -> _OpMsg:
    """What a recording answers to a command."""
    sent = command(message)
    if sent is None:
        raise ReplayAbort(
            "a message to MongoDB of a form that is not recorded", slug="input-not-recorded"
        )
    if sent.head.name in QUIET:
        return reply({"ok": 1.0})
    parent = recorded_here()
    if parent is None:
        refuse_input(named(sent.head))
        raise ReplayAbort(
            "a connection to MongoDB is used outside of the job", slug="outside-replay"
        )
    span = opened(parent, sent, connection.label)
    buffer = span.buffer
    try:
        found = answer(span, items=True)
        if found.live:
            raise ReplayAbort(
                "commands to MongoDB that were not recorded cannot be sent in a replay",
                slug="input-not-recorded",
                hint="record the job again, or replay with --on-miss nearest or stub",
            )
        if found.error is not None:
            raise found.error
    except BaseException as error:
        span.error = buffer.fault(error, parent)
        raise
    finally:
        span.end = perf_counter_ns()
    span.result = Packed(found.data or b"")
    said = found.result
    if type(said) is not dict:
        buffer.warn(f"an answer that was not recorded is an empty one: {span.mark.name}")
        said = made_up(sent)
    return reply({**said, "ok": said.get("ok", 1.0)})

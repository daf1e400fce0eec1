"""``pymongo``: the commands that its clients send, synchronous and asynchronous, and the replies.

The seam is the connection that a client takes from its pool. Cursors, sessions, transactions,
retries, codecs, GridFS and errors are the client's, which runs in a replay as well, on a connection
that has no socket. tracediff's own store uses pymongo too: what it does is never recorded.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable
from time import perf_counter_ns
from typing import Any

from bson import ObjectId
from pymongo import AsyncMongoClient, MongoClient
from pymongo.asynchronous import pool as async_pool
from pymongo.asynchronous import server as async_server
from pymongo.asynchronous import topology as async_topology
from pymongo.synchronous import pool, server, topology

from tracediff import runtime
from tracediff.config import Config
from tracediff.recording.libraries.mongo.ids import Ids
from tracediff.recording.libraries.mongo.messages import command
from tracediff.recording.libraries.mongo.serving import QUIET, server_of
from tracediff.recording.libraries.mongo.stepping import named, opened
from tracediff.recording.libraries.mongo.told import Answered
from tracediff.recording.libraries.mongo.using import CONNECT, Used, told, unrecorded
from tracediff.recording.libraries.patching import Patch
from tracediff.recording.libraries.reach import recorded_here, refuse_input, refuse_output
from tracediff.recording.spans import Span
from tracediff.runtime import ReplayAbort, aside, is_aside

_SYNC = (server.Server, pool.Pool, pool.Connection)
_ASYNC = (async_server.Server, async_pool.Pool, async_pool.AsyncConnection)
SHORT = 64 * 1024
"""Bytes of a reply that may be one of an error."""
_OWN_IDS = frozenset(
    f"pymongo.{kind}{name}"
    for kind in ("", "synchronous.", "asynchronous.")
    for name in ("settings", "settings_shared", "topology", "topology_shared")
)
"""Where a client numbers itself."""


def patches(config: Config) -> Iterable[Patch]:
    """What records the library."""
    yield from _of(topology.Topology, _SYNC, MongoClient, _Sync)
    yield from _of(async_topology.Topology, _ASYNC, AsyncMongoClient, _Async)
    yield Patch(ObjectId, "__init__", _made(ObjectId.__init__))


def _of(
    topology_class: Any, classes: tuple[Any, Any, Any], client: Any, wrap: type[_Sync | _Async]
) -> Iterable[Patch]:
    _, pool_class, connection = classes
    for name in ("select_server", "select_server_by_address"):
        real = getattr(topology_class, name)
        yield Patch(topology_class, name, wrap.choosing(real, classes))
    for owner, name, instead in (
        (topology_class, "open", wrap.opening),
        (pool_class, "_get_conn", wrap.taking),
        (connection, "send_message", wrap.sending),
        (connection, "receive_message", wrap.receiving),
        (client, "_kill_cursors", wrap.tidying),
        (client, "_end_sessions", wrap.tidying),
    ):
        yield Patch(owner, name, instead(getattr(owner, name)))


class _Sync:
    """What stands in the places of a synchronous client's methods."""

    @staticmethod
    def choosing(real: Any, classes: tuple[Any, Any, Any]) -> Any:
        @functools.wraps(real)
        def select(self: Any, *args: Any, **kwargs: Any) -> Any:
            choice = _Choice.of(self)
            if choice is None:
                return real(self, *args, **kwargs)
            if choice.served:
                return choice.server(classes)
            try:
                found = real(self, *args, **kwargs)
            except BaseException as error:
                choice.failed(error)
                raise
            if not choice.is_known:
                choice.made(found)
            return found

        return select

    @staticmethod
    def taking(real: Any) -> Any:
        @functools.wraps(real)
        def get(self: Any, *args: Any, **kwargs: Any) -> Any:
            parent = recorded_here()
            if parent is None or parent.buffer.server is not None:
                return real(self, *args, **kwargs)
            try:
                return real(self, *args, **kwargs)
            except BaseException as error:
                used = Used.of(parent)
                used.failed(parent, used.labels.get(id(self.opts), ""), error)
                raise

        return get

    @staticmethod
    def opening(real: Any) -> Any:
        @functools.wraps(real)
        def open_(self: Any) -> None:
            if runtime.guard is None or is_aside():
                real(self)

        return open_

    @staticmethod
    def sending(real: Any) -> Any:
        @functools.wraps(real)
        def send_message(self: Any, message: bytes, max_doc_size: int) -> None:
            span = _begun(self, message)
            try:
                real(self, message, max_doc_size)
            except BaseException as error:
                _failed(self, span, error)
                raise

        return send_message

    @staticmethod
    def receiving(real: Any) -> Any:
        @functools.wraps(real)
        def receive_message(self: Any, request_id: int | None) -> Any:
            span = _waiting(self, request_id)
            if span is None:
                return real(self, request_id)
            try:
                reply = real(self, request_id)
            except BaseException as error:
                _failed(self, span, error)
                raise
            _answered(span, reply)
            return reply

        return receive_message

    @staticmethod
    def tidying(real: Any) -> Any:
        @functools.wraps(real)
        def tidy(self: Any, *args: Any, **kwargs: Any) -> Any:
            if runtime.guard is not None and not is_aside():
                return None
            with aside():
                return real(self, *args, **kwargs)

        return tidy


class _Async:
    """What stands in the places of an asynchronous client's methods."""

    @staticmethod
    def choosing(real: Any, classes: tuple[Any, Any, Any]) -> Any:
        @functools.wraps(real)
        async def select(self: Any, *args: Any, **kwargs: Any) -> Any:
            choice = _Choice.of(self)
            if choice is None:
                return await real(self, *args, **kwargs)
            if choice.served:
                return choice.server(classes)
            try:
                found = await real(self, *args, **kwargs)
            except BaseException as error:
                choice.failed(error)
                raise
            if not choice.is_known:
                choice.made(found)
            return found

        return select

    @staticmethod
    def taking(real: Any) -> Any:
        @functools.wraps(real)
        async def get(self: Any, *args: Any, **kwargs: Any) -> Any:
            parent = recorded_here()
            if parent is None or parent.buffer.server is not None:
                return await real(self, *args, **kwargs)
            try:
                return await real(self, *args, **kwargs)
            except BaseException as error:
                used = Used.of(parent)
                used.failed(parent, used.labels.get(id(self.opts), ""), error)
                raise

        return get

    @staticmethod
    def opening(real: Any) -> Any:
        @functools.wraps(real)
        async def open_(self: Any) -> None:
            if runtime.guard is None or is_aside():
                with aside():  # its monitors are tasks, which would take the job with them
                    await real(self)

        return open_

    @staticmethod
    def sending(real: Any) -> Any:
        @functools.wraps(real)
        async def send_message(self: Any, message: bytes, max_doc_size: int) -> None:
            span = _begun(self, message)
            try:
                await real(self, message, max_doc_size)
            except BaseException as error:
                _failed(self, span, error)
                raise

        return send_message

    @staticmethod
    def receiving(real: Any) -> Any:
        @functools.wraps(real)
        async def receive_message(self: Any, request_id: int | None) -> Any:
            span = _waiting(self, request_id)
            if span is None:
                return await real(self, request_id)
            try:
                reply = await real(self, request_id)
            except BaseException as error:
                _failed(self, span, error)
                raise
            _answered(span, reply)
            return reply

        return receive_message

    @staticmethod
    def tidying(real: Any) -> Any:
        @functools.wraps(real)
        async def tidy(self: Any, *args: Any, **kwargs: Any) -> Any:
            if runtime.guard is not None and not is_aside():
                return None
            with aside():
                return await real(self, *args, **kwargs)

        return tidy


class _Choice:
    """One choice of a server for a command of a job."""

    __slots__ = ("_attempt", "_label", "_settings", "is_known", "parent", "served", "used")

    def __init__(self, parent: Span, settings: Any) -> None:
        self.parent = parent
        self._settings = settings
        self.used = used = Used.of(parent)
        self._label = label = used.label(settings)
        self._attempt = used.next_attempt(label)
        self.is_known = label in used.known
        self.served = parent.buffer.server is not None

    @classmethod
    def of(cls, chosen: Any) -> _Choice | None:
        """That of a topology; None where it is a plain call."""
        parent = recorded_here()
        if parent is None:
            refuse_input(CONNECT.mark.name)
            return None
        return cls(parent, chosen._settings)  # noqa: SLF001 - the hosts are in there

    def failed(self, error: BaseException) -> None:
        """No server was to be had."""
        self.used.failed(self.parent, self._label, error)

    def made(self, found: Any) -> None:
        """The first server is chosen: what it is."""
        if found is not None:
            self.used.facts(
                self.parent, self._label, self._attempt, lambda *_: told(found.description)
            )

    def server(self, classes: tuple[Any, Any, Any]) -> Any:
        """One that a recording answers for; raises what was recorded in its place."""
        used, label = self.used, self._label
        for _ in range(used.times(label, self._attempt)):
            used.facts(self.parent, label, self._attempt, _cannot)
        return server_of(classes, self._settings, label, used.known.get(label) or {})


def _cannot(*args: Any) -> Any:
    raise ReplayAbort(
        "a replay reaches no MongoDB that was not recorded",
        slug="input-not-recorded",
        hint="record the job again",
    )


def _begun(connection: Any, message: bytes) -> Span | None:
    """The step of a command that is sent; None of one that is not recorded."""
    if connection.is_sdam or not connection.ready:
        return None  # it is only being made
    parent = recorded_here()
    if parent is None:
        if runtime.guard is not None:
            _refuse(message)
        return None
    try:
        sent = command(message)
        if sent is None or sent.head.name in QUIET:
            return None
        span = opened(parent, sent, Used.of(parent).labels.get(id(connection.opts), ""))
    except Exception as error:  # a driver may send what was not foreseen
        unrecorded(parent, error)
        return None
    if sent.answered:
        connection.tracediff_span = span
    else:
        span.result = None
        span.end = perf_counter_ns()
    return span


def _refuse(message: bytes) -> None:
    """In a replay, outside of the job."""
    sent = command(message)
    if sent is not None and sent.head.name not in QUIET:
        (refuse_input if sent.reads else refuse_output)(named(sent.head))


def _waiting(connection: Any, request_id: int | None) -> Span | None:
    """The step whose answer is awaited."""
    span: Span | None = connection.__dict__.pop("tracediff_span", None)
    if span is None and request_id is None and connection.ready and not connection.is_sdam:
        parent = recorded_here()
        if parent is not None:
            parent.buffer.warn("of an exhaust cursor of pymongo only the first batch is recorded")
    return span


def _answered(span: Span, reply: Any) -> None:
    span.end = perf_counter_ns()
    said = getattr(reply, "payload_document", None)
    if said is None:
        span.buffer.warn(f"a reply of a form that is not recorded: {span.mark.name}")
        return
    span.result = Answered(said)
    span.buffer.bytes += len(said)
    if len(said) < SHORT and b"errmsg" in bytes(said):
        try:
            span.args.hide(span.buffer)
        except Exception as error:  # the job goes on
            unrecorded(span, error)


def _failed(connection: Any, span: Span | None, error: BaseException) -> None:
    if span is not None:
        connection.__dict__.pop("tracediff_span", None)
        span.error = span.buffer.fault(error, span.parent)
        span.end = perf_counter_ns()


def _made(real: Any) -> Any:
    """Ids that are made anew; those that are read of a reply do not come here."""

    @functools.wraps(real)
    def init(self: ObjectId, oid: Any = None) -> None:
        real(self, oid)
        if oid is not None:
            return
        parent = recorded_here()
        if parent is None:
            return
        asks = sys._getframe(1).f_globals.get("__name__")  # noqa: SLF001 - it alone says who asks
        if asks not in _OWN_IDS:
            Ids.of(parent).add(self)

    return init

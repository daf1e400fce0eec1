"""``redis``: the commands of its clients, synchronous and asynchronous, and the server's replies.

The seam is what runs a command or a pipeline, retries and all. A reply is noted as the connection
reads it, so that in a replay the client makes the same of it as ever: its own callbacks, decoding
and errors. Publishing is a command; who subscribes is plain.
"""

from __future__ import annotations

import asyncio
import functools
import uuid
import weakref
from collections.abc import Iterable
from typing import Any

from redis import client, connection, exceptions, lock
from redis.asyncio import client as async_client
from redis.asyncio import connection as async_connection
from redis.asyncio import lock as async_lock

from tracediff import runtime
from tracediff.config import Config
from tracediff.recording.faults import brief
from tracediff.recording.libraries.keyvalue.exchanges import Exchange, active, named
from tracediff.recording.libraries.keyvalue.told import NAME
from tracediff.recording.libraries.patching import Patch
from tracediff.recording.libraries.reach import Reach, recorded_here, refuse_input, refuse_output
from tracediff.runtime import ReplayAbort, is_aside

CANCELLED_AFTER = 60.0
"""Seconds that a replayed command waits to be cancelled, as the recorded one was."""
_GREETINGS = ("on_connect", "on_connect_check_health", "_send_ping", "check_health")
"""What a connection says by itself, before or between the program's commands."""


def _token() -> str:
    return uuid.uuid1().hex


LOCK = Reach("input", f"{NAME} lock token", _token)


def patches(config: Config) -> Iterable[Patch]:
    """What records the library."""
    yield from _of(_Sync, client, connection, lock.Lock)
    yield from _of(_Async, async_client, async_connection, async_lock.Lock)


def _of(wrap: type[_Sync | _Async], module: Any, below: Any, locks: Any) -> Iterable[Patch]:
    pipeline = module.Pipeline
    yield Patch(module.Redis, "execute_command", wrap.single(module.Redis.execute_command))
    immediate = pipeline.immediate_execute_command
    yield Patch(pipeline, "immediate_execute_command", wrap.single(immediate))
    yield Patch(pipeline, "execute", wrap.pipeline(pipeline.execute))
    yield Patch(module.PubSub, "execute_command", wrap.plain(module.PubSub.execute_command))
    begin = "connect" if wrap is _Async else "__enter__"
    yield Patch(module.Monitor, begin, wrap.plain(getattr(module.Monitor, begin)))
    for pool in (below.ConnectionPool, below.BlockingConnectionPool):
        yield Patch(pool, "get_connection", wrap.taking(pool.get_connection))
        yield Patch(pool, "release", wrap.giving(pool.release))
    base = below.AbstractConnection
    yield Patch(base, "read_response", wrap.reading(base.read_response))
    for name in _GREETINGS[:3]:
        if name in vars(base):
            yield Patch(base, name, wrap.greeting(getattr(base, name)))
    yield Patch(locks, "acquire", wrap.acquiring(locks.acquire))


class _Sync:
    """What stands in the places of a synchronous client's methods."""

    @staticmethod
    def single(real: Any) -> Any:
        @functools.wraps(real)
        def execute(self: Any, *args: Any, **options: Any) -> Any:
            exchange = _exchange(self, [args])
            if exchange is None:
                return real(self, *args, **options)
            with exchange:
                return real(self, *args, **options)

        return execute

    @staticmethod
    def pipeline(real: Any) -> Any:
        @functools.wraps(real)
        def execute(self: Any, *args: Any, **options: Any) -> Any:
            try:
                exchange = _of_pipeline(self)
            except exceptions.RedisError:  # a recorded one
                self.reset()
                raise
            if exchange is None:
                return real(self, *args, **options)
            with exchange:
                return real(self, *args, **options)

        return execute

    @staticmethod
    def plain(real: Any) -> Any:
        @functools.wraps(real)
        def execute(self: Any, *args: Any, **options: Any) -> Any:
            _plain()
            return real(self, *args, **options)

        return execute

    @staticmethod
    def taking(real: Any) -> Any:
        @functools.wraps(real)
        def get_connection(self: Any, *args: Any, **options: Any) -> Any:
            served = _served(self, is_async=False)
            return real(self, *args, **options) if served is None else served

        return get_connection

    @staticmethod
    def giving(real: Any) -> Any:
        @functools.wraps(real)
        def release(self: Any, taken: Any) -> None:
            if not hasattr(taken, "tracediff_served"):
                real(self, taken)

        return release

    @staticmethod
    def reading(real: Any) -> Any:
        @functools.wraps(real)
        def read_response(self: Any, *args: Any, **options: Any) -> Any:
            exchange = active.get()
            if exchange is None:
                return real(self, *args, **options)
            try:
                found = real(self, *args, **options)
            except exceptions.ResponseError as error:
                exchange.note(error)
                raise
            except BaseException:
                exchange.again()
                raise
            exchange.note(found)
            return found

        return read_response

    @staticmethod
    def greeting(real: Any) -> Any:
        @functools.wraps(real)
        def greet(self: Any, *args: Any, **options: Any) -> Any:
            if active.get() is None:
                return real(self, *args, **options)
            token = active.set(None)
            try:
                return real(self, *args, **options)
            finally:
                active.reset(token)

        return greet

    @staticmethod
    def acquiring(real: Any) -> Any:
        @functools.wraps(real)
        def acquire(
            self: Any,
            sleep: Any = None,
            blocking: Any = None,
            blocking_timeout: Any = None,
            token: Any = None,
        ) -> Any:
            parent = recorded_here() if token is None else None
            if parent is not None:
                token = LOCK(parent)
            return real(self, sleep, blocking, blocking_timeout, token)

        return acquire


class _Async:
    """What stands in the places of an asynchronous client's methods."""

    @staticmethod
    def single(real: Any) -> Any:
        @functools.wraps(real)
        async def execute(self: Any, *args: Any, **options: Any) -> Any:
            exchange = await _asked(_exchange, self, [args])
            if exchange is None:
                return await real(self, *args, **options)
            with exchange:
                return await real(self, *args, **options)

        return execute

    @staticmethod
    def pipeline(real: Any) -> Any:
        @functools.wraps(real)
        async def execute(self: Any, *args: Any, **options: Any) -> Any:
            try:
                exchange = await _asked(_of_pipeline, self)
            except exceptions.RedisError:  # a recorded one
                await self.reset()
                raise
            if exchange is None:
                return await real(self, *args, **options)
            with exchange:
                return await real(self, *args, **options)

        return execute

    @staticmethod
    def plain(real: Any) -> Any:
        @functools.wraps(real)
        async def execute(self: Any, *args: Any, **options: Any) -> Any:
            _plain()
            return await real(self, *args, **options)

        return execute

    @staticmethod
    def taking(real: Any) -> Any:
        @functools.wraps(real)
        async def get_connection(self: Any, *args: Any, **options: Any) -> Any:
            served = _served(self, is_async=True)
            return await real(self, *args, **options) if served is None else served

        return get_connection

    @staticmethod
    def giving(real: Any) -> Any:
        @functools.wraps(real)
        async def release(self: Any, taken: Any) -> None:
            if not hasattr(taken, "tracediff_served"):
                await real(self, taken)

        return release

    @staticmethod
    def reading(real: Any) -> Any:
        @functools.wraps(real)
        async def read_response(self: Any, *args: Any, **options: Any) -> Any:
            exchange = active.get()
            if exchange is None:
                return await real(self, *args, **options)
            try:
                found = await real(self, *args, **options)
            except exceptions.ResponseError as error:
                exchange.note(error)
                raise
            except BaseException:
                exchange.again()
                raise
            exchange.note(found)
            return found

        return read_response

    @staticmethod
    def greeting(real: Any) -> Any:
        @functools.wraps(real)
        async def greet(self: Any, *args: Any, **options: Any) -> Any:
            if active.get() is None:
                return await real(self, *args, **options)
            token = active.set(None)
            try:
                return await real(self, *args, **options)
            finally:
                active.reset(token)

        return greet

    @staticmethod
    def acquiring(real: Any) -> Any:
        @functools.wraps(real)
        async def acquire(
            self: Any,
            blocking: Any = None,
            blocking_timeout: Any = None,
            token: Any = None,
        ) -> Any:
            parent = recorded_here() if token is None else None
            if parent is not None:
                token = LOCK(parent)
            return await real(self, blocking, blocking_timeout, token)

        return acquire


def _exchange(asks: Any, commands: list[Any], how: str = "") -> Exchange | None:
    """That of commands in a job; None where they are sent as ever."""
    parent = recorded_here()
    if parent is None:
        if runtime.guard is not None:
            kind, name = named([tuple(one) for one in commands], how)
            (refuse_input if kind == "input" else refuse_output)(name)
        return None
    try:
        database = asks.connection_pool.connection_kwargs.get("db") or 0
        exchange = Exchange(parent, commands, how, database)
    except Exception as error:  # a program's words may be anything: the client says so
        parent.buffer.warn(f"a value could not be recorded: {brief(error)}")
        return None
    if parent.buffer.server is not None:
        exchange.ask()
    return exchange


def _of_pipeline(pipeline: Any) -> Exchange | None:
    """That of all that a pipeline has collected."""
    stack = pipeline.command_stack
    if not stack:
        return None
    commands = [args for args, _ in stack]
    transaction = pipeline.transaction or pipeline.explicit_transaction
    return _exchange(pipeline, commands, "MULTI" if transaction else "pipeline")


async def _asked(make: Any, *args: Any) -> Exchange | None:
    """As ``make``; a command that was cancelled waits for that."""
    try:
        found: Exchange | None = make(*args)
    except asyncio.CancelledError:
        await asyncio.sleep(CANCELLED_AFTER)
        raise
    return found


def _plain() -> None:
    """Subscriptions, which are not recorded and which a replay has not."""
    parent = recorded_here()
    if parent is None:
        refuse_input(f"{NAME} subscribe")
    elif parent.buffer.server is not None:
        raise ReplayAbort(
            "subscriptions to Redis are not recorded",
            slug="input-not-recorded",
            hint="put what waits for messages into a function with @td.input",
        )
    else:
        parent.buffer.warn("what redis-py's subscriptions receive is not recorded")


_connections: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
"""What stands for the connections of a pool in a replay."""


def _served(pool: Any, *, is_async: bool) -> Any:
    """A connection without a socket, in a replayed job; None where there is to be a real one."""
    guard = runtime.guard
    if guard is None or not guard.begun or is_aside():
        return None
    found = _connections.get(pool)
    if found is None:
        found = _connections[pool] = _silent(pool, is_async=is_async)
    return found


def _silent(pool: Any, *, is_async: bool) -> Any:
    """A connection of a pool that never connects and reads what was recorded."""
    kwargs = dict(pool.connection_kwargs)
    found = pool.connection_class(**kwargs)
    encoder = found.encoder

    def read(*args: Any, disable_decoding: bool = False, **options: Any) -> Any:
        exchange = active.get()
        if exchange is None:  # to UNWATCH, the one that is sent
            return b"OK"
        decodes = encoder.decode_responses and not disable_decoding
        return exchange.next(decodes, encoder.encoding, encoder.encoding_errors)

    async def read_async(*args: Any, **options: Any) -> Any:
        return read(*args, **options)

    async def nothing_async(*args: Any, **options: Any) -> None:
        return None

    def send(*args: Any, **options: Any) -> None:
        if active.get() is None and args[:1] != ("UNWATCH",):
            raise ReplayAbort(
                "a connection to Redis is used in a way that is not recorded",
                slug="input-not-recorded",
                hint="put what uses it into a function with @td.input",
            )

    async def send_async(*args: Any, **options: Any) -> None:
        send(*args)

    nothing = nothing_async if is_async else lambda *args, **options: None
    for name in (
        *_GREETINGS, "connect", "connect_check_health", "disconnect", "can_read",
        "can_read_destructive",
    ):  # fmt: skip
        setattr(found, name, nothing)
    for name in ("send_command", "send_packed_command"):
        setattr(found, name, send_async if is_async else send)
    found.read_response = read_async if is_async else read
    found.should_reconnect = lambda: False
    found.tracediff_served = True
    return found

"""``grpc.aio``: calls of asynchronous clients, below their interceptors.

Each call of the library works on one object of its core, which it asks its channel for. While
recording the library's serializers are noted; in a replay that object is another one, which answers
as the recording did, so that all above it is the library's own.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import grpc
from grpc.aio import _call

from tracediff import runtime
from tracediff.recording.libraries.grpc_calls import Asked, Rpc, Rules, Status, Told
from tracediff.recording.libraries.patching import Patch
from tracediff.recording.libraries.reach import recorded_here

calls: Any = _call  # whose parts have no public names
core: Any = calls.cygrpc
_CODES = {one.name: one for one in grpc.StatusCode}
_NAMES = {one.value[0]: one.name for one in grpc.StatusCode}

CANCELLED_AFTER = 60.0
"""Seconds that a replayed call waits to be cancelled, as the recorded one was."""


def patches(rules: Rules) -> Iterable[Patch]:
    """What records the library."""
    for name, sends_many, answers_many in (
        ("UnaryUnaryCall", False, False), ("UnaryStreamCall", False, True),
        ("StreamUnaryCall", True, False), ("StreamStreamCall", True, True),
    ):  # fmt: skip
        kind = getattr(calls, name)
        instead = _beginning(kind.__init__, rules, sends_many=sends_many, streamed=answers_many)
        yield Patch(kind, "__init__", instead)
    kind = grpc.aio._channel.Channel  # noqa: SLF001 - the class of all channels
    yield Patch(kind, "channel_ready", _ready(kind.channel_ready))
    yield Patch(kind, "get_state", _state(kind.get_state))


def _replayed() -> bool:
    """Whether a replayed job asks, which finds its servers ready: nothing connects to them."""
    parent = recorded_here()
    return parent is not None and parent.buffer.server is not None


def _ready(real: Any) -> Any:
    @functools.wraps(real)
    async def channel_ready(self: Any) -> None:
        if not _replayed():
            await real(self)

    return channel_ready


def _state(real: Any) -> Any:
    @functools.wraps(real)
    def get_state(self: Any, try_to_connect: bool = False) -> Any:
        return grpc.ChannelConnectivity.READY if _replayed() else real(self, try_to_connect)

    return get_state


def _beginning(real: Any, rules: Rules, *, sends_many: bool, streamed: bool) -> Any:
    names = list(inspect.signature(real).parameters)[1:]

    @functools.wraps(real)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - it stands for it
        parent = recorded_here()
        said = {**dict(zip(names, args, strict=False)), **kwargs}
        method = _text(said["method"])
        if parent is None:
            if runtime.guard is not None:
                rules.refuse(method)
            real(self, *args, **kwargs)
            return
        # The core's channel does not say which server it speaks to.
        asked = Asked(method, "", streamed=sends_many)
        rpc = Rpc(parent, rules.mark(method), asked, streamed=streamed)
        said["request_serializer"] = rpc.sending(said["request_serializer"])
        said["response_deserializer"] = rpc.receiving(said["response_deserializer"])
        if rpc.replayed:
            said["channel"] = _Channel(rpc, said["channel"])
        real(self, **said)
        call = self._cython_call
        rpc.said.status = functools.partial(_status, call)
        call.add_done_callback(functools.partial(_done, rpc, call))

    return __init__


def _text(one: Any) -> str:
    return one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one)


def _status(call: Any) -> Status:
    status = call._status  # noqa: SLF001 - as the library itself reads it
    if status is None:
        return Status(None, None, None, None, None)
    return Status(
        _NAMES.get(status.code(), "UNKNOWN"), status.details(),
        call._initial_metadata, status.trailing_metadata(), status.debug_error_string(),  # noqa: SLF001 - as above
    )  # fmt: skip


def _done(rpc: Rpc, call: Any, *args: Any) -> None:
    """The call has ended."""
    rpc.ended()
    status = _status(call)
    if status.code not in (None, "OK", "CANCELLED"):
        metadata = grpc.aio.Metadata()
        rpc.failed(
            grpc.aio.AioRpcError(
                _CODES[status.code or "UNKNOWN"], metadata, metadata, status.details, status.debug
            )
        )


# --- in a replay ----------------------------------------------------------------------------------


class _Channel:
    """Stands for the core's channel."""

    def __init__(self, rpc: Rpc, real: Any) -> None:
        self._rpc = rpc
        self._real = real

    def call(self, *args: Any) -> Any:
        """A call, of which nothing is known yet."""
        return _Answer(self._rpc, lambda: self._real.call(*args))


class _Answer:
    """Stands for a call of the core: what it answers is asked for when the request is there."""

    def __init__(self, rpc: Rpc, real: Callable[[], Any]) -> None:
        self._rpc = rpc
        self._start = real
        self._real: Any = None
        self._told: Told | None = None
        self._left: list[bytes] = []
        self._ended = self._cancelled = False
        self._callbacks: list[Any] = []
        self._sent, self._known = asyncio.Event(), asyncio.Event()

    def _ask(self) -> Told | None:
        if self._told is None and self._real is None:
            self._told = self._rpc.served()
            if self._told is None:
                self._real = self._start()
                for one in self._callbacks:
                    self._real.add_done_callback(one)
            else:
                self._left = list(self._told.messages)
                self._known.set()
        return self._told

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            for one in self._callbacks:
                one()

    async def _hung(self) -> None:
        """Wait to be cancelled, where the recorded call was."""
        told = self._told
        if told is not None and told.code == "CANCELLED" and not self._left:
            await asyncio.sleep(CANCELLED_AFTER)

    async def _unary(self) -> bytes:
        told = self._ask()
        await asyncio.sleep(0)
        await self._hung()
        self._end()
        if told is not None and told.code in ("OK", None) and not told.messages:
            return b""
        return self._left[0] if self._left else b""

    async def unary_unary(self, *args: Any) -> Any:
        if self._ask() is None:
            return await self._real.unary_unary(*args)
        return await self._unary()

    async def stream_unary(self, metadata: Any, observer: Any, context: Any) -> Any:
        observer()
        await self._sent.wait()
        if self._ask() is None:
            return await self._real.stream_unary(metadata, lambda: None, context)
        return await self._unary()

    async def initiate_unary_stream(self, *args: Any) -> None:
        if self._ask() is None:
            await self._real.initiate_unary_stream(*args)

    async def initiate_stream_stream(self, metadata: Any, observer: Any, context: Any) -> None:
        observer()
        if self._ask() is None:
            await self._real.initiate_stream_stream(metadata, lambda: None, context)

    async def send_serialized_message(self, data: bytes) -> None:
        if self._real is not None:
            await self._real.send_serialized_message(data)

    async def send_receive_close(self) -> None:
        self._sent.set()
        if self._real is not None:
            await self._real.send_receive_close()

    async def receive_serialized_message(self) -> Any:
        if self._real is not None:
            return await self._real.receive_serialized_message()
        await asyncio.sleep(0)
        if self._left:
            return self._left.pop(0)
        if self._told is not None and self._told.code is None:
            self._rpc.miss()
        await self._hung()
        self._end()
        return core.EOF

    def _code(self) -> str:
        if self._cancelled:
            return "CANCELLED"
        return (self._told.code if self._told is not None else None) or "OK"

    async def status(self) -> Any:
        if self._real is not None:
            return await self._real.status()
        self._end()
        return self._status

    @property
    def _status(self) -> Any:
        told = self._told
        if self._real is not None or told is None:
            return self._real and self._real._status  # noqa: SLF001 - as the library reads it
        code = _CODES.get(self._code(), grpc.StatusCode.UNKNOWN)
        return core.AioRpcStatus(code.value[0], told.details, told.trailing, told.debug)

    @property
    def _initial_metadata(self) -> Any:
        if self._real is not None:
            return self._real._initial_metadata  # noqa: SLF001 - as the library reads it
        return self._told.initial if self._told is not None else ()

    async def initial_metadata(self) -> Any:
        if self._real is not None:
            return await self._real.initial_metadata()
        await self._known.wait()  # the request is on its way
        return self._told.initial if self._told is not None else ()

    def is_ok(self) -> bool:
        return bool(self._real.is_ok()) if self._real is not None else self._code() == "OK"

    def is_locally_cancelled(self) -> bool:
        return (
            bool(self._real.is_locally_cancelled()) if self._real is not None else self._cancelled
        )

    def cancelled(self) -> bool:
        return self._cancelled if self._real is None else bool(self._real.cancelled())

    def done(self) -> bool:
        return self._ended if self._real is None else bool(self._real.done())

    def cancel(self, details: str) -> None:
        if self._real is not None:
            self._real.cancel(details)
            return
        self._cancelled = True
        self._end()

    def add_done_callback(self, callback: Any) -> None:
        if self._real is not None:
            self._real.add_done_callback(callback)
        elif self._ended:
            callback()
        else:
            self._callbacks.append(callback)

    def time_remaining(self) -> None:
        return None

    def set_internal_error(self, text: str) -> None:
        if self._real is not None:
            self._real.set_internal_error(text)

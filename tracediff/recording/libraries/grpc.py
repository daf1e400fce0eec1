"""``grpc``: calls of clients, below their interceptors and whatever channel they go through.

What calls a method is the class of its channel's multi-callables, which stubs hold, those that were
made long before too. A call goes through a copy of one, which notes the messages as they are
written and read. A replay answers with the library's own objects, of a state that has ended.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import grpc
from grpc import _channel

from tracediff import runtime
from tracediff.config import Config
from tracediff.recording.libraries import grpc_aio
from tracediff.recording.libraries.grpc_calls import SUCCEEDED, Asked, Rpc, Rules, Status, Told
from tracediff.recording.libraries.patching import Patch
from tracediff.recording.libraries.reach import recorded_here, refuse_input

channel: Any = _channel  # whose parts have no public names
_UNARY = ("__call__", "with_call", "future")
CANCELLED_WITHIN = 1.0
"""Seconds that a replayed stream waits to be cancelled by another thread, as it was."""

_CODES = {one.name: one for one in grpc.StatusCode}


def patches(config: Config) -> Iterable[Patch]:
    """What records the library."""
    rules = Rules(config)
    for name, sends_many in (("_UnaryUnary", False), ("_StreamUnary", True)):
        kind = getattr(channel, f"{name}MultiCallable")
        for how in _UNARY:
            instead = _answered(getattr(kind, how), rules, how, sends_many=sends_many)
            yield Patch(kind, how, instead)
    for name, sends_many in (
        ("_UnaryStream", False), ("_SingleThreadedUnaryStream", False), ("_StreamStream", True),
    ):  # fmt: skip
        kind = getattr(channel, f"{name}MultiCallable")
        instead = _answered(kind.__call__, rules, "stream", sends_many=sends_many)
        yield Patch(kind, "__call__", instead)
    yield Patch(channel.Channel, "subscribe", _subscribing(channel.Channel.subscribe))
    yield from grpc_aio.patches(rules)


def _answered(real: Any, rules: Rules, how: str, *, sends_many: bool) -> Any:
    @functools.wraps(real)
    def call(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        parent = recorded_here()
        method = _text(self._method)
        if parent is None:
            if runtime.guard is not None:
                rules.refuse(method)
            return real(self, request, *args, **kwargs)
        asked = Asked(method, _text(self._target), streamed=sends_many)
        rpc = Rpc(parent, rules.mark(method), asked, streamed=how == "stream")
        written, read = _serializers(self)
        send = rpc.sending(written)
        if rpc.replayed:
            _send_nowhere(send, request, sends_many=sends_many, rpc=rpc)
            told = rpc.served()
            if told is not None:
                return _serve(rpc, told, read, how)
        through = _copy(self, send, rpc.receiving(read))
        return _made(rpc, how, real, through, request, *args, **kwargs)

    return call


def _made(rpc: Rpc, how: str, real: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The real call."""
    try:
        found = real(*args, **kwargs)
    except grpc.RpcError as error:
        state = getattr(error, "_state", None)
        if state is not None:
            rpc.said.status = functools.partial(_status, state)
        rpc.failed(error)
        raise
    except BaseException as error:
        rpc.failed(error)
        raise
    if how == "__call__":
        rpc.said.status = _succeeded
    else:
        call = found[1] if how == "with_call" else found
        rpc.said.status = functools.partial(_status, call._state)  # noqa: SLF001 - as it is then
    rpc.ended()
    return found


def _succeeded() -> Status:
    return SUCCEEDED


def _status(state: Any) -> Status:
    code = None if state.code is None else state.code.name
    return Status(
        code, _text(state.details or ""), state.initial_metadata, state.trailing_metadata,
        _text(state.debug_error_string or ""),
    )  # fmt: skip


@functools.lru_cache(maxsize=16)
def _slots(kind: Any) -> tuple[str, ...]:
    return tuple(
        name for base in kind.__mro__ for name in getattr(base, "__slots__", ()) if name[:2] != "__"
    )


def _serializers(callable_: Any) -> tuple[Any, Any]:
    return callable_._request_serializer, callable_._response_deserializer  # noqa: SLF001 - as it does


def _copy(callable_: Any, send: Any, receive: Any) -> Any:
    """What calls the same method, with other serializers."""
    kind: Any = type(callable_)
    made = object.__new__(kind)
    for name in _slots(kind):
        setattr(made, name, getattr(callable_, name))
    for name, value in getattr(callable_, "__dict__", {}).items():
        setattr(made, name, value)
    made._request_serializer, made._response_deserializer = send, receive
    return made


@functools.lru_cache(maxsize=1024)
def _text(one: Any) -> str:
    return one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one)


def _subscribing(real: Any) -> Any:
    """Who waits for a server in a replay finds it ready: nothing connects to it."""

    @functools.wraps(real)
    def subscribe(self: Any, callback: Any, try_to_connect: bool | None = None) -> None:
        parent = recorded_here()
        if parent is not None and parent.buffer.server is not None:
            callback(grpc.ChannelConnectivity.READY)
            return
        if parent is None and try_to_connect:
            refuse_input("grpc connect")
        real(self, callback, try_to_connect)

    return subscribe


# --- in a replay ----------------------------------------------------------------------------------


def _send_nowhere(serialize: Any, request: Any, *, sends_many: bool, rpc: Rpc) -> None:
    """Take what would be sent; of a stream that is answered as it is sent, as it is read."""
    if not sends_many:
        serialize(request)
    elif not rpc.said.streamed:
        for one in request:
            serialize(one)
    else:
        rpc.pending = (serialize, iter(request))


def _serve(rpc: Rpc, told: Told, deserialize: Any, how: str) -> Any:
    make = (lambda data: data) if deserialize is None else deserialize
    messages = [make(one) for one in told.messages]
    if how == "stream":
        return _ServedStream(rpc, told, messages)
    if told.code in ("OK", None) and not messages:  # it was not recorded, and stands for one
        messages.append(make(b""))
    call = _Served(_state(told, "OK"), None, deserialize, None)
    if call._state.code is grpc.StatusCode.OK:  # noqa: SLF001 - made above
        call._state.response = messages[0]  # noqa: SLF001 - as above
    if how == "future":
        return call
    if call._state.code is not grpc.StatusCode.OK:  # noqa: SLF001 - as above
        error = channel._InactiveRpcError(call._state)  # noqa: SLF001 - the library's own error
        rpc.failed(error)
        raise error
    return (messages[0], call) if how == "with_call" else messages[0]


def _state(told: Told, unknown: str) -> Any:
    """The state of a call that has ended so."""
    code = _CODES.get(told.code or unknown, grpc.StatusCode.UNKNOWN)
    found = channel._RPCState((), _pairs(told.initial), _pairs(told.trailing), code, None)  # noqa: SLF001 - what its objects are made of
    found.details = told.details
    found.debug_error_string = told.debug
    found.cancelled = code is grpc.StatusCode.CANCELLED
    return found


def _pairs(pairs: tuple[tuple[str, Any], ...]) -> Any:
    kind = getattr(channel.cygrpc, "_Metadatum", None)
    return tuple(pairs) if kind is None else tuple(kind(*one) for one in pairs)


class _Served(channel._MultiThreadedRendezvous):  # type: ignore[misc]  # noqa: SLF001 - what callers expect
    """A recorded call that has ended."""

    def cancel(self) -> bool:
        return False


class _ServedStream(_Served):
    """A recorded stream of messages."""

    def __init__(self, rpc: Rpc, told: Told, messages: list[Any]) -> None:
        super().__init__(_state(told, "CANCELLED"), None, None, None)
        self._rpc = rpc
        self._unread = told.code in (None, "CANCELLED")
        self._cancelled = threading.Event()
        self._left: Iterator[Any] = iter(messages)
        self._active = True

    def is_active(self) -> bool:
        return self._active

    def cancel(self) -> bool:
        self._state.code = grpc.StatusCode.CANCELLED
        self._state.cancelled = True
        self._left = iter(())
        self._cancelled.set()
        return True

    def _next(self) -> Any:
        for one in self._left:
            self._rpc.send_one()
            return one
        self._rpc.send_one(all_of_them=True)
        if self._unread and not self._cancelled.wait(CANCELLED_WITHIN):
            self._rpc.miss()
        self._active = False
        if self._state.code is grpc.StatusCode.OK:
            raise StopIteration
        raise self


for _kind in (_Served, _ServedStream):  # as which they are told in errors
    _kind.__name__ = _kind.__qualname__ = "_MultiThreadedRendezvous"
    _kind.__module__ = channel.__name__

"""``aiohttp``: what its client's connectors send is recorded, below the session.

Redirects, cookies, authentication, middlewares, retries and ``raise_for_status`` are the session's,
which runs in a replay as well. Web sockets stay plain.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Iterable
from typing import Any

import aiohttp
import aiohttp.payload
from aiohttp.abc import AbstractStreamWriter

from tracediff import runtime
from tracediff.config import Config
from tracediff.recording.faults import brief
from tracediff.recording.libraries.aiohttp_errors import again, bare, in_place
from tracediff.recording.libraries.aiohttp_streams import Connected, note_answer, serve_answer
from tracediff.recording.libraries.http.answers import Told
from tracediff.recording.libraries.http.asked import Asked, Sent
from tracediff.recording.libraries.http.exchanges import Exchange, Rules
from tracediff.recording.libraries.patching import Patch
from tracediff.recording.libraries.reach import recorded_here
from tracediff.recording.spans import Span, leave
from tracediff.runtime import ReplayAbort, current

CANCELLED_AFTER = 60.0
"""Seconds that a replayed request waits to be cancelled, as the recorded one was."""


def patches(config: Config) -> Iterable[Patch]:
    """What records the library."""
    connector = aiohttp.BaseConnector
    rules = Rules("aiohttp", config, bare)
    yield Patch(connector, "connect", _connecting(connector.connect, rules))


def _connecting(real: Any, rules: Rules) -> Any:
    @functools.wraps(real)
    async def connect(self: Any, req: Any, *args: Any, **kwargs: Any) -> Any:
        parent = recorded_here()
        if parent is None or "Upgrade" in req.headers:
            return await _plainly(functools.partial(real, self, req, *args, **kwargs), rules,
                                  parent, req)  # fmt: skip
        try:
            body = _given(req)
            asked = Asked(req.method, req.url, req.headers.copy(), body)
            exchange = Exchange(parent, rules, asked, functools.partial(again, self, req))
        except Exception as error:  # a request class of the program's own may be anything
            parent.buffer.warn(f"a value could not be recorded: {brief(error)}")
            return await real(self, req, *args, **kwargs)
        if exchange.replayed:
            connecting = functools.partial(_connected, exchange, real, self, req, *args, **kwargs)
            connection = Connected(self, req)
            req.send = functools.partial(_served, exchange, req, body, connecting)
            return connection
        connection = await _connected(exchange, real, self, req, *args, **kwargs)
        req.send = functools.partial(_sent, exchange, req, body)
        return connection

    return connect


async def _plainly(real: Any, rules: Rules, parent: Span | None, req: Any) -> Any:
    """Connect for what is not recorded."""
    if runtime.guard is None:
        if parent is not None:
            parent.buffer.warn("the messages of a web socket are not recorded (aiohttp)")
        return await real()
    with rules.plainly(req.method, req.url):
        return await real()


async def _connected(
    exchange: Exchange, real: Any, connector: Any, req: Any, *args: Any, **kwargs: Any
) -> Any:
    """A connection to the server; what runs below it is no input of its own."""
    token = current.set(exchange.span)
    try:
        return await real(connector, req, *args, **kwargs)
    except BaseException as error:
        exchange.failed(in_place(error, req))
        raise
    finally:
        leave(token)


def _given(req: Any) -> Any:
    """What a request sends, or what will note the pieces of it."""
    body = req.body
    if not body:
        return None
    if isinstance(body, aiohttp.payload.BytesPayload):
        return bytes(body._value)  # noqa: SLF001 - its other ways to it are asynchronous
    return Sent()


async def _sent(exchange: Exchange, req: Any, body: Any, connection: Any) -> Any:
    """Send a request for real."""
    del req.send  # a middleware may send the request again
    if type(body) is Sent:
        _note_sent(req, body)
    try:
        response = await req.send(connection)
    except BaseException as error:
        exchange.failed(in_place(error, req))
        raise
    finally:
        if type(body) is Sent:
            del req.write_bytes
    response.start = functools.partial(_started, exchange, response)
    return response


async def _started(exchange: Exchange, response: Any, connection: Any) -> Any:
    """Wait for the head of an answer, and record it."""
    del response.start
    try:
        await response.start(connection)
    except BaseException as error:
        exchange.failed(error)
        raise
    try:
        note_answer(exchange, response)
    except Exception as error:  # a response class of the program's own may be anything
        exchange.unnoted(error)
    return response


def _note_sent(req: Any, sent: Sent) -> None:
    """Note the pieces of a body as they are sent, before they are compressed."""
    real = req.write_bytes

    async def write_bytes(writer: Any, *args: Any, **kwargs: Any) -> None:
        sent.restart()
        told = writer._on_chunk_sent  # noqa: SLF001 - the writer's only hook

        async def noted(chunk: Any) -> None:
            sent.add(chunk)
            if told is not None:
                await told(chunk)

        writer._on_chunk_sent = noted  # noqa: SLF001 - as above
        await real(writer, *args, **kwargs)

    req.write_bytes = write_bytes


async def _served(
    exchange: Exchange, req: Any, body: Any, connecting: Any, connection: Connected
) -> Any:
    """Answer a request from a recording; send it where it is to be sent after all."""
    del req.send  # as above
    failure = await _send_nowhere(req, body) if type(body) is Sent else None
    told = await _answer(exchange, plain=connection.decodes)
    if failure is not None:  # what the library says of it
        text = f"Failed to send bytes into the underlying connection {connection}: {failure!r}"
        raise aiohttp.ClientConnectionError(text) from failure
    if told is None:
        return await _live(exchange, req, body, await connecting(), connection)
    held, waits = req._body, req._continue  # noqa: SLF001 - it was sent already
    req._body = req._continue = None  # noqa: SLF001 - as above
    try:
        response = await req.send(connection)
    finally:
        req._body, req._continue = held, waits  # noqa: SLF001 - as above
    serve_answer(exchange, told, req, connection)
    return response


async def _answer(exchange: Exchange, *, plain: bool) -> Told | None:
    """What a recording answers; a request that was cancelled waits for that."""
    try:
        return exchange.served(plain=plain)
    except asyncio.CancelledError:
        await asyncio.sleep(CANCELLED_AFTER)
        raise


async def _live(exchange: Exchange, req: Any, body: Any, real: Any, stand_in: Connected) -> Any:
    """Send a request for real in a replay that lets it."""
    if type(body) is Sent and req.body and req.body.consumed:
        real.close()
        raise ReplayAbort(
            "a body that was sent piece by piece cannot be sent again",
            slug="input-not-recorded",
            hint="record the job again",
        )
    real.protocol.set_response_params(**stand_in.parameters)
    req.send = req.send  # which the other takes off
    response = await _sent(exchange, req, body, real)
    start = response.start
    response.start = lambda _: start(real)
    return response


async def _send_nowhere(req: Any, sent: Sent) -> Exception | None:
    """Take what would be sent; the error of what gives it, in the middle."""
    try:
        await req._body.write_with_length(_Taking(sent), None)  # noqa: SLF001 - as its request does
    except Exception as error:  # the program's own code
        return error
    return None


class _Taking(AbstractStreamWriter):
    """Writes into what notes a body."""

    def __init__(self, sent: Sent) -> None:
        self._sent = sent

    async def write(self, chunk: Any, **_: Any) -> None:
        self._sent.add(chunk)

    async def write_eof(self, chunk: bytes = b"") -> None:
        self._sent.add(chunk)

    async def drain(self) -> None:
        """Nothing waits."""

    def enable_compression(self, encoding: str = "deflate", strategy: int | None = None) -> None:
        """What is sent is noted before it is compressed."""

    def enable_chunking(self) -> None:
        """What is sent is noted before it is put into frames."""

    async def write_headers(self, status_line: str, headers: Any) -> None:
        """They are noted already."""

"""``httpx``: what its own transports send is recorded, below the client.

Redirects, cookies, authentication, hooks and decoding are the client's, which runs in a replay as
well. Transports that call an application in this process (ASGI, WSGI, mocks) stay plain.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import httpx

from tracediff import runtime
from tracediff.config import Config
from tracediff.recording.libraries.http.answers import Told
from tracediff.recording.libraries.http.asked import Asked, Sent
from tracediff.recording.libraries.http.exchanges import Exchange, Rules
from tracediff.recording.libraries.patching import Patch
from tracediff.recording.libraries.reach import recorded_here

CANCELLED_AFTER = 60.0
"""Seconds that a replayed request waits to be cancelled, as the recorded one was."""


def patches(config: Config) -> Iterable[Patch]:
    """What records the library."""
    rules = Rules("httpx", config)
    sync, other = httpx.HTTPTransport, httpx.AsyncHTTPTransport
    yield Patch(sync, "handle_request", _handling(sync.handle_request, rules))
    yield Patch(other, "handle_async_request", _handling_async(other.handle_async_request, rules))


def _handling(real: Any, rules: Rules) -> Any:
    @functools.wraps(real)
    def handle_request(self: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        parent = recorded_here()
        if parent is None:
            if runtime.guard is None:
                return real(self, request)  # type: ignore[no-any-return]  # httpx's own function
            with rules.plainly(request.method, request.url):
                return real(self, request)  # type: ignore[no-any-return]  # as above
        body, stream = _body(request), request.stream
        original = stream
        exchange = Exchange(parent, rules, _asked(request, body))
        if exchange.replayed:
            if type(body) is Sent and isinstance(stream, httpx.SyncByteStream):
                for piece in stream:
                    body.add(piece)
            told = exchange.served()
            if told is not None:
                return _response(told, _Served(exchange, told))
            if type(body) is Sent:  # it was taken from what gives it
                stream = httpx.ByteStream(body.whole())
        if type(body) is Sent:
            request.stream = _Sending(stream, body)
        try:
            with exchange:
                response: httpx.Response = real(self, request)
        finally:
            request.stream = original
        _note(exchange, response, _Noted)
        return response

    return handle_request


def _handling_async(real: Any, rules: Rules) -> Any:
    @functools.wraps(real)
    async def handle_async_request(
        self: httpx.AsyncHTTPTransport, request: httpx.Request
    ) -> httpx.Response:
        parent = recorded_here()
        if parent is None:
            if runtime.guard is None:
                return await real(self, request)  # type: ignore[no-any-return]  # httpx's own
            with rules.plainly(request.method, request.url):
                return await real(self, request)  # type: ignore[no-any-return]  # as above
        body, stream = _body(request), request.stream
        original = stream
        exchange = Exchange(parent, rules, _asked(request, body))
        if exchange.replayed:
            if type(body) is Sent and isinstance(stream, httpx.AsyncByteStream):
                async for piece in stream:
                    body.add(piece)
            told = await _served(exchange)
            if told is not None:
                return _response(told, _ServedAsync(exchange, told))
            if type(body) is Sent:  # as above
                stream = httpx.ByteStream(body.whole())
        if type(body) is Sent:
            request.stream = _SendingAsync(stream, body)
        try:
            with exchange:
                response: httpx.Response = await real(self, request)
        finally:
            request.stream = original
        _note(exchange, response, _NotedAsync)
        return response

    return handle_async_request


async def _served(exchange: Exchange) -> Told | None:
    """What a recording answers; a request that was cancelled waits for that."""
    try:
        return exchange.served()
    except asyncio.CancelledError:
        await asyncio.sleep(CANCELLED_AFTER)
        raise


def _body(request: httpx.Request) -> Any:
    """What a request sends, or what will note the pieces of it."""
    if isinstance(request.stream, httpx.ByteStream):
        return request.read()
    return Sent()


def _asked(request: httpx.Request, body: Any) -> Asked:
    return Asked(request.method, request.url, request.headers.raw, body)


def _note(exchange: Exchange, response: httpx.Response, stream: type[_Noted | _NotedAsync]) -> None:
    """Record an answer: its head now, its body as the job reads it."""
    try:
        exchange.answered(
            response.status_code,
            response.reason_phrase,
            response.http_version,
            response.headers.raw,
        )
        response.stream = stream(response.stream, exchange)
    except Exception as error:  # other hooks may give anything
        exchange.unnoted(error)


def _response(told: Told, stream: Any) -> httpx.Response:
    """A recorded answer as the transport's."""
    return httpx.Response(
        told.status,
        headers=[
            (name.encode("latin-1", "replace"), value.encode("latin-1", "replace"))
            for name, value in told.headers
        ],
        stream=stream,
        extensions={
            "http_version": told.version.encode("ascii", "replace"),
            "reason_phrase": told.reason.encode("ascii", "replace"),
        },
    )


class _Noted(httpx.SyncByteStream):
    """The body of an answer, which is recorded as the job reads it."""

    def __init__(self, inner: Any, exchange: Exchange) -> None:
        self._inner = inner
        self._exchange = exchange

    def __iter__(self) -> Iterator[bytes]:
        add = self._exchange.add
        try:
            for piece in self._inner:
                add(piece)
                yield piece
        except GeneratorExit:
            raise
        except BaseException as error:
            self._exchange.failed(error)
            raise
        self._exchange.ended()

    def close(self) -> None:
        self._inner.close()


class _NotedAsync(httpx.AsyncByteStream):
    """The same of an asynchronous client."""

    def __init__(self, inner: Any, exchange: Exchange) -> None:
        self._inner = inner
        self._exchange = exchange

    async def __aiter__(self) -> AsyncIterator[bytes]:
        add = self._exchange.add
        try:
            async for piece in self._inner:
                add(piece)
                yield piece
        except GeneratorExit:
            raise
        except BaseException as error:
            self._exchange.failed(error)
            raise
        self._exchange.ended()

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Served(httpx.SyncByteStream):
    """The body of a recorded answer."""

    def __init__(self, exchange: Exchange, told: Told) -> None:
        self._exchange = exchange
        self._told = told

    def __iter__(self) -> Iterator[bytes]:
        return self._exchange.pieces(self._told)


class _ServedAsync(httpx.AsyncByteStream):
    """The same for an asynchronous client."""

    def __init__(self, exchange: Exchange, told: Told) -> None:
        self._exchange = exchange
        self._told = told

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            for piece in self._exchange.pieces(self._told):
                yield piece
        except asyncio.CancelledError:
            await asyncio.sleep(CANCELLED_AFTER)
            raise


class _Sending(httpx.SyncByteStream):
    """The body of a request, which is recorded as it is sent."""

    def __init__(self, inner: Any, sent: Sent) -> None:
        self._inner = inner
        self._sent = sent

    def __iter__(self) -> Iterator[bytes]:
        self._sent.restart()
        for piece in self._inner:
            self._sent.add(piece)
            yield piece


class _SendingAsync(httpx.AsyncByteStream):
    """The same of an asynchronous client."""

    def __init__(self, inner: Any, sent: Sent) -> None:
        self._inner = inner
        self._sent = sent

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self._sent.restart()
        async for piece in self._inner:
            self._sent.add(piece)
            yield piece

"""Answers of ``aiohttp``: bodies as the job takes them, connections that nothing is behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import HttpVersion, RawResponseMessage
from aiohttp.streams import EMPTY_PAYLOAD
from multidict import CIMultiDict, CIMultiDictProxy

from tracediff.recording.libraries.http.answers import BODYLESS, Told
from tracediff.recording.libraries.http.exchanges import Exchange

CANCELLED_AFTER = 60.0
T = TypeVar("T")


def note_answer(exchange: Exchange, response: Any) -> None:
    """Record an answer: its head now, its body as the job reads it."""
    version = response.version
    answer = exchange.answered(
        response.status,
        response.reason or "",
        f"HTTP/{version.major}.{version.minor}",
        response.raw_headers,
    )
    answer.taken = True
    content = response.content
    if content is EMPTY_PAYLOAD:
        exchange.ended()
    elif content.is_eof() and content._http_chunk_splits is None and not content.exception():  # noqa: SLF001 - there is no other way to know
        # All of it is there, in one piece however it is read.
        answer.decoded = getattr(content, "total_compressed_bytes", None) is not None
        exchange.add(b"".join(content._buffer))  # noqa: SLF001 - to read it would take it away
        exchange.ended()
    else:
        response.content = Noted(content, exchange)


class Noted(aiohttp.StreamReader):
    """The body of an answer, which is recorded as the job reads it.

    Args:
        inner: What the connection fills.
        exchange: Where the body is recorded.
    """

    __slots__ = ("_exchange", "_inner", "_released")

    def __init__(self, inner: aiohttp.StreamReader, exchange: Exchange) -> None:
        self._inner = inner
        self._exchange = exchange
        self._released = False

    def __getattr__(self, name: str) -> Any:
        """What the stream that is filled says."""
        return getattr(self._inner, name)

    def exception(self) -> BaseException | None:
        """What the stream ended with."""
        return self._inner.exception()

    def set_exception(self, exc: BaseException, *args: Any, **kwargs: Any) -> None:
        """End the stream, as a response does that is let go."""
        self._released = True
        self._inner.set_exception(exc, *args, **kwargs)

    def on_eof(self, callback: Any) -> None:
        """Tell of the end."""
        self._inner.on_eof(callback)

    def feed_eof(self) -> None:
        """End the stream."""
        self._inner.feed_eof()

    def feed_data(self, data: bytes, *args: Any) -> bool:
        """Add to the stream."""
        return self._inner.feed_data(data, *args)

    def set_read_chunk_size(self, n: int) -> None:
        """Read in pieces of so many bytes."""
        self._inner.set_read_chunk_size(n)

    def unread_data(self, data: bytes) -> None:
        """Take data back: it was not read."""
        self._inner.unread_data(data)
        answer, left = self._exchange.answer, len(data)
        if answer is not None:
            answer.ended = False
        while answer is not None and answer.parts and left:
            last = answer.parts.pop()
            if len(last) > left:
                answer.parts.append(last[:-left])
            answer.size -= min(left, len(last))
            left -= min(left, len(last))

    async def wait_eof(self) -> None:
        """Wait for the end."""
        await self._inner.wait_eof()

    async def read(self, n: int = -1) -> bytes:
        """Read so many bytes, or all."""
        try:
            data = await self._inner.read(n)
        except BaseException as error:
            self._failed(error)
            raise
        return self._add(data)

    async def readany(self) -> bytes:
        """Read what is there."""
        return self._add(await self._reading(self._inner.readany()))

    async def readuntil(self, *args: Any, **kwargs: Any) -> bytes:
        """Read to a separator."""
        return self._add(await self._reading(self._inner.readuntil(*args, **kwargs)))

    async def readchunk(self) -> tuple[bytes, bool]:
        """Read what is there of a chunk of the server's, and whether it is its end."""
        data, ends = await self._reading(self._inner.readchunk())
        if ends and not data:  # the end of a chunk whose bytes were taken before
            self._exchange.add(data)
        else:
            self._add(data, opened=not ends)
        return data, ends

    def read_nowait(self, n: int = -1) -> bytes:
        """Read what is there now."""
        return self._add(self._inner.read_nowait(n))

    async def _reading(self, reading: Awaitable[T]) -> T:
        try:
            return await reading
        except BaseException as error:
            self._failed(error)
            raise

    def _failed(self, error: BaseException) -> None:
        if not self._released:
            self._exchange.failed(error)

    def _add(self, data: bytes, *, opened: bool = False) -> bytes:
        answer = self._exchange.answer
        if answer is not None:
            if data:
                if not answer.parts:
                    count = getattr(self._inner, "total_compressed_bytes", None)
                    answer.decoded = count is not None
                self._exchange.add(data)
                if opened and not answer.dropped:
                    answer.opened = [*(answer.opened or ()), len(answer.parts) - 1]
            if self._inner.at_eof():
                self._exchange.ended()
        return data


def serve_answer(exchange: Exchange, told: Told, req: Any, connection: Connected) -> None:
    """Let the connection give a recorded answer."""
    protocol = connection.protocol
    if protocol is None:  # a hook of the program's has closed it
        return
    headers = [(name.encode("utf-8", "surrogateescape"), value.encode("utf-8", "surrogateescape"))
               for name, value in told.headers]  # fmt: skip
    named = CIMultiDictProxy(CIMultiDict(told.headers))
    major, _, minor = told.version.removeprefix("HTTP/").partition(".")
    version = (
        HttpVersion(int(major), int(minor)) if (major + minor).isdigit() else HttpVersion(1, 1)
    )
    chunked = "chunked" in named.get("Transfer-Encoding", "").lower()
    nothing = not told.pieces and not (told.unread or told.cut or told.error)
    message = RawResponseMessage(version, told.status, told.reason, named, tuple(headers), False,
                                 None, False, chunked)  # fmt: skip
    bodyless = req.method == "HEAD" or told.status in BODYLESS or nothing
    body: Any = EMPTY_PAYLOAD
    if not bodyless:
        body = Served(exchange, told, req, protocol, chunked=chunked)
        body.begin()
    protocol.feed_data((message, body), 0)


class Served(aiohttp.StreamReader):
    """The body of a recorded answer, given in the pieces that it was taken in."""

    __slots__ = ("_at", "_chunked", "_exchange", "_told")

    def __init__(
        self, exchange: Exchange, told: Told, req: Any, protocol: Any, *, chunked: bool
    ) -> None:
        super().__init__(protocol, 1 << 40, timer=req._timer, loop=req.loop)  # noqa: SLF001 - the library gives it to its own
        self._exchange = exchange
        self._told = told
        self._at = 0
        self._chunked = chunked
        if chunked:
            self.begin_http_chunk_receiving()

    def begin(self) -> None:
        """Be at the end where all of it is one piece, as most answers are when they are there."""
        told = self._told
        if len(told.pieces) == 1 and not (self._chunked or told.unread or told.error):
            self._give()

    def read_nowait(self, n: int = -1) -> bytes:
        """Read what was there."""
        if not self._buffer and not self._eof and self._at < len(self._told.pieces):
            self._give()
        return super().read_nowait(n)

    async def _wait(self, func_name: str) -> None:
        """What the stream would wait for is there: the next piece, the end or an error."""
        self._timer.assert_timeout()
        if self._at < len(self._told.pieces):
            self._give()
            return
        try:
            for _ in self._exchange.pieces(self._told._replace(pieces=[])):
                pass
        except asyncio.CancelledError:
            await asyncio.sleep(CANCELLED_AFTER)
            raise
        except Exception as error:
            self.set_exception(error)
            raise
        self.feed_eof()

    def _give(self) -> None:
        at, told = self._at, self._told
        self._at += 1
        self.feed_data(told.pieces[at])
        if self._chunked and at not in told.opened:
            self.end_http_chunk_receiving()
        if self._at == len(told.pieces) and not (told.unread or told.error):
            self.feed_eof()


class Connected(Connection):
    """A connection that nothing is behind.

    Args:
        connector: Whose it seems to be.
        req: The request that it is for.
    """

    def __init__(self, connector: Any, req: Any) -> None:
        protocol = _Handler(req.loop)
        protocol.connection_made(_Nowhere())
        self.parameters: dict[str, Any] = protocol.parameters
        super().__init__(connector, req.connection_key, protocol, req.loop)

    def __del__(self, _warnings: Any = None) -> None:
        """There is nothing to close."""

    @property
    def decodes(self) -> bool:
        """Whether the session takes encodings off."""
        return bool(self.parameters.get("auto_decompress", True))

    def close(self) -> None:
        """Tell those who wait for it."""
        self._notify_release()
        self._protocol = None

    release = close


class _Handler(ResponseHandler):
    """What would read from the connection; the answer is put into it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.parameters: dict[str, Any] = {}

    def set_response_params(self, **parameters: Any) -> None:
        """Keep them: there is nothing to read."""
        self.parameters.update(parameters)

    def pause_reading(self) -> None:
        """Nothing is read."""

    def resume_reading(self, resume_parser: bool = True) -> None:
        """As above."""


class _Nowhere(asyncio.Transport):
    """Takes what is sent."""

    def write(self, data: Any) -> None:
        """Take it."""

    def writelines(self, list_of_data: Any) -> None:
        """Take them."""

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        """There is nothing to close."""

    def abort(self) -> None:
        """As above."""

    def get_write_buffer_size(self) -> int:
        return 0

"""An answer of HTTP/1.1 as Python's own ``http.client`` reads it from a connection.

What a job reads through it is noted below it, frames and all, since that is where every way to read
passes. A recorded answer is such a connection again, which nothing is behind.
"""

from __future__ import annotations

import http.client
import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tracediff.recording.libraries.http.answers import Told
from tracediff.recording.libraries.http.exchanges import Exchange
from tracediff.recording.libraries.http.frames import framed


class Noted:
    """The file of a connection, from which the body of an answer is read.

    Args:
        inner: The connection's own.
        exchange: Where the body is recorded.
    """

    def __init__(self, inner: Any, exchange: Exchange) -> None:
        self._inner = inner
        self._exchange = exchange

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def read(self, size: int | None = -1) -> bytes:
        """Read so many bytes, or all."""
        return self._noted(self._inner.read, size)

    def read1(self, size: int = -1) -> bytes:
        """Read what is there."""
        return self._noted(self._inner.read1, size)

    def readline(self, size: int = -1) -> bytes:
        """Read a line."""
        return self._noted(self._inner.readline, size)

    def readinto(self, target: Any) -> int:
        """Read into memory that the caller has."""
        data = self._noted(self._inner.read, len(target))
        target[: len(data)] = data
        return len(data)

    def _noted(self, read: Callable[[Any], bytes], size: int | None) -> bytes:
        try:
            data = read(size)
        except Exception as error:
            self._exchange.failed(error)
            raise
        if data:
            self._exchange.add(data)
        all_of_it = read == self._inner.read  # which returns less at the end only
        short = size is None or size < 0 or len(data) < size
        if short and (all_of_it or not data):
            self._exchange.ended()
        return data


class _Connection:
    """What ``http.client`` takes for a socket."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file

    def makefile(self, mode: str) -> io.BufferedReader:
        return self._file


class _Pieces(io.RawIOBase):
    """A file of pieces that come one after the other, the last of which may be an error."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = piece
        count = min(len(self._left), len(target))
        target[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


class _File(io.BufferedReader):
    """A file that reads no further than it was asked to: the next piece may be an error."""

    def read(self, size: int | None = -1, /) -> bytes:
        found: list[bytes] = []
        left = -1 if size is None else size
        while left:
            part = self.raw.read(left if left > 0 else 1 << 16)
            if not part:
                break
            found.append(part)
            left -= len(part) if left > 0 else 0
        return b"".join(found)

    def read1(self, size: int = -1, /) -> bytes:
        return self.raw.read(size if size >= 0 else 1 << 16) or b""

    def readinto(self, target: Any, /) -> int:
        data = self.read(len(target))
        target[: len(data)] = data
        return len(data)

    def readline(self, size: int | None = -1, /) -> bytes:
        found = b""
        while not found.endswith(b"\n") and (size is None or size < 0 or len(found) < size):
            part = self.raw.read(1)
            if not part:
                break
            found += part
        return found

    def peek(self, size: int = 0, /) -> bytes:
        return b""


def received(told: Told, pieces: Iterable[bytes], method: str) -> http.client.HTTPResponse:
    """A recorded answer, whose head has been read.

    Args:
        told: The answer.
        pieces: Its body, which is asked for as it is read.
        method: The method of the request.
    """
    by_name = {name.lower(): value for name, value in told.headers}
    whole = not (told.unread or told.cut or told.error)
    chunked = "chunked" in by_name.get("transfer-encoding", "").lower()
    size = sum(map(len, told.pieces)) + (not whole)
    lines = [f"HTTP/{'1.0' if told.version == 'HTTP/1.0' else '1.1'} {told.status} {told.reason}"]
    for name, value in told.headers:
        length = name.lower() == "content-length" and told.pieces
        lines.append(f"{name}: {size if length else value}")
    head = "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")
    body = _framed(pieces, whole=whole) if chunked else iter(pieces)
    found = http.client.HTTPResponse(
        _Connection(_File(_Pieces(_joined(head, body)))),  # type: ignore[arg-type]  # as a socket
        method=method,
    )
    found.begin()
    return found


def _joined(head: bytes, body: Iterable[bytes]) -> Iterator[bytes]:
    yield head
    yield from body


def _framed(pieces: Iterable[bytes], *, whole: bool) -> Iterator[bytes]:
    yield from framed(pieces, whole=whole)

"""Bodies of answers of AWS services: noted as the job reads them, and served as they were read."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

_PIECE = 1 << 16


class Noted(io.IOBase):
    """The stream below a ``StreamingBody``, which is recorded as the job reads it.

    Args:
        inner: The connection's.
        operation: Where the body is recorded.
    """

    def __init__(self, inner: Any, operation: Any) -> None:
        self._inner = inner
        self._operation = operation

    def __getattr__(self, name: str) -> Any:
        """What the connection's has beside."""
        return getattr(self._inner, name)

    def read(self, amt: int | None = None, *args: Any, **kwargs: Any) -> bytes:
        """Read so many bytes, or all."""
        try:
            data: bytes = self._inner.read(amt, *args, **kwargs)
        except BaseException as error:
            self._operation.failed(error)
            raise
        return self._taken(data, ended=amt is None or amt < 0 or (amt > 0 and not data))

    def readinto(self, target: Any) -> int:
        """Read into memory that the caller has."""
        data = self.read(len(target))
        target[: len(data)] = data
        return len(data)

    def stream(self, *args: Any, **kwargs: Any) -> Iterator[bytes]:
        """Go through it piece by piece."""
        try:
            for piece in self._inner.stream(*args, **kwargs):
                yield self._taken(piece, ended=False)
        except GeneratorExit:
            raise
        except BaseException as error:
            self._operation.failed(error)
            raise
        self._operation.ended()

    def _taken(self, data: bytes, *, ended: bool) -> bytes:
        if data:
            self._operation.add(data)
        if ended:
            self._operation.ended()
        return data

    def readable(self) -> bool:
        """Whether it can be read."""
        return bool(self._inner.readable())

    def tell(self) -> int:
        """How much of it was read."""
        return int(self._inner.tell())

    def close(self) -> None:
        """Let go of the connection."""
        self._inner.close()

    @property
    def closed(self) -> bool:
        """Whether nothing can be read any more."""
        return bool(self._inner.closed)


class Served(io.IOBase):
    """A recorded body.

    Args:
        operation: The operation that it answers.
        found: ``content``, ``error``, and whether there was more that was not read, ``unread``.
    """

    def __init__(self, operation: Any, found: dict[str, Any]) -> None:
        self._operation = operation
        self._content: bytes = found["content"]
        self._error: BaseException | None = found["error"]
        self._unread = found.get("unread") is True
        self._at = 0

    def read(self, amt: int | None = None, *_: Any, **__: Any) -> bytes:
        """Read so many bytes, or all."""
        if self.closed:
            return b""
        rest = len(self._content) - self._at
        size = rest if amt is None or amt < 0 else min(amt, rest)
        if amt is None or amt < 0 or size < amt:
            self._end()
        data = self._content[self._at : self._at + size]
        self._at += size
        return data

    def length(self, headers: dict[str, Any]) -> Any:
        """How many bytes its end is expected after: with words for secrets others than were."""
        if self._error is None and not self._unread:
            return len(self._content)
        return headers.get("content-length")

    def _end(self) -> None:
        """More is asked for than is there."""
        if self._error is not None:
            self._operation.again(self._error)
            raise self._error
        if self._unread:
            self._operation.missed()

    def readinto(self, target: Any) -> int:
        """Read into memory that the caller has."""
        data = self.read(len(target))
        target[: len(data)] = data
        return len(data)

    def stream(self, amt: int = _PIECE, *_: Any, **__: Any) -> Iterator[bytes]:
        """Go through it piece by piece."""
        while piece := self.read(amt):
            yield piece

    def readable(self) -> bool:
        """Whether it can be read."""
        return not self.closed

    def tell(self) -> int:
        """How much of it was read."""
        return self._at

"""Files kept in memory: in a replay alone, and beside the real one while it is recorded."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

Done = Callable[[bytes], None]
"""Told what a file that was written holds, when it is closed."""


class Memory(io.RawIOBase):
    """A file that is nowhere on disk.

    Args:
        name: Its path, as the program gave it.
        mode: How it is opened, ``rb``, ``wb+`` and so on.
        content: What it holds.
        start: How much lies before that, of a file that is appended to.
        done: Told what it holds when it is closed.
    """

    def __init__(
        self, name: Any, mode: str, content: bytes = b"", start: int = 0, done: Done | None = None
    ) -> None:
        super().__init__()
        self._data = io.BytesIO(content)
        self.name = name
        self.mode = mode
        self._start = start
        self._first = len(content) if "a" in mode else 0
        self._done = done
        if "a" in mode:
            self._data.seek(0, io.SEEK_END)

    def readable(self) -> bool:
        """Whether its mode lets it be read."""
        return "r" in self.mode or "+" in self.mode

    def writable(self) -> bool:
        """Whether its mode lets it be written."""
        return "r" not in self.mode or "+" in self.mode

    def seekable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read as much as fits."""
        if not self.readable():
            raise io.UnsupportedOperation("File not open for reading")
        return self._data.readinto(buffer)

    def write(self, data: Any) -> int:
        """Write all of it; at the end, where the file is appended to."""
        if not self.writable():
            raise io.UnsupportedOperation("File not open for writing")
        if "a" in self.mode:
            self._data.seek(0, io.SEEK_END)
        return self._data.write(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a place."""
        if whence == io.SEEK_SET:
            offset -= self._start
        return self._data.seek(offset, whence) + self._start

    def tell(self) -> int:
        """The place."""
        return self._data.tell() + self._start

    def truncate(self, size: int | None = None) -> int:
        """Cut it off, or fill it up with zeros."""
        at = self._data.tell()
        wanted = at if size is None else size - self._start
        self._data.truncate(wanted)
        missing = wanted - len(self._data.getbuffer())
        if missing > 0:
            self._data.seek(0, io.SEEK_END)
            self._data.write(bytes(missing))
        self._data.seek(at)
        return wanted + self._start

    def close(self) -> None:
        """Close it, and tell what it holds."""
        if self.closed:
            return
        super().close()
        if self._done is not None:
            self._done(self._data.getvalue()[self._first :])


class Shadowed(io.FileIO):
    """A real file of which each write is kept in memory too.

    Args:
        name: Its path, as the program gave it.
        mode: How it is opened, without ``b``.
        content: What it held before, as far as it is known.
        done: Told what it holds when it is closed; only what was appended, in a mode of appending.
    """

    def __init__(self, name: Any, mode: str, content: bytes, done: Done) -> None:
        super().__init__(name, mode)
        self._start = self.seek(0, io.SEEK_END) if "a" in mode else 0
        self._copy = io.BytesIO(content)
        self._done = done

    def start(self) -> int:
        """How much it held, of a file that is appended to."""
        return self._start

    def write(self, data: Any) -> int:
        """Write, and keep what was written."""
        count = super().write(data)
        self._copy.seek(self.tell() - count - self._start)
        self._copy.write(memoryview(data).cast("B")[:count])
        return count

    def truncate(self, size: int | None = None) -> int:
        """Cut it off, or fill it up with zeros."""
        found = super().truncate(size)
        wanted = max(0, found - self._start)
        self._copy.truncate(wanted)
        missing = wanted - len(self._copy.getbuffer())
        if missing > 0:
            self._copy.seek(0, io.SEEK_END)
            self._copy.write(bytes(missing))
        return found

    def close(self) -> None:
        """Close it, and tell what was written."""
        if self.closed:
            return
        super().close()
        self._done(self._copy.getvalue())


def dressed(raw: Any, mode: str, buffering: int, text: tuple[Any, Any, Any]) -> Any:
    """What ``open`` gives of a raw file.

    Args:
        raw: The file.
        mode: The mode that ``open`` was called with.
        buffering: Its ``buffering``.
        text: Its ``encoding``, ``errors`` and ``newline``.
    """
    binary = "b" in mode
    if buffering == 0:
        return raw
    kind: Any = io.BufferedReader
    if raw.writable():
        kind = io.BufferedRandom if raw.readable() else io.BufferedWriter
    buffered = kind(raw, buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE)
    if binary:
        return buffered
    encoding, errors, newline = text
    encoding = io.text_encoding(encoding)
    wrapped: Any = io.TextIOWrapper(buffered, encoding, errors, newline, buffering == 1)
    wrapped.mode = mode
    return wrapped

"""What a COPY sends to a database, as it is recorded."""

from __future__ import annotations

from typing import Any

from tracediff import values
from tracediff.recording.buffers import Buffer, Later

MAX_COPIED = 64 << 20
"""Bytes of a COPY that are recorded; of more, their number."""


class Written(Later):
    """The arguments of what a COPY sends, which is complete when it has ended."""

    __slots__ = ("parts", "size", "where")

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[bytes] = []
        self.size = 0
        self.where: tuple[str, str] = ("", "")

    def add(self, data: Any) -> None:
        """Note some of it."""
        self.size += len(data)
        if self.size <= MAX_COPIED:
            self.parts.append(bytes(data))

    def data(self) -> Any:
        """Text where it is text, else bytes."""
        if self.size > MAX_COPIED:
            return f"<{self.size} bytes>"
        whole = b"".join(self.parts)
        try:
            return whole.decode()
        except UnicodeDecodeError:
            return whole

    def made(self, buffer: Buffer) -> bytes:
        """The canonical dict of the arguments."""
        sql, database = self.where
        found = {"data": self.data(), "sql": sql, "database": database}
        return values.encode_map([(name, buffer.encode(one)) for name, one in found.items()])

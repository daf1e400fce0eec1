"""Arrow's messages, read from their bytes: what they describe, and where the buffers lie.

The layout is Arrow's IPC format: FlatBuffers tables that name buffers in a body behind them. All
that is read here may have been made up, so every place is checked against the bytes that are there.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_CONTINUED: Final = b"\xff\xff\xff\xff"
_MAGIC: Final = b"ARROW1\0\0"
_MARK: Final = b"ARROW1"
_BLOCK: Final = "<qi4xq"
_MOST_FIELDS: Final = 10_000
_LONGEST: Final = 1_000
SCHEMA: Final = 1
DICTIONARY: Final = 2
BATCH: Final = 3


class Flat:
    """A FlatBuffers table.

    Args:
        data: The bytes of the whole message.
        at: Where the table begins.
    """

    __slots__ = ("_at", "_data", "_fields", "_size")

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at
        self._fields = at - _number(data, at, "<i")
        self._size = _number(data, self._fields, "<H")

    def number(self, field: int, form: str, default: int = 0) -> int:
        """A field that is a number; ``form`` is how ``struct`` reads it."""
        at = self._place(field)
        return default if at is None else _number(self._data, at, form)

    def table(self, field: int) -> Flat | None:
        """A field that is a table."""
        at = self._target(field)
        return None if at is None else Flat(self._data, at)

    def text(self, field: int) -> str:
        """A field that is text."""
        at = self._target(field)
        if at is None:
            return ""
        size = min(_number(self._data, at, "<I"), _LONGEST)
        return self._data[at + 4 : at + 4 + size].decode("utf-8", "replace")

    def tables(self, field: int) -> list[Flat]:
        """A field that is a list of tables."""
        at = self._target(field)
        if at is None:
            return []
        places = range(at + 4, at + 4 + 4 * self._count(at), 4)
        return [Flat(self._data, one + _number(self._data, one, "<I")) for one in places]

    def structs(self, field: int, form: str) -> list[tuple[int, ...]]:
        """A field that is a list of structs; ``form`` is how ``struct`` reads one."""
        at = self._target(field)
        if at is None:
            return []
        size = struct.calcsize(form) * _number(self._data, at, "<I")
        chunk = self._data[at + 4 : at + 4 + size]
        return list(struct.iter_unpack(form, chunk))

    def _count(self, at: int) -> int:
        count = _number(self._data, at, "<I")
        if count > _MOST_FIELDS:
            raise ValueError("more columns than are looked at")
        return count

    def _place(self, field: int) -> int | None:
        entry = 4 + 2 * field
        if entry + 2 > self._size:
            return None
        offset = _number(self._data, self._fields + entry, "<H")
        return self._at + offset if offset else None

    def _target(self, field: int) -> int | None:
        at = self._place(field)
        return None if at is None else at + _number(self._data, at, "<I")


def _number(data: bytes, at: int, form: str) -> int:
    if at < 0:
        raise ValueError("a place before the message")
    found: int = struct.unpack_from(form, data, at)[0]
    return found


@dataclass(frozen=True, slots=True)
class Message:
    """One message: which it is, its header, and the bytes behind it."""

    kind: int
    header: Flat
    body: bytes


def messages(data: bytes) -> Iterator[Message]:
    """The messages of a stream or a file in order; raises ValueError or struct.error."""
    if data.startswith(_MAGIC):
        yield from _of_file(data)
        return
    at = 0
    while at < len(data):
        message, at = _message(data, at)
        if message is None:
            return
        yield message


def _of_file(data: bytes) -> Iterator[Message]:
    """What the table at the end of a file says is in it."""
    end = len(data) - len(_MARK) - 4
    size = _number(data, end, "<i")
    if not data.endswith(_MARK) or not 0 < size <= end:
        raise ValueError("a file without an end")
    table = data[end - size : end]
    footer = Flat(table, _number(table, 0, "<I"))
    schema = footer.table(1)
    if schema is None:
        raise ValueError("a file without a schema")
    yield Message(SCHEMA, schema, b"")
    for field in (2, 3):
        after = 0
        for offset, *_ in footer.structs(field, _BLOCK):
            if offset < after:
                raise ValueError("messages that overlap")
            message, after = _message(data, offset)
            if message is not None:
                yield message


def _message(data: bytes, at: int) -> tuple[Message | None, int]:
    """The message that begins there, None at the end of a stream; and where the next one does."""
    if at < 0 or data[at : at + 4] != _CONTINUED:
        raise ValueError("no message")
    size = _number(data, at + 4, "<I")
    start, at = at + 8, at + 8 + size
    if not size:
        return None, at
    table = data[start:at]
    message = Flat(table, _number(table, 0, "<I"))
    length = message.number(3, "<q")
    header = message.table(2)
    if header is None or not 0 <= length <= len(data) - at:
        raise ValueError("a message that is cut")
    found = Message(message.number(1, "<B"), header, data[at : at + length])
    return found, at + length

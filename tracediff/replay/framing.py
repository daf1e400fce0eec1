"""Messages between processes, over pipes: each behind its length, so that it arrives whole."""

from __future__ import annotations

import os
from typing import Any

import ormsgpack

HEAD = 8
"""Bytes of a length."""


def _read_exactly(handle: int, size: int) -> bytes:
    """So many bytes of a pipe."""
    parts = []
    while size:
        part = os.read(handle, min(size, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def receive(handle: int) -> Any:
    """The next message of a pipe.

    Raises:
        EOFError: It ends before.
    """
    size = size_of(_read_exactly(handle, HEAD))
    return ormsgpack.unpackb(_read_exactly(handle, size))


def framed(message: Any) -> bytes:
    """A message as it travels."""
    body = ormsgpack.packb(message)
    return len(body).to_bytes(HEAD, "big") + body


def size_of(head: bytes | bytearray) -> int:
    """How many bytes follow a head."""
    return int.from_bytes(head[:HEAD], "big")


def send(handle: int, message: Any) -> None:
    """Write a message into a pipe, whole."""
    data = memoryview(framed(message))
    while data:
        data = data[os.write(handle, data) :]

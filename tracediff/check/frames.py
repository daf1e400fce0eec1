"""Answers of a process that runs anybody's code: each sealed, so that no other bytes pass for one.

    8 bytes  the seal, which only the two ends know
    8 bytes  length of the body, little-endian
    8 bytes  xxh3-64 of the body

A job may write into any descriptor of its process. What it writes is no frame.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import Any

import ormsgpack
import xxhash

SEAL = 8
_HEAD = struct.Struct("<8sQ8s")


class BrokenFrameError(Exception):
    """Bytes that are no frame."""


def write_frame(handle: int, seal: bytes, message: Any) -> None:
    """Write a message into a pipe, whole."""
    body = ormsgpack.packb(message)
    data = memoryview(_HEAD.pack(seal, len(body), xxhash.xxh3_64_digest(body)) + body)
    while data:
        data = data[os.write(handle, data) :]


class Frames:
    """Takes bytes as they come, and gives the messages in them.

    Args:
        seal: What each begins with.
    """

    def __init__(self, seal: bytes) -> None:
        self._seal = seal
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[Any]:
        """The messages that are whole now.

        Raises:
            BrokenFrameError: Something else was written there.
        """
        held = self._held
        held += data
        at = 0
        try:
            while len(held) - at >= _HEAD.size:
                seal, size, digest = _HEAD.unpack_from(held, at)
                if seal != self._seal:
                    raise BrokenFrameError
                end = at + _HEAD.size + size
                if len(held) < end:
                    break
                body = bytes(held[at + _HEAD.size : end])
                if xxhash.xxh3_64_digest(body) != digest:
                    raise BrokenFrameError
                at = end
                yield ormsgpack.unpackb(body)
            if held[at : at + SEAL] != self._seal[: len(held) - at]:
                raise BrokenFrameError
        finally:
            del held[:at]

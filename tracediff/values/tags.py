"""The wire format of a value: MessagePack, with one extension type for each kind it lacks.

A value is *canonical*: two objects are the same, type and bits, exactly when their bytes are equal.
So every kind has one form only, sets are sorted by their members' bytes, and what is too deep for
one MessagePack document is nested as bytes (``NESTED``), at a height that only depends on the value
itself.
"""

from __future__ import annotations

from typing import Final

import ormsgpack

OPTIONS: Final = (
    ormsgpack.OPT_PASSTHROUGH_BIG_INT
    | ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_SUBCLASS
    | ormsgpack.OPT_PASSTHROUGH_TUPLE
    | ormsgpack.OPT_PASSTHROUGH_UUID
)
"""Nothing is converted by ormsgpack itself: its own conversions lose the type."""

BIG_INT: Final = 1
SURROGATES: Final = 2
TUPLE: Final = 3
SET: Final = 4
FROZENSET: Final = 5
PAIRS: Final = 6
BYTEARRAY: Final = 7
MEMORYVIEW: Final = 8
COMPLEX: Final = 9
DECIMAL: Final = 10
FRACTION: Final = 11
RANGE: Final = 12
SLICE: Final = 13
DATE: Final = 14
TIME: Final = 15
DATETIME: Final = 16
TIMEDELTA: Final = 17
TIMEZONE: Final = 18
ZONEINFO: Final = 19
AWARE_DATETIME: Final = 20
AWARE_TIME: Final = 21
UUID: Final = 22
PATH: Final = 23
ADDRESS: Final = 24
MEMBER: Final = 25
RECORD: Final = 26
GLOBAL: Final = 27
MODULE: Final = 28
SINGLETON: Final = 29
DEQUE: Final = 30
ORDERED: Final = 31
DEFAULTDICT: Final = 32
COUNTER: Final = 33
PROXY: Final = 34
NESTED: Final = 35
OPAQUE: Final = 36
REDACTED: Final = 37
REFERENCE: Final = 38
DEEP: Final = 39
LIBRARY: Final = 40
END: Final = 127

ITEMS: Final = frozenset({TUPLE, SET, FROZENSET, PAIRS})
"""Kinds whose payload is the array of their own members."""

PARTS: Final = frozenset(
    {
        MEMORYVIEW,
        FRACTION,
        RANGE,
        SLICE,
        TIMEZONE,
        AWARE_DATETIME,
        AWARE_TIME,
        MEMBER,
        RECORD,
        DEQUE,
        ORDERED,
        DEFAULTDICT,
        COUNTER,
        PROXY,
        OPAQUE,
        REDACTED,
        LIBRARY,
    }
)
"""Kinds whose payload is an array of parts."""

TREES: Final = ITEMS | PARTS | {NESTED}
LEAVES: Final = frozenset(range(1, 41)) - TREES

MAX_HEIGHT: Final = 120
"""Arrays and maps nested higher than this go into a ``NESTED`` extension (ormsgpack packs 254)."""

MAX_DEPTH: Final = 500
"""Values nested deeper than this are cut: a ``DEEP`` node stands for the rest."""

KINDS: Final = (
    "dataclass",
    "namedtuple",
    "subclass",
    "registered",
    "exception",
    "attrs",
    "pydantic",
    "stdlib",
    "sqlalchemy",
    "django",
    "queryset",
)
"""The kinds of record; their place in this tuple is what is written. Append only."""


def extension(tag: int, payload: bytes) -> bytes:
    """Write one extension: its header and its payload, as ormsgpack does."""
    size = len(payload)
    if size in _FIXED:
        return bytes((_FIXED[size], tag)) + payload
    if size < 1 << 8:
        return b"\xc7" + size.to_bytes(1, "big") + bytes((tag,)) + payload
    if size < 1 << 16:
        return b"\xc8" + size.to_bytes(2, "big") + bytes((tag,)) + payload
    return b"\xc9" + size.to_bytes(4, "big") + bytes((tag,)) + payload


def array_header(size: int) -> bytes:
    """The MessagePack header of an array of ``size`` items."""
    return _header(size, 0x90, b"\xdc", b"\xdd")


def map_header(size: int) -> bytes:
    """The MessagePack header of a map of ``size`` pairs."""
    return _header(size, 0x80, b"\xde", b"\xdf")


def _header(size: int, fixed: int, short: bytes, long: bytes) -> bytes:
    if size < 16:
        return bytes((fixed | size,))
    if size < 1 << 16:
        return short + size.to_bytes(2, "big")
    return long + size.to_bytes(4, "big")


_FIXED: Final = {1: 0xD4, 2: 0xD5, 4: 0xD6, 8: 0xD7, 16: 0xD8}

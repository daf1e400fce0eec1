"""Payloads of values without members, read back; strictly, so that there is one form of each."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Context, Decimal, InvalidOperation
from pathlib import Path, PurePath
from typing import Any, Final
from uuid import UUID
from zoneinfo import TZPATH, ZoneInfo

from tracediff.errors import CodecError
from tracediff.values import leaves, nodes, tags

_ZONE = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")
_EXACT = Context(traps=[InvalidOperation])


def unreadable(what: str) -> CodecError:
    """The error for a value that is not one."""
    return CodecError(
        f"this is not a recorded value: {what}",
        slug="value-unreadable",
        hint="the trace was damaged or changed after it was written; pull it again from its store",
    )


def read_text(data: Any) -> str:
    """A name inside a payload, which is written as UTF-8 bytes."""
    if type(data) is not bytes:
        raise unreadable("a name that is not text")
    return data.decode()


def _require(same: bool, what: str) -> None:
    if not same:
        raise unreadable(what)


def _big_int(data: bytes) -> int:
    number = int.from_bytes(data, "big", signed=True)
    _require(len(data) == number.bit_length() // 8 + 1, "an integer with idle digits")
    _require(not -(1 << 63) <= number < 1 << 64, "an integer in a form that is too large for it")
    return number


def _complex(data: bytes) -> complex:
    return complex(*leaves.COMPLEX.unpack(data))


def _decimal(data: bytes) -> Decimal:
    text = data.decode("ascii")
    number = Decimal(text, _EXACT)
    _require(str(number) == text, "a Decimal that is not in its own notation")
    return number


def _surrogates(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def _date(data: bytes) -> date:
    return date(*leaves.DATE.unpack(data))


def read_time(data: bytes, zone: Any = None) -> time:
    """A time from its wall-clock part."""
    hour, minute, second, micro, fold = leaves.TIME.unpack(data)
    return time(hour, minute, second, micro, zone, fold=fold)


def read_datetime(data: bytes, zone: Any = None) -> datetime:
    """A datetime from its wall-clock part."""
    year, month, day, hour, minute, second, micro, fold = leaves.DATETIME.unpack(data)
    return datetime(year, month, day, hour, minute, second, micro, zone, fold=fold)


def _timedelta(data: bytes) -> timedelta:
    parts = leaves.DELTA.unpack(data)
    delta = timedelta(*parts)
    _require((delta.days, delta.seconds, delta.microseconds) == parts, "a timedelta out of range")
    return delta


def _zone(data: bytes) -> Any:
    """A zone of the system's database; without it, its name: looking further would import."""
    key = data.decode()
    if _ZONE.fullmatch(key) and any(_is_file(root, key) for root in TZPATH):
        return ZoneInfo(key)
    return nodes.Record("zoneinfo:ZoneInfo", "stdlib", key)


def _is_file(root: str, key: str) -> bool:
    return Path(root, key).is_file()


def live_zone(data: bytes) -> ZoneInfo:
    """A zone from the system's database or from the tzdata distribution."""
    key = data.decode()
    _require(bool(_ZONE.fullmatch(key)), "a time zone without a proper name")
    return ZoneInfo(key)


def _uuid(data: bytes) -> UUID:
    if len(data) == 17:
        _require(data[16] in (1, 2), "a UUID of unknown safety")
        return UUID(bytes=data[:16], is_safe=leaves.SAFETY[data[16]])
    return UUID(bytes=data)


def _path(data: bytes) -> Any:
    kind: type[PurePath] = leaves.PATHS[data[0]]
    text = data[1:].decode("utf-8", "surrogatepass")
    try:
        path = kind(text)
    except NotImplementedError:  # a path of another system
        return nodes.Record(f"pathlib:{kind.__name__}", "stdlib", text)
    _require(str(path) == text, "a path that is not in its own notation")
    return path


def _address(data: bytes) -> Any:
    kind = leaves.ADDRESSES[data[0]]
    text = data[1:].decode("ascii")
    address = kind(text)
    _require(str(address) == text, "an address that is not in its own notation")
    return address


def _singleton(data: bytes) -> Any:
    _require(len(data) == 1, "a constant nobody knows")
    return leaves.SINGLETONS[data[0]]


def _reference(data: bytes) -> nodes.Reference:
    _require(len(data) == 4, "a reference to nowhere")
    return nodes.Reference(int.from_bytes(data, "big"))


def _naive_datetime(data: bytes) -> datetime:
    return read_datetime(data)


def _naive_time(data: bytes) -> time:
    return read_time(data)


LEAF_READERS: Final[dict[int, Callable[[bytes], Any]]] = {
    tags.BIG_INT: _big_int,
    tags.SURROGATES: _surrogates,
    tags.BYTEARRAY: bytearray,
    tags.COMPLEX: _complex,
    tags.DECIMAL: _decimal,
    tags.DATE: _date,
    tags.TIME: _naive_time,
    tags.DATETIME: _naive_datetime,
    tags.TIMEDELTA: _timedelta,
    tags.ZONEINFO: _zone,
    tags.UUID: _uuid,
    tags.PATH: _path,
    tags.ADDRESS: _address,
    tags.SINGLETON: _singleton,
    tags.GLOBAL: lambda data: nodes.Global(data.decode()),
    tags.MODULE: lambda data: nodes.Global(data.decode() + ":"),
    tags.REFERENCE: _reference,
    tags.DEEP: lambda data: nodes.Deep(data.decode()),
}
"""Tag to what reads its payload without importing anything."""

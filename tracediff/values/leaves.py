"""Values without members: how each kind's payload is written."""

from __future__ import annotations

import struct
import types
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from pathlib import (
    Path,
    PosixPath,
    PurePath,
    PurePosixPath,
    PureWindowsPath,
    WindowsPath,
)
from typing import Any, Final
from uuid import UUID, SafeUUID
from zoneinfo import ZoneInfo

from ormsgpack import Ext

from tracediff.values import tags
from tracediff.values.refs import global_ref


class InexactError(Exception):
    """This object has no exact form; it becomes an opaque value."""


class SaidError(InexactError):
    """The same, for a reason that is told with the opaque value."""


DATE = struct.Struct(">HBB")
TIME = struct.Struct(">BBBIB")
DATETIME = struct.Struct(">HBBBBBIB")
DELTA = struct.Struct(">iii")
COMPLEX = struct.Struct(">dd")

PATHS: Final[tuple[type[PurePath], ...]] = (
    PurePosixPath,
    PureWindowsPath,
    PosixPath,
    WindowsPath,
    PurePath,
    Path,
)
ADDRESSES: Final[tuple[type, ...]] = (
    IPv4Address,
    IPv6Address,
    IPv4Network,
    IPv6Network,
    IPv4Interface,
    IPv6Interface,
)
SINGLETONS: Final[tuple[Any, ...]] = (Ellipsis, NotImplemented)
SAFETY: Final = (SafeUUID.unknown, SafeUUID.safe, SafeUUID.unsafe)


def big_int(obj: int) -> Ext:
    """Signed big-endian bytes, as few as will do."""
    return Ext(tags.BIG_INT, obj.to_bytes(obj.bit_length() // 8 + 1, "big", signed=True))


def _complex(obj: complex) -> Ext:
    return Ext(tags.COMPLEX, COMPLEX.pack(obj.real, obj.imag))


def _decimal(obj: Decimal) -> Ext:
    return Ext(tags.DECIMAL, str(obj).encode())


def _bytearray(obj: bytearray) -> Ext:
    return Ext(tags.BYTEARRAY, bytes(obj))


def _date(obj: date) -> Ext:
    return Ext(tags.DATE, DATE.pack(obj.year, obj.month, obj.day))


def time_bytes(obj: time) -> bytes:
    """The wall-clock part of a time, with its fold."""
    return TIME.pack(obj.hour, obj.minute, obj.second, obj.microsecond, obj.fold)


def datetime_bytes(obj: datetime) -> bytes:
    """The wall-clock part of a datetime, with its fold."""
    return DATETIME.pack(
        obj.year,
        obj.month,
        obj.day,
        obj.hour,
        obj.minute,
        obj.second,
        obj.microsecond,
        obj.fold,
    )


def delta_bytes(obj: timedelta) -> bytes:
    """Days, seconds and microseconds."""
    return DELTA.pack(obj.days, obj.seconds, obj.microseconds)


def _timedelta(obj: timedelta) -> Ext:
    return Ext(tags.TIMEDELTA, delta_bytes(obj))


def _zone(obj: ZoneInfo) -> Ext:
    key = obj.key
    if type(key) is not str or not key:
        raise InexactError("a time zone without a name")
    return Ext(tags.ZONEINFO, key.encode())


def _uuid(obj: UUID) -> Ext:
    number: int = obj.int
    safety = SAFETY.index(obj.is_safe)
    payload = number.to_bytes(16, "big")
    return Ext(tags.UUID, payload + bytes((safety,)) if safety else payload)


def _path(obj: PurePath) -> Ext:
    kind = PATHS.index(type(obj))
    return Ext(tags.PATH, bytes((kind,)) + str(obj).encode("utf-8", "surrogatepass"))


def _address(obj: Any) -> Ext:
    return Ext(tags.ADDRESS, bytes((ADDRESSES.index(type(obj)),)) + str(obj).encode())


def _singleton(obj: Any) -> Ext:
    return Ext(tags.SINGLETON, bytes((SINGLETONS.index(obj),)))


def _global(obj: Any) -> Ext:
    ref = global_ref(obj)
    if ref is None:
        raise InexactError("a function or class that its name does not lead back to")
    return Ext(tags.GLOBAL, ref.encode())


def _module(obj: types.ModuleType) -> Ext:
    name = types.ModuleType.__getattribute__(obj, "__name__")
    if type(name) is not str:
        raise InexactError("a module without a name")
    return Ext(tags.MODULE, name.encode())


def surrogates(obj: str) -> Ext:
    """A str that UTF-8 cannot hold."""
    return Ext(tags.SURROGATES, obj.encode("utf-8", "surrogatepass"))


LEAVES: Final[dict[type, Callable[[Any], Ext]]] = {
    int: big_int,
    complex: _complex,
    Decimal: _decimal,
    bytearray: _bytearray,
    date: _date,
    timedelta: _timedelta,
    ZoneInfo: _zone,
    UUID: _uuid,
    types.EllipsisType: _singleton,
    types.NotImplementedType: _singleton,
    types.FunctionType: _global,
    types.BuiltinFunctionType: _global,
    type: _global,
    types.ModuleType: _module,
    **dict.fromkeys(PATHS, _path),
    **dict.fromkeys(ADDRESSES, _address),
}
"""Exact type to what writes it; int is here for the integers beyond 64 bits."""

NATIVE: Final = frozenset({int, str, float, bool, type(None), bytes})
"""What ormsgpack writes exactly by itself (and str only without lone surrogates)."""

FLAT: Final = NATIVE | (LEAVES.keys() - {bytearray})
"""What can be a member of a list that ormsgpack packs at one go: no members of its own, and
ormsgpack asks about it. (It does not ask about a bytearray: it would write bytes.)"""

"""Values without members as JSON: one tag and one readable form each."""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from tracediff.values import leafread, leaves, tags

_PLAIN_PATH: Final = "PosixPath"


def _write_text(payload: bytes) -> str:
    return payload.decode()


def _read_text(value: Any) -> bytes:
    found: bytes = value.encode()
    return found


def _write_base64(payload: bytes) -> str:
    return base64.b64encode(payload).decode()


def _read_base64(value: Any) -> bytes:
    return base64.b64decode(value, validate=True)


def _read_decimal(value: Any) -> bytes:
    return str(Decimal(value)).encode()


def _write_date(payload: bytes) -> str:
    return date(*leaves.DATE.unpack(payload)).isoformat()


def _read_date(value: Any) -> bytes:
    found = date.fromisoformat(value)
    return leaves.DATE.pack(found.year, found.month, found.day)


def write_time(payload: bytes) -> Any:
    """A naive time in ISO form, with its fold if it has one."""
    found = leafread.read_time(payload)
    return [found.isoformat(), found.fold] if found.fold else found.isoformat()


def _folded(value: Any) -> tuple[Any, int]:
    if type(value) is list:
        shown, fold = value
        return shown, fold
    return value, 0


def read_time(value: Any) -> bytes:
    """The payload of a naive time."""
    shown, fold = _folded(value)
    found = time.fromisoformat(shown).replace(fold=fold)
    if found.tzinfo is not None:
        raise ValueError("a time zone where there is none")
    return leaves.time_bytes(found)


def write_datetime(payload: bytes) -> Any:
    """A naive datetime in ISO form, with its fold if it has one."""
    found = leafread.read_datetime(payload)
    return [found.isoformat(), found.fold] if found.fold else found.isoformat()


def read_datetime(value: Any) -> bytes:
    """The payload of a naive datetime."""
    shown, fold = _folded(value)
    found = datetime.fromisoformat(shown).replace(fold=fold)
    if found.tzinfo is not None:
        raise ValueError("a time zone where there is none")
    return leaves.datetime_bytes(found)


def _write_delta(payload: bytes) -> list[int]:
    return list(leaves.DELTA.unpack(payload))


def _read_delta(value: Any) -> bytes:
    return leaves.DELTA.pack(*value)


def _write_complex(payload: bytes) -> list[Any]:
    parts = leaves.COMPLEX.unpack(payload)
    if all(math.isfinite(part) for part in parts):
        return list(parts)
    return ["0x" + payload[:8].hex(), "0x" + payload[8:].hex()]


def _read_complex(value: Any) -> bytes:
    real, imag = value
    if type(real) is str:
        return bytes.fromhex(real[2:]) + bytes.fromhex(imag[2:])
    return struct.pack(">dd", real, imag)


def _write_uuid(payload: bytes) -> Any:
    shown = str(UUID(bytes=payload[:16]))
    return [shown, payload[16]] if len(payload) == 17 else shown


def _read_uuid(value: Any) -> bytes:
    if type(value) is list:
        shown, safety = value
        return UUID(shown).bytes + bytes((safety,))
    return UUID(value).bytes


def _write_path(payload: bytes) -> Any:
    kind, shown = leaves.PATHS[payload[0]].__name__, payload[1:].decode()
    return shown if kind == _PLAIN_PATH else [kind, shown]


def _read_path(value: Any) -> bytes:
    kind, shown = value if type(value) is list else (_PLAIN_PATH, value)
    names = [one.__name__ for one in leaves.PATHS]
    return bytes((names.index(kind),)) + str(shown).encode()


def _write_address(payload: bytes) -> list[str]:
    return [leaves.ADDRESSES[payload[0]].__name__, payload[1:].decode()]


def _read_address(value: Any) -> bytes:
    kind, shown = value
    names = [one.__name__ for one in leaves.ADDRESSES]
    return bytes((names.index(kind),)) + str(shown).encode()


def _write_singleton(payload: bytes) -> str:
    return repr(leaves.SINGLETONS[payload[0]])


def _read_singleton(value: Any) -> bytes:
    return bytes(([repr(one) for one in leaves.SINGLETONS].index(value),))


def _write_reference(payload: bytes) -> int:
    return int.from_bytes(payload, "big")


def _read_reference(value: Any) -> bytes:
    found: bytes = value.to_bytes(4, "big")
    return found


_LEAVES: Final[dict[int, tuple[str, Callable[[bytes], Any], Callable[[Any], bytes]]]] = {
    tags.SURROGATES: ("$surrogates", _write_base64, _read_base64),
    tags.BYTEARRAY: ("$bytearray", _write_base64, _read_base64),
    tags.COMPLEX: ("$complex", _write_complex, _read_complex),
    tags.DECIMAL: ("$decimal", _write_text, _read_decimal),
    tags.DATE: ("$date", _write_date, _read_date),
    tags.TIME: ("$time", write_time, read_time),
    tags.DATETIME: ("$datetime", write_datetime, read_datetime),
    tags.TIMEDELTA: ("$timedelta", _write_delta, _read_delta),
    tags.ZONEINFO: ("$zone", _write_text, _read_text),
    tags.UUID: ("$uuid", _write_uuid, _read_uuid),
    tags.PATH: ("$path", _write_path, _read_path),
    tags.ADDRESS: ("$ip", _write_address, _read_address),
    tags.GLOBAL: ("$global", _write_text, _read_text),
    tags.MODULE: ("$module", _write_text, _read_text),
    tags.SINGLETON: ("$constant", _write_singleton, _read_singleton),
    tags.REFERENCE: ("$reference", _write_reference, _read_reference),
    tags.DEEP: ("$deep", _write_text, _read_text),
}

WRITE_LEAF: Final = {tag: (name, write) for tag, (name, write, _) in _LEAVES.items()}
"""Tag of the wire to the tag of the JSON and what writes its payload."""

READ_LEAF: Final = {name: (tag, read) for tag, (name, _, read) in _LEAVES.items()}
"""Tag of the JSON to the tag of the wire and what reads its payload."""

"""The values of OpenTelemetry's attributes (``AnyValue`` in OTLP/JSON) from and to JSON."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

MAX_DEPTH: Final = 20
"""Levels that are written as such: protobuf's own reader of JSON refuses 100, each takes three."""

_DEEPEST_READ: Final = 60
_INT64: Final = 1 << 63
JSON: Final = "$json"
"""The key under which what is nested deeper is written as text."""


def to_any(found: Any, depth: int = 0) -> dict[str, Any]:
    """A JSON value as an AnyValue; what protobuf could not hold is written as its JSON text."""
    if found is None:
        return {}
    if isinstance(found, bool):
        return {"boolValue": found}
    if isinstance(found, int):
        if -_INT64 <= found < _INT64:
            return {"intValue": str(found)}
        return _as_text(found)
    if isinstance(found, float):
        return {"doubleValue": found} if math.isfinite(found) else {"doubleValue": _name(found)}
    if isinstance(found, str):
        return {"stringValue": found} if _is_text(found) else _as_text(found)
    if depth >= MAX_DEPTH:
        return _as_text(found)
    if isinstance(found, list):
        return {"arrayValue": {"values": [to_any(one, depth + 1) for one in found]}}
    if not all(map(_is_text, found)):
        return _as_text(found)
    return {"kvlistValue": {"values": attributes(found, depth + 1)}}


def attributes(found: Mapping[str, Any], depth: int = 0) -> list[dict[str, Any]]:
    """A dict of JSON values as a list of attributes."""
    return [{"key": name, "value": to_any(one, depth)} for name, one in found.items()]


def _as_text(found: Any) -> dict[str, Any]:
    value = {"stringValue": json.dumps(found)}
    return {"kvlistValue": {"values": [{"key": JSON, "value": value}]}}


def _name(number: float) -> str:
    """As protobuf's JSON calls what JSON has no number for."""
    if math.isnan(number):
        return "NaN"
    return "Infinity" if number > 0 else "-Infinity"


def _is_text(found: str) -> bool:
    return found.isascii() or not any("\ud800" <= one <= "\udfff" for one in found)


def from_any(found: Any, depth: int = 0) -> Any:
    """An AnyValue as a Python value; what is none of its forms is kept as it is written."""
    if not isinstance(found, dict) or len(found) != 1:
        return None if found == {} else found
    ((kind, value),) = found.items()
    if depth > _DEEPEST_READ:
        return "…"
    read = _READERS.get(kind)
    if read is None:
        return found
    try:
        return read(value, depth)
    except (TypeError, ValueError, AttributeError, OverflowError, binascii.Error):
        return found


def read_attributes(found: Any, depth: int = 0) -> dict[str, Any]:
    """A list of attributes as a dict; entries that are none are left out."""
    if not isinstance(found, list):
        return {}
    return {
        one["key"]: from_any(one.get("value"), depth)
        for one in found
        if isinstance(one, dict) and isinstance(one.get("key"), str)
    }


def _read_int(value: Any, depth: int) -> int:
    number = int(value[:40] if isinstance(value, str) else value)
    if not -_INT64 <= number < 2 * _INT64:
        raise ValueError("it does not fit")
    return number


def _read_list(value: Any, depth: int) -> list[Any]:
    return [from_any(one, depth + 1) for one in value.get("values", [])]


def _read_dict(value: Any, depth: int) -> Any:
    found = read_attributes(value.get("values", []), depth + 1)
    if list(found) == [JSON] and isinstance(found[JSON], str):
        try:
            return json.loads(found[JSON])
        except (ValueError, RecursionError):
            return found
    return found


def _read_text(value: Any, depth: int) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def _read_bool(value: Any, depth: int) -> bool:
    if not isinstance(value, bool):
        raise TypeError("no flag")
    return value


_READERS: Final[dict[str, Callable[[Any, int], Any]]] = {
    "stringValue": _read_text,
    "boolValue": _read_bool,
    "intValue": _read_int,
    "doubleValue": lambda value, depth: float(value),
    "arrayValue": _read_list,
    "kvlistValue": _read_dict,
    "bytesValue": lambda value, depth: base64.b64decode(value),
}
for _name_, _reader in list(_READERS.items()):  # the names in the .proto file are read too
    _READERS[_name_.replace("Value", "_value")] = _reader

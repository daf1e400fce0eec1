"""Canonical bytes to JSON and back: natural where JSON has the kind, tagged where it has not.

A tag is an object with one key that starts with "$", such as ``{"$decimal": "12.30"}``; a user's
dict that looks like one is wrapped in ``{"$object": …}``. The conversion works on the bytes alone,
so it needs no class, and whatever has no readable form that leads back to the same bytes is written
as ``{"$packed": …}``.
"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Callable
from typing import Any, Final

from ormsgpack import packb, unpackb

from tracediff.errors import CodecError
from tracediff.values import tags
from tracediff.values.encode import encode
from tracediff.values.jsonleaves import (
    READ_LEAF,
    WRITE_LEAF,
    read_datetime,
    read_time,
    write_datetime,
    write_time,
)
from tracediff.values.leafread import unreadable
from tracediff.values.leaves import big_int, surrogates

_MAX_DEPTH: Final = 60
_MAX_DIGITS: Final = 4_000
_ANY_ERROR: Final = (
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    RecursionError,
    struct.error,
)
"""What Python raises when what a file holds is not what it should be."""
_NAN: Final = bytes.fromhex("7ff8000000000000")
_TREE_NAMES: Final = {
    tags.TUPLE: "$tuple",
    tags.SET: "$set",
    tags.FROZENSET: "$frozenset",
    tags.MEMORYVIEW: "$memoryview",
    tags.FRACTION: "$fraction",
    tags.RANGE: "$range",
    tags.SLICE: "$slice",
    tags.TIMEZONE: "$timezone",
    tags.AWARE_DATETIME: "$datetime_in",
    tags.AWARE_TIME: "$time_in",
    tags.MEMBER: "$enum",
    tags.DEQUE: "$deque",
    tags.ORDERED: "$ordereddict",
    tags.DEFAULTDICT: "$defaultdict",
    tags.COUNTER: "$counter",
    tags.PROXY: "$mappingproxy",
    tags.OPAQUE: "$opaque",
    tags.REDACTED: "$redacted",
    tags.LIBRARY: "$library",
}
_NAME: Final = (bytes.decode, str.encode)
_HEX: Final = (bytes.hex, bytes.fromhex)
_SHOWN_PARTS: Final[dict[int, dict[int, tuple[Callable[..., Any], Callable[..., bytes]]]]] = {
    tags.MEMBER: {0: _NAME, 1: _NAME},
    tags.OPAQUE: {0: _NAME, 1: _NAME, 2: _HEX},
    tags.REDACTED: {0: _NAME, 1: _NAME, 2: _HEX},
    tags.LIBRARY: {0: _NAME},
    tags.MEMORYVIEW: {0: _NAME},
    tags.RECORD: {0: _NAME},
    tags.AWARE_DATETIME: {0: (write_datetime, read_datetime)},
    tags.AWARE_TIME: {0: (write_time, read_time)},
}
"""Which parts are bytes that read as plain text: how they are written and read."""


class _Raw:
    __slots__ = ("payload", "tag")

    def __init__(self, tag: int, payload: bytes) -> None:
        self.tag = tag
        self.payload = payload


class _UnreadableFormError(Exception):
    pass


def to_json(data: bytes) -> Any:
    """The JSON form of canonical bytes; ``from_json`` leads back to these very bytes."""
    try:
        found = _write(unpackb(data, ext_hook=_Raw), 0)
        if from_json(found) == data:
            return found
    except (_UnreadableFormError, CodecError, *_ANY_ERROR):
        pass  # written as it is, below: damaged values must survive as well
    return {"$packed": base64.b64encode(data).decode()}


def json_safe(obj: object) -> Any:
    """The JSON form of an inert value."""
    return to_json(encode(obj))


def from_json(found: Any) -> bytes:
    """The canonical bytes of a JSON form; raises CodecError ``value-unreadable``."""
    try:
        if type(found) is dict and not _is_tag(found):
            return _read_map(found, 0)[0]
        data, height = _read(found, 0)
    except _ANY_ERROR as error:
        raise unreadable(f"{type(error).__name__}: {str(error)[:200]}") from error
    return tags.extension(tags.NESTED, data) if height >= tags.MAX_HEIGHT else data


def _write(raw: Any, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise _UnreadableFormError
    kind = type(raw)
    if kind is float:
        return raw if math.isfinite(raw) else {"$float": _special(raw)}
    if kind is bytes:
        return {"$bytes": base64.b64encode(raw).decode()}
    if kind is list:
        return [_write(item, depth + 1) for item in raw]
    if kind is dict:
        found = {name: _write(item, depth + 1) for name, item in raw.items()}
        return {"$object": found} if _is_tag(found) else found
    if kind is _Raw:
        return _write_extension(raw, depth)
    return raw


def _special(number: float) -> str:
    if math.isinf(number):
        return "inf" if number > 0 else "-inf"
    bits = struct.pack(">d", number)
    return "nan" if bits == _NAN else "0x" + bits.hex()


def _is_tag(found: dict[str, Any]) -> bool:
    return len(found) == 1 and next(iter(found)).startswith("$")


def _write_extension(raw: _Raw, depth: int) -> Any:
    tag = raw.tag
    leaf = WRITE_LEAF.get(tag)
    if leaf is not None:
        name, write = leaf
        return {name: write(raw.payload)}
    if tag == tags.BIG_INT:
        number = int.from_bytes(raw.payload, "big", signed=True)
        return {"$int": str(number) if abs(number).bit_length() < 3 * _MAX_DIGITS else hex(number)}
    parts = unpackb(raw.payload, ext_hook=_Raw)
    if tag == tags.PAIRS:
        sides = [_write(part, depth + 2) for part in parts]
        return {"$dict": [list(pair) for pair in zip(sides[::2], sides[1::2], strict=True)]}
    shown = _SHOWN_PARTS.get(tag, {})
    written = [
        shown[index][0](part) if index in shown and part is not None else _write(part, depth + 2)
        for index, part in enumerate(parts)
    ]
    if tag == tags.RECORD:
        return {"$" + tags.KINDS[parts[1]]: [written[0], *written[2:]]}
    return {_TREE_NAMES[tag]: written}


Packed = tuple[bytes, int]


def _read(found: Any, depth: int) -> Packed:
    if depth > 2 * _MAX_DEPTH:
        raise unreadable("nested too deep")
    kind = type(found)
    if kind is list:
        return _nestable(_read_items(found, depth))
    if kind is dict:
        return _read_tag(found, depth) if _is_tag(found) else _nestable(_read_map(found, depth))
    if kind is int and not -(1 << 63) <= found < 1 << 64:
        return packb(big_int(found)), 0
    if kind is str:
        return _read_str(found), 0
    return packb(found), 0


def _nestable(packed: Packed) -> Packed:
    data, height = packed
    return (tags.extension(tags.NESTED, data), 0) if height >= tags.MAX_HEIGHT else packed


def _read_str(found: str) -> bytes:
    try:
        return packb(found)
    except TypeError:
        return packb(surrogates(found))


def _read_items(items: Any, depth: int) -> Packed:
    if type(items) is not list:
        raise TypeError("not a list")
    parts = [_read(item, depth + 1) for item in items]
    data = tags.array_header(len(parts)) + b"".join(part[0] for part in parts)
    return data, 1 + max((part[1] for part in parts), default=0)


def _read_map(found: Any, depth: int) -> Packed:
    if type(found) is not dict:
        raise TypeError("not an object")
    data, top = [tags.map_header(len(found))], 0
    for name, item in found.items():
        packed, height = _read(item, depth + 1)
        data += (packb(name), packed)
        top = max(top, height)
    return b"".join(data), top + 1


def _read_tag(found: dict[str, Any], depth: int) -> Packed:
    ((name, value),) = found.items()
    if name in READ_LEAF:
        tag, read = READ_LEAF[name]
        return tags.extension(tag, read(value)), 0
    if name in _READ_PLAIN:
        return _READ_PLAIN[name](value), 0
    if name == "$object":
        return _nestable(_read_map(value, depth + 1))
    if name == "$dict":
        return _read_dict(value, depth), 0
    if name[1:] in tags.KINDS:
        return _read_record(name[1:], value, depth), 0
    tag = _TREE_TAGS[name]
    if tag in (tags.SET, tags.FROZENSET):
        members = sorted(_read(item, depth + 2)[0] for item in value)
        return tags.extension(tag, tags.array_header(len(members)) + b"".join(members)), 0
    shown = _SHOWN_PARTS.get(tag, {})
    parts = [
        packb(shown[index][1](part))
        if index in shown and part is not None
        else _read_part(part, depth)
        for index, part in enumerate(value)
    ]
    return tags.extension(tag, tags.array_header(len(parts)) + b"".join(parts)), 0


def _read_part(part: Any, depth: int) -> bytes:
    return _read(part, depth + 2)[0]


def _read_dict(value: Any, depth: int) -> bytes:
    sides = [_read(side, depth + 2)[0] for key, item in value for side in (key, item)]
    return tags.extension(tags.PAIRS, tags.array_header(len(sides)) + b"".join(sides))


def _read_record(kind: str, value: Any, depth: int) -> bytes:
    ref, *rest = value
    parts = [packb(ref.encode()), packb(tags.KINDS.index(kind))]
    parts += [_read_part(part, depth) for part in rest]
    return tags.extension(tags.RECORD, tags.array_header(len(parts)) + b"".join(parts))


def _read_float(value: Any) -> bytes:
    if value.startswith("0x"):
        return b"\xcb" + bytes.fromhex(value[2:]).rjust(8, b"\0")[:8]
    return packb(_SPECIALS[value])


def _read_int(value: Any) -> bytes:
    number = int(value, 16) if "0x" in value else int(value)
    return _read(number, 0)[0]


def _unpack64(value: Any) -> bytes:
    return base64.b64decode(value, validate=True)


_SPECIALS: Final = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_TREE_TAGS: Final = {name: tag for tag, name in _TREE_NAMES.items()}
_READ_PLAIN: Final[dict[str, Callable[[Any], bytes]]] = {
    "$packed": _unpack64,
    "$float": _read_float,
    "$int": _read_int,
    "$bytes": lambda value: packb(_unpack64(value)),
}

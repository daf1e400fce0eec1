"""Values half decoded: containers open, everything else still as its canonical bytes.

Two leaves are then told apart without making objects of them, and an item's canonical bytes, which
identify it, cost one call. An extension is the tuple (tag, payload), which MessagePack itself never
gives.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Any, Final, Literal, NamedTuple

from ormsgpack import Ext, packb, unpackb

from tracediff import values
from tracediff.model import MISSING
from tracediff.values import tags
from tracediff.values.inert import InertBuilders

Form = Literal["map", "seq", "set", "record"]


def opened(data: bytes) -> Any:
    """The canonical bytes of a value as a raw one.

    Raises:
        CodecError: ``value-unreadable``; these bytes are no value.
    """
    try:
        return unpackb(data, ext_hook=_pair)
    except Exception:  # noqa: BLE001 - the real decoder says what is wrong, or reads it after all
        return normal(data)


def normal(data: bytes) -> Any:
    """The same for bytes that a tracediff never wrote: read, and written as it would be."""
    return unpack(values.encode(values.inert(data)))


def unpack(data: bytes) -> Any:
    """MessagePack with its extensions as tuples."""
    return unpackb(data, ext_hook=_pair)


def token(raw: Any) -> bytes:
    """What tells a value from others: its canonical bytes."""
    return packb(raw, _extension, tags.OPTIONS)


def thing(raw: Any) -> Any:
    """The inert object of a raw value."""
    if raw is MISSING or type(raw) in _PLAIN:
        return raw
    read = InertBuilders.leaves.get(raw[0]) if type(raw) is tuple else None
    if read is not None:
        try:
            return read(raw[1])
        except Exception:  # noqa: BLE001 - the whole decoder says what is wrong with it
            return values.inert(token(raw))
    return values.inert(token(raw))


def is_leaf(raw: Any) -> bool:
    """Whether a raw value surely has no members."""
    cls = type(raw)
    return raw[0] in InertBuilders.leaves if cls is tuple else cls in _PLAIN


def same_leaf(old: Any, new: Any) -> bool:
    """Whether two leaves are the same value, type and bits."""
    if type(old) is not type(new):
        return False
    if type(old) is float:  # the two zeros are equal, and no NaN is
        return (old == new and new != 0.0) or token(old) == token(new)
    return bool(old == new)


class Shape(NamedTuple):
    """A container: two can be compared member by member when form and head are equal.

    ``members`` are (key, raw key, raw value) of a map or record, else raw values; ``key`` is what
    tells a key from others. ``base`` is what lies underneath a record.
    """

    form: Form
    head: Hashable
    members: list[Any]
    base: Any = MISSING


def unwrapped(raw: Any) -> Any:
    """What is nested deep travels in an extension of its own; here it does not count."""
    while type(raw) is tuple and raw[0] == tags.NESTED:
        raw = unpack(raw[1])
    return raw


def shape(raw: Any) -> Shape | None:
    """A raw value's members, None when it is a leaf."""
    cls = type(raw)
    if cls is dict:
        return Shape("map", "dict", [(key, key, value) for key, value in raw.items()])
    if cls is list:
        return Shape("seq", "list", raw)
    if cls is tuple:
        read = _SHAPES.get(raw[0])
        if read is not None:
            # What no tracediff wrote has no shape: a leaf, of which the decoder says what is wrong.
            with suppress(LookupError, TypeError, ValueError):
                return read(raw[0], unpack(raw[1]))
    return None


def _pair(tag: int, payload: bytes) -> tuple[int, bytes]:
    return tag, payload


def _extension(raw: Any) -> Ext:
    return Ext(*raw)


def _pairs(_tag: int, parts: list[Any]) -> Shape:
    keys, held = parts[::2], parts[1::2]
    return Shape("map", "dict", [(_key(a), a, b) for a, b in zip(keys, held, strict=True)])


def _key(raw: Any) -> Hashable:
    return raw if type(raw) is str else token(raw)


def _entries(raw: Any) -> list[Any]:
    found = shape(unwrapped(raw))
    return found.members if found is not None and found.form == "map" else []


def _defaults(tag: int, parts: list[Any]) -> Shape:
    return Shape("map", (tag, token(parts[0])), _entries(parts[1]))


def _record(_tag: int, parts: list[Any]) -> Shape:
    ref, kind, fields, *base = parts
    return Shape("record", (ref, kind), _entries(fields), base[0] if base else MISSING)


_SHAPES: Final[dict[int, Callable[[int, Any], Shape]]] = {
    tags.TUPLE: lambda _, parts: Shape("seq", "tuple", parts),
    tags.SET: lambda _, parts: Shape("set", "set", parts),
    tags.FROZENSET: lambda _, parts: Shape("set", "frozenset", parts),
    tags.PAIRS: _pairs,
    tags.ORDERED: lambda tag, parts: Shape("map", tag, _entries(parts[0])),
    tags.COUNTER: lambda tag, parts: Shape("map", tag, _entries(parts[0])),
    tags.PROXY: lambda tag, parts: Shape("map", tag, _entries(parts[0])),
    tags.DEFAULTDICT: _defaults,
    tags.DEQUE: lambda tag, parts: Shape("seq", (tag, parts[0]), parts[1]),
    tags.RECORD: _record,
    tags.LIBRARY: lambda tag, parts: Shape("record", (tag, parts[0]), [], parts[1]),
}
_PLAIN: Final = frozenset({type(None), bool, int, float, str, bytes})

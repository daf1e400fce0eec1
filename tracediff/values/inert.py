"""Canonical bytes to something to look at; imports nothing, needs no class of the user's."""

from __future__ import annotations

import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from datetime import timedelta, timezone
from fractions import Fraction
from typing import Any, ClassVar, Final

from tracediff.model import MISSING, Value
from tracediff.values import nodes, tags
from tracediff.values.decode import decode
from tracediff.values.factories import FACTORIES
from tracediff.values.leafread import (
    LEAF_READERS,
    read_datetime,
    read_text,
    read_time,
    unreadable,
)


def inert(data: bytes | Value) -> object:
    """Decode a value without importing anything.

    Kinds of the standard library come back as the objects they were, anything else as the frozen
    nodes of ``tracediff.values``.

    Raises:
        CodecError: ``value-unreadable``; these bytes are no value.
    """
    return decode(data.data if isinstance(data, Value) else data, InertBuilders())


def read_set(parts: list[Any]) -> Any:
    """A set, or what stands for one when a member cannot be hashed or equals another."""
    return _members(parts, set)


def read_frozenset(parts: list[Any]) -> Any:
    """A frozenset, or what stands for one."""
    return _members(parts, frozenset)


def _members(parts: list[Any], kind: type) -> Any:
    if type(parts) is not list:
        raise unreadable("a set without members")
    try:
        found = kind(parts)
    except TypeError:
        return nodes.Members(tuple(parts), kind is frozenset)
    return found if len(found) == len(parts) else nodes.Members(tuple(parts), kind is frozenset)


def read_pairs(parts: list[Any]) -> Any:
    """A dict, or what stands for one when a key cannot be hashed or equals another."""
    if type(parts) is not list or len(parts) % 2:
        raise unreadable("a dict with a key and no value")
    pairs = tuple(zip(parts[::2], parts[1::2], strict=True))
    try:
        found = dict(pairs)
    except TypeError:
        return nodes.Pairs(pairs)
    return found if len(found) == len(pairs) else nodes.Pairs(pairs)


def read_tuple(parts: list[Any]) -> tuple[Any, ...]:
    """A tuple of its items."""
    if type(parts) is not list:
        raise unreadable("a tuple without items")
    return tuple(parts)


def read_memoryview(parts: list[Any]) -> memoryview:
    """A memoryview over a copy of what it showed."""
    form, shape, readonly, data = parts
    view: Any = memoryview(data if readonly else bytearray(data))
    if type(data) is not bytes or type(form) is not bytes or len(form) != 1:
        raise unreadable("a memoryview without a layout")
    layout = (form.decode(),) if len(shape) == 1 else (form.decode(), shape)
    found: memoryview = view.cast(*layout)
    return found


def read_fraction(parts: list[Any]) -> Fraction:
    """A fraction in lowest terms."""
    above, below = parts
    found = Fraction(above, below)
    if type(above) is not int or (found.numerator, found.denominator) != (above, below):
        raise unreadable("a fraction that is not in lowest terms")
    return found


def read_range(parts: list[Any]) -> range:
    """A range; costs nothing however long it is."""
    return range(*parts)


def read_slice(parts: list[Any]) -> slice:
    """A slice of any three objects."""
    start, stop, step = parts
    return slice(start, stop, step)


def read_timezone(parts: list[Any]) -> timezone:
    """A fixed offset, with its name if it has one."""
    if not parts or type(parts[0]) is not timedelta:
        raise unreadable("a time zone without an offset")
    return timezone(*parts)


def read_deque(parts: list[Any]) -> deque[Any]:
    """A deque with its bound."""
    length, items = parts
    if type(items) is not list or (length is not None and length < len(items)):
        raise unreadable("a deque longer than its bound")
    return deque(items, length)


def nested(value: Any) -> Any:
    """What ``NESTED`` holds is the value itself."""
    return value


def _aware_datetime(parts: list[Any]) -> Any:
    data, zone = parts
    if isinstance(zone, nodes.Record):
        fields = {"wall": read_datetime(data), "tzinfo": zone}
        return nodes.Record("datetime:datetime", "stdlib", fields=fields)
    return read_datetime(data, zone)


def _aware_time(parts: list[Any]) -> Any:
    data, zone = parts
    if isinstance(zone, nodes.Record):
        fields = {"wall": read_time(data), "tzinfo": zone}
        return nodes.Record("datetime:time", "stdlib", fields=fields)
    return read_time(data, zone)


def _mapping(kind: Callable[[Any], Any], ref: str) -> Callable[[list[Any]], Any]:
    def build(parts: list[Any]) -> Any:
        (inner,) = parts
        if isinstance(inner, nodes.Pairs):
            return nodes.Record(ref, "stdlib", inner)
        if type(inner) is not dict:
            raise unreadable("a mapping without items")
        return kind(inner)

    return build


def read_counter(inner: dict[Any, Any]) -> Counter[Any]:
    """A Counter with these very values; its constructor would count."""
    found: Counter[Any] = Counter()
    dict.update(found, inner)
    return found


def _defaultdict(parts: list[Any]) -> Any:
    factory, inner = parts
    made = FACTORIES.get(factory.ref) if isinstance(factory, nodes.Global) else factory
    if (made is None and factory is not None) or type(inner) is not dict:
        fields = {"default_factory": factory}
        return nodes.Record("collections:defaultdict", "stdlib", inner, fields)
    return defaultdict(made, inner)


def _member(parts: list[Any]) -> nodes.Member:
    ref, name, value = parts
    return nodes.Member(read_text(ref), None if name is None else read_text(name), value)


def split_record(parts: list[Any]) -> tuple[str, str, dict[str, Any], Any]:
    """The parts of a record: its type, its kind, its fields and its base."""
    if type(parts) is not list or not 3 <= len(parts) <= 4:
        raise unreadable("a record without fields")
    ref, kind, fields = parts[:3]
    if type(kind) is not int or not 0 <= kind < len(tags.KINDS):
        raise unreadable("a record of an unknown kind")
    if isinstance(fields, nodes.Pairs):
        fields = dict(fields.items)
    if type(fields) is not dict:
        raise unreadable("a record without fields")
    base = parts[3] if len(parts) == 4 else MISSING
    return read_text(ref), tags.KINDS[kind], fields, base


def _record(parts: list[Any]) -> nodes.Record:
    ref, kind, fields, base = split_record(parts)
    return nodes.Record(ref, kind, base, fields)


def read_opaque(parts: list[Any]) -> nodes.Opaque:
    """What is known of a value without an exact form."""
    ref, text, seen = parts
    if seen is not None and type(seen) is not bytes:
        raise unreadable("an opaque value with an odd digest")
    return nodes.Opaque(read_text(ref), read_text(text), seen)


def read_redacted(parts: list[Any]) -> nodes.Redacted:
    """What is known of a secret."""
    ref, key_id, sealed = parts
    if type(sealed) is not bytes:
        raise unreadable("a secret without a digest")
    return nodes.Redacted(read_text(ref), read_text(key_id), sealed)


def _library(parts: list[Any]) -> nodes.Record:
    key, value = parts
    return nodes.Record(read_text(key), "library", value)


STDLIB_TREES: Final[dict[int, Callable[[Any], Any]]] = {
    tags.TUPLE: read_tuple,
    tags.SET: read_set,
    tags.FROZENSET: read_frozenset,
    tags.PAIRS: read_pairs,
    tags.MEMORYVIEW: read_memoryview,
    tags.FRACTION: read_fraction,
    tags.RANGE: read_range,
    tags.SLICE: read_slice,
    tags.TIMEZONE: read_timezone,
    tags.DEQUE: read_deque,
    tags.ORDERED: _mapping(OrderedDict, "collections:OrderedDict"),
    tags.COUNTER: _mapping(read_counter, "collections:Counter"),
    tags.PROXY: _mapping(types.MappingProxyType, "types:MappingProxyType"),
    tags.NESTED: nested,
    tags.AWARE_DATETIME: _aware_datetime,
    tags.AWARE_TIME: _aware_time,
}
"""Tag to what builds a standard kind from its parts."""


class InertBuilders:
    """The builders of the inert decoder."""

    leaves: ClassVar[dict[int, Callable[[bytes], Any]]] = LEAF_READERS
    trees: ClassVar[dict[int, Callable[[Any], Any]]] = {
        **STDLIB_TREES,
        tags.DEFAULTDICT: _defaultdict,
        tags.MEMBER: _member,
        tags.RECORD: _record,
        tags.OPAQUE: read_opaque,
        tags.REDACTED: read_redacted,
        tags.LIBRARY: _library,
    }

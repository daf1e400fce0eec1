"""What may mark a trace: plain values of what it was given, by name.

They are read from the recording as it is, with neither the user's classes nor more of a value than
the few fields that are wanted: an extension is unpacked when the walk comes to it and not before.
So a trace of the example takes a fifth of the time that decoding its inputs would, and what a
hostile one takes is bounded by ``_BYTES``.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable
from decimal import Decimal
from fractions import Fraction
from itertools import islice
from typing import Any, Final

from ormsgpack import unpackb

from tracediff.checked import Scalar
from tracediff.model import Step, Trace, Value
from tracediff.values import tags
from tracediff.values.leaves import DATE, DATETIME

MOST: Final = 60
"""How many attributes a trace has at most."""

_ARGUMENTS: Final = 16
_LABELS: Final = 8
_FIELDS: Final = 10
"""How many the arguments, the tags (and as many context fields), and one input give at most."""

_CALLS: Final = 3
_DEPTH: Final = 3
_MEMBERS: Final = 4
_ITEMS: Final = 64
_LONGEST: Final = 60
_LONGEST_NAME: Final = 120

_BYTES: Final = 1 << 18
"""How many bytes of one trace are unpacked, whatever is in them."""

_SUBCLASS: Final = tags.KINDS.index("subclass")
_REGISTERED: Final = tags.KINDS.index("registered")

_Pair = tuple[str, Scalar]
_Raw = tuple[int, bytes]


def attributes_of(trace: Trace, signature: bytes = b"") -> tuple[_Pair, ...]:
    """The attributes of a trace, at most ``MOST``, the likeliest to be of use first.

    ``order.country`` is of the job's arguments, ``input Main product.category`` of what an input
    gave (its first three calls, ``input Rate (2)`` for the second), ``tag category`` of a tag
    ``category:audio``, ``context country`` a context field; then there are ``key``, ``state``, and
    the ``path`` of steps. A list has a ``length``, a short one of texts ``contains`` each of them.
    Values are None, truth values, numbers, texts of up to 60 characters, names of enum members and
    days; never anything redacted or opaque.

    Args:
        trace: A recording.
        signature: Its path signature, where it is at hand (the index has it): working it out takes
            longer than all the rest.
    """
    found: list[_Pair] = [("key", trace.key[:_LONGEST]), ("state", trace.state)]
    if signature:
        found.append(("path", signature.hex()[:8]))
    if trace.steps:
        walk = _Walk(found)
        walk.value(trace.steps[0].args, "", _ARGUMENTS)
        found.extend(_context(trace))
        found.extend(_tags(trace.tags))
        for calls in _by_turn(trace.steps):
            for name, step in calls:
                if len(found) >= MOST:
                    break
                walk.call(step, name)
    return tuple(dict.fromkeys(found[:MOST]))


def _context(trace: Trace) -> Iterable[_Pair]:
    for name, value in list(trace.context.items())[:_LABELS]:
        kept = _scalar(value)
        if kept is not _NOTHING:
            yield f"context {name}"[:_LONGEST_NAME], kept


def _tags(labels: tuple[str, ...]) -> Iterable[_Pair]:
    for label in labels[:_LABELS]:
        name, colon, value = label.partition(":")
        if colon and name and len(value) <= _LONGEST:
            yield f"tag {name}"[:_LONGEST_NAME], value
        elif not colon and len(label) <= _LONGEST:
            yield f"tag {label}", True


def _by_turn(steps: tuple[Step, ...]) -> list[list[tuple[str, Step]]]:
    """Calls of inputs by name: all first ones, then all second ones, and so on."""
    turns: list[list[tuple[str, Step]]] = [[] for _ in range(_CALLS)]
    seen: dict[str, int] = {}
    for step in steps:
        if step.kind != "input":
            continue
        turn = seen.get(step.name, 0)
        if turn < _CALLS:
            seen[step.name] = turn + 1
            suffix = f" ({turn + 1})" if turn else ""
            turns[turn].append((f"input {step.name[:_LONGEST]}{suffix}", step))
            if turn == 0 and len(seen) >= MOST:
                break
    return turns


class _Walk:
    """Reads values, as long as there are bytes left that may be read."""

    def __init__(self, found: list[_Pair]) -> None:
        self._found = found
        self._left = _BYTES
        self._until = 0

    def call(self, step: Step, name: str) -> None:
        """What one call of an input came to."""
        if step.error is not None:
            self._found.append((f"{name}.error", step.error.type[:_LONGEST]))
        self.value(step.result, name, _FIELDS)

    def value(self, value: Value | None, name: str, most: int) -> None:
        """What a value is made of, at most so many attributes."""
        if value is None:
            return
        self._until = len(self._found) + most
        length = None
        try:
            if len(value.data) > self._left:
                length = _length(value.data)
            else:
                self._left -= len(value.data)
                self._take(unpackb(value.data, ext_hook=_raw), name, 0)
        except _UNREADABLE:
            return  # what is no value has no attributes; loading or replaying it says so
        if length is not None:
            self._found.append((f"{name}.length" if name else "length", length))

    def _take(self, it: Any, name: str, depth: int) -> None:
        """Add what is found in something that was unpacked: an extension is a tuple still."""
        if len(self._found) >= self._until:
            return
        kind = type(it)
        if kind is str or kind is int or kind is float or kind is bool or it is None:
            kept = _scalar(it)
            if kept is not _NOTHING:
                self._found.append((name, kept))
        elif kind is tuple:
            self._extension(it[0], it[1], name, depth)
        elif depth > _DEPTH:
            return
        elif kind is dict:
            self._fields(it.items(), name, depth)
        elif kind is list:
            self._list(it, name)

    def _fields(self, items: Iterable[tuple[Any, Any]], name: str, depth: int) -> None:
        if depth >= _DEPTH:
            return
        found = self._found
        before = f"{name}." if name else ""
        for field, one in islice(items, _ITEMS):
            if len(found) >= self._until:
                return
            if type(field) is not str or len(field) > _LONGEST:
                continue
            if type(one) is str:  # as _take would do it, without a call for each of so many
                if len(one) <= _LONGEST:
                    found.append((before + field, one))
            else:
                self._take(one, before + field, depth + 1)

    def _list(self, items: list[Any], name: str) -> None:
        self._found.append((f"{name}.length" if name else "length", len(items)))
        if len(items) <= _MEMBERS:
            for one in items:
                if type(one) is str and len(one) <= _LONGEST:
                    self._found.append((f"{name} contains", one))

    def _extension(self, tag: int, payload: bytes, name: str, depth: int) -> None:
        leaf = _LEAVES.get(tag)
        if leaf is not None:
            kept = leaf(payload)
            if kept is not _NOTHING:
                self._found.append((name, kept))
            return
        if tag not in _TREES:
            return
        if len(payload) > self._left or depth > _DEPTH:
            length = _length(payload) if tag in _LISTS else None
            if length is not None:
                self._found.append((f"{name}.length", length))
            return
        self._left -= len(payload)
        self._tree(tag, unpackb(payload, ext_hook=_raw), name, depth)

    def _tree(self, tag: int, parts: Any, name: str, depth: int) -> None:
        if tag == tags.NESTED:
            self._take(parts, name, depth + 1)
        elif type(parts) is not list:
            return
        elif tag in _LISTS:
            self._list(parts, name)
        elif tag == tags.RECORD:
            self._record(parts, name, depth)
        elif tag == tags.PAIRS:
            self._fields(zip(parts[::2], parts[1::2], strict=False), name, depth)
        elif tag == tags.MEMBER:
            if len(parts) == 3 and type(parts[1]) is bytes and len(parts[1]) <= _LONGEST:
                self._found.append((name, parts[1].decode()))
        elif tag == tags.FRACTION:
            kept = _scalar(Fraction(*map(_whole, parts)))
            if kept is not _NOTHING:
                self._found.append((name, kept))
        elif tag == tags.AWARE_DATETIME:
            self._found.append((name, _datetime(parts[0])))
        elif parts:
            # ordered and other mappings and a deque hold the value itself in the last place
            self._take(parts[-1], name, depth)

    def _record(self, parts: list[Any], name: str, depth: int) -> None:
        """The fields of an object, and what it is underneath or what stands for it."""
        if not 3 <= len(parts) <= 4:
            return
        if len(parts) == 4 and parts[1] in (_SUBCLASS, _REGISTERED):
            self._take(parts[3], name, depth + 1)
        if type(parts[2]) is dict:
            self._fields(parts[2].items(), name, depth)


_UNREADABLE: Final = (ValueError, ArithmeticError, TypeError, LookupError, struct.error)


def _raw(tag: int, payload: bytes) -> _Raw:
    return tag, payload


_NOTHING: Final[Any] = object()


def _scalar(it: Any) -> Any:
    """The plain value for what is one, ``_NOTHING`` for what is not or is too long."""
    kind = type(it)
    if kind is str:
        return it if len(it) <= _LONGEST else _NOTHING
    if kind is bool or it is None:
        return it
    if kind is int:
        return it if -_WIDEST <= it <= _WIDEST else _number(it)
    if kind in (float, Decimal, Fraction):
        return _number(it)
    return _NOTHING


_WIDEST: Final = (1 << 63) - 1


def _number(it: Any) -> Any:
    try:
        number = float(it)
    except (OverflowError, ValueError):  # larger than any float; a signalling nan
        return _NOTHING
    return number if math.isfinite(number) else str(number)


def _whole(it: Any) -> int:
    if type(it) is int:
        return it
    return int.from_bytes(it[1], "big", signed=True) if it[0] == tags.BIG_INT else int("none")


def _decimal(payload: bytes) -> Any:
    if len(payload) > _LONGEST:
        return _NOTHING
    return _number(payload.decode("ascii"))


def _big_int(payload: bytes) -> Any:
    if len(payload) > 2 * _LONGEST:
        return _NOTHING
    return _number(int.from_bytes(payload, "big", signed=True))


def _date(payload: bytes) -> str:
    year, month, day = DATE.unpack(payload)
    return f"{year:04}-{month:02}-{day:02}"


def _datetime(payload: bytes) -> str:
    year, month, day, *_ = DATETIME.unpack(payload)
    return f"{year:04}-{month:02}-{day:02}"


_LEAVES: Final[dict[int, Callable[[bytes], Any]]] = {
    tags.BIG_INT: _big_int,
    tags.DECIMAL: _decimal,
    tags.DATE: _date,
    tags.DATETIME: _datetime,
}

_LISTS: Final = frozenset({tags.TUPLE, tags.SET, tags.FROZENSET})

_TREES: Final = _LISTS | {
    tags.NESTED,
    tags.RECORD,
    tags.PAIRS,
    tags.MEMBER,
    tags.FRACTION,
    tags.AWARE_DATETIME,
    tags.DEQUE,
    tags.ORDERED,
    tags.DEFAULTDICT,
    tags.COUNTER,
    tags.PROXY,
}
"""What is looked into; all else has no attributes, a secret least of all."""


def _length(data: bytes) -> int | None:
    """How many items a packed list or tuple has, by its header; None for anything else."""
    head = data[0] if data else 0
    if 0x90 <= head <= 0x9F:
        return head & 0x0F
    if head in (0xDC, 0xDD):
        return int.from_bytes(data[1 : 3 if head == 0xDC else 5], "big")
    if head in _EXTENSIONS:
        start = _EXTENSIONS[head]
        if data[start - 1 : start] in _LIST_TAGS:
            return _length(data[start : start + 5])
    return None


_EXTENSIONS: Final = {0xC7: 3, 0xC8: 4, 0xC9: 6}
"""First byte of an extension to where its payload begins."""

_LIST_TAGS: Final = frozenset(bytes((tag,)) for tag in _LISTS)

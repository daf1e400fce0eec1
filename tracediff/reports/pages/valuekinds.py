"""What an inert value is to a reader: its type, its text, what is inside, what is easily missed."""

from __future__ import annotations

import math
import struct
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from itertools import islice
from typing import Any, Final, Literal

from tracediff import values
from tracediff.model import MISSING
from tracediff.reports import excerpt
from tracediff.reports.wording import many

Role = Literal["", "field", "key", "index"]
Look = Literal["number", "text", "constant", "time", "secret", "opaque", "mark", "plain"]
Child = tuple[str, Role, object]

LONG_TEXT: Final = 120
"""Characters of a text that stand in its line; a longer one opens."""
LONG_BYTES: Final = 24
_KEY: Final = 80
_SORTED: Final = 2_000
_EXACT_DIGITS: Final = 20


@dataclass(frozen=True, slots=True)
class Inside:
    """The members of a container, by position; ``take`` gives those from one position on."""

    count: int
    noun: str
    take: Callable[[int, int], Iterable[Child]]


def type_name(obj: object) -> tuple[str, str]:
    """Return the name of a value's type as it is shown, and in full."""
    ref = _type_ref(obj)
    short = ref.partition(":")[2].rpartition("<locals>.")[2] or ref
    return short, ref.removeprefix("builtins:").replace(":", ".")


def _type_ref(obj: object) -> str:
    if isinstance(obj, values.Record | values.Member | values.Opaque | values.Redacted):
        return obj.type
    if isinstance(obj, values.Deep):
        return obj.type
    if isinstance(obj, values.Pairs):
        return "dict"
    if isinstance(obj, values.Members):
        return "frozenset" if obj.frozen else "set"
    if isinstance(obj, values.Global):
        return "module" if obj.ref.endswith(":") else "class or function"
    if isinstance(obj, values.Reference | excerpt.Unreadable):
        return ""
    return type(obj).__name__


def look(obj: object) -> Look:
    """Return the class of things a value belongs to, for its colour."""
    if obj is None or isinstance(obj, bool):
        return "constant"
    if isinstance(obj, int | float | complex | Decimal | Fraction):
        return "number"
    if isinstance(obj, str | bytes | bytearray):
        return "text"
    if isinstance(obj, date | time | timedelta):
        return "time"
    if isinstance(obj, values.Redacted):
        return "secret"
    if isinstance(obj, values.Opaque | values.Deep | excerpt.Unreadable):
        return "opaque"
    if isinstance(obj, values.Reference):
        return "mark"
    return "constant" if isinstance(obj, values.Member | values.Global | Enum) else "plain"


def hint(obj: object) -> str:
    """Return what the text of a value does not show, or nothing."""
    if isinstance(obj, float):
        return _float_hint(obj)
    if isinstance(obj, Decimal):
        return _scale(obj)
    if isinstance(obj, int) and not isinstance(obj, bool):
        bits = obj.bit_length()
        return f"{int(bits * math.log10(2)) + 1:,} digits" if bits > _EXACT_DIGITS * 4 else ""
    if isinstance(obj, str):
        return many(len(obj), "character") if len(obj) > LONG_TEXT else ""
    if isinstance(obj, bytes | bytearray):
        return many(len(obj), "byte")
    if isinstance(obj, datetime | time):
        zone = str(obj.tzinfo) if obj.tzinfo else ""
        return ", ".join(filter(None, (zone, "the second of two" if obj.fold else "")))
    if isinstance(obj, values.Reference):
        return "a cycle"
    if isinstance(obj, values.Redacted):
        return f"a secret; equal ones have equal digests, {obj.digest.hex()[:16]}"
    if isinstance(obj, values.Opaque):
        return "no exact form: its type and a digest count" if obj.digest else "no exact form"
    return ""


def _float_hint(number: float) -> str:
    if math.isnan(number):
        return f"bits {struct.pack('>d', number).hex()}"
    return "negative zero" if number == 0 and math.copysign(1, number) < 0 else ""


def _scale(number: Decimal) -> str:
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int):
        return ""
    return (
        many(-exponent, "decimal place")
        if exponent < 0
        else f"exponent {exponent:+}" * (exponent > 0)
    )


def line(obj: object, limit: int) -> str:
    """Return a value on one line, as a terminal shows it."""
    if isinstance(obj, values.Reference):
        above = "itself" if obj.levels == 0 else f"the container {obj.levels} levels above"
        return f"↑ {above}"
    if isinstance(obj, set | frozenset) and len(obj) > _SORTED:
        return "{…}"
    return excerpt.short(obj, limit)


def inside(obj: Any) -> Inside | None:
    """Return the members of a container, None for what has none."""
    if isinstance(obj, dict | types.MappingProxyType):
        return _pairs(len(obj), obj.items())
    if isinstance(obj, values.Pairs):
        return _pairs(len(obj.items), obj.items)
    if isinstance(obj, list | tuple | range | values.Members):
        items = obj.items if isinstance(obj, values.Members) else obj
        return Inside(len(items), "item", _items(items))
    if isinstance(obj, deque):
        return Inside(len(obj), "item", lambda start, most: _numbered(obj, start, most))
    if isinstance(obj, set | frozenset):
        return _set(obj)
    if isinstance(obj, memoryview):
        flat = obj.cast("B").cast(obj.format) if obj.ndim != 1 else obj  # type: ignore[call-overload]  # its own format
        return Inside(len(flat), "item", _items(flat))
    if isinstance(obj, values.Record):
        return _record(obj)
    if isinstance(obj, values.Member) and inside(obj.value) is not None:
        return _fields({"value": obj.value})
    return None


def _items(items: Sequence[Any]) -> Callable[[int, int], Iterator[Child]]:
    def take(start: int, most: int) -> Iterator[Child]:
        for index in range(start, min(start + most, len(items))):
            yield str(index), "index", items[index]

    return take


def _numbered(items: Iterable[Any], start: int, most: int) -> Iterator[Child]:
    for index, item in islice(enumerate(items), start, start + most):
        yield str(index), "index", item


def _pairs(count: int, pairs: Iterable[tuple[Any, Any]]) -> Inside:
    def take(start: int, most: int) -> Iterator[Child]:
        for key, value in islice(pairs, start, start + most):
            yield key_name(key), "key", value

    return Inside(count, "item", take)


def key_name(key: object) -> str:
    """Return a key of a dict on one line: a word as it is, anything else as a value."""
    if isinstance(key, str) and key.isidentifier() and len(key) <= _KEY:
        return key
    return line(key, _KEY)


def _set(members: set[Any] | frozenset[Any]) -> Inside:
    """In order, unless there are so many that sorting them takes long."""
    if len(members) <= _SORTED:
        ordered = sorted(members, key=lambda one: (type(one).__name__, line(one, 200)))
        return Inside(len(ordered), "member", _unlabelled(ordered))
    return Inside(len(members), "member", _unlabelled(members))


def _unlabelled(members: Iterable[Any]) -> Callable[[int, int], Iterator[Child]]:
    return lambda start, most: (("", "", one) for one in islice(members, start, start + most))


def _record(obj: values.Record) -> Inside | None:
    base: dict[str, Any] = {}
    if obj.base is not MISSING:
        base = {_BASES.get(obj.kind, "value"): obj.base}
    if obj.kind == "stdlib" and inside(obj.base) is None and not obj.fields:
        return None
    return _fields(base, obj.fields)


_BASES: Final = {"exception": "args", "django": "state", "library": "parts"}


def _fields(*groups: Mapping[str, Any]) -> Inside:
    fields = [(str(name), one) for group in groups for name, one in group.items()]

    def take(start: int, most: int) -> Iterator[Child]:
        for name, one in islice(fields, start, start + most):
            yield name, "field", one

    return Inside(len(fields), "field", take)

"""Values with members: which parts each kind is written as.

A shape is an ``Ext`` (written as it is) or ``(tag, parts)``, whose parts the encoder encodes. Names
of classes are bytes, so that a rule that scrubs text never touches them; attributes are one dict,
so that one rule redacts the keys of a dict and the fields of a record alike.
"""

from __future__ import annotations

import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from ormsgpack import Ext

from tracediff.values import registry, tags
from tracediff.values.factories import NATIVE_EXCEPTIONS
from tracediff.values.leaves import LEAVES, InexactError, datetime_bytes, time_bytes
from tracediff.values.nodeshapes import NODE_SHAPES, Shape, Shaper
from tracediff.values.refs import class_attribute, mro, namespace, type_ref

_KIND: Final = {name: number for number, name in enumerate(tags.KINDS)}
_MAX_PLANS: Final = 4096
_HASH: Final = "_attrs_cached_hash"
_FACTORY: Final = vars(defaultdict)["default_factory"].__get__
_MAXLEN: Final = vars(deque)["maxlen"].__get__
_UUID_INT: Final = vars(UUID)["int"].__get__
_plans: dict[type, Shaper] = {}
_generation = 0


def shaper_of(cls: type) -> Any:
    """What gives the shape of a class's objects; it raises InexactError, or what they raise."""
    return SHAPES.get(cls) or LEAVES.get(cls) or plan(cls)


def plan(cls: type) -> Shaper:
    """How instances of a class that is none of the standard ones are written."""
    global _generation
    if _generation != registry.generation or len(_plans) > _MAX_PLANS:
        _plans.clear()
        _generation = registry.generation
    found = _plans.get(cls)
    if found is None:
        found = _plans[cls] = _new_plan(cls)
    return found


def _new_plan(cls: type) -> Shaper:
    registered = registry.encoder(cls)
    if registered is not None:
        return registered
    mapped: Shaper | None = registry.mapped(cls)
    if mapped is not None:
        return mapped
    bases = mro(cls)
    if Enum in bases:
        return _member(type_ref(cls).encode())
    if type in bases:
        return LEAVES[type]
    for make in (_exception_plan, _namedtuple_plan, _subclass_plan, _fields_plan):
        made = make(cls)
        if made is not None:
            return made
    return _no_form


def _no_form(obj: Any) -> Shape:
    raise InexactError("a class that is not registered")


# --- the standard containers ---------------------------------------------------------------------


def _tuple(obj: tuple[Any, ...]) -> Shape:
    return tags.TUPLE, list(obj)


def _set(obj: set[Any]) -> Shape:
    return tags.SET, list(obj)


def _frozenset(obj: frozenset[Any]) -> Shape:
    return tags.FROZENSET, list(obj)


def _memoryview(obj: memoryview) -> Shape:
    if len(obj.format) != 1 or obj.format not in "bBhHiIlLqQfdc?" or not obj.c_contiguous:
        raise InexactError("a memoryview with a layout of its own")
    shape = list(obj.shape) if obj.shape is not None else []
    return tags.MEMORYVIEW, [obj.format.encode(), shape, obj.readonly, obj.tobytes()]


def _fraction(obj: Fraction) -> Shape:
    return tags.FRACTION, [obj.numerator, obj.denominator]


def _range(obj: range) -> Shape:
    return tags.RANGE, [obj.start, obj.stop, obj.step]


def _slice(obj: slice) -> Shape:
    return tags.SLICE, [obj.start, obj.stop, obj.step]


def _deque(obj: deque[Any]) -> Shape:
    return tags.DEQUE, [_MAXLEN(obj), list(deque.__iter__(obj))]


def _ordered(obj: OrderedDict[Any, Any]) -> Shape:
    return tags.ORDERED, [dict(OrderedDict.items(obj))]


def _counter(obj: Counter[Any]) -> Shape:
    return tags.COUNTER, [dict.copy(obj)]


def _defaultdict(obj: defaultdict[Any, Any]) -> Shape:
    factory = _FACTORY(obj)
    return tags.DEFAULTDICT, [factory, {**obj}]


def _proxy(obj: types.MappingProxyType[Any, Any]) -> Shape:
    inner = obj.copy()
    if type(inner) is not dict:
        raise InexactError("a proxy of a mapping that is not a dict")
    return tags.PROXY, [inner]


def _time(obj: time) -> Shape:
    zone = obj.tzinfo
    if zone is None:
        return Ext(tags.TIME, time_bytes(obj))
    return tags.AWARE_TIME, [time_bytes(obj), _known_zone(zone)]


def _datetime(obj: datetime) -> Shape:
    zone = obj.tzinfo
    if zone is None:
        return Ext(tags.DATETIME, datetime_bytes(obj))
    return tags.AWARE_DATETIME, [datetime_bytes(obj), _known_zone(zone)]


def _known_zone(zone: Any) -> Any:
    if type(zone) is timezone or (type(zone) is ZoneInfo and type(zone.key) is str):
        return zone
    if type(zone).__module__ == "dateutil.tz.tz" and type(zone).__name__ in ("tzutc", "tzlocal"):
        return zone
    raise InexactError("a time zone of a class of its own")


def _timezone(obj: timezone) -> Shape:
    return tags.TIMEZONE, list(obj.__getinitargs__())  # type: ignore[attr-defined]  # undocumented


# --- classes of users ----------------------------------------------------------------------------


def _member(ref: bytes) -> Shaper:
    def shape(obj: Any) -> Shape:
        own = object.__getattribute__(obj, "__dict__")
        name = own.get("_name_")
        return tags.MEMBER, [ref, None if name is None else str(name).encode(), own["_value_"]]

    return shape


def attributes(cls: type) -> Callable[[Any], dict[str, Any]]:
    """A function that reads an instance's attributes: its slots, then its ``__dict__``."""
    slots: list[tuple[str, Any]] = []
    whole: Any = None
    for base in reversed(mro(cls)):
        for name, found in namespace(base).items():
            if type(found) is types.MemberDescriptorType and base.__module__ != "builtins":
                slots.append((name, found.__get__))
            elif name == "__dict__" and type(found) is types.GetSetDescriptorType:
                whole = found.__get__

    def read(obj: Any) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for name, get in slots:
            try:
                fields[name] = get(obj)
            except AttributeError:
                continue
        if whole is not None:
            fields.update(whole(obj))
        return fields

    return read


def _record(cls: type, kind: str, base: Callable[[Any], Any] | None = None) -> Shaper:
    ref, number, read = type_ref(cls).encode(), _KIND[kind], attributes(cls)
    if base is None:
        return lambda obj: (tags.RECORD, [ref, number, read(obj)])
    return lambda obj: (tags.RECORD, [ref, number, read(obj), base(obj)])


def _exception_plan(cls: type) -> Shaper | None:
    if BaseException not in mro(cls):
        return None
    native = next(base for base in mro(cls) if base in NATIVE_EXCEPTIONS)
    ref, number, read = type_ref(cls).encode(), _KIND["exception"], attributes(cls)

    def shape(obj: Any) -> Shape:
        """The builtin's own reduction knows what it keeps beside ``args``: a file's name."""
        reduced: Any = native.__reduce__(obj)
        state = reduced[2] if len(reduced) > 2 and reduced[2] else {}
        return tags.RECORD, [ref, number, {**state, **read(obj)}, reduced[1]]

    return shape


def _namedtuple_plan(cls: type) -> Shaper | None:
    names = class_attribute(cls, "_fields")
    if tuple not in mro(cls) or type(names) is not tuple:
        return None
    if not all(type(name) is str for name in names):
        return None
    ref, number, read = type_ref(cls).encode(), _KIND["namedtuple"], attributes(cls)

    def shape(obj: Any) -> Shape:
        fields = dict(zip(names, tuple.__iter__(obj), strict=True))
        extra = read(obj)
        parts = [ref, number, fields]
        return tags.RECORD, [*parts, extra] if extra else parts

    return shape


def _fields_plan(cls: type) -> Shaper | None:
    if type(class_attribute(cls, "__dataclass_fields__")) is dict:
        return _declared(cls, "dataclass", class_attribute(cls, "__dataclass_fields__"))
    declared = class_attribute(cls, "__attrs_attrs__")
    if isinstance(declared, tuple):
        return _declared(cls, "attrs", (one.name for one in declared))
    if class_attribute(cls, "__pydantic_core_schema__") is not None:
        return _record(cls, "pydantic")
    return None


def _declared(cls: type, kind: str, names: Iterable[str]) -> Shaper:
    """Fields in the order the class declares them, then whatever else the instance has.

    That an attrs class once counted its hash is not data: it is another one in each process.
    """
    declared = tuple(names)
    ref, number, read = type_ref(cls).encode(), _KIND[kind], attributes(cls)

    def shape(obj: Any) -> Shape:
        found = read(obj)
        if _HASH in found:
            found = {**found, _HASH: None}
        if tuple(found) != declared:
            ordered = {name: found.pop(name) for name in declared if name in found}
            found = {**ordered, **found}
        return tags.RECORD, [ref, number, found]

    return shape


def _exact_datetime(obj: Any) -> datetime:
    return datetime.combine(datetime.date(obj), datetime.timetz(obj))


def _exact_date(obj: Any) -> date:
    return date.fromordinal(date.toordinal(obj))


def _exact_delta(obj: Any) -> timedelta:
    return timedelta(
        *(vars(timedelta)[name].__get__(obj) for name in ("days", "seconds", "microseconds"))
    )


def _exact_complex(obj: Any) -> complex:
    return complex.__complex__(obj)


BASES: Final[dict[type, Callable[[Any], Any]]] = {
    OrderedDict: lambda obj: OrderedDict(OrderedDict.items(obj)),
    Counter: lambda obj: Counter(dict.copy(obj)),
    defaultdict: lambda obj: defaultdict(
        _FACTORY(obj),
        dict.copy(obj),
    ),
    dict: dict.copy,
    list: list.copy,
    tuple: lambda obj: tuple(tuple.__iter__(obj)),
    set: lambda obj: set(set.__iter__(obj)),
    frozenset: lambda obj: frozenset(frozenset.__iter__(obj)),
    deque: lambda obj: deque(deque.__iter__(obj), _MAXLEN(obj)),
    str: str.__str__,
    int: int.__int__,
    float: float.__float__,
    complex: _exact_complex,
    bytes: lambda obj: bytes(memoryview(obj)),
    bytearray: lambda obj: bytearray(memoryview(obj)),
    Decimal: Decimal,
    Fraction: lambda obj: Fraction(obj._numerator, obj._denominator),  # noqa: SLF001 - a subclass may shadow the properties
    datetime: _exact_datetime,
    date: _exact_date,
    timedelta: _exact_delta,
    UUID: lambda obj: UUID(int=_UUID_INT(obj)),
}
"""The builtins whose subclasses are written as base and attributes, most special first."""


def _subclass_plan(cls: type) -> Shaper | None:
    bases = mro(cls)
    kind = next((one for one in BASES if one in bases), None)
    if kind is None:
        return None
    if "__slots__" not in namespace(cls) and "__dict__" not in _names(cls):
        return None  # a struct sequence, or another type made in C with state of its own
    return _record(cls, "subclass", BASES[kind])


def _names(cls: type) -> set[str]:
    return {name for base in mro(cls) for name in namespace(base)}


SHAPES: Final[dict[type, Shaper]] = {
    tuple: _tuple,
    set: _set,
    frozenset: _frozenset,
    memoryview: _memoryview,
    Fraction: _fraction,
    range: _range,
    slice: _slice,
    deque: _deque,
    OrderedDict: _ordered,
    Counter: _counter,
    defaultdict: _defaultdict,
    types.MappingProxyType: _proxy,
    time: _time,
    datetime: _datetime,
    timezone: _timezone,
    **NODE_SHAPES,
}
"""Exact type to its shape."""

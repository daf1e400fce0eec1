"""Instances of users' classes, made without running any of their code."""

from __future__ import annotations

import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any, Final
from uuid import UUID

from tracediff.errors import ReplayError
from tracediff.values.refs import mro, namespace


def changed(cls: type, why: str) -> ReplayError:
    """The error for a recorded object whose class is another one now."""
    return ReplayError(
        f"a recorded {cls.__module__}.{cls.__qualname__} does not fit the class as it is: {why}",
        slug="class-changed",
        hint="record the trace again, or register a decoder that knows both forms",
    )


def set_fields(obj: Any, fields: Mapping[str, Any]) -> Any:
    """Set attributes past any property or ``__setattr__``: into slots, else ``__dict__``."""
    slots: dict[str, Any] = {}
    whole: Any = None
    for base in reversed(mro(type(obj))):
        for name, found in namespace(base).items():
            if type(found) is types.MemberDescriptorType:
                slots[name] = found
            elif name == "__dict__" and type(found) is types.GetSetDescriptorType:
                whole = found.__get__(obj)
    for name, value in fields.items():
        if name in slots:
            slots[name].__set__(obj, value)
        elif whole is not None:
            whole[name] = value
        else:
            raise changed(type(obj), f"it has no place for {name!r}")
    return obj


def _new(kind: Any, cls: type, *args: Any, **named: Any) -> Any:
    """The builtin's own ``__new__``, whatever the class has put in its place."""
    return kind.__new__(cls, *args, **named)


def rebuild(cls: type, base: Any) -> Any:
    """An instance of a subclass of a builtin, with the value of ``base`` underneath."""
    kind = type(base)
    make = _NEW.get(kind)
    return make(cls, base) if make is not None else _new(kind, cls, base)


def _filled(kind: type, fill: Callable[[Any, Any], Any]) -> Callable[[type, Any], Any]:
    def build(cls: type, base: Any) -> Any:
        obj = _new(kind, cls)
        fill(obj, base)
        return obj

    return build


def _new_deque(cls: type, base: deque[Any]) -> Any:
    obj = _new(deque, cls)
    deque.__init__(obj, base, base.maxlen)
    return obj


def _new_defaultdict(cls: type, base: defaultdict[Any, Any]) -> Any:
    obj = _new(defaultdict, cls)
    defaultdict.__init__(obj, base.default_factory, base)
    return obj


def _new_ordered(obj: Any, base: OrderedDict[Any, Any]) -> None:
    for key, value in base.items():
        OrderedDict.__setitem__(obj, key, value)


def _datetime_args(base: Any) -> tuple[Any, ...]:
    return (base.year, base.month, base.day, base.hour, base.minute, base.second, base.microsecond)


def _new_datetime(cls: type, base: Any) -> Any:
    return _new(type(base), cls, *_datetime_args(base), base.tzinfo, fold=base.fold)


def _new_date(cls: type, base: Any) -> Any:
    return _new(type(base), cls, base.year, base.month, base.day)


def _new_delta(cls: type, base: Any) -> Any:
    return _new(type(base), cls, base.days, base.seconds, base.microseconds)


def _new_fraction(cls: type, base: Any) -> Any:
    obj = _new(object, cls)
    set_fields(obj, {"_numerator": base.numerator, "_denominator": base.denominator})
    return obj


def _new_uuid(cls: type, base: Any) -> Any:
    return set_fields(object.__new__(cls), {"int": base.int, "is_safe": base.is_safe})


_NEW: Final[dict[type, Callable[[type, Any], Any]]] = {
    list: _filled(list, list.extend),
    dict: _filled(dict, dict.update),
    set: _filled(set, set.update),
    bytearray: _filled(bytearray, bytearray.extend),
    OrderedDict: _filled(OrderedDict, _new_ordered),
    Counter: _filled(Counter, dict.update),
    deque: _new_deque,
    defaultdict: _new_defaultdict,
    datetime: _new_datetime,
    date: _new_date,
    timedelta: _new_delta,
    Fraction: _new_fraction,
    UUID: _new_uuid,
}

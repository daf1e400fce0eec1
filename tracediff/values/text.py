"""An inert value on one line, for people."""

from __future__ import annotations

import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from itertools import islice
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID

from tracediff.model import MISSING
from tracediff.values import nodes

_MAX_DEPTH: Final = 8
_MAX_ITEMS: Final = 200
_MAX_COLUMNS: Final = 6
_ANY_SIZE: Final = 1 << 40
"""Only counts are told here: no matter how many rows a few bytes claim."""

_MAX_DIGITS: Final = 4_000
_AS_STR: Final = (Decimal, Fraction, date, datetime, time, timedelta, UUID)


def text(obj: object, limit: int = 200) -> str:
    """Render an inert value on one line of at most ``limit`` characters, cut with "…".

    Numbers, dates and identifiers read as themselves, text is quoted, records are ``Name(a=1)``.
    """
    pieces: list[str] = []
    length = 0
    for piece in _render(obj, 0):
        pieces.append(piece)
        length += len(piece)
        if length > limit:
            break
    line = "".join(pieces).replace("\n", "\\n").replace("\r", "\\r")
    return line if len(line) <= limit else line[: max(limit - 1, 0)] + "…"


def _render(obj: Any, depth: int) -> Iterator[str]:
    if obj is None or obj is True or obj is False:
        yield str(obj)
    elif isinstance(obj, str):
        yield repr(obj[:10_000])
    elif isinstance(obj, Enum) and obj is not MISSING:
        yield str(obj)
    elif isinstance(obj, int):
        yield str(obj) if obj.bit_length() < _MAX_DIGITS * 3 else f"{obj:#x}"
    elif isinstance(obj, float | complex):
        yield repr(obj)
    elif isinstance(obj, bytes | bytearray):
        yield repr(obj[:2_000])
    elif isinstance(obj, _AS_STR):
        yield str(obj)
    elif isinstance(obj, PurePath):
        yield repr(str(obj))
    elif isinstance(obj, nodes.NODES):
        yield from _node(obj, depth)
    elif depth >= _MAX_DEPTH:
        yield "…"
    else:
        yield from _container(obj, depth)


def _container(obj: Any, depth: int) -> Iterator[str]:
    if isinstance(obj, list):
        yield from _items("[", obj, "]", depth)
    elif isinstance(obj, tuple):
        yield from _items("(", obj, ",)" if len(obj) == 1 else ")", depth)
    elif isinstance(obj, deque):
        yield from _items("deque([", obj, "])", depth)
    elif isinstance(obj, set | frozenset):
        if obj:
            yield from _items("{", sorted(obj, key=_order), "}", depth)
        else:
            yield f"{type(obj).__name__}()"
    elif isinstance(obj, dict | types.MappingProxyType):
        name = type(obj).__name__ if isinstance(obj, Counter | OrderedDict | defaultdict) else ""
        yield from _pairs(f"{name}({{" if name else "{", obj.items(), "})" if name else "}", depth)
    elif isinstance(obj, memoryview):
        yield f"memoryview({bytes(obj[:2_000])!r})" if obj.ndim == 1 else repr(obj.shape)
    else:
        yield str(obj)


def _order(obj: Any) -> tuple[str, Any]:
    kind = type(obj).__name__
    return (kind, obj) if isinstance(obj, str | bytes) else (kind, text(obj, 200))


def _items(start: str, items: Iterable[Any], end: str, depth: int) -> Iterator[str]:
    yield start
    for index, item in enumerate(islice(items, _MAX_ITEMS + 1)):
        if index:
            yield ", "
        if index == _MAX_ITEMS:
            yield "…"
            break
        yield from _render(item, depth + 1)
    yield end


def _pairs(start: str, pairs: Iterable[tuple[Any, Any]], end: str, depth: int) -> Iterator[str]:
    yield start
    for index, (key, value) in enumerate(islice(pairs, _MAX_ITEMS + 1)):
        if index:
            yield ", "
        if index == _MAX_ITEMS:
            yield "…"
            break
        yield from _render(key, depth + 1)
        yield ": "
        yield from _render(value, depth + 1)
    yield end


def _node(obj: Any, depth: int) -> Iterator[str]:
    if isinstance(obj, nodes.Member):
        name = obj.name if obj.name is not None else f"({text(obj.value)})"
        yield f"{_name(obj.type)}.{name}"
    elif isinstance(obj, nodes.Opaque):
        yield obj.text
    elif isinstance(obj, nodes.Redacted):
        yield f"<redacted {_name(obj.type)} {obj.digest.hex()[:8]}>"
    elif isinstance(obj, nodes.Global):
        yield obj.ref.rstrip(":").replace(":", ".")
    elif isinstance(obj, nodes.Reference):
        yield "<cycle>"
    elif isinstance(obj, nodes.Deep):
        yield f"<{_name(obj.type)}, nested too deep>"
    elif depth >= _MAX_DEPTH:
        yield "…"
    elif isinstance(obj, nodes.Pairs):
        yield from _pairs("{", obj.items, "}", depth)
    elif isinstance(obj, nodes.Members):
        yield from _items("{", obj.items, "}", depth)
    else:
        yield from _record(obj, depth)


def _shown_fields(obj: nodes.Record) -> Iterator[tuple[Any, Any]]:
    """The fields as a program names them: of a pydantic model none of pydantic's own."""
    for name, value in obj.fields.items():
        if obj.kind != "pydantic" or not str(name).startswith("__pydantic_"):
            yield name, value
    if obj.kind == "pydantic":
        for kept in ("__pydantic_extra__", "__pydantic_private__"):
            more = obj.fields.get(kept)
            yield from more.items() if isinstance(more, Mapping) else ()


def _frame(obj: nodes.Record) -> str | None:
    """A frame by its size and its columns; None for what is no frame that can be read."""
    from tracediff.values.frames import table  # it knows this module

    whole: Any = obj
    names: Any = None
    if obj.type.endswith(":sealed") and type(obj.base) is dict:  # it lacks the sealed columns
        whole, names = obj.base.get("frame"), obj.base.get("names")
    found = table(whole, _ANY_SIZE)
    if found is None:
        return None
    shown = found.names if type(names) is not list else names
    told = ", ".join([str(one) for one in shown[:_MAX_COLUMNS]])
    told = f": {told}{', …' if len(shown) > _MAX_COLUMNS else ''}" if told else ""
    return f"{_name(whole.type)}({found.rows:,} × {len(shown):,}{told})"


def _record(obj: nodes.Record, depth: int) -> Iterator[str]:
    if obj.kind == "stdlib" and obj.type == "zoneinfo:ZoneInfo":
        yield str(obj.base)
        return
    if obj.kind == "queryset":
        yield f"{_name(obj.type)}[{_name(str(obj.fields.get('model')))}]"
        yield "("
        yield from _render(obj.base, depth + 1) if obj.base is not None else ("not evaluated",)
        yield ")"
        return
    frame = _frame(obj) if obj.kind == "library" else None
    if frame is not None:
        yield frame
        return
    yield f"{_name(obj.type)}("
    first = True
    if obj.kind == "exception" and isinstance(obj.base, tuple):
        for item in obj.base:
            yield "" if first else ", "
            yield from _render(item, depth + 1)
            first = False
    elif obj.kind == "django" and type(obj.base) is dict:
        if obj.base.get("adding"):
            yield "unsaved"
            first = False
    elif obj.base is not MISSING and not (obj.kind == "sqlalchemy" and obj.fields):
        yield from _render(obj.base, depth + 1)
        first = False
    for name, value in _shown_fields(obj):
        yield f"{name}=" if first else f", {name}="
        yield from _render(value, depth + 1)
        first = False
    if obj.kind == "sqlalchemy" and type(obj.base) is dict and "same" in obj.base:
        yield ", …"  # it is written out elsewhere in the value
    yield ")"


def _name(ref: str) -> str:
    return ref.partition(":")[2].rpartition("<locals>.")[2] or ref

"""The parts of a pandas frame: its arrays and its indexes, as columns."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tracediff.values.frames import arrow, times
from tracediff.values.frames.columns import Column, Listed, Packed
from tracediff.values.nodes import Opaque, Record
from tracediff.values.text import text

_PLAIN: Final = re.compile(r"([<>|=])([biufcSUV])(\d+)\Z")
_TIMES: Final = re.compile(r"([<>])([Mm])8\[(s|ms|us|ns|D)\]\Z")
_NAMES: Final = {"b": "bool", "i": "int", "u": "uint", "f": "float", "c": "complex"}
_CODES: Final = {
    "b1": "?", "i1": "b", "i2": "h", "i4": "i", "i8": "q", "u1": "B", "u2": "H", "u4": "I",
    "u8": "Q", "f2": "e", "f4": "f", "f8": "d",
}  # fmt: skip
_KEYS: Final = frozenset({str, int})


@dataclass(frozen=True, slots=True)
class Index:
    """What names rows or columns: ``labels`` is None where they are only counted."""

    size: int
    labels: Column | None
    levels: tuple[str, ...]
    rest: dict[str, Any] = field(default_factory=dict)


def index_of(value: Any) -> Index:
    """The index that an inert value is; raises ValueError if it is none."""
    if not isinstance(value, Record):
        raise TypeError("no index")
    parts = value.base
    read = _INDEXES.get(value.type)
    if read is None:
        raise ValueError("an index of another kind")
    found: Index = read(parts)
    return found


def _range(parts: Any) -> Index:
    whole = range(parts["start"], parts["stop"], parts["step"])
    rest = {"name": parts["name"], "freq": None}
    if (whole.start, whole.step) == (0, 1):
        return Index(len(whole), None, (), rest)
    return Index(len(whole), Listed(whole, "range", key=True), _called([parts["name"]]), rest)


def _index(parts: Any) -> Index:
    column = column_of(parts["array"])
    rest = {"name": parts["name"], "freq": parts["freq"]}
    return Index(column.size, column, _called([parts["name"]]), rest)


def _multi(parts: Any) -> Index:
    levels = [index_of(one) for one in parts["levels"]]
    codes = [_array(one).cells(0, _size(one)) for one in parts["codes"]]
    columns: list[list[Any]] = []
    for level, code in zip(levels, codes, strict=True):
        cells = _level(level)
        columns.append([None if at < 0 else cells[at] for at in code])
    if not columns:
        raise ValueError("an index of no level")
    rows = list(zip(*columns, strict=True))
    names = list(parts["names"])
    rest = {"names": names, "levels": [one.labels.dtype if one.labels else "range"
                                       for one in levels]}  # fmt: skip
    return Index(len(rows), Listed(rows, "levels", key=True), _called(names), rest)


def _level(level: Index) -> Sequence[Any]:
    return range(level.size) if level.labels is None else level.labels.cells(0, level.size)


def _called(names: Sequence[Any]) -> tuple[str, ...]:
    return tuple("" if one is None else one if type(one) is str else text(one, 60) for one in names)


def _size(value: Any) -> int:
    return _array(value).size


_INDEXES: Final[dict[str, Callable[[Any], Index]]] = {
    "pandas:range": _range,
    "pandas:index": _index,
    "pandas:multiindex": _multi,
}


def column_of(parts: Any) -> Column:
    """The column that the parts of an array are; raises ValueError for one that is not read."""
    found: Column = _ARRAYS[parts["kind"]](parts)
    return found


def _numpy(parts: Any) -> Column:
    return _array(parts["data"])


def _array(value: Any) -> Column:
    """A numpy array of one dimension."""
    if not isinstance(value, Record) or value.type != "numpy:ndarray":
        raise TypeError("no array")
    parts = value.base
    if len(parts["shape"]) != 1:
        raise ValueError("an array of more dimensions")
    found = typed(parts["dtype"], parts["data"])
    if found.size != parts["shape"][0]:
        raise ValueError("an array of another length")
    return found


def typed(descr: Any, data: Any) -> Column:
    """The cells of a numpy array in the order they lie in; raises ValueError for odd types."""
    if descr == "|O" and type(data) is list:
        return Listed(data, "object", key=_KEYS.issuperset(map(type, data)))
    if type(descr) is not str:
        raise ValueError("an array of records")
    raw = bytes(data)
    moment = _TIMES.match(descr)
    if moment is not None:
        order, kind, unit = moment.groups()
        read = times.moments(unit, aware=False) if kind == "M" else times.durations(unit)
        name = "datetime64" if kind == "M" else "timedelta64"
        return Packed(raw, f"{name}[{unit}]", f"{order}q", read=read, key=True)
    match = _PLAIN.match(descr)
    if match is None:
        raise ValueError("an array of another type")
    order, kind, size = match.group(1), match.group(2), int(match.group(3))
    order = "<" if order in "|=" else order
    if kind in "SUV":
        return Packed(raw, descr, f"{max(size, 1) * (4 if kind == 'U' else 1)}s", key=True,
                      read=_texts(kind, order))  # fmt: skip
    name = "bool" if kind == "b" else f"{_NAMES[kind]}{8 * size}"
    if kind == "c":
        return Packed(raw, name, f"{size}s", read=_complex(f"{order}{'ff' if size == 8 else 'dd'}"))
    return Packed(raw, name, order + _CODES[f"{kind}{size}"], key=kind in "iu")


def _texts(kind: str, order: str) -> Callable[[bytes], Any]:
    if kind != "U":
        return lambda raw: raw.rstrip(b"\0") if kind == "S" else raw
    coding = "utf-32-le" if order == "<" else "utf-32-be"
    return lambda raw: raw.decode(coding, "replace").rstrip("\0")


def _complex(form: str) -> Callable[[bytes], complex]:
    return lambda raw: complex(*struct.unpack(form, raw))


def _category(parts: Any) -> Column:
    codes, level = _array(parts["codes"]), _level(index_of(parts["values"]))
    cells = [None if at < 0 else level[at] for at in codes.cells(0, codes.size)]
    ordered = "ordered, " if parts["ordered"] else ""
    dtype = f"category ({ordered}{len(level):,}: {text(list(level[:200]), 80)})"
    key = type(level) is range or _KEYS.issuperset(map(type, level))
    return Listed(cells, dtype, key=key)


def _time(parts: Any) -> Column:
    zone, found = parts["zone"], _array(parts["data"])
    if zone is None or not isinstance(found, Packed):
        return found
    unit = found.dtype[len("datetime64[") : -1]
    return Packed(found.raw, f"datetime64[{unit}, {text(zone, 40)}]", "<q", key=True,
                  read=times.moments(unit, aware=True))  # fmt: skip


def _strings(parts: Any) -> Column:
    name = "str" if parts["missing"] == "nan" else "string"
    data = parts["data"]
    if type(data) is not list:
        raise TypeError("no texts")
    return Listed(data, f"{name}[{parts['storage']}]", key=True)


def _masked(parts: Any) -> Column:
    found, mask = _array(parts["data"]), _array(parts["mask"])
    if not isinstance(found, Packed) or not isinstance(mask, Packed) or mask.width != 1:
        raise TypeError("no mask")
    name = "boolean" if found.dtype == "bool" else found.dtype.capitalize()
    name = name.replace("Uint", "UInt")
    missing = mask.raw if any(mask.raw) else None
    return found.masked(name, missing)


def _arrow(parts: Any) -> Column:
    value = parts["data"]
    if not isinstance(value, Record) or type(value.base) is not bytes:
        raise TypeError("no stream")
    ((_, column),) = arrow.columns(value.base)
    return column


def _period(parts: Any) -> Column:
    """Periods are counted from 1970 in their own unit."""
    freq, found = parts["freq"], _array(parts["data"])
    if not isinstance(found, Packed):
        raise TypeError("no periods")

    def read(count: int) -> Any:
        return None if count == -(1 << 63) else Opaque("period", f"{count} {freq} since 1970")

    if freq == "D":
        return Packed(found.raw, "period[D]", "<q", key=True, read=times.days)
    if freq == "M":
        return Packed(found.raw, "period[M]", "<q", key=True, read=_month)
    return Packed(found.raw, f"period[{freq}]", "<q", key=True, read=read)


def _month(count: int) -> Any:
    if count == -(1 << 63):
        return None
    return Opaque("period", f"{1970 + count // 12:04d}-{count % 12 + 1:02d}")


def _interval(parts: Any) -> Column:
    left, right = index_of(parts["left"]), index_of(parts["right"])
    brackets = _BRACKETS[parts["closed"]]
    if left.labels is None or right.labels is None or left.size != right.size:
        raise ValueError("an interval without ends")
    ends = zip(left.labels.cells(0, left.size), right.labels.cells(0, right.size), strict=True)
    cells = [
        None
        if _gone(low)
        else Opaque("interval", f"{brackets[0]}{text(low)}, {text(high)}{brackets[1]}")
        for low, high in ends
    ]
    return Listed(cells, f"interval[{left.labels.dtype}, {parts['closed']}]")


def _gone(value: Any) -> bool:
    return value is None or value != value  # noqa: PLR0124 - NaN


def _sparse(parts: Any) -> Column:
    size, fill = parts["size"], parts["fill"]
    data, places = _array(parts["data"]), _array(parts["places"])
    if data.size != places.size or not 0 <= size <= 16 * data.size + 1_000_000:
        raise ValueError("a sparse column without its cells")
    cells: list[Any] = [fill] * size
    for at, cell in zip(places.cells(0, size), data.cells(0, size), strict=True):
        cells[at] = cell
    return Listed(cells, f"Sparse[{data.dtype}]")


_BRACKETS: Final = {"left": "[)", "right": "(]", "both": "[]", "neither": "()"}
_ARRAYS: Final[dict[str, Callable[[Any], Column]]] = {
    "numpy": _numpy,
    "category": _category,
    "time": _time,
    "str": _strings,
    "masked": _masked,
    "arrow": _arrow,
    "period": _period,
    "interval": _interval,
    "sparse": _sparse,
}

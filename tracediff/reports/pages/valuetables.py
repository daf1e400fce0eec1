"""Arrays and data frames as tables, from what was recorded of them; no library is imported.

What the recorder wrote is trusted for nothing: a table that does not add up is shown as the parts
it is made of.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tracediff import values
from tracediff.reports import excerpt
from tracediff.values.frames import Column as TableColumn
from tracediff.values.frames import table

MOST_COLUMNS: Final = 60
_CELL: Final = 60
_MOST_BYTES: Final = 1 << 22
_NANOSECONDS: Final = {
    "ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
    "D": 86400 * 10**9,
}  # fmt: skip
_NAT: Final = -(2**63)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Cells = Callable[[int], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column: its heading, whether its cells are numbers, and what stands in a row."""

    name: str
    number: bool
    cell: Cells


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A table: how many rows it has, a name for each, its columns, and how many were left out."""

    summary: str
    rows: int
    index: Cells
    columns: tuple[Column, ...]
    left_out: int = 0


class _OddError(Exception):
    """What was recorded does not add up."""


def grid(obj: object) -> Grid | None:
    """Return an array, a series or a frame as a table; None for anything else."""
    if not isinstance(obj, values.Record) or obj.kind != "library":
        return None
    made = _GRIDS.get(obj.type)
    if made is not None:
        with suppress(_OddError, KeyError, TypeError, ValueError, AttributeError, IndexError,
                      OverflowError):  # fmt: skip
            return made(obj.base)
    return _columns(obj)


def _columns(obj: values.Record) -> Grid | None:
    """A frame that is read column by column: of polars and pyarrow, or with odd columns."""
    size = _weight(obj.base)
    found = table(obj, size) if size <= _MOST_BYTES else None
    if found is None:
        return None
    labels = found.labels
    shown = tuple(
        Column(name=str(name), number=_is_number(column), cell=_cells(column))
        for name, column in zip(found.names[:MOST_COLUMNS], found.columns, strict=False)
    )
    return Grid(
        summary=f"{found.rows:,} rows × {len(found.columns):,} columns",
        rows=found.rows,
        index=str if labels is None else lambda row: _label(labels.cells(row, row + 1)[0]),
        columns=shown,
        left_out=len(found.columns) - len(shown),
    )


def _is_number(column: TableColumn) -> bool:
    return column.dtype.lower().startswith(("int", "uint", "float", "decimal"))


def _cells(column: TableColumn) -> Cells:
    return lambda row: column.cells(row, row + 1)[0]


def _weight(parts: Any) -> int:
    """How many bytes a frame has, where they lie in one piece; else as many as are shown at all."""
    data = parts["data"] if isinstance(parts, dict) and "data" in parts else parts
    return len(data) if isinstance(data, bytes) else _MOST_BYTES


def cell_text(cell: object) -> str:
    """Return what a cell shows."""
    return cell if isinstance(cell, _Said) else excerpt.short(cell, _CELL)


class _Said(str):
    """A cell that is told in words already."""

    __slots__ = ()


def _array(parts: Any) -> Grid:
    cell, size, number = _flat(parts)
    shape = _shape(parts, size)
    dtype = dtype_name(parts["dtype"])
    summary = f"{' × '.join(map(str, shape)) or 'no dimensions'}, {dtype}"
    if len(shape) < 2:
        only = Column(name=dtype, number=number, cell=cell)
        return Grid(summary=summary, rows=size, index=str, columns=(only,))
    places = _strides(shape, parts["order"])
    width = shape[-1]
    outer = shape[:-1]

    def column(at: int) -> Column:
        return Column(
            name=str(at), number=number, cell=lambda row: cell(places(_unravel(row, outer), at))
        )

    shown = min(width, MOST_COLUMNS)
    return Grid(
        summary=summary,
        rows=math.prod(outer) if width else 0,
        index=lambda row: ", ".join(map(str, _unravel(row, outer))),
        columns=tuple(map(column, range(shown))),
        left_out=width - shown,
    )


def _shape(parts: Any, size: int) -> tuple[int, ...]:
    shape = parts["shape"]
    if not isinstance(shape, tuple) or not all(type(one) is int and one >= 0 for one in shape):
        raise _OddError
    if math.prod(shape) != size:
        raise _OddError
    return shape


def _unravel(row: int, outer: Sequence[int]) -> tuple[int, ...]:
    found = []
    for size in reversed(outer):
        row, at = divmod(row, size)
        found.append(at)
    return tuple(reversed(found))


def _strides(shape: Sequence[int], order: object) -> Callable[[tuple[int, ...], int], int]:
    """Where an element lies in the flat data."""
    steps: list[int] = []
    step = 1
    for size in shape if order == "F" else reversed(shape):
        steps.append(step)
        step *= size
    if order != "F":
        steps.reverse()
    return lambda outer, last: sum(at * one for at, one in zip((*outer, last), steps, strict=True))


def _flat(parts: Any) -> tuple[Cells, int, bool]:
    """The elements of an array in the order of its bytes, how many, whether they are numbers."""
    data, descr = parts["data"], parts["dtype"]
    if isinstance(data, memoryview):
        return data.__getitem__, len(data), True
    if isinstance(data, list):
        return data.__getitem__, len(data), False
    if type(data) is not bytes:
        raise _OddError
    read, size = _reader(descr)
    if size == 0 or len(data) % size:
        raise _OddError
    return lambda at: read(data[at * size : (at + 1) * size]), len(data) // size, False


def _reader(descr: object) -> tuple[Callable[[bytes], object], int]:
    """What reads one element of a dtype, and its size in bytes."""
    if isinstance(descr, list):
        return _structured(descr)
    if not isinstance(descr, str) or len(descr) < 3:
        raise _OddError
    order, kind, rest = descr[0], descr[1], descr[2:]
    if kind in "Mm":
        width, _, unit = rest.partition("[")
        scale = _unit(unit.rstrip("]"))
        if width != "8":
            raise _OddError
        form = f"{'>' if order == '>' else '<'}q"
        told = _moment if kind == "M" else _span
        return lambda raw: told(struct.unpack(form, raw)[0], scale), 8
    width_of = int(rest)
    if kind == "U":
        codec = "utf-32-be" if order == ">" else "utf-32-le"
        return lambda raw: raw.decode(codec, "replace").rstrip("\0"), 4 * width_of
    if kind == "S":
        return lambda raw: raw.rstrip(b"\0"), width_of
    if kind == "c" and width_of in (8, 16):
        form = f"{'>' if order == '>' else '<'}{'ff' if width_of == 8 else 'dd'}"
        return lambda raw: complex(*struct.unpack(form, raw)), width_of
    code = _CODES.get((kind, width_of))
    if code is None:
        raise _OddError
    form = f"{'>' if order == '>' else '<'}{code}"
    return lambda raw: struct.unpack(form, raw)[0], width_of


_CODES: Final = {
    ("b", 1): "?", ("i", 1): "b", ("i", 2): "h", ("i", 4): "i", ("i", 8): "q", ("u", 1): "B",
    ("u", 2): "H", ("u", 4): "I", ("u", 8): "Q", ("f", 2): "e", ("f", 4): "f", ("f", 8): "d",
}  # fmt: skip


def _structured(descr: list[Any]) -> tuple[Callable[[bytes], object], int]:
    fields = []
    size = 0
    for name, inner in descr[:MOST_COLUMNS]:
        read, width = _reader(inner)
        fields.append((str(name), read, size, width))
        size += width
    if len(descr) > MOST_COLUMNS:
        raise _OddError

    def row(raw: bytes) -> object:
        return {name: read(raw[at : at + width]) for name, read, at, width in fields}

    return row, size


def dtype_name(descr: object) -> str:
    """Return a dtype as it is usually called, such as float64."""
    if isinstance(descr, str) and len(descr) > 2 and descr[1] in _KINDS and descr[2:].isdecimal():
        return f"{_KINDS[descr[1]]}{int(descr[2:]) * 8}" if descr[1] != "b" else "bool"
    return excerpt.short(descr, _CELL) if not isinstance(descr, str) else descr


_KINDS: Final = {"i": "int", "u": "uint", "f": "float", "c": "complex", "b": "bool"}


def _unit(unit: str) -> int:
    count = unit.rstrip("nusmhDWMY")
    return _NANOSECONDS[unit[len(count) :]] * int(count or 1)


def _moment(number: int, scale: int) -> _Said:
    if number == _NAT:
        return _Said("NaT")
    whole, rest = divmod(number * scale, 10**9)
    try:
        shown = _EPOCH + timedelta(seconds=whole)
    except OverflowError:
        return _Said(f"{number * scale} ns since 1970")
    return _Said(f"{shown:%Y-%m-%d %H:%M:%S}" + (f".{rest:09d}".rstrip("0") if rest else ""))


def _span(number: int, scale: int) -> _Said:
    if number == _NAT:
        return _Said("NaT")
    return _Said(str(timedelta(microseconds=number * scale / 1000)))


def _series(parts: Any) -> Grid:
    cell, size, number = _column(parts["array"])
    name = cell_text(parts["name"]) if parts["name"] is not None else "value"
    only = Column(name=name, number=number, cell=cell)
    return Grid(
        summary=f"{size:,} rows", rows=size, index=_index(parts["index"], size), columns=(only,)
    )


def _frame(parts: Any) -> Grid:
    arrays = parts["arrays"]
    if not isinstance(arrays, list):
        raise _OddError
    names = _index(parts["columns"], len(arrays))
    found = [_column(one) for one in arrays[:MOST_COLUMNS]]
    rows = found[0][1] if found else 0
    if any(size != rows for _, size, _ in found):
        raise _OddError
    columns = tuple(
        Column(name=names(at), number=number, cell=cell)
        for at, (cell, _, number) in enumerate(found)
    )
    return Grid(
        summary=f"{rows:,} rows × {len(arrays):,} columns",
        rows=rows,
        index=_index(parts["index"], rows),
        columns=columns,
        left_out=len(arrays) - len(found),
    )


def _index(given: Any, size: int) -> Callable[[int], str]:
    """The labels of rows or columns; their places where no label can be read."""
    try:
        return _labels(given)
    except (_OddError, KeyError, TypeError, ValueError, AttributeError):  # as the docstring says
        return str


def _labels(given: Any) -> Callable[[int], str]:
    if given.kind != "library":
        raise _OddError
    parts = given.base
    if given.type == "pandas:range":
        start, step = parts["start"], parts["step"]
        return lambda row: str(start + row * step)
    if given.type == "pandas:index":
        cell, _, _ = _column(parts["array"])
        return lambda row: _label(cell(row))
    if given.type == "pandas:multiindex":
        levels = [_labels(one) for one in parts["levels"]]
        codes = [_flat(one.base)[0] for one in parts["codes"]]

        def label(row: int) -> str:
            return ", ".join(
                level(int(code(row)))  # type: ignore[call-overload]  # codes are integers
                for level, code in zip(levels, codes, strict=True)
            )

        return label
    raise _OddError


def _label(cell: object) -> str:
    return cell if isinstance(cell, str) else cell_text(cell)


def _column(parts: Mapping[str, Any]) -> tuple[Cells, int, bool]:
    kind = parts["kind"]
    if kind == "numpy":
        return _flat(parts["data"].base)
    if kind == "str":
        data = parts["data"]
        return data.__getitem__, len(data), False
    if kind == "time":
        cell, size, _ = _flat(parts["data"].base)
        zone = parts["zone"]
        return (lambda row: _Said(f"{cell(row)} UTC") if zone else cell(row)), size, False
    if kind == "category":
        codes, size, _ = _flat(parts["codes"].base)
        name = _labels(parts["values"])
        return (lambda row: _Said(_code(codes(row), name))), size, False
    if kind == "masked":
        cell, size, number = _flat(parts["data"].base)
        mask, _, _ = _flat(parts["mask"].base)
        return (lambda row: _Said("NA") if mask(row) else cell(row)), size, number
    raise _OddError


def _code(code: object, name: Callable[[int], str]) -> str:
    return name(code) if isinstance(code, int) and code >= 0 else "NaN"


_GRIDS: Final[dict[str, Callable[[Any], Grid]]] = {
    "numpy:ndarray": _array,
    "pandas:series": _series,
    "pandas:frame": _frame,
}


def scalar(obj: object) -> tuple[str, str] | None:
    """Return the type and the text of a library's value that is one thing, None for another."""
    if not isinstance(obj, values.Record) or obj.kind != "library":
        return None
    library, _, what = obj.type.partition(":")
    try:
        return _scalar(library, what, obj.base) if grid(obj) is None else None
    except (_OddError, KeyError, TypeError, ValueError, struct.error):
        return None  # forged or new: shown as any other value


def _scalar(library: str, what: str, parts: Any) -> tuple[str, str] | None:
    if library in ("polars", "pyarrow"):
        if isinstance(parts, bytes):
            return f"{library}.{what}", f"{len(parts):,} bytes of Arrow data"
        said = f"{cell_text(parts['name'])}, {len(parts['data']):,} bytes of Arrow data"
        return "polars.Series", said
    if (library, what) == ("numpy", "dtype"):
        return "numpy.dtype", dtype_name(parts)
    if (library, what) == ("numpy", "scalar"):
        value = parts["value"]
        read, _ = _reader(parts["dtype"])
        shown = cell_text(read(value) if type(value) is bytes else value)
        return f"numpy.{dtype_name(parts['dtype'])}", shown
    if (library, what) == ("pandas", "timestamp"):
        zone = f" UTC, in {parts['zone']}" if parts["zone"] is not None else ""
        return "pandas.Timestamp", f"{_moment(parts['value'], _unit(parts['unit']))}{zone}"
    if (library, what) == ("pandas", "timedelta"):
        return "pandas.Timedelta", _span(parts["value"], _unit(parts["unit"]))
    return ("pandas", what) if (library, what) in (("pandas", "NaT"), ("pandas", "NA")) else None

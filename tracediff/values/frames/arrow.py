"""The columns of an Arrow stream or file, read without Arrow.

What cannot be read (compressed buffers, unions, runs) raises ValueError: the value is then compared
as the bytes it is. Memory stays in proportion to the bytes: no list of a crafted stream may name
the same cells over and over.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final

from tracediff.values.frames import times
from tracediff.values.frames.columns import Column, Empty, Listed, Packed, joined
from tracediff.values.frames.flat import BATCH, DICTIONARY, SCHEMA, Flat, messages

_UNITS: Final = ("s", "ms", "us", "ns")
_FLOATS: Final = ("e", "f", "d")
_BITS: Final = [bytes(byte >> bit & 1 for bit in range(8)) for byte in range(256)]
_NOT: Final = bytes.maketrans(b"\0\1", b"\1\0")
_DEEPEST: Final = 20
_MOST_FIELDS: Final = 10_000
_MOST_NOTES: Final = 100
_LONGEST: Final = 200
_SHARED: Final = 16
_INLINE: Final = 12


@dataclass(frozen=True, slots=True)
class Field:
    """A column as the schema describes it."""

    name: str
    kind: int
    type: Flat
    children: tuple[Field, ...]
    dictionary: tuple[int, Field | None]
    extension: str


def columns(data: bytes) -> list[tuple[str, Column]]:
    """The columns of a stream or file by their names.

    Raises:
        ValueError: It is none, or one that this cannot read.
        struct.error: It is cut.
    """
    fields: list[Field] = []
    known: dict[int, list[Any]] = {}
    batches: list[list[Column]] = []
    for message in messages(data):
        if message.kind == SCHEMA:
            left = [_MOST_FIELDS]
            fields = [_field(one, 0, left) for one in message.header.tables(1)]
        elif message.kind == DICTIONARY:
            _learn(fields, message.header, message.body, known)
        elif message.kind == BATCH:
            reader = _Reader(message.header, message.body, known)
            batches.append([reader.column(field) for field in fields])
    if not batches:
        return [(field.name, Listed([], _dtype(field))) for field in fields]
    return [
        (field.name, joined([batch[at] for batch in batches])) for at, field in enumerate(fields)
    ]


def _field(flat: Flat, depth: int, left: list[int]) -> Field:
    """A column of the schema; ``left`` counts how many more there may be, in all."""
    left[0] -= 1
    if depth > _DEEPEST or left[0] < 0:
        raise ValueError("nested too deep, or too many columns")
    form, coded = flat.table(3), flat.table(4)
    if form is None:
        raise ValueError("a column without a type")
    extension = ""
    for pair in flat.tables(6)[:_MOST_NOTES]:
        if pair.text(0) == "ARROW:extension:name":
            extension = pair.text(1)
    children = tuple(_field(one, depth + 1, left) for one in flat.tables(5))
    field = Field(flat.text(0), flat.number(2, "<B"), form, children, (-1, None), extension)
    if coded is None:
        return field
    number = coded.table(1)
    code = (
        _codes(32, signed=True)
        if number is None
        else _codes(number.number(0, "<i"), signed=bool(number.number(1, "<B")))
    )
    return replace(field, dictionary=(coded.number(0, "<q"), replace(field, extension=code)))


def _codes(bits: int, *, signed: bool) -> str:
    """How ``struct`` reads an integer of so many bits."""
    form = {8: "b", 16: "h", 32: "i", 64: "q"}[bits]
    return "<" + (form if signed else form.upper())


def _learn(fields: list[Field], header: Flat, body: bytes, known: dict[int, list[Any]]) -> None:
    """Keep the values that the codes of a dictionary stand for."""
    number, batch = header.number(0, "<q"), header.table(1)
    found = next(filter(None, (_coded(one, number) for one in fields)), None)
    if found is None or batch is None:
        raise ValueError("a dictionary of no column")
    column = _Reader(batch, body, known).column(replace(found, dictionary=(-1, None)))
    values = column.cells(0, column.size)
    known[number] = [*known.get(number, ()), *values] if header.number(2, "<B") else values


def _coded(field: Field, number: int) -> Field | None:
    if field.dictionary[0] == number:
        return field
    return next(filter(None, (_coded(one, number) for one in field.children)), None)


class _Reader:
    """Reads the columns of one batch, whose buffers come in the order of the fields."""

    def __init__(self, batch: Flat, body: bytes, known: dict[int, list[Any]]) -> None:
        if batch.table(3) is not None:
            raise ValueError("compressed buffers")
        self._body, self._known = body, known
        self._nodes = iter(batch.structs(1, "<qq"))
        self._buffers = iter(batch.structs(2, "<qq"))
        self._counts = iter(batch.structs(4, "<q"))
        self._shared = _SHARED * len(body) + 1_000_000
        self._left = 2 * len(body) + 1_000

    def column(self, field: Field) -> Column:
        """The next column."""
        try:
            size, nulls = next(self._nodes)
        except StopIteration:
            raise ValueError("a column without a length") from None
        if not 0 <= nulls <= size:
            raise ValueError("more nulls than cells")
        if field.kind == _NULL:
            return Listed(Empty(size), "null")
        missing = self._missing(size, nulls)
        number, coded = field.dictionary
        if coded is not None:
            return self._decoded(field, coded.extension, number, size, missing)
        read = _READERS.get(field.kind)
        if read is None:
            raise ValueError("a column of a type that is not read")
        return read(self, field, size, missing)

    def buffer(self, least: int) -> bytes:
        """The next buffer, of which so many bytes are needed."""
        try:
            offset, length = next(self._buffers)
        except StopIteration:
            raise ValueError("a column without its buffer") from None
        if offset < 0 or not max(least, 0) <= length <= len(self._body) - offset:
            raise ValueError("a buffer that is cut")
        self._left -= length
        if self._left < 0:
            raise ValueError("columns that share their bytes over and over")
        return self._body[offset : offset + length]

    def _missing(self, size: int, nulls: int) -> bytes | None:
        bits = self.buffer(0)
        if not nulls:
            return None
        return _bits(bits, size).translate(_NOT)

    def packed(self, form: str, size: int, missing: bytes | None) -> Packed:
        """The next buffer as numbers."""
        width = struct.calcsize(form)
        return Packed(self.buffer(width * size)[: width * size], "", form, missing=missing)

    def offsets(self, form: str, size: int) -> Sequence[int]:
        """Where cells of different sizes begin and end; they never go back."""
        if not size:
            self.buffer(0)
            return [0]
        found = self.packed(form, size + 1, None).cells(0, size + 1)
        if found[0] < 0 or any(map(int.__gt__, found, found[1:])):
            raise ValueError("cells that overlap")
        return found

    def _decoded(
        self, field: Field, form: str, number: int, size: int, missing: bytes | None
    ) -> Column:
        """A column of codes."""
        values = self._known.get(number)
        codes = self.packed(form, size, missing).cells(0, size)
        if values is None:
            if any(code is not None for code in codes):
                raise ValueError("a column without its dictionary")
            values = []
        if any(code is not None and code < 0 for code in codes):
            raise ValueError("a code of nothing")
        cells = [None if code is None else values[code] for code in codes]
        return Listed(cells, f"dictionary of {_dtype(field)}", key=field.kind in _TEXTS)

    def count(self) -> int:
        """How many buffers the next column of views has."""
        (found,) = next(self._counts, (0,))
        return found

    def spend(self, size: int) -> None:
        """Views may share their bytes, within reason."""
        self._shared -= size
        if self._shared < 0:
            raise ValueError("cells that share their bytes over and over")


def _bits(bits: bytes, size: int) -> bytes:
    if 8 * len(bits) < size:
        raise ValueError("a mask that is cut")
    return b"".join([_BITS[byte] for byte in bits[: (size + 7) // 8]])[:size]


def _numbers(reader: _Reader, field: Field, size: int, missing: bytes | None) -> Column:
    form, read = _form(field)
    width = struct.calcsize(form)
    raw = reader.buffer(width * size)[: width * size]
    key = field.kind in (_INT, _DATE, _TIMESTAMP)
    return Packed(raw, _dtype(field), form, missing=missing, read=read, key=key)


def _form(field: Field) -> tuple[str, Callable[[Any], Any] | None]:
    """How a cell of one width is read."""
    kind, form = field.kind, field.type
    if kind == _INT:
        bits, signed = form.number(0, "<i"), bool(form.number(1, "<B"))
        if bits == 128:
            return "<16s", lambda raw: int.from_bytes(raw, "little", signed=signed)
        return _codes(bits, signed=signed), None
    if kind == _FLOAT:
        return "<" + _FLOATS[form.number(0, "<h")], None
    if kind == _DATE:
        if form.number(0, "<h", 1) == 0:
            return "<i", times.days
        return "<q", lambda count: times.days(count // 86_400_000)
    if kind == _TIME:
        bits = form.number(1, "<i", 32)
        return ("<i" if bits == 32 else "<q"), times.clock(_UNITS[form.number(0, "<h", 1)])
    if kind == _TIMESTAMP:
        return "<q", times.moments(_UNITS[form.number(0, "<h")], aware=bool(form.text(1)))
    if kind == _DURATION:
        return "<q", times.durations(_UNITS[form.number(0, "<h", 1)])
    if kind == _DECIMAL:
        return _decimals(form)
    width = form.number(0, "<i")
    if not 0 < width < 1 << 20:
        raise ValueError("cells without a width")
    return f"<{width}s", None


def _decimals(form: Flat) -> tuple[str, Callable[[Any], Any]]:
    bits, scale = form.number(2, "<i", 128), form.number(1, "<i")
    if bits not in (32, 64, 128, 256) or abs(scale) > 100:
        raise ValueError("a decimal of no width")

    def read(raw: bytes) -> Decimal:
        number = int.from_bytes(raw, "little", signed=True)
        digits = Decimal(number).as_tuple()
        return Decimal((digits.sign, digits.digits, -scale))

    return f"<{bits // 8}s", read


def _booleans(reader: _Reader, field: Field, size: int, missing: bytes | None) -> Column:
    return Packed(_bits(reader.buffer(0), size), "bool", "<?", missing=missing)


def _texts(reader: _Reader, field: Field, size: int, missing: bytes | None) -> Column:
    ends = reader.offsets("<q" if field.kind in (_LARGE_BINARY, _LARGE_UTF8) else "<i", size)
    data = reader.buffer(ends[-1])
    read = _reading(field)
    cells: list[Any] = [read(data[start:stop]) for start, stop in pairwise(ends)]
    return Listed(_without(cells, missing), _dtype(field), key=True)


def _views(reader: _Reader, field: Field, size: int, missing: bytes | None) -> Column:
    views = reader.buffer(16 * size)
    buffers = [reader.buffer(0) for _ in range(reader.count())]
    read = _reading(field)
    made: dict[tuple[int, ...], Any] = {}
    cells: list[Any] = []
    at = 4
    for length, _, number, offset in struct.iter_unpack("<iiii", views[: 16 * size]):
        if missing is not None and missing[at >> 4]:
            cells.append(None)
        elif 0 <= length <= _INLINE:
            cells.append(read(views[at : at + length]))
        else:
            place = length, number, offset
            if place not in made:
                reader.spend(length)
                made[place] = read(_viewed(buffers, *place))
            cells.append(made[place])
        at += 16
    return Listed(cells, _dtype(field), key=True)


def _viewed(buffers: list[bytes], length: int, number: int, offset: int) -> bytes:
    if min(length, number, offset) < 0 or offset + length > len(buffers[number]):
        raise ValueError("a view of nothing")
    return buffers[number][offset : offset + length]


def _reading(field: Field) -> Callable[[bytes], Any]:
    return bytes.decode if field.kind in _TEXTS else bytes


def _without(cells: list[Any], missing: bytes | None) -> list[Any]:
    if missing is None:
        return cells
    return [None if gone else cell for cell, gone in zip(cells, missing, strict=True)]


def _lists(reader: _Reader, field: Field, size: int, missing: bytes | None) -> Column:
    (inner,) = field.children
    if field.kind == _FIXED_LIST:
        step = field.type.number(0, "<i")
        if step <= 0:
            raise ValueError("lists of nothing")
        ends: Sequence[int] = range(0, step * (size + 1), step)
    else:
        ends = reader.offsets("<q" if field.kind == _LARGE_LIST else "<i", size)
    column = reader.column(inner)
    if ends[-1] > column.size:
        raise ValueError("lists of what is not there")
    reader.spend(ends[-1] if column.dtype == "null" else 0)
    whole = column.cells(0, ends[-1])
    cells = [whole[start:stop] for start, stop in pairwise(ends)]
    return Listed(_without(cells, missing), _dtype(field))


def _structs(reader: _Reader, field: Field, size: int, missing: bytes | None) -> Column:
    reader.spend(size * (1 + len(field.children)))
    names = [one.name for one in field.children]
    parts = [reader.column(one).cells(0, size) for one in field.children]
    if not parts or any(len(one) != size for one in parts):
        raise ValueError("structs without their fields")
    cells: list[Any] = [dict(zip(names, row, strict=True)) for row in zip(*parts, strict=True)]
    return Listed(_without(cells, missing), _dtype(field))


(_NULL, _INT, _FLOAT, _BINARY, _UTF8, _BOOL, _DECIMAL, _DATE, _TIME, _TIMESTAMP) = range(1, 11)
_LIST, _STRUCT, _FIXED_BINARY, _FIXED_LIST, _MAP, _DURATION = 12, 13, 15, 16, 17, 18
_LARGE_BINARY, _LARGE_UTF8, _LARGE_LIST, _BINARY_VIEW, _UTF8_VIEW = 19, 20, 21, 23, 24
_TEXTS: Final = frozenset({_UTF8, _LARGE_UTF8, _UTF8_VIEW})
_READERS: Final[dict[int, Callable[[_Reader, Field, int, bytes | None], Column]]] = {
    **dict.fromkeys(
        (_INT, _FLOAT, _DECIMAL, _DATE, _TIME, _TIMESTAMP, _DURATION, _FIXED_BINARY), _numbers
    ),
    _BOOL: _booleans,
    **dict.fromkeys((_BINARY, _UTF8, _LARGE_BINARY, _LARGE_UTF8), _texts),
    **dict.fromkeys((_BINARY_VIEW, _UTF8_VIEW), _views),
    **dict.fromkeys((_LIST, _LARGE_LIST, _FIXED_LIST, _MAP), _lists),
    _STRUCT: _structs,
}
_NAMES: Final = {
    _BINARY: "binary",
    _UTF8: "string",
    _BOOL: "bool",
    _FIXED_BINARY: "binary",
    _LARGE_BINARY: "large_binary",
    _LARGE_UTF8: "large_string",
    _BINARY_VIEW: "binary_view",
    _UTF8_VIEW: "string_view",
}


def _dtype(field: Field) -> str:
    """What a type is called, as pyarrow writes it."""
    return (field.extension or _plain_dtype(field))[:_LONGEST]


def _plain_dtype(field: Field) -> str:
    kind, form = field.kind, field.type
    if kind == _INT:
        return f"{'' if form.number(1, '<B') else 'u'}int{form.number(0, '<i')}"
    if kind == _FLOAT:
        return f"float{16 << form.number(0, '<h')}"
    if kind == _DECIMAL:
        return f"decimal{form.number(2, '<i', 128)}({form.number(0, '<i')}, {form.number(1, '<i')})"
    if kind == _DATE:
        return "date32" if form.number(0, "<h", 1) == 0 else "date64"
    if kind == _TIME:
        return f"time{form.number(1, '<i', 32)}[{_UNITS[form.number(0, '<h', 1)]}]"
    if kind == _TIMESTAMP:
        zone = form.text(1)
        return f"timestamp[{_UNITS[form.number(0, '<h')]}{', ' + zone if zone else ''}]"
    if kind == _DURATION:
        return f"duration[{_UNITS[form.number(0, '<h', 1)]}]"
    if kind in (_LIST, _LARGE_LIST, _FIXED_LIST, _MAP):
        return f"list<{', '.join(_dtype(one) for one in field.children)}>"
    if kind == _STRUCT:
        return f"struct<{', '.join(f'{one.name}: {_dtype(one)}' for one in field.children)}>"
    return _NAMES.get(kind, "unknown")

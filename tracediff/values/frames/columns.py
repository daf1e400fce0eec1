"""One column of a frame, as it lies in a value: looked at without the library that made it."""

from __future__ import annotations

import struct
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Final

from tracediff.values.encode import encode

_UNSIGNED: Final = {1: "B", 2: "H", 4: "I", 8: "Q"}
_AS_THEY_ARE: Final = frozenset({str, type(None)})
Read = Callable[[Any], Any]


class Packed:
    """Cells of one width, side by side in bytes.

    Args:
        raw: The bytes of all cells.
        dtype: What the library calls the type.
        form: How ``struct`` reads one cell, with the order of its bytes.
        missing: One byte a cell, not 0 where there is none; None where all are there.
        read: What makes a cell of what ``struct`` read.
        key: Whether cells of this type can tell rows apart.
    """

    __slots__ = ("_form", "_read", "dtype", "key", "missing", "raw", "size", "width")

    def __init__(
        self,
        raw: bytes,
        dtype: str,
        form: str,
        *,
        missing: bytes | None = None,
        read: Read | None = None,
        key: bool = False,
    ) -> None:
        self.width = struct.calcsize(form)
        self.size = len(raw) // self.width
        self.raw, self.dtype, self.missing, self.key = raw, dtype, missing, key
        self._form, self._read = form, read
        if len(raw) % self.width or (missing is not None and len(missing) != self.size):
            raise ValueError("a column that is shorter than its mask")

    def masked(self, dtype: str, missing: bytes | None) -> Packed:
        """The same cells, some of which are missing."""
        return Packed(self.raw, dtype, self._form, missing=missing, read=self._read, key=self.key)

    def cells(self, start: int, stop: int) -> list[Any]:
        """The cells in a range; None where one is missing."""
        chunk = self.raw[start * self.width : stop * self.width]
        found: list[Any] = [one[0] for one in struct.iter_unpack(self._form, chunk)]
        read, missing = self._read, self.missing
        if read is not None:
            found = [
                None if missing is not None and missing[start + at] else read(one)
                for at, one in enumerate(found)
            ]
        elif missing is not None:
            gone = missing[start:stop]
            found = [None if lost else one for one, lost in zip(found, gone, strict=True)]
        return found

    def marks(self, start: int, stop: int) -> Sequence[Hashable]:
        """What tells the cells in a range from others: two are one value when these are equal."""
        width = self.width
        chunk = self.raw[start * width : stop * width]
        code = _UNSIGNED.get(width)
        found: Sequence[Hashable]
        if code is not None:
            found = struct.unpack(f"<{stop - start}{code}", chunk)
        else:
            found = [chunk[at : at + width] for at in range(0, len(chunk), width)]
        if self.missing is None:
            return found
        gone = self.missing[start:stop]
        return [None if lost else one for one, lost in zip(found, gone, strict=True)]

    def equals(self, other: Column, at: int, to: int, count: int) -> bool:
        """Whether ``count`` cells from here on surely equal those of another, of the same dtype."""
        if type(other) is not Packed or other.width != self.width:
            return False
        width = self.width
        if (
            self.raw[at * width : (at + count) * width]
            != other.raw[to * width : (to + count) * width]
        ):
            return False
        return _mask(self.missing, at, count) == _mask(other.missing, to, count)


def _mask(missing: bytes | None, at: int, count: int) -> bytes:
    return bytes(count) if missing is None else missing[at : at + count]


class Listed:
    """Cells that are objects: inert ones, of any type.

    Args:
        found: The cells.
        dtype: What the library calls the type.
        key: Whether cells of this type can tell rows apart.
    """

    __slots__ = ("_found", "_plain", "dtype", "key", "size")

    def __init__(self, found: Sequence[Any], dtype: str, *, key: bool = False) -> None:
        self._found, self.dtype, self.key = found, dtype, key
        self._plain: bool | None = None
        self.size = len(found)

    def cells(self, start: int, stop: int) -> list[Any]:
        """The cells in a range; None where one is missing."""
        return list(self._found[start:stop])

    def marks(self, start: int, stop: int) -> Sequence[Hashable]:
        """What tells the cells in a range from others: two are one value when these are equal."""
        found = self._found[start:stop]
        if _AS_THEY_ARE.issuperset(map(type, found)):
            return found
        return [one if type(one) in _AS_THEY_ARE else encode(one) for one in found]

    def equals(self, other: Column, at: int, to: int, count: int) -> bool:
        """Whether ``count`` cells from here on surely equal those of another, of the same dtype."""
        if type(other) is not Listed:
            return False
        if self.plain() and other.plain():
            return self.cells(at, at + count) == other.cells(to, to + count)
        return list(self.marks(at, at + count)) == list(other.marks(to, to + count))

    def plain(self) -> bool:
        """Whether all are texts, whose equality says all."""
        if self._plain is None:
            self._plain = _AS_THEY_ARE.issuperset(map(type, self._found))
        return self._plain


class Empty(Sequence[None]):
    """As many cells as are said to be there, none of which is: they take no memory."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, at: Any) -> Any:
        found = range(self._size)[at]
        return Empty(len(found)) if isinstance(found, range) else None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Empty) and other._size == self._size

    def __hash__(self) -> int:
        return hash((Empty, self._size))


Column = Packed | Listed


def joined(pieces: Sequence[Column]) -> Column:
    """The column of which these are the pieces."""
    first = pieces[0]
    if len(pieces) == 1:
        return first
    if isinstance(first, Packed):
        packed = [one for one in pieces if isinstance(one, Packed)]
        whole = Packed.__new__(Packed)
        for name in Packed.__slots__:
            setattr(whole, name, getattr(first, name))
        whole.raw = b"".join(one.raw for one in packed)
        whole.size = len(whole.raw) // whole.width
        if any(one.missing is not None for one in packed):
            whole.missing = b"".join(_mask(one.missing, 0, one.size) for one in packed)
        return whole
    cells = [cell for one in pieces for cell in one.cells(0, one.size)]
    return Listed(cells, first.dtype, key=first.key)

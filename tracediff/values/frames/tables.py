"""Frames of pandas, polars and pyarrow as tables: seen without the library that made them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tracediff.values.frames import arrow
from tracediff.values.frames.columns import Column
from tracediff.values.frames.pandas import column_of, index_of
from tracediff.values.nodes import Record
from tracediff.values.text import text

_MOST_COLUMNS: Final = 10_000
_ROWS_A_BYTE: Final = 8
_SPARE_ROWS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Table:
    """A frame: columns of equal length.

    ``names`` are those of the columns, each but once; ``labels`` what names the rows, None where
    they are only counted, and ``levels`` what those names are called. ``rest`` is what else a frame
    is made of: names, attributes, metadata.
    """

    kind: str
    rows: int
    names: tuple[str | int, ...]
    columns: tuple[Column, ...]
    labels: Column | None = None
    levels: tuple[str, ...] = ()
    rest: dict[str, Any] = field(default_factory=dict)

    def column(self, name: str | int) -> Column:
        """The column of a name."""
        return self.columns[self.names.index(name)]


def table(value: object, size: int) -> Table | None:
    """The table that an inert value is, None if it is none or cannot be read as one.

    Args:
        value: The inert value.
        size: How many bytes the value has, against which its rows are held.
    """
    if not isinstance(value, Record) or value.kind != "library":
        return None
    read = _READERS.get(value.type)
    if read is None:
        return None
    try:
        found = read(value.base)
    except (ValueError, TypeError, LookupError, struct.error, OverflowError, AttributeError):
        return None  # made up, or of a type that is not read: compared as any value
    most = _ROWS_A_BYTE * size + _SPARE_ROWS
    if found is None or found.rows > most or len(found.columns) > _MOST_COLUMNS:
        return None
    if any(one.size != found.rows for one in found.columns):
        return None
    return found


def _named(labels: Sequence[Any]) -> tuple[str | int, ...]:
    """What columns are called in a path: a second one of a name gets its number."""
    found: list[str | int] = []
    counts: dict[str | int, int] = {}
    for label in labels:
        name = label if type(label) in (str, int) else text(label, 60)
        counts[name] = count = counts.get(name, 0) + 1
        found.append(name if count == 1 else f"{name} #{count}")
    return tuple(found) if len(set(found)) == len(found) else tuple(range(len(found)))


def _pandas_frame(parts: Any) -> Table:
    head, index = index_of(parts["columns"]), index_of(parts["index"])
    columns = tuple(column_of(one) for one in parts["arrays"])
    if head.size != len(columns):
        raise ValueError("columns without names")
    names = list(range(head.size)) if head.labels is None else head.labels.cells(0, head.size)
    rest = {"attrs": parts["attrs"], "index": index.rest, "columns": head.rest}
    rest.update({name: parts[name] for name in parts if name not in _FRAME})
    return Table("pandas:frame", index.size, _named(names), columns, index.labels,
                 index.levels, rest)  # fmt: skip


def _pandas_series(parts: Any) -> Table:
    index = index_of(parts["index"])
    rest = {"attrs": parts["attrs"], "index": index.rest, "name": parts["name"]}
    rest.update({name: parts[name] for name in parts if name not in _SERIES})
    columns = (column_of(parts["array"]),)
    return Table("pandas:series", index.size, ("values",), columns, index.labels, index.levels,
                 rest)  # fmt: skip


def _arrow(kind: str) -> Callable[[Any], Table]:
    def read(data: Any) -> Table:
        found = arrow.columns(_bytes(data))
        names, columns = [name for name, _ in found], tuple(one for _, one in found)
        rows = columns[0].size if columns else 0
        return Table(kind, rows, _named(names), columns)

    return read


def _one(kind: str, take: Callable[[Any], Any]) -> Callable[[Any], Table]:
    """What reads one column as a table of its own."""

    def read(parts: Any) -> Table:
        ((_, column),) = arrow.columns(_bytes(take(parts)))
        rest = {"name": parts["name"]} if type(parts) is dict else {}
        return Table(kind, column.size, ("values",), (column,), rest=rest)

    return read


def _bytes(data: Any) -> bytes:
    if type(data) is not bytes:
        raise TypeError("no stream")
    return data


_FRAME: Final = frozenset({"index", "columns", "arrays", "attrs"})
_SERIES: Final = frozenset({"index", "name", "array", "attrs"})
_READERS: Final[dict[str, Callable[[Any], Table | None]]] = {
    "pandas:frame": _pandas_frame,
    "pandas:series": _pandas_series,
    "polars:frame": _arrow("polars:frame"),
    "polars:series": _one("polars:series", lambda parts: parts["data"]),
    "pyarrow:table": _arrow("pyarrow:table"),
    "pyarrow:batch": _arrow("pyarrow:batch"),
    "pyarrow:array": _one("pyarrow:array", lambda parts: parts),
    "pyarrow:chunked": _one("pyarrow:chunked", lambda parts: parts),
}
KINDS: Final = frozenset(name.encode() for name in _READERS)
"""The kinds of library values that are frames, as they are written."""

"""Which row of one frame is which of the other: by what names it, else by where it stands."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tracediff import values
from tracediff.values.frames import Column, Listed, Table

_CANDIDATES = 16
_CHUNK = 4_096
Run = tuple[int, int, int]
"""Rows side by side: where they begin on both sides, and how many there are."""


@dataclass(frozen=True, slots=True)
class Matched:
    """The rows of two frames, matched.

    ``by`` says by what, as "index" or "column sku"; ``labels`` are the columns that name rows on
    both sides, None where they are counted. ``gone`` and ``come`` are the rows of one side only.
    """

    by: str
    runs: list[Run]
    gone: Sequence[int] = ()
    come: Sequence[int] = ()
    reordered: bool = False
    labels: tuple[Column, Column] | None = None
    keys: tuple[str | int, ...] = ()
    remark: str = ""

    def pairs(self) -> tuple[Sequence[int], Sequence[int]]:
        """The rows of both sides, one by one."""
        sides = [[at for run in self.runs for at in range(run[k], run[k] + run[2])] for k in (0, 1)]
        return sides[0], sides[1]

    def label(self, at: int, *, new: bool = False) -> str | int:
        """What a row is called in a path."""
        if self.labels is None:
            return at
        (cell,) = self.labels[new].cells(at, at + 1)
        return cell if type(cell) in (str, int) else values.text(cell, 60)


@dataclass(slots=True)
class _Key:
    """What may tell rows apart: a name for reports and the columns on both sides."""

    by: str
    sides: tuple[list[Column], list[Column]]
    names: tuple[str | int, ...] = ()
    marks: list[list[Hashable]] = field(default_factory=list)

    def unique(self) -> bool:
        """Whether no two rows of a side have the same."""
        left, right = self.sides
        for columns in self.sides:
            if self.marks and all(map(_equal, left, right)):
                self.marks.append(self.marks[0])
                return True
            found = _marks(columns)
            if len(set(found)) != len(found):
                return False
            self.marks.append(found)
        return True

    @property
    def labels(self) -> tuple[Column, Column]:
        old, new = self.sides
        return (_joint(old), _joint(new))


def matched(old: Table, new: Table, key: Sequence[str]) -> Matched:
    """Match the rows of two frames.

    Args:
        old: The recorded frame.
        new: The other one.
        key: The columns that tell rows apart, if somebody said so.
    """
    remark = ""
    if key:
        told = _told(old, new, key)
        if told is not None and told.unique():
            return _by(told)
        remark = f"the key {', '.join(key)} does not tell the rows apart"
    if _named(old) and _named(new) and old.labels is not None and new.labels is not None:
        index = _Key(_index_name(old), ([old.labels], [new.labels]))
        if old.labels.dtype == new.labels.dtype and index.unique():
            return _by(index, remark)
    found = None if key else _found(old, new)
    return _by(found, remark) if found is not None else _by_place(old, new, remark)


def counted(table: Table) -> Column:
    """What names the rows where they are only counted."""
    return Listed(range(table.rows), "range", key=True)


def _index_name(table: Table) -> str:
    names = ", ".join(filter(None, table.levels))
    return f"index {names}" if names else "index"


def _named(table: Table) -> bool:
    """Whether the index says more than to count the rows."""
    if table.labels is None:
        return False
    first = table.labels.cells(0, min(table.rows, 3))
    return first != list(range(len(first))) or (
        table.labels.cells(0, table.rows) != list(range(table.rows))
    )


def _told(old: Table, new: Table, key: Sequence[str]) -> _Key | None:
    sides: list[list[Column]] = []
    for one in (old, new):
        known = dict(zip(one.names, one.columns, strict=True))
        known.update(_of_index(one))
        if any(name not in known for name in key):
            return None
        sides.append([known[name] for name in key])
    by = f"column {key[0]}" if len(key) == 1 else f"columns {', '.join(key)}"
    return _Key(by, (sides[0], sides[1]), tuple(key))


def _of_index(table: Table) -> dict[str | int, Column]:
    if table.labels is None or len(table.levels) != 1 or not table.levels[0]:
        return {}
    return {table.levels[0]: table.labels}


def _found(old: Table, new: Table) -> _Key | None:
    """The column that tells rows apart on both sides and has most of its cells on both."""
    if len(old.columns) == 1:
        return None  # all that a row is cannot name it
    best, most = None, 0.5
    candidates = 0
    others = dict(zip(new.names, new.columns, strict=True))
    for name, column in zip(old.names, old.columns, strict=True):
        if not column.key or name not in others:
            continue
        other = others[name]
        if other.dtype != column.dtype or candidates >= _CANDIDATES:
            continue
        candidates += 1
        key = _Key(f"column {name}", ([column], [other]), (name,))
        if not column.size or not other.size or not key.unique():
            continue
        before, after = key.marks
        if before is after:
            return key
        shared = len(set(before).intersection(after)) / min(column.size, other.size)
        if shared > most:
            best, most = key, shared
        if shared == 1:
            break
    return best


def _equal(one: Column, other: Column) -> bool:
    return one.size == other.size and one.equals(other, 0, 0, one.size)


def _marks(columns: list[Column]) -> list[Hashable]:
    found = [list(column.marks(0, column.size)) for column in columns]
    return found[0] if len(found) == 1 else list(zip(*found, strict=True))


def _joint(columns: list[Column]) -> Column:
    if len(columns) == 1:
        return columns[0]
    cells: list[list[Any]] = [column.cells(0, column.size) for column in columns]
    return Listed(list(zip(*cells, strict=True)), "levels")


def _by(key: _Key, remark: str = "") -> Matched:
    old, new = key.marks
    if old is new or old == new:
        return Matched(key.by, [(0, 0, len(old))], labels=key.labels, keys=key.names,
                       remark=remark)  # fmt: skip
    places = {mark: at for at, mark in enumerate(new)}
    runs: list[Run] = []
    gone: list[int] = []
    reordered, last, begun, start = False, -1, -1, -1
    for at, mark in enumerate(old):
        place = places.pop(mark, -1)
        if place < 0:
            gone.append(at)
        if begun >= 0 and (place < 0 or place != last + 1):
            runs.append((begun, start, at - begun))
            begun = -1
        if place >= 0:
            if begun < 0:
                begun, start = at, place
            reordered = reordered or place < last
            last = place
    if begun >= 0:
        runs.append((begun, start, len(old) - begun))
    return Matched(key.by, runs, gone, sorted(places.values()), reordered, key.labels, key.names,
                   remark)  # fmt: skip


def _by_place(old: Table, new: Table, remark: str) -> Matched:
    """By position; where rows came or went, from the ends that are equal."""
    rows, others = old.rows, new.rows
    both = min(rows, others)
    runs: list[Run] = [(0, 0, both)]
    if rows != others:
        start = _equal_start(old, new, both)
        end = _equal_end(old, new, both - start)
        both = min(rows, others) - start - end
        runs = [(0, 0, start + both), (rows - end, others - end, end)]
        gone = range(start + both, rows - end)
        come = range(start + both, others - end)
        return Matched("position", runs, gone, come, remark=remark)
    return Matched("position", runs, remark=remark)


def _pairs(old: Table, new: Table) -> list[tuple[Column, Column]]:
    others = dict(zip(new.names, new.columns, strict=True))
    found = [
        (column, others[name])
        for name, column in zip(old.names, old.columns, strict=True)
        if name in others
    ]
    return [pair for pair in found if pair[0].dtype == pair[1].dtype]


def _equal_start(old: Table, new: Table, most: int) -> int:
    """How many rows are equal at the start."""
    for one, other in _pairs(old, new):
        at = 0
        while at < most and one.equals(other, at, at, min(_CHUNK, most - at)):
            at += min(_CHUNK, most - at)
        if at < most:
            size = min(_CHUNK, most - at)
            pairs = zip(one.marks(at, at + size), other.marks(at, at + size), strict=True)
            most = at + next((k for k, (a, b) in enumerate(pairs) if a != b), size)
    return most


def _equal_end(old: Table, new: Table, most: int) -> int:
    """How many rows are equal at the end."""
    rows, others = old.rows, new.rows
    for one, other in _pairs(old, new):
        at = 0
        while at < most:
            size = min(_CHUNK, most - at)
            if not one.equals(other, rows - at - size, others - at - size, size):
                break
            at += size
        if at < most:
            size = min(_CHUNK, most - at)
            left = list(one.marks(rows - at - size, rows - at))
            right = list(other.marks(others - at - size, others - at))
            pairs = zip(reversed(left), reversed(right), strict=True)
            most = at + next((k for k, (a, b) in enumerate(pairs) if a != b), size)
    return most

"""What differs between two frames: columns, types, rows and cells, not two long texts.

Neither pandas nor Arrow is needed: the columns are read from the values' own bytes, a chunk of rows
at a time, and a chunk that is equal on both sides costs one comparison of its bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any, Protocol

from tracediff import values
from tracediff.compare.raw import unpack
from tracediff.compare.rowmatching import Matched, counted, matched
from tracediff.compare.tolerances import EXACT, Rules, within
from tracediff.model import MISSING, ChangeKind, FrameChange, Tolerance
from tracediff.values import Opaque, tags
from tracediff.values.frames import KINDS, Column, Table, table

MAX_ROWS = 100
MAX_CELLS = 400
"""Changed cells of a frame that are listed: others of the value are, too. All are counted."""

_CHUNK = 4_096
_SHORT_RUN = 64
_SURE = 1e-9
_NUMBERS = frozenset({float, complex})
Path = tuple[str | int, ...]
Place = tuple[int, int, int]


class Walking(Protocol):
    """What the walk over two values gives to the comparison of two frames in them."""

    rules: Rules
    at: Path
    drift: int
    clock: int
    cut: bool
    is_clock: Callable[[Any, Any], bool] | None

    def room(self) -> int:
        """How many more changes may be listed."""

    def add(self, path: Path, kind: ChangeKind, old: Any, new: Any, *, close: bool = False) -> None:
        """List a change."""


def tables(old: Any, new: Any) -> tuple[Table, Table] | None:
    """Two raw values as tables, if both are frames of one kind that can be read."""
    if not (type(old) is tuple and type(new) is tuple and old[0] == new[0] == tags.LIBRARY):
        return None
    kind = _kind(old[1])
    if kind not in KINDS or _kind(new[1]) != kind:
        return None
    found = [table(values.inert(tags.extension(*one)), len(one[1])) for one in (old, new)]
    return (found[0], found[1]) if found[0] is not None and found[1] is not None else None


def _kind(payload: bytes) -> bytes:
    """The name of a library's kind: the first of its two parts, as bytes."""
    return payload[3 : 3 + payload[2]] if payload[:2] == b"\x92\xc4" else b""


class Frames:
    """Compares two frames at a place of a value.

    Args:
        walk: The walk over the values.
        path: Where the frames are in them.
        old: The recorded frame.
        new: The other one.
        rule: What holds at that place.
    """

    def __init__(self, walk: Walking, path: Path, old: Table, new: Table, rule: Tolerance) -> None:
        self.walk, self.path, self.rule = walk, path, rule
        self.old, self.new = old, new
        self.rows = matched(old, new, rule.key)
        runs = self.rows.runs
        short = len(runs) > _SHORT_RUN and sum(one[2] for one in runs) < _SHORT_RUN * len(runs)
        self.mixed = self.rows.pairs() if short else None
        self.cells = self.accepted = self.listed = 0
        self.changed = bytearray(old.rows)
        self.overlooked = False
        self.retyped: list[str] = []
        self.found: list[tuple[Place, Path, Any, Any, bool]] = []

    def run(self) -> tuple[FrameChange, list[tuple[Path, Any, Any]]]:
        """List what differs; gives the summary, and what is to be compared as any other value."""
        added, removed = self._columns()
        for at, (name, old, new) in enumerate(self._pairs()):
            self._column(at, name, old, new)
        gone, come = self._rows()
        self._list()
        below = [
            ((*self.path, name), self._raw(self.old, name), self._raw(self.new, name))
            for name in {**self.old.rest, **self.new.rest}
            if self._raw(self.old, name) != self._raw(self.new, name)
        ]
        summary = FrameChange(
            path=self.path, kind=self.old.kind,
            old=(self.old.rows, len(self.old.columns)), new=(self.new.rows, len(self.new.columns)),
            matched=self.rows.by, rows_added=come, rows_removed=gone,
            rows_changed=self.changed.count(1), cells_changed=self.cells,
            cells_within=self.accepted, cells_listed=self.listed,
            columns_added=tuple(map(str, added)), columns_removed=tuple(map(str, removed)),
            retyped=tuple(self.retyped), remark=self.rows.remark,
        )  # fmt: skip
        return summary, below

    def _raw(self, one: Table, name: str) -> Any:
        return unpack(values.encode(one.rest[name])) if name in one.rest else MISSING

    def _at(self, *steps: str | int) -> Tolerance:
        return self.walk.rules.at((*self.walk.at, *self.path, *steps))

    def _columns(self) -> tuple[list[str | int], list[str | int]]:
        """Columns that came, went or stand in another order."""
        before, after = self.old.names, self.new.names
        old, new = set(before), set(after)
        removed = [one for one in before if one not in new and not self._at(one).ignore]
        added = [one for one in after if one not in old and not self._at(one).ignore]
        apart = len(old.symmetric_difference(new))
        self.overlooked = self.overlooked or len(removed) + len(added) < apart
        for name in removed:
            self._add((name,), "removed", _described(self.old, name), MISSING)
        for name in added:
            self._add((name,), "added", MISSING, _described(self.new, name))
        shared = [one for one in before if one in new]
        turned = [one for one in after if one in old]
        if shared != turned:
            self._order((), shared, turned)
        return added, removed

    def _pairs(self) -> Iterator[tuple[str | int, Column, Column]]:
        """The columns of both, and the index where rows are not matched by it."""
        left, right = self.old.labels, self.new.labels
        if (left is not None or right is not None) and self.rows.by[:5] != "index":
            yield "index", left or counted(self.old), right or counted(self.new)
        after = dict(zip(self.new.names, self.new.columns, strict=True))
        for name, column in zip(self.old.names, self.old.columns, strict=True):
            if name in after:
                yield name, column, after[name]

    def _column(self, at: int, name: str | int, old: Column, new: Column) -> None:
        rule = self._at(name)
        if rule.ignore:
            self.overlooked = True
            return
        same = old.dtype == new.dtype
        if not same:
            self.retyped.append(str(name))
            close = (old.dtype, new.dtype) in rule.types or self._at(name, "dtype").ignore
            self.overlooked = self.overlooked or close
            self._add((name, "dtype"), "changed", old.dtype, new.dtype, close=close)
        if name in self.rows.keys and same:
            return
        rules = _OfCells(self.walk, self.path, name, rule)
        for i, j, a, b in self._differing(old, new, same=same):
            self._cell((i, j, at), name, a, b, rules)

    def _differing(
        self, old: Column, new: Column, *, same: bool
    ) -> Iterator[tuple[int, int, Any, Any]]:
        """The cells that differ, with the rows they are in on both sides."""
        if self.mixed is not None:
            yield from _gathered(old, new, *self.mixed, same=same)
            return
        for at, to, size in self.rows.runs:
            for start in range(0, size, _CHUNK):
                some = min(_CHUNK, size - start)
                i, j = at + start, to + start
                if not (same and old.equals(new, i, j, some)):
                    yield from _in_chunk(old, new, i, j, some, same=same)

    def _cell(self, place: Place, name: str | int, old: Any, new: Any, rules: _OfCells) -> None:
        label = self.rows.label(place[0]) if rules.below else None
        verdict = rules.accepts(label, old, new)
        if verdict is None:
            self.overlooked = True
            return
        if verdict:
            self.accepted += 1
        else:
            self.cells += 1
            self.changed[place[0]] = 1
        some = self.listed if not verdict else self.accepted - 1
        if some >= min(self.walk.room(), MAX_CELLS):
            self.walk.cut = self.walk.cut or not verdict
            return
        self.listed += not verdict
        label = self.rows.label(place[0]) if label is None else label
        self.found.append((place, (name, label), old, new, verdict))

    def _rows(self) -> tuple[int, int]:
        """Rows that came or went."""
        if self._at("rows").ignore:
            self.overlooked = True
            return 0, 0
        for side, rows in enumerate((self.rows.gone, self.rows.come)):
            for at in rows[:MAX_ROWS]:
                label = self.rows.label(at, new=bool(side))
                row = _row(self.new if side else self.old, at)
                self._add(("rows", label), "added" if side else "removed",
                          *((MISSING, row) if side else (row, MISSING)))  # fmt: skip
            self.walk.cut = self.walk.cut or len(rows) > MAX_ROWS
        if self.rows.reordered:
            some = [[self.rows.label(at, new=new) for at in _beginning(self.rows, new=new)]
                    for new in (False, True)]  # fmt: skip
            self._order(("rows",), *some)
        return len(self.rows.gone), len(self.rows.come)

    def _order(self, path: Path, old: Sequence[Any], new: Sequence[Any]) -> None:
        if self.rule.unordered:
            self.overlooked = True
        else:
            self._add(path, "order", old, new)

    def _list(self) -> None:
        """The cells, row by row."""
        for _, path, old, new, close in sorted(self.found, key=lambda one: one[0]):
            self._add(path, "changed", old, new, close=close)

    def _add(
        self, path: Path, kind: ChangeKind, old: Any, new: Any, *, close: bool = False
    ) -> None:
        if close or self.walk.room():
            self.walk.add((*self.path, *path), kind, old, new, close=close)
        else:
            self.walk.cut = True


class _OfCells:
    """What holds for the cells of a column: a rule of the column, or of one of its rows."""

    def __init__(self, walk: Walking, path: Path, name: str | int, rule: Tolerance) -> None:
        self._walk, self._rule = walk, rule
        self._path = (*walk.at, *path, name)
        self.below = walk.rules.below(self._path)

    def accepts(self, label: str | int | None, old: Any, new: Any) -> bool | None:
        """Whether two cells that differ are close enough; None where nobody looks at them."""
        walk, rule = self._walk, self._rule
        if label is not None and self._named(str(label)):
            rule = walk.rules.at((*self._path, label))
            if rule.ignore:
                return None
        if walk.is_clock is not None and walk.is_clock(old, new):
            walk.clock += 1
            return True
        if rule is EXACT:
            return False
        close = _close(old, new, rule)
        walk.drift += close
        return close

    def _named(self, label: str) -> bool:
        return "/" in label or any(one.fullmatch(label) for one in self.below)


def _close(old: Any, new: Any, rule: Tolerance) -> bool:
    """As ``within``, sooner where two floats are surely close or surely not."""
    if type(old) is float and type(new) is float and not (rule.quantum or rule.ulp):
        apart, size = abs(new - old), max(abs(old), abs(new))
        if math.isfinite(apart):
            bound = max(rule.abs or 0.0, (rule.rel or 0.0) * size)
            if apart < bound * (1 - _SURE):
                return True
            if apart > bound * (1 + _SURE):
                return False
    return within(old, new, rule)


def _in_chunk(
    old: Column, new: Column, at: int, to: int, size: int, *, same: bool
) -> Iterator[tuple[int, int, Any, Any]]:
    left, right = old.cells(at, at + size), new.cells(to, to + size)
    if same:
        marks = zip(old.marks(at, at + size), new.marks(to, to + size), strict=True)
        places = [k for k, (a, b) in enumerate(marks) if a != b]
    else:
        pairs = zip(left, right, strict=True)
        places = [k for k, (a, b) in enumerate(pairs) if not _alike(a, b)]
    for k in places:
        yield at + k, to + k, left[k], right[k]


def _gathered(
    old: Column, new: Column, left: Sequence[int], right: Sequence[int], *, same: bool
) -> Iterator[tuple[int, int, Any, Any]]:
    """The same for rows that are mixed: all cells are read, then laid side by side."""
    if same:
        before, after = old.marks(0, old.size), new.marks(0, new.size)
        found = [(i, j) for i, j in zip(left, right, strict=True) if before[i] != after[j]]
    else:
        cells = old.cells(0, old.size), new.cells(0, new.size)
        found = [(i, j) for i, j in zip(left, right, strict=True)
                 if not _alike(cells[0][i], cells[1][j])]  # fmt: skip
    for i, j in found:
        yield i, j, *old.cells(i, i + 1), *new.cells(j, j + 1)


def _alike(old: Any, new: Any) -> bool:
    """Whether cells of two types say the same: one that is missing is missing."""
    if _missing(old) or _missing(new):
        return _missing(old) and _missing(new)
    try:
        return bool(old == new)
    except (ArithmeticError, RecursionError):  # decimals that signal, lists in lists in lists
        return values.encode(old) == values.encode(new)


def _missing(cell: Any) -> bool:
    if type(cell) is Decimal:
        return cell.is_nan()  # to compare one that signals would raise
    return cell is None or (type(cell) in _NUMBERS and cell != cell)  # noqa: PLR0124 - NaN


def _described(one: Table, name: str | int) -> Opaque:
    return Opaque("column", f"{one.column(name).dtype}, {one.rows:,} rows")


def _row(one: Table, at: int) -> dict[str, Any]:
    """A row as a dict of its first cells."""
    pairs = zip(one.names[:MAX_ROWS], one.columns[:MAX_ROWS], strict=True)
    return {str(name): column.cells(at, at + 1)[0] for name, column in pairs}


def _beginning(rows: Matched, *, new: bool) -> list[int]:
    """The first rows of those on both sides, in the order of a side."""
    order = sorted(rows.runs, key=lambda run: run[int(new)])
    found: list[int] = []
    for run in order:
        start = run[int(new)]
        found += range(start, start + min(run[2], 10))
        if len(found) >= 10:
            break
    return found[:10]

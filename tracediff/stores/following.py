"""A live trace that is watched while its job runs: only its new parts are read."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from typing import Final

from tracediff.model import Artifact, Part, Row, Step, Trace
from tracediff.stores.base import LiveStore, Store

_GAPS: Final = "some of its parts cannot be read: lines are missing"


class Growing:
    """A live trace as far as it was read, put together a part at a time.

    A line is a step's index in the trace. Lines stay what they are while steps are added; where one
    comes before others that are there already, all are numbered anew.

    Args:
        store: Where it is read from. One that cannot give single parts is read whole each time.
        id: The trace.

    Attributes:
        trace: The trace so far, None before the first look.
        parts: How many parts of it were looked at; how many looks, of one written at once.
    """

    def __init__(self, store: Store, id: str) -> None:
        self.id = id
        self.trace: Trace | None = None
        self.parts = 0
        self._store = store
        self._row: Row | None = None
        self._places: list[int] = []
        self._steps: list[Step] = []
        self._artifacts: list[Artifact] = []
        self._touched: list[tuple[int, tuple[int, ...]]] = []
        self._missed = False
        self._renumbered = 0

    def look(self, row: Row) -> Trace:
        """Read what is new, if the row says that something is; the trace as it is now.

        Args:
            row: The row of the trace, as it was just found.

        Raises:
            StoreError: It cannot be read.
        """
        known = self.trace
        if known is not None and row == self._row:
            return known
        self.trace = self._read(row, known)
        self._row = row
        return self.trace

    def _read(self, row: Row, known: Trace | None) -> Trace:
        ended = row.state not in ("running", "lost")
        if not row.parts or not isinstance(self._store, LiveStore) or (ended and self._missed):
            return self._whole(row)
        first = self.parts
        found = self._store.load_parts(row, first)
        self._missed |= [one.number for one in found] != list(range(first, row.parts))
        if ended and self._missed:  # its whole is wanted, or what is wrong with that
            return self._whole(row)
        for part in found:
            self._add(part)
        last = found[-1].trace if found else known
        if last is None or not self._steps:  # not even the first one can be read
            return self._whole(row)
        self.parts = row.parts
        gaps = (_GAPS,) if self._missed else ()
        return replace(
            last,
            state=row.state,
            duration=row.duration,
            steps=tuple(self._steps),
            artifacts=tuple(self._artifacts),
            warnings=(*(one for one in last.warnings if one != _GAPS), *gaps),
        )

    def since(self, parts: int) -> tuple[int, ...] | None:
        """The lines that are new or have changed since so many parts were known, in order.

        None when any of them may be another: they are numbered anew, or nobody can tell.
        """
        if parts < self._renumbered or parts > self.parts:
            return None
        lines = {one for number, some in self._touched if number >= parts for one in some}
        return tuple(sorted(lines))

    def _whole(self, row: Row) -> Trace:
        """Read all of it again; what differs from before has changed."""
        found, before = self._store.load(row), self._steps
        self.parts = row.parts or self.parts + 1
        self._steps = list(found.steps)
        touched = [
            at for at, step in enumerate(found.steps)
            if at >= len(before) or (before[at] is not step and before[at] != step)
        ]  # fmt: skip
        if len(found.steps) < len(before):
            self._renumbered = self.parts
        self._touched.append((self.parts - 1, tuple(touched)))
        return found

    def _add(self, part: Part) -> None:
        lines = []
        for place, step in zip(part.places, part.trace.steps, strict=True):
            at = self._line(place)
            own = replace(step, parent=self._line(step.parent)) if step.parent > 0 else step
            if at < len(self._places) and self._places[at] == place:
                self._steps[at] = own
            elif at == len(self._places):
                self._places.append(place)
                self._steps.append(own)
            else:
                self._insert(at, place, own, part.number)
            lines.append(at)
        for place in part.concurrent:
            at = self._line(place)
            if at < len(self._places) and self._places[at] == place:
                self._steps[at] = replace(self._steps[at], concurrent=True)
                lines.append(at)
        self._artifacts += part.trace.artifacts
        self._touched.append((part.number, tuple(lines)))

    def _line(self, place: int) -> int:
        return bisect_left(self._places, place)

    def _insert(self, at: int, place: int, step: Step, number: int) -> None:
        self._places.insert(at, place)
        self._steps.insert(at, step)
        self._steps[at + 1 :] = [
            replace(one, parent=one.parent + 1) if one.parent >= at else one
            for one in self._steps[at + 1 :]
        ]
        self._renumbered = number + 1

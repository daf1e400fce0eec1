"""Reading on when a trace was moved meanwhile: ``gc`` writes segments anew beside readers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from tracediff.errors import StoreError
from tracediff.model import Row, Trace

Packed = tuple[Row, bytes | StoreError]


class Findable(Protocol):
    """A store, as far as rows are asked for again."""

    def find(self, prefix: str, limit: int = 2) -> list[Row]:
        """Rows whose id starts with ``prefix``."""


S = TypeVar("S", bound=Findable)


def moved_row(store: Findable, row: Row) -> Row | None:
    """The row as it is now, None when its trace is where it was or is gone."""
    now = next((one for one in store.find(row.id, 1) if one.id == row.id), None)
    if now is None or (not now.parts and now.location == row.location):
        return None
    return now


def asks_again(load: Callable[[S, Row], Trace]) -> Callable[[S, Row], Trace]:
    """Load a trace whose bytes are gone from where its row says, once more by its row of now."""

    @functools.wraps(load)
    def loaded(self: S, row: Row) -> Trace:
        try:
            return load(self, row)
        except StoreError as error:
            if error.slug != "trace-gone" and not (row.parts and error.slug == "trace-hurt"):
                raise
            now = moved_row(self, row)
            if now is None:
                raise
        return load(self, now)

    return loaded


def asks_again_for_all(
    load: Callable[[S, Sequence[Row]], Iterator[Packed]],
) -> Callable[[S, Sequence[Row]], Iterator[Packed]]:
    """The same for many traces: those that were moved come last."""

    @functools.wraps(load)
    def loaded(self: S, rows: Sequence[Row]) -> Iterator[Packed]:
        moved = []
        for row, data in load(self, rows):
            gone = isinstance(data, StoreError) and data.slug == "trace-gone"
            now = moved_row(self, row) if gone else None
            if now is None:
                yield row, data
            else:
                moved.append(now)
        if moved:
            yield from load(self, moved)

    return loaded

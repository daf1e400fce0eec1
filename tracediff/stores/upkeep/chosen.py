"""The traces that an erasure takes, and the segments they lie in: in a file, however many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tracediff.stores.upkeep.scratch import Scratch

_TABLES = """
CREATE TABLE chosen (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE touched (blob TEXT PRIMARY KEY) WITHOUT ROWID;
"""
_PAGE = "SELECT id FROM chosen WHERE id > ? ORDER BY id LIMIT ?"


class Chosen(Scratch):
    """Use as a context; the file goes with it."""

    def __init__(self) -> None:
        super().__init__(_TABLES)

    def add(self, ids: Iterable[str]) -> None:
        """These traces go."""
        self._do_each("INSERT OR IGNORE INTO chosen VALUES (?)", ((one,) for one in ids))

    def has(self, trace_id: str) -> bool:
        """Whether this trace goes."""
        return self._one("SELECT 1 FROM chosen WHERE id = ?", trace_id) is not None

    def count(self) -> int:
        """How many traces go."""
        found = self._one("SELECT COUNT(*) FROM chosen")
        return found[0] if found else 0

    def ids(self) -> Iterator[str]:
        """The traces that go, by id."""
        for batch in self.batches(1000):
            yield from batch

    def batches(self, size: int) -> Iterator[list[str]]:
        """The same, so many at a time."""
        last = ""
        while found := [one for (one,) in self._all(_PAGE, last, size)]:
            yield found
            last = found[-1]

    def touch(self, blob: str) -> None:
        """Something that goes lies in this segment."""
        self._do("INSERT OR IGNORE INTO touched VALUES (?)", blob)

    def touched(self) -> Iterator[str]:
        """The segments that something lies in."""
        yield from (blob for (blob,) in self._all("SELECT blob FROM touched"))

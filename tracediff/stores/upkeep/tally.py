"""What a run has to remember of a store of any size: in a file of its own, not in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from tracediff.stores.upkeep.scratch import Scratch

_HELD = 10_000
"""Blobs whose sums are held in memory until they are written."""

_TABLES = """
CREATE TABLE living (blob TEXT PRIMARY KEY, count INTEGER, bytes INTEGER) WITHOUT ROWID;
CREATE TABLE homes (home TEXT, segment TEXT, PRIMARY KEY (home, segment)) WITHOUT ROWID;
CREATE TABLE beside (home TEXT, key TEXT, size INTEGER, age REAL, PRIMARY KEY (home, key))
WITHOUT ROWID;
CREATE INDEX beside_key ON beside (key);
CREATE TABLE remaining (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE graves (id TEXT PRIMARY KEY, generation INTEGER) WITHOUT ROWID;
CREATE TABLE later (why TEXT, key TEXT, PRIMARY KEY (why, key)) WITHOUT ROWID;
"""
_ADD = """INSERT INTO living VALUES (?, ?, ?) ON CONFLICT (blob) DO UPDATE
SET count = count + excluded.count, bytes = bytes + excluded.bytes"""


class Tally(Scratch):
    """Sums by blob, artifacts by the segment they belong to, and what is to be done later.

    Use as a context; the file goes with it.
    """

    def __init__(self) -> None:
        super().__init__(_TABLES)
        self._held: dict[str, tuple[int, int]] = {}

    def add(self, tallied: Mapping[str, tuple[int, int]]) -> None:
        """Count living frames and their bytes, by blob."""
        for blob, (count, size) in tallied.items():
            before = self._held.get(blob, (0, 0))
            self._held[blob] = (before[0] + count, before[1] + size)
        if len(self._held) >= _HELD:
            self._write()

    def living(self, blob: str) -> tuple[int, int]:
        """How many frames of this blob live, and their bytes."""
        if self._held:
            self._write()
        found = self._one("SELECT count, bytes FROM living WHERE blob = ?", blob)
        return (found[0], found[1]) if found else (0, 0)

    def blobs(self) -> int:
        """In how many blobs something lives."""
        self._write()
        found = self._one("SELECT COUNT(*) FROM living")
        return found[0] if found else 0

    def has_home(self, home: str, segment: str) -> None:
        """A segment stays, and with it the artifacts that belong to it."""
        self._do("INSERT OR IGNORE INTO homes VALUES (?, ?)", home, segment)

    def leaves_home(self, home: str, segment: str) -> None:
        """A segment is gone."""
        self._do("DELETE FROM homes WHERE home = ? AND segment = ?", home, segment)

    def lies_beside(self, home: str, key: str, size: int, age: float) -> None:
        """An artifact of this segment."""
        self._do("INSERT OR REPLACE INTO beside VALUES (?, ?, ?, ?)", home, key, size, age)

    def lies_there_no_more(self, key: str) -> None:
        """An artifact is gone, or counted as one that goes."""
        self._do("DELETE FROM beside WHERE key = ?", key)

    def beside(self, home: str) -> list[tuple[str, int]]:
        """The artifacts of a segment, and their bytes."""
        found = self._all("SELECT key, size FROM beside WHERE home = ?", home)
        return [(key, size) for key, size in found]

    def homes(self) -> Iterator[str]:
        """What has artifacts and segments."""
        sql = """SELECT DISTINCT home FROM beside WHERE home > ?
        AND EXISTS (SELECT 1 FROM homes WHERE homes.home = beside.home) ORDER BY home LIMIT 500"""
        last = ""
        while True:
            found = [home for (home,) in self._all(sql, last)]
            if not found:
                return
            yield from found
            last = found[-1]

    def homeless(self) -> Iterator[tuple[str, int, float]]:
        """The artifacts whose segments are gone: key, bytes and age."""
        sql = """SELECT key, size, age FROM beside
        WHERE NOT EXISTS (SELECT 1 FROM homes WHERE homes.home = beside.home) ORDER BY key"""
        with self._errors():
            yield from self._db.execute(sql)

    def remains(self, ids: Iterable[str]) -> None:
        """Dead frames of these traces stay where they are."""
        self._do_each("INSERT OR IGNORE INTO remaining VALUES (?)", ((one,) for one in ids))

    def remember(self, graves: Iterable[tuple[str, int]]) -> None:
        """Deletions that were known before anything was looked at."""
        self._do_each("INSERT OR REPLACE INTO graves VALUES (?, ?)", graves)

    def needless(self) -> Iterator[list[tuple[str, int]]]:
        """Those of them that no frame needs which stays anywhere, in batches."""
        sql = """SELECT id, generation FROM graves WHERE id > ?
        AND id NOT IN (SELECT id FROM remaining) ORDER BY id LIMIT 1000"""
        last = ""
        while True:
            found = [(one, generation) for one, generation in self._all(sql, last)]
            if not found:
                return
            yield found
            last = found[-1][0]

    def do_later(self, key: str, why: str) -> None:
        """A segment is to be looked at again."""
        self._do("INSERT OR IGNORE INTO later VALUES (?, ?)", why, key)

    def later(self, why: str) -> Iterator[str]:
        """The segments that are to be looked at again; others may be added meanwhile."""
        last = ""
        while True:
            sql = "SELECT key FROM later WHERE why = ? AND key > ? ORDER BY key LIMIT 500"
            found = [key for (key,) in self._all(sql, why, last)]
            if not found:
                return
            yield from found
            last = found[-1]

    def _write(self) -> None:
        self._do_each(_ADD, ((blob, *sums) for blob, sums in sorted(self._held.items())))
        self._held.clear()

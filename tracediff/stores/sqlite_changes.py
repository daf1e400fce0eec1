"""Changes of a local store's rows within one transaction, and what they mean for the statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tracediff.model import Row
from tracediff.stores.labels import row_labels
from tracediff.stores.rows import dump_row, load_row, supersedes

if TYPE_CHECKING:
    import sqlite3


class Change:
    """What one transaction changes.

    ``added`` are rows that ended by it, ``removed`` those that had ended before and are gone.

    Args:
        db: The index, within a transaction.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self.added: list[Row] = []
        self.removed: list[Row] = []
        self._db = db

    def bury(self, tombstones: Mapping[str, int], blob: str = "") -> None:
        """Remove rows up to a generation for good; ``blob`` is where their tombstones stand."""
        for trace_id, generation in tombstones.items():
            self._db.execute(_BURY, (trace_id, generation, blob))
            self._bury_row(trace_id, generation)

    def insert(self, row: Row, generation: int = 0) -> None:
        """Add a row, unless it is deleted or the one that is there is to stay."""
        self._bury_row(row.id, generation - 1)
        if not row.parts:
            self._add(row, generation)
            return
        if self._db.execute(_BURIED, (row.id, generation)).fetchone():
            return
        known = self._known(row.id)
        if known is not None and not known.parts:
            return
        self._db.execute(_INSERT_PART, (row.id, row.parts - 1, *row.location))
        if known is None:
            self._add(row, generation)
        elif supersedes(row, known):
            self._replace(known, row)

    def update(self, row: Row) -> bool:
        """Replace a row by this one; False when there is none."""
        known = self._known(row.id)
        if known is not None:
            self._replace(known, row)
        return known is not None

    def delete(self, trace_id: str, *, grave: bool = False) -> int:
        """Remove a row; a ``grave`` keeps parts that come later from bringing it back."""
        known = self._known(trace_id) if trace_id.isascii() else None
        if known is None:
            return 0
        self._remove(known)
        self._db.execute("DELETE FROM traces WHERE id = ?", (trace_id,))
        if known.parts:
            self._db.execute("DELETE FROM parts WHERE id = ?", (trace_id,))
            if grave:
                self._db.execute(_BURY, (trace_id, 0, ""))
        return 1

    def expire(self, ids: Sequence[str], now: int) -> int:
        """Remove those of these rows that have expired; what was counted stays counted."""
        found = (self._known(one) for one in ids)
        over = [
            one for one in found if one and one.expires_at is not None and one.expires_at <= now
        ]
        # In the order of their table: each of its pages is changed once, not once for each row.
        self._db.executemany(_DELETE_LABEL, sorted(one for row in over for one in row_labels(row)))
        for table in ("traces", "parts"):
            sql = f"DELETE FROM {table} WHERE id = ?"  # noqa: S608 - one of two names
            self._db.executemany(sql, ((row.id,) for row in over))
        return len(over)

    def lose(self, trace_id: str) -> int:
        """Make a trace lost if it is running; how many that are."""
        known = self._known(trace_id)
        if known is None or known.state != "running":
            return 0
        self._replace(known, replace(known, state="lost"))
        return 1

    def _known(self, trace_id: str) -> Row | None:
        found = self._db.execute(_FIND, (trace_id,)).fetchone()
        return None if found is None else read_row(found)

    def _add(self, row: Row, generation: int) -> None:
        values = (*_values(row), generation, row.id, generation)
        if self._db.execute(_INSERT, values).rowcount:
            self._label(row)

    def _replace(self, known: Row, row: Row) -> None:
        self._remove(known)
        self._db.execute(_REPLACE, (*_values(row), row.id))
        self._label(row)

    def _label(self, row: Row) -> None:
        self._db.executemany(_INSERT_LABEL, row_labels(row))
        if row.state != "running":
            self.added.append(row)

    def _remove(self, known: Row) -> None:
        self._db.executemany(_DELETE_LABEL, row_labels(known))
        if known.state != "running":
            self.removed.append(known)

    def _bury_row(self, trace_id: str, generation: int) -> None:
        """Remove a row that is of this generation or older: a newer one replaces it."""
        if generation < 0:
            return
        found = self._db.execute(
            "SELECT generation FROM traces WHERE id = ?", (trace_id,)
        ).fetchone()
        if found is None or found[0] <= generation:
            self.delete(trace_id)


def read_row(found: tuple[bytes, str, int, int]) -> Row:
    """The row of its columns ``row, blob, start, length``."""
    data, blob, start, length = found
    return load_row(data, (blob, start, length))


def _values(row: Row) -> tuple[str, int, str, str, int, int, bytes, int]:
    data = dump_row(replace(row, location=("", 0, 0)))
    return (row.id, row.started_at, row.state, *row.location, data, row.parts)


_COLUMNS = "id, started_at, state, blob, start, length, row, parts"
_INSERT = f"""INSERT INTO traces ({_COLUMNS}, generation) SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?
WHERE NOT EXISTS (SELECT 1 FROM tombstones WHERE id = ? AND generation >= ?)
ON CONFLICT (id) DO NOTHING"""  # noqa: S608 - of columns
_REPLACE = f"UPDATE traces SET ({_COLUMNS}) = (?, ?, ?, ?, ?, ?, ?, ?) WHERE id = ?"  # noqa: S608 - the same
_INSERT_PART = "INSERT OR IGNORE INTO parts VALUES (?, ?, ?, ?, ?)"
_INSERT_LABEL = "INSERT OR IGNORE INTO labels VALUES (?, ?, ?, ?)"
_DELETE_LABEL = "DELETE FROM labels WHERE label = ? AND state = ? AND started_at = ? AND id = ?"
_BURY = """INSERT INTO tombstones (id, generation, blob) VALUES (?, ?, ?)
ON CONFLICT (id) DO UPDATE SET generation = excluded.generation, blob = excluded.blob
WHERE excluded.generation > generation"""
_BURIED = "SELECT 1 FROM tombstones WHERE id = ? AND generation >= ?"
_FIND = "SELECT row, blob, start, length FROM traces WHERE id = ?"

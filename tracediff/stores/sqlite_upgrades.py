"""The schema of a local store's index: found, made current, or refused.

Schema 1 is that of tracediff before there were live traces. An index of an older schema is read as
it is, through views that stand for what it lacks, and is upgraded by the first that opens it for
writing: in one transaction, so that whoever dies in it changes nothing. One of a newer schema is
neither read nor written nor taken for hurt.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tracediff.errors import StoreError
from tracediff.model import Row
from tracediff.stores.rows import load_row
from tracediff.stores.sqlite_file import ADDED, SCHEMA, connect
from tracediff.stores.sqlite_statistics import write_delta
from tracediff.stores.versions import read_version, write_version

if TYPE_CHECKING:
    import sqlite3

_BATCH = 1000
_VIEWS = (
    "CREATE TEMP VIEW traces AS SELECT *, 0 AS parts FROM main.traces",
    "CREATE TEMP VIEW tombstones AS SELECT *, '' AS blob FROM main.tombstones",
)
"""Tables of the first schema, with what the second one gave to them."""

_UPGRADE = (
    "ALTER TABLE traces ADD COLUMN parts INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE tombstones ADD COLUMN blob TEXT NOT NULL DEFAULT ''",
    *ADDED,
)


def newer(what: str, found: int) -> StoreError:
    """Something of a newer tracediff's: ``store-newer``."""
    return StoreError(
        f"{what} has schema {found}, and this tracediff knows {SCHEMA} and older",
        slug="store-newer",
        hint="install the version that made it, or a later one; nothing was changed",
    )


def check_schema(db: sqlite3.Connection, path: Path) -> int:
    """The schema of an index, this one's or an older one.

    Raises:
        StoreError: ``store-newer``; or ``index-hurt``: it has none, and is rebuilt.
    """
    found = _schema(db)
    if found is not None and found > SCHEMA:
        raise newer(f"the index {path.name}", found)
    if found is None or found < 1:
        raise StoreError(
            f"the index {path.name} has a schema that no tracediff has had",
            slug="index-hurt",
            hint="it is rebuilt from the segments when the store can be written",
        )
    return found


def refuse_newer(path: Path) -> None:
    """Raise StoreError ``store-newer`` if the store of this index is a newer tracediff's.

    Whatever else is wrong with the index, or if there is none: it is not for this one to make.
    """
    said = read_version(path.parent)
    if said is not None and said > SCHEMA:
        raise newer(f"the store {path.parent}", said)


def refuse_newer_index(path: Path) -> None:
    """As ``refuse_newer``, for an index that seems hurt: also what it says itself, if it does."""
    import sqlite3

    refuse_newer(path)
    try:
        db = connect(path, read_only=False, timeout=1.0)
        try:
            found = _schema(db)
        finally:
            db.close()
    except sqlite3.Error:  # as hurt as it seems: it says nothing
        return
    if found is not None and found > SCHEMA:
        raise newer(f"the index {path.name}", found)


def make_current(db: sqlite3.Connection, path: Path, *, read_only: bool) -> None:
    """Upgrade an index of an older schema; where it can only be read, read it as if it were.

    Raises:
        StoreError: As ``check_schema``.
        sqlite3.Error: It is hurt, or full, or somebody writes to it for too long.
    """
    found = check_schema(db, path)
    if read_only:
        if found != SCHEMA:
            _stand_in(db)
        return
    said = read_version(path.parent)
    if found != SCHEMA:
        # An older tracediff made this one anew: what it did not know, it left out.
        _upgrade(db, path, again=said == SCHEMA)
    if said != SCHEMA:
        with contextlib.suppress(OSError):  # the next one that opens it says it
            write_version(path.parent, SCHEMA)


def _schema(db: sqlite3.Connection) -> int | None:
    found = db.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()
    return found[0] if found is not None and isinstance(found[0], int) else None


def _stand_in(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA temp_store = MEMORY")
    for statement in (*_VIEWS, *ADDED):
        db.execute(statement.replace("CREATE TABLE", "CREATE TEMP TABLE", 1))


def _upgrade(db: sqlite3.Connection, path: Path, *, again: bool) -> None:
    db.execute("BEGIN IMMEDIATE")
    try:
        if check_schema(db, path) != SCHEMA:  # another process may have been quicker
            _change(db)
            if again:
                db.execute("DELETE FROM segments")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _change(db: sqlite3.Connection) -> None:
    for statement in _UPGRADE:
        db.execute(statement)
    for rows in _batches(db):
        write_delta(db, rows)
    db.execute("UPDATE meta SET value = ? WHERE name = 'schema'", (SCHEMA,))


def _batches(db: sqlite3.Connection) -> Iterator[list[Row]]:
    """All rows: those of the first schema are of traces that have ended."""
    found = db.execute("SELECT row, blob, start, length FROM traces")
    rows = (load_row(row, tuple(place)) for row, *place in found)
    while batch := list(itertools.islice(rows, _BATCH)):
        yield batch

"""The file of a local store's index: its tables, how it is made, opened and set aside."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tracediff.stores.failures import sqlite_error, system_error

if TYPE_CHECKING:
    import sqlite3

SCHEMA = 2
_TABLES = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    """CREATE TABLE traces (
        id TEXT PRIMARY KEY, started_at INTEGER NOT NULL, state TEXT NOT NULL,
        generation INTEGER NOT NULL, blob TEXT NOT NULL, start INTEGER NOT NULL,
        length INTEGER NOT NULL, row BLOB NOT NULL, parts INTEGER NOT NULL DEFAULT 0
    )""",
    """CREATE TABLE labels (
        label INTEGER, state INTEGER, started_at INTEGER, id TEXT,
        PRIMARY KEY (label, state, started_at, id)
    ) WITHOUT ROWID""",
    """CREATE TABLE tombstones (
        id TEXT PRIMARY KEY, generation INTEGER NOT NULL, blob TEXT NOT NULL DEFAULT ''
    ) WITHOUT ROWID""",
    "CREATE TABLE segments (name TEXT PRIMARY KEY, indexed INTEGER NOT NULL) WITHOUT ROWID",
)
ADDED = (
    """CREATE TABLE parts (
        id TEXT, number INTEGER, blob TEXT NOT NULL, start INTEGER NOT NULL,
        length INTEGER NOT NULL, PRIMARY KEY (id, number)
    ) WITHOUT ROWID""",
    "CREATE TABLE deltas (id INTEGER PRIMARY KEY, data BLOB NOT NULL)",
    """CREATE TABLE statistics (
        resolution INTEGER, key BLOB, start INTEGER, data BLOB NOT NULL,
        PRIMARY KEY (resolution, key, start)
    ) WITHOUT ROWID""",
)
"""The tables that the second schema brought."""

_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})
"""What file systems without hard links say of one."""


def make_file(path: Path) -> None:
    """Make an empty index under its final name at once, already in WAL mode.

    Switching to WAL needs the file for itself and does not wait for others, so it is done before
    anybody else can see the file. A log that a deleted index left behind is set aside: SQLite
    would play it into the new one.
    """
    with locked(path.parent):
        if not path.exists():
            set_aside(path)
            _make_file(path)


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the directory while its index is made or set aside: one process at a time."""
    with errors("lock the store"):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with errors("lock the store"):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def set_aside(path: Path) -> None:
    """Rename an index that is hurt, its log first, so that nobody opens one without the other."""
    for suffix in ("-wal", "-shm", ""):
        hurt = path.with_name(path.name + suffix)
        with (
            errors("set the hurt index aside"),
            contextlib.suppress(FileNotFoundError),
        ):  # it had none
            os.replace(hurt, path.with_name(f"{hurt.name}.hurt"))


def _make_file(path: Path) -> None:
    temporary = path.with_name(f".tmp-{path.name}-{secrets.token_hex(8)}")
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        db = connect(temporary, read_only=False, timeout=30.0)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            for statement in (*_TABLES, *ADDED):
                db.execute(statement)
            db.execute("INSERT INTO meta VALUES ('schema', ?)", (SCHEMA,))
        finally:
            db.close()
        _give_name(temporary, path)
    finally:
        for name in (temporary.name, f"{temporary.name}-wal", f"{temporary.name}-shm"):
            with contextlib.suppress(FileNotFoundError):  # it was moved, or had none
                os.unlink(path.with_name(name))


def _give_name(temporary: Path, path: Path) -> None:
    """Never in the place of another's; where there are no links, the lock alone sees to that."""
    try:
        os.link(temporary, path)
    except FileExistsError:  # another process made it meanwhile
        pass
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.rename(temporary, path)


def connect(path: Path, *, read_only: bool, timeout: float) -> sqlite3.Connection:
    """Open the file; ``timeout`` is how many seconds to wait for another process that writes."""
    import sqlite3

    mode = "rw"
    if read_only:
        # Without a write-ahead log nobody is writing; with one, SQLite must be able to map it.
        wal = path.with_name(path.name + "-wal")
        mode = "ro" if wal.exists() and wal.stat().st_size else "ro&immutable=1"
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=timeout,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        db.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        db.close()
        raise
    return db


@contextlib.contextmanager
def errors(doing: str) -> Iterator[None]:
    """Turn what SQLite or the system raises into a StoreError that says what was being done."""
    import sqlite3

    try:
        yield
    except (sqlite3.Error, ValueError) as error:
        raise sqlite_error(error, doing) from error
    except OSError as error:
        raise system_error(error, doing) from error

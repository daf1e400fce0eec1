"""Opening a local store: its directory is looked at or made, its index opened and caught up."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from tracediff.errors import StoreError
from tracediff.stores.failures import system_error
from tracediff.stores.files import make_directories, write_whole
from tracediff.stores.liveness import DIRECTORY as LIVE
from tracediff.stores.open_segment import SUFFIX
from tracediff.stores.places import SEGMENTS
from tracediff.stores.recovery import lose_dead, recover
from tracediff.stores.sqlite_index import SqliteIndex
from tracediff.stores.versions import FILE as VERSION

INDEX = "index.sqlite"
_OWN = {
    *(SEGMENTS, "sources", ".gitignore", "redaction.key", "spool", "status", "check", VERSION),
    *(LIVE, "receipts", "gc.lock"),
}
_OWN_BEGIN = (INDEX, ".tmp-", "executed.sqlite")


def open_index(path: Path, *, only_read: bool) -> SqliteIndex:
    """The index with everything in it that the segments of gone processes hold."""
    index = SqliteIndex(path, read_only=only_read)
    try:
        if not only_read:
            recover(path.parent, index)
            lose_dead(path.parent, index)
    except BaseException:
        index.close()
        raise
    return index


def is_hurt(path: Path) -> bool:
    """Whether SQLite finds anything wrong with an index."""
    try:
        index = SqliteIndex(path)
        try:
            return bool(index.check())
        finally:
            index.close()
    except StoreError as error:
        if error.slug != "index-hurt":
            raise
        return True


def prepare(directory: Path) -> bool:
    """Make the directory or check that it is one of ours; returns whether it is read-only."""
    try:
        if directory.is_dir():
            names = {entry.name for entry in os.scandir(directory)}
            if not _ours(directory, names):
                raise StoreError(
                    f"{directory} holds other files and no traces",
                    slug="store-foreign",
                    hint="name a directory of its own for the store",
                )
        else:
            make_directories(directory)
            names = set()
        if ".gitignore" not in names and os.access(directory, os.W_OK):
            write_whole(directory / ".gitignore", b"*\n", sync=False)
    except (OSError, ValueError) as error:
        if isinstance(error, ValueError):  # NUL or half a surrogate pair in the name
            error = OSError(errno.EINVAL, str(error))
        raise system_error(error, f"use {str(directory)!a} as a store") from error
    return not os.access(directory, os.W_OK)


def _ours(directory: Path, names: set[str]) -> bool:
    """Whether a directory is a store, or may become one because nothing else is in it.

    A .gitignore or a directory called sources says nothing: many projects have one.
    """
    if INDEX in names or all(name in _OWN or name.startswith(_OWN_BEGIN) for name in names):
        return True
    return any((directory / SEGMENTS).rglob(f"*{SUFFIX}"))

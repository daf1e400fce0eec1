"""The one place that turns what the system says into a ``StoreError`` with a slug and a hint."""

from __future__ import annotations

import errno

from tracediff.errors import StoreError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})

_HURT = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_ERROR", "SQLITE_CONSTRAINT", "SQLITE_MISMATCH")


def system_error(error: OSError, doing: str) -> StoreError:
    """The StoreError for a failed system call.

    Args:
        error: What the system raised.
        doing: What was being done and to what: "write segments/ab.seg".
    """
    reason = error.strerror or type(error).__name__
    if error.errno in _FULL:
        return full(f"cannot {doing}: {reason}")
    if error.errno in _FORBIDDEN:
        return StoreError(
            f"cannot {doing}: {reason}",
            slug="store-unwritable",
            hint="give this user write access, or choose another directory with --store",
        )
    return StoreError(
        f"cannot {doing}: {reason}",
        slug="store-io",
        hint="check the disk and the directory; nothing that was acknowledged before is affected",
    )


def full(message: str) -> StoreError:
    """The store has no room: ``store-full``."""
    return StoreError(
        message,
        slug="store-full",
        hint="make room on its disk; saving works again at once",
    )


def read_only(where: str) -> StoreError:
    """The store can only be read: ``store-read-only``."""
    return StoreError(
        f"the store {where} can only be read",
        slug="store-read-only",
        hint="give this user write access to the directory, or choose another with --store",
    )


def not_live(where: str) -> StoreError:
    """The index keeps no live traces: ``store-not-live``."""
    return StoreError(
        f"the index of {where} keeps no live traces",
        slug="store-not-live",
        hint='record with mode = "deferred", or use an index that is a LiveIndex',
    )


def closed(message: str) -> StoreError:
    """The store was closed before: ``store-closed``."""
    return StoreError(
        f"{message}: the store is closed",
        slug="store-closed",
        hint="open it again with open_store",
    )


def hurt(trace_id: str, reason: str) -> StoreError:
    """The bytes of a trace are not what was saved: ``trace-hurt``."""
    return StoreError(
        f"the stored bytes of trace {trace_id} are hurt: {reason}",
        slug="trace-hurt",
        hint="the other traces stay readable; tracediff doctor lists everything that is hurt",
    )


def blob_truncated(key: str, why: str) -> StoreError:
    """A blob that is shorter than what was asked of it: ``blob-truncated``."""
    return StoreError(
        f"blob {key} cannot be read: {why}",
        slug="blob-truncated",
        hint="the blob was cut or its index row is wrong; tracediff doctor checks both",
    )


def blob_missing(key: str) -> StoreError:
    """A blob that is not there: ``blob-missing``."""
    return StoreError(
        f"there is no blob {key}",
        slug="blob-missing",
        hint="it was deleted, has expired, or belongs to another store",
    )


def trace_gone(trace_id: str, error: StoreError) -> StoreError:
    """The bytes of a trace cannot be had: ``trace-gone`` or ``trace-hurt``."""
    return StoreError(
        f"the bytes of trace {trace_id} cannot be read: {error.message}",
        slug="trace-gone" if error.slug == "blob-missing" else "trace-hurt",
        hint=error.hint,
    )


def no_statistics(url: str) -> StoreError:
    """A store whose index keeps no statistics: ``store-unsuitable``."""
    return StoreError(
        f"the store {url} keeps no statistics",
        slug="store-unsuitable",
        hint="local stores and those in MongoDB do; name one with --store",
    )


def trace_unknown(trace_id: str) -> StoreError:
    """An update of a row that is not there: ``trace-unknown``."""
    return StoreError(
        f"there is no trace {trace_id}",
        slug="trace-unknown",
        hint="it was deleted, or belongs to another store",
    )


def sqlite_error(error: Exception, doing: str) -> StoreError:
    """The StoreError for an error of SQLite; ``index-hurt`` means that a rebuild helps."""
    name = getattr(error, "sqlite_errorname", None) or ""
    if type(error).__name__ == "ProgrammingError":
        return closed(f"cannot {doing}")
    if name in ("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE"):
        return full(f"cannot {doing}: the disk is full")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return StoreError(
            f"cannot {doing}: another process kept it locked for too long",
            slug="store-busy",
            hint="try again; if it stays so, look for a process that hangs on this store",
        )
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return StoreError(
            f"cannot {doing}: {error}",
            slug="store-unwritable",
            hint="give this user write access, or choose another directory with --store",
        )
    if name.startswith("SQLITE_IOERR"):
        return StoreError(
            f"cannot {doing}: {error}",
            slug="store-io",
            hint="check the disk; the index can be rebuilt from the segments",
        )
    if name and not name.startswith(_HURT):
        return StoreError(
            f"cannot {doing}: {error}",
            slug="store-io",
            hint="nothing that was acknowledged before is affected; try again",
        )
    return StoreError(
        f"cannot {doing}: {error}",
        slug="index-hurt",
        hint="the index is rebuilt from the segments when the store can be written",
    )

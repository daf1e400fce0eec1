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
        return full(f"Cannot {doing}: {reason}")
    if error.errno in _FORBIDDEN:
        return StoreError(
            f"Cannot {doing}: {reason}",
            slug="store-unwritable",
            hint="Give this user write access, or choose another directory with --store.",
        )
    return StoreError(
        f"Cannot {doing}: {reason}",
        slug="store-io",
        hint="Check the disk and the directory; nothing that was acknowledged before is affected.",
    )


def full(message: str) -> StoreError:
    """The store has no room: ``store-full``."""
    return StoreError(
        message,
        slug="store-full",
        hint="Make room on its disk; saving works again at once.",
    )


def read_only(where: str) -> StoreError:
    """The store can only be read: ``store-read-only``."""
    return StoreError(
        f"The store {where} can only be read",
        slug="store-read-only",
        hint="Give this user write access to the directory, or choose another with --store.",
    )


def closed(message: str) -> StoreError:
    """The store was closed before: ``store-closed``."""
    return StoreError(
        f"{message}: the store is closed",
        slug="store-closed",
        hint="Open it again with open_store.",
    )


def hurt(trace_id: str, reason: str) -> StoreError:
    """The bytes of a trace are not what was saved: ``trace-hurt``."""
    return StoreError(
        f"The stored bytes of trace {trace_id} are hurt: {reason}",
        slug="trace-hurt",
        hint="The other traces stay readable; tracediff doctor lists everything that is hurt.",
    )


def blob_truncated(key: str, why: str) -> StoreError:
    """A blob that is shorter than what was asked of it: ``blob-truncated``."""
    return StoreError(
        f"Blob {key} cannot be read: {why}",
        slug="blob-truncated",
        hint="The blob was cut or its index row is wrong; tracediff doctor checks both.",
    )


def blob_missing(key: str) -> StoreError:
    """A blob that is not there: ``blob-missing``."""
    return StoreError(
        f"There is no blob {key}",
        slug="blob-missing",
        hint="It was deleted, has expired, or belongs to another store.",
    )


def trace_gone(trace_id: str, error: StoreError) -> StoreError:
    """The bytes of a trace cannot be had: ``trace-gone`` or ``trace-hurt``."""
    return StoreError(
        f"The bytes of trace {trace_id} cannot be read: {error.message}",
        slug="trace-gone" if error.slug == "blob-missing" else "trace-hurt",
        hint=error.hint,
    )


def trace_unknown(trace_id: str) -> StoreError:
    """An update of a row that is not there: ``trace-unknown``."""
    return StoreError(
        f"There is no trace {trace_id}",
        slug="trace-unknown",
        hint="It was deleted, or belongs to another store.",
    )


def sqlite_error(error: Exception, doing: str) -> StoreError:
    """The StoreError for an error of SQLite; ``index-hurt`` means that a rebuild helps."""
    name = getattr(error, "sqlite_errorname", None) or ""
    if type(error).__name__ == "ProgrammingError":
        return closed(f"Cannot {doing}")
    if name in ("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE"):
        return full(f"Cannot {doing}: the disk is full")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return StoreError(
            f"Cannot {doing}: another process kept it locked for too long",
            slug="store-busy",
            hint="Try again; if it stays so, look for a process that hangs on this store.",
        )
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return StoreError(
            f"Cannot {doing}: {error}",
            slug="store-unwritable",
            hint="Give this user write access, or choose another directory with --store.",
        )
    if name.startswith("SQLITE_IOERR"):
        return StoreError(
            f"Cannot {doing}: {error}",
            slug="store-io",
            hint="Check the disk; the index can be rebuilt from the segments.",
        )
    if name and not name.startswith(_HURT):
        return StoreError(
            f"Cannot {doing}: {error}",
            slug="store-io",
            hint="Nothing that was acknowledged before is affected; try again.",
        )
    return StoreError(
        f"Cannot {doing}: {error}",
        slug="index-hurt",
        hint="The index is rebuilt from the segments when the store can be written.",
    )

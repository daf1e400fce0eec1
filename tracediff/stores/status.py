"""What the recording processes of a machine say of themselves: one small file for each.

``doctor`` runs in a process of its own, so what a recorder has dropped would be lost on it. A file
is written only when there is something to say; it holds counts and one message, no values.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from tracediff.stores.files import make_directories, write_whole

DIRECTORY = "status"
KEPT = 7 * 86_400
"""Seconds after which the file of a process that is gone is removed."""

_LONGEST = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What became of a process's traces. ``written_at`` is in seconds since the epoch."""

    pid: int
    dropped: int = 0
    failed: int = 0
    problem: str | None = None
    written_at: float = 0.0


def write_status(directory: Path, status: Status) -> None:
    """Replace what this process said before, beside the segments of a store or spool.

    Raises:
        OSError: It cannot be written there, or nothing of ours lies there.
    """
    if not (directory / "segments").is_dir():
        raise FileNotFoundError(errno.ENOENT, "no store or spool", str(directory))
    place = directory / DIRECTORY
    make_directories(place)
    path = place / f"{status.pid}.json"
    write_whole(path, json.dumps(asdict(status)).encode("ascii"), sync=False)


def read_status(directory: Path) -> list[Status]:
    """What the processes said, the latest first; files of another form are left out."""
    found = []
    for path in (directory / DIRECTORY).glob("*.json"):
        # What is no status of ours says nothing; another process may also remove one meanwhile.
        with contextlib.suppress(OSError, ValueError, TypeError, RecursionError):
            with path.open("rb") as file:
                fields = json.loads(file.read(_LONGEST))
            status = Status(**fields)
            found.append(status)
            if time.time() - status.written_at > KEPT and not is_alive(status.pid):
                path.unlink()
    return sorted(found, key=lambda one: one.written_at, reverse=True)


def is_alive(pid: int) -> bool:
    """Whether a process with this number runs on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True

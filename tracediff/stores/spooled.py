"""What lies in a spool."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tracediff.stores.open_segment import SUFFIX, Ownership
from tracediff.stores.tenants import TENANTS, is_place

SEGMENTS = "segments"
ARTIFACTS = "artifacts"
REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Waiting:
    """What lies in a spool: how many segments and bytes, and how old the oldest is, in seconds."""

    segments: int = 0
    bytes: int = 0
    age: float = 0.0


def waiting(directory: Path) -> Waiting:
    """Look into a spool; one that does not exist holds nothing."""
    now, oldest, count, size = time.time(), None, 0, 0
    for path in _files(directory):
        try:
            found = path.lstat()
        except FileNotFoundError:  # another process has moved it
            continue
        if stat.S_ISLNK(found.st_mode):  # it was merged into another one
            continue
        size += found.st_size
        if path.suffix == SUFFIX:
            count += 1
            oldest = min(oldest or now, found.st_mtime)
    return Waiting(count, size, 0.0 if oldest is None else max(0.0, now - oldest))


def segments(directory: Path) -> list[Path]:
    """The segments that lie in a spool, the oldest first."""
    try:
        root = directory / SEGMENTS
        found = [*root.glob(f"*/*{SUFFIX}"), *root.glob(f"*/{TENANTS}/*/*{SUFFIX}")]
    except OSError:  # it is being taken away
        return []
    # Reading a pipe would wait for ever, and unlinking is for files that are ours.
    return sorted(
        path
        for path in found
        if is_place(path.parent.relative_to(root).as_posix())
        and path.is_file()
        and not path.is_symlink()
    )


def is_left(path: Path) -> bool:
    """Whether nobody writes or moves this segment at the moment."""
    try:
        with Ownership(path, shared=True) as file:
            return file is not None
    except OSError:  # it was moved, or is another user's
        return False


def _files(directory: Path) -> Iterator[Path]:
    for part in (SEGMENTS, ARTIFACTS):
        for folder, _, names in os.walk(directory / part):
            yield from (Path(folder) / name for name in names)

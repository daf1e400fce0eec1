"""What of this machine a check may take."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

SHARE: Final = 0.8
"""Which part of the memory is for the processes that replay."""

_GROUPS = Path("/sys/fs/cgroup")


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def part_of_memory(workers: int) -> int:
    """Bytes that each of so many workers may take: its part of the machine's, or of the cgroup's.

    0, which is no limit, where the system does not say what there is.
    """
    found = [one for one in (_physical(), *_allowed()) if one]
    return int(min(found) * SHARE / workers) if found else 0


def _physical() -> int:
    with contextlib.suppress(OSError, ValueError):  # a system that does not tell
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 0


def _allowed() -> list[int]:
    """The limits of the control groups that this process is in, of either version."""
    places = [_GROUPS / "memory.max", _GROUPS / "memory" / "memory.limit_in_bytes"]
    with contextlib.suppress(OSError):  # there are no control groups
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, kinds, path = line.split(":", 2)
            group = Path(path.lstrip("/"))
            for one in (group, *group.parents):
                if not kinds:
                    places.append(_GROUPS / one / "memory.max")
                elif "memory" in kinds.split(","):
                    places.append(_GROUPS / "memory" / one / "memory.limit_in_bytes")
    found = []
    for place in places:
        with contextlib.suppress(OSError, ValueError):  # "max", or no such file
            found.append(int(place.read_text()))
    return found

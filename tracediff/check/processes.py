"""The processes that a replay leaves behind, and the memory that those at work take."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MARK = "_TRACEDIFF_RUN_BY"
"""The environment variable by which whatever a replay started is found again."""

_CHILD_SUBREAPER, _PARENT_DEATH_SIGNAL = 36, 1
_PROC = Path("/proc")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Control:
    """Asks the kernel to keep hold of processes; on systems other than Linux it cannot."""

    def __init__(self) -> None:
        self._call: Any = None
        if sys.platform == "linux":
            import ctypes  # only a process that forks runners needs it

            with contextlib.suppress(OSError, AttributeError):  # a libc without it
                self._call = ctypes.CDLL(None).prctl

    def adopt(self) -> None:
        """Become the parent of what descends from this process and loses its own."""
        if self._call is not None:
            self._call(_CHILD_SUBREAPER, 1, 0, 0, 0)

    def die_with_parent(self) -> None:
        """Be ended when the parent is."""
        if self._call is not None:
            self._call(_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)


def end_children() -> None:
    """End all children of this process, and theirs, until none is left."""
    while True:
        for pid in children(os.getpid()):
            with contextlib.suppress(ProcessLookupError, PermissionError):  # gone, or another's
                os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def children(pid: int) -> list[int]:
    """The processes that a process started and that are still there."""
    try:
        tasks = Path(f"/proc/{pid}/task").iterdir()
        texts = [(one / "children").read_text() for one in tasks]
    except OSError:
        return [one for one, parent in _parents() if parent == pid]
    return [int(one) for text in texts for one in text.split()]


def resident(pid: int) -> int:
    """Bytes of memory that a process and all below it have, what they share counted once."""
    pids = [pid]
    for one in pids:
        pids += children(one)
    return max(map(_resident, pids)) if len(pids) == 1 else sum(map(_proportional, pids))


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def _proportional(pid: int) -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):  # it has ended meanwhile
        for line in Path(f"/proc/{pid}/smaps_rollup").read_bytes().splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
    return _resident(pid)


def end_marked(mark: str) -> None:
    """End every process that was started with this mark, in whatever session it is now."""
    wanted = f"{MARK}={mark}".encode()
    for pid in _pids():
        with contextlib.suppress(OSError):  # it has ended meanwhile, or is another's
            if wanted in (_PROC / str(pid) / "environ").read_bytes().split(b"\0"):
                os.kill(pid, signal.SIGKILL)


def _parents() -> Iterator[tuple[int, int]]:
    for pid in _pids():
        with contextlib.suppress(OSError, ValueError, IndexError):  # as above
            text = (_PROC / str(pid) / "stat").read_text()
            yield pid, int(text.rpartition(")")[2].split()[1])


def _pids() -> list[int]:
    with contextlib.suppress(OSError):  # a system without /proc
        return [int(one.name) for one in _PROC.iterdir() if one.name.isdigit()]
    return []

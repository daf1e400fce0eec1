"""What a process that replays is doing, on a page of memory that others can read at any time.

A process that is stopped, or deep in a job, answers no question; the page says all the same which
trace it is at, so that it can be ended for the right one. Only the process and the one that forked
it write, and never at once.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from typing import Final

IDLE: Final = 0
READING: Final = 1
"""It reads a request: if it ends now, nobody knows how much of it is left in the pipe."""
IMPORTING: Final = 2
REPLAYING: Final = 3
ANSWERING: Final = 4

SIZE: Final = mmap.PAGESIZE
_FORM: Final = struct.Struct("<QQBB")


@dataclass(frozen=True, slots=True)
class Doing:
    """The process, the request it is at, what it does about it, and whether that is its first."""

    pid: int
    serial: int
    phase: int
    fresh: bool


class Page:
    """A page of a file that two processes have in their memory.

    Args:
        handle: The file, of at least ``SIZE`` bytes.
    """

    def __init__(self, handle: int) -> None:
        self._memory = mmap.mmap(handle, SIZE)

    def write(self, pid: int, serial: int, phase: int, *, fresh: bool = False) -> None:
        """Say what is done now."""
        _FORM.pack_into(self._memory, 0, pid, serial, phase, fresh)

    def read(self) -> Doing:
        """What was said last."""
        pid, serial, phase, fresh = _FORM.unpack_from(self._memory, 0)
        return Doing(pid, serial, phase, bool(fresh))

    def close(self) -> None:
        """Let go of it."""
        self._memory.close()

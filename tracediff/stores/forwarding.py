"""How a forwarder and the recording processes of a machine tell each other what they do.

    DIRECTORY/forwarder.lock    held by a forwarder while it lives; says who it is and what ails it
    DIRECTORY/forwarder.call    a pipe: whoever waits for the forwarder writes a byte

A lock ends with its process, however that ends, so nobody waits for a forwarder that is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tracediff.errors import StoreError
from tracediff.stores.failures import system_error
from tracediff.stores.files import make_directories, write_all
from tracediff.stores.open_segment import Ownership

LOCK = "forwarder.lock"
CALL = "forwarder.call"
TRIES = 2.0
"""Seconds for which a forwarder asks for the lock: who looks at it holds it for a moment."""

_LONGEST = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarding:
    """A forwarder that lives: its process, and what the store says against what it moves."""

    pid: int = 0
    problem: str | None = None


def forwarding(directory: Path) -> Forwarding | None:
    """The forwarder that moves what lies in this spool, None where none does.

    Raises:
        OSError: The lock cannot be looked at.
    """
    path = directory / LOCK
    try:
        with Ownership(path, shared=True) as file:
            if file is not None:
                return None
    except FileNotFoundError:  # nobody has ever forwarded from here
        return None
    # It may be writing this very moment; what it says is then told the next time.
    try:
        with path.open("rb") as told:
            return Forwarding(**json.loads(told.read(_LONGEST)))
    except (OSError, ValueError, TypeError, RecursionError):
        return Forwarding()


def call(directory: Path) -> None:
    """Wake the forwarder: somebody waits for it. Where there is none, nothing happens."""
    # No reader is ENXIO, a pipe full of calls EAGAIN: then it is called already.
    with contextlib.suppress(OSError):
        pipe = os.open(directory / CALL, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if stat.S_ISFIFO(os.fstat(pipe).st_mode):
                os.write(pipe, b"!")
        finally:
            os.close(pipe)


class ForwarderLock:
    """What a forwarder holds while it moves what lies in a spool.

    Raises:
        StoreError: ``forwarder-running``: another one holds it; or as any driver's.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._ownership: Ownership | None = None
        self._file = -1
        self._pipe = -1

    def __enter__(self) -> Self:
        try:
            make_directories(self._directory)
            lock = self._directory / LOCK
            lock.touch(0o600)
            self._file = self._locked(lock)
            self._pipe = _pipe(self._directory / CALL)
        except OSError as error:
            self.__exit__()
            raise system_error(error, f"forward from {self._directory}") from error
        self.say(None)
        return self

    def __exit__(self, *_: object) -> None:
        if self._pipe >= 0:
            os.close(self._pipe)
        if self._ownership is not None:
            self._ownership.__exit__()
        self._ownership, self._pipe = None, -1

    def say(self, problem: str | None) -> None:
        """Tell the processes that wait what the store says against it, or that all is well."""
        text = json.dumps({"pid": os.getpid(), "problem": problem}).encode("ascii")
        with contextlib.suppress(OSError):  # a full disk: it moves all the same
            os.ftruncate(self._file, 0)
            os.lseek(self._file, 0, os.SEEK_SET)
            write_all(self._file, text)

    def wait(self, seconds: float) -> bool:
        """Wait until somebody calls, or so long; whether somebody did."""
        called, _, _ = select.select([self._pipe], [], [], max(0.0, seconds))
        if called:
            with contextlib.suppress(BlockingIOError):  # "readable" is no promise
                os.read(self._pipe, _LONGEST)
        return bool(called)

    def _locked(self, lock: Path) -> int:
        until = time.monotonic() + TRIES
        while True:
            self._ownership = Ownership(lock)
            file = self._ownership.__enter__()
            if file is not None:
                return file
            if time.monotonic() > until:
                raise _running(self._directory)
            time.sleep(0.01)


def _pipe(path: Path) -> int:
    """The pipe, open at both ends: it is never at its end."""
    with contextlib.suppress(FileExistsError):  # an earlier forwarder made it
        os.mkfifo(path, 0o600)
    pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISFIFO(os.fstat(pipe).st_mode):
        os.close(pipe)
        path.unlink()
        return _pipe(path)
    return pipe


def _running(directory: Path) -> StoreError:
    other = forwarding(directory)
    who = f"process {other.pid}" if other is not None and other.pid else "another process"
    return StoreError(
        f"{who} forwards what lies in {directory}",
        slug="forwarder-running",
        hint="one forwarder for each spool is enough; end that one first",
    )

"""Files that one process writes and owns by a lock while it lives: the segment it appends to."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from tracediff.stores.failures import system_error
from tracediff.stores.files import make_directories, sync_directory, write_all

ROLL_AT = 8 * 1024 * 1024
SUFFIX = ".seg"
TRIES = 20


def segment_name() -> str:
    """A new segment's name; names of later segments come later."""
    return f"{time.time_ns():016x}-{secrets.token_hex(6)}{SUFFIX}"


def age_of(name: str) -> float:
    """The seconds since a segment got its name; 0 for one that does not tell."""
    begun, _, _ = name.partition("-")
    try:
        return max(0.0, time.time() - int(begun, 16) / 1e9)
    except ValueError:  # a name that is not of ours
        return 0.0


class OpenSegment:
    """An append-only segment file. The lock lasts as long as the file is open.

    Args:
        directory: Where segments live.
        sync: Whether ``append`` waits until the disk has the bytes.
    """

    def __init__(self, directory: Path, *, sync: bool) -> None:
        self.end = 0
        self._sync = sync
        self._broken = False
        try:
            make_directories(directory, sync=sync)
            self.name, self._file = make_owned(directory, segment_name)
            if sync:
                sync_directory(directory)
        except OSError as error:
            raise system_error(error, "open a segment") from error

    @property
    def full(self) -> bool:
        """Whether the next trace goes to another segment: this one is long, hurt or deleted.

        Or has a second link: an erasure asks for it.
        """
        return self._broken or self.end >= ROLL_AT or os.fstat(self._file).st_nlink != 1

    def append(self, data: bytes) -> int:
        """Add whole frames and return where they start; on a failure nothing of them stays."""
        start = self.end
        try:
            write_all(self._file, data)
            if self._sync:
                os.fsync(self._file)
        except OSError as error:
            self.cut(start)
            raise system_error(error, "write a trace") from error
        self.end += len(data)
        return start

    def cut(self, end: int) -> None:
        """Take back what was written after ``end``; where that fails, nothing may follow it."""
        try:
            os.ftruncate(self._file, end)
            self.end = end
        except OSError:
            self._broken = True

    def close(self) -> None:
        """Give the segment up; it is complete."""
        give_up(self._file)


def make_owned(directory: Path, new_name: Callable[[], str]) -> tuple[str, int]:
    """A new file that is locked: another process may take it for one that was left."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
    for _ in range(TRIES):
        name = new_name()
        file = os.open(directory / name, flags, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file).st_nlink:
                _owned.add(file)
                return name, file
        except BlockingIOError:
            pass  # another process took it for one that was left; the next one has another name
        except BaseException:
            os.close(file)
            raise
        os.close(file)
    raise BlockingIOError(errno.EWOULDBLOCK, "others take each new one", str(directory))


class Ownership:
    """A try to own a file that nobody writes any more.

    Use as ``with Ownership(path) as file:``; ``file`` is None while its writer lives. With
    ``shared`` several may have it at once, and none keeps another from it who only looks.
    """

    def __init__(self, path: Path, *, shared: bool = False) -> None:
        self._path = path
        self._how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        self._file: int | None = None

    def __enter__(self) -> int | None:
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            # It was merged into another one, and a link to that is in its place.
            raise FileNotFoundError(errno.ENOENT, "it was merged", str(self._path)) from None
        try:
            fcntl.flock(file, self._how | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return None
        except OSError:
            os.close(file)
            raise
        self._file = file
        _owned.add(file)
        return file

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            give_up(self._file)


_owned: set[int] = set()


def give_up(file: int) -> None:
    """Close it, unless this is a child that has let go of it already."""
    if file in _owned:
        _owned.discard(file)
        os.close(file)


def _let_go() -> None:
    """A lock lasts as long as any process has its file: a child gives it up at once."""
    while _owned:
        os.close(_owned.pop())


os.register_at_fork(after_in_child=_let_go)

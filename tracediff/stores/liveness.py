"""Which live traces a process has begun and not ended, so that others see when it dies with them.

    DIRECTORY/live/<name>.live     one a process and store or spool; a JSON array a line:
        ["begin", ID, KEY, STARTED_AT]   before its first part is written
        ["in", SEGMENT]                  before a segment of a spool gets parts of it
        ["end", ID]                      when its last part is written

A file is locked as long as its process lives. Whoever finds one that is not has what is still open
there made lost, and removes it.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tracediff.errors import StoreError
from tracediff.model import Row
from tracediff.stores.failures import system_error
from tracediff.stores.files import make_directories, write_all
from tracediff.stores.open_segment import Ownership, give_up, make_owned
from tracediff.stores.rows import checked

DIRECTORY = "live"
SUFFIX = ".live"
_LONG = 1 << 20
"""Bytes of a file above which what has ended is left out of a new one."""

_MOST_READ = 64 << 20


@dataclass(slots=True)
class Left:
    """What a file says: traces that have not ended, by id, and segments that have parts of any."""

    rows: dict[str, Row] = field(default_factory=dict)
    segments: set[str] = field(default_factory=set)


class LiveFile:
    """The file of this process in one store or spool. Thread-safe; made when it is first needed.

    Args:
        directory: The store or spool.
    """

    def __init__(self, directory: Path) -> None:
        self._place = directory / DIRECTORY
        self._segments = directory / "segments"
        self._lock = threading.Lock()
        self._file: tuple[Path, int] | None = None
        self._size = 0
        self._open: dict[str, Row] = {}
        self._in: set[str] = set()

    def begin(self, rows: Iterable[Row], segment: str | None = None, *, sync: bool = False) -> None:
        """These traces have not ended; their parts are about to be written.

        Args:
            rows: Their rows.
            segment: In a spool, where they are written.
            sync: Whether to wait until the disk has it.

        Raises:
            StoreError: It cannot be written down.
        """
        with self._lock:
            new = {row.id: row for row in rows if row.id not in self._open}
            lines = list(map(_begin, new.values()))
            if segment is not None and segment not in self._in:
                lines.append(["in", segment])
            if not lines:
                return
            self._write(lines, sync=sync)
            self._open |= new
            if segment is not None:
                self._in.add(segment)

    def end(self, ids: Iterable[str]) -> None:
        """These traces have ended: whatever becomes of this process, they are not lost.

        Where that cannot be written down, who reads it finds out that they are not running.
        """
        with self._lock:
            ended = [one for one in ids if self._open.pop(one, None) is not None]
            if self._file is None or not ended:
                return
            with contextlib.suppress(OSError):  # as the docstring says
                if self._size > _LONG:
                    self._renew()
                else:
                    self._append([["end", one] for one in ended])

    def close(self) -> None:
        """Remove the file, unless traces are still open: they may go on in another store object."""
        with self._lock:
            if self._file is not None and not self._open:
                self._remove()

    def _write(self, lines: Sequence[Sequence[Any]], *, sync: bool = False) -> None:
        try:
            if self._file is None or os.fstat(self._file[1]).st_nlink == 0:
                self._renew(sync=sync)
            self._append(lines, sync=sync)
        except OSError as error:
            raise system_error(error, "write down which traces are live") from error

    def _append(self, lines: Sequence[Sequence[Any]], *, sync: bool = False) -> None:
        data = b"".join(json.dumps(line).encode("ascii") + b"\n" for line in lines)
        if self._file is not None:
            write_all(self._file[1], data)
            self._size += len(data)
            if sync:
                os.fsync(self._file[1])

    def _renew(self, *, sync: bool = False) -> None:
        """Go on in a new file, which has only what is still open; the old one goes last."""
        old, size = self._file, self._size
        make_directories(self._place, sync=sync)
        name, file = make_owned(self._place, _name)
        self._file, self._size = (self._place / name, file), 0
        self._in = {one for one in self._in if (self._segments / one).exists()}
        try:
            self._append([*map(_begin, self._open.values()), *(["in", one] for one in self._in)])
        except OSError:
            _unlink(self._file)
            self._file, self._size = old, size
            raise
        if old is not None:
            _unlink(old)

    def _remove(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            self._in.clear()
            _unlink(file)


def _unlink(file: tuple[Path, int]) -> None:
    path, descriptor = file
    with contextlib.suppress(OSError):  # another process finds nothing open in it and removes it
        path.unlink()
    give_up(descriptor)


def _begin(row: Row) -> list[Any]:
    return ["begin", row.id, row.key, row.started_at]


def _name() -> str:
    return f"{time.time_ns():016x}-{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"


def living(directory: Path) -> set[str]:
    """The ids of all live traces that processes which still run have not ended."""
    found: set[str] = set()
    for path in _files(directory):
        try:
            with Ownership(path) as file:
                if file is None:
                    found |= _read(path).rows.keys()
        except FileNotFoundError:  # its process has ended, and removed it
            continue
    return found


def counts(directory: Path) -> tuple[int, int]:
    """How many live traces have not ended: of processes that still run, of others."""
    alive = gone = 0
    for path in _files(directory):
        # It is gone meanwhile, or of another user, whose traces are not told.
        with contextlib.suppress(OSError), Ownership(path, shared=True) as file:
            count = len(_read(path).rows)
            alive, gone = (alive + count, gone) if file is None else (alive, gone + count)
    return alive, gone


def settle(
    directory: Path,
    lose: Callable[[list[Row]], object],
    *,
    moved: Callable[[set[str]], bool] = lambda segments: True,
) -> None:
    """Have lost what processes that are gone left open, and remove their files.

    Args:
        directory: The store or spool.
        lose: Makes these traces lost if they run. Their rows have an id, a key and a start.
        moved: Whether these segments are all where ``lose`` sees what is in them.

    Raises:
        StoreError: As ``lose`` does.
    """
    for path in _files(directory):
        try:
            with Ownership(path) as file:
                if file is None or os.fstat(file).st_nlink == 0:
                    continue
                left = _read(path)
                if left.rows:
                    if not moved(left.segments):
                        continue
                    lose(list(left.rows.values()))
                path.unlink()
        except FileNotFoundError:  # another process was quicker
            continue
        except OSError as error:
            raise system_error(error, "look for processes that are gone") from error


def _files(directory: Path) -> list[Path]:
    found = (directory / DIRECTORY).glob(f"*{SUFFIX}")
    return sorted(path for path in found if path.is_file() and not path.is_symlink())


def _read(path: Path) -> Left:
    """What is open in a file. A line that is none was cut by a kill, or is not ours."""
    left = Left()
    with path.open("rb") as file:
        lines = file.read(_MOST_READ).splitlines()
    for line in _parsed(lines):
        match line:
            case ["begin", str(one), str(key), int(started_at)]:
                row = Row(
                    id=one, key=key, state="running", started_at=started_at, duration=0, steps=0
                )
                try:
                    left.rows[one] = checked(row)
                except StoreError:  # not ours: no row looks so
                    continue
            case ["end", str(one)]:
                left.rows.pop(one, None)
            case ["in", str(segment)]:
                left.segments.add(segment)
    return left


def _parsed(lines: Iterable[bytes]) -> Iterator[Any]:
    for line in lines:
        try:
            yield json.loads(line)
        except (ValueError, RecursionError):  # cut by a kill, or not ours
            continue


_known: dict[Path, LiveFile] = {}
_lock = threading.Lock()


def live_file(directory: Path) -> LiveFile:
    """The one file that this process has in a store or spool, whatever objects write there."""
    with _lock:
        return _known.setdefault(directory, LiveFile(directory))


def _forget() -> None:
    """A child has none of its parent's traces; ``open_segment`` lets go of the files."""
    global _lock  # noqa: PLW0603 - the inherited one may be held by a thread that is gone
    _lock = threading.Lock()
    _known.clear()


os.register_at_fork(after_in_child=_forget)

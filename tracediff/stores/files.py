"""Blobs as files in a directory: the key is the path, written to the side and renamed."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from tracediff.errors import StoreError
from tracediff.stores.failures import blob_missing, system_error
from tracediff.stores.keys import check_key, check_range, cut, is_key
from tracediff.stores.listed import Listed

TEMPORARY = ".tmp-"
"""How the names of unfinished files begin; a crash may leave one behind, nothing reads it."""


class FileBlobs:
    """Blobs below ``root``; directories are 0700, files 0600.

    Args:
        root: The directory; made when the first blob is put.
        sync: Whether ``put`` also waits until the disk has the bytes.
    """

    def __init__(self, root: Path, *, sync: bool = False) -> None:
        self._root = root
        self._sync = sync

    def put(self, key: str, data: bytes) -> None:
        """Store ``data`` whole or not at all."""
        path = self._path(key)
        try:
            make_directories(path.parent, sync=self._sync)
            write_whole(path, data, sync=self._sync)
        except (NotADirectoryError, IsADirectoryError, FileExistsError) as error:
            raise _bad_key(key) from error
        except OSError as error:
            raise system_error(error, f"write {key}") from error

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """The bytes from ``start`` on; raises StoreError ``blob-truncated`` if they are fewer."""
        check_range(key, start, length)
        try:
            with open(self._path(key), "rb", buffering=0, opener=_at_once) as file:
                found = os.fstat(file.fileno())
                if not stat.S_ISREG(found.st_mode):
                    raise blob_missing(key)
                size = found.st_size
                # Never more than there is: a hurt index row may ask for any number of bytes.
                left = size - start
                rest = _read(file.fileno(), start, left if length is None else min(length, left))
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise blob_missing(key) from None
        except OSError as error:
            raise system_error(error, f"read {key}") from error
        return cut(key, rest, size, start, length)

    def delete(self, keys: Iterable[str]) -> int:
        """Remove these blobs; returns how many were there."""
        deleted = 0
        for key in filter(is_key, keys):
            try:
                os.unlink(self._path(key))
                deleted += 1
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                continue
            except OSError as error:
                raise system_error(error, f"delete {key}") from error
        return deleted

    def keys(self, prefix: str = "") -> Iterator[str]:
        """All keys with this prefix, sorted."""
        top = prefix.rpartition("/")[0]
        if top and not is_key(top):
            return iter(())
        found = []
        for directory, _, names in os.walk(self._root / top if top else self._root):
            relative = Path(directory).relative_to(self._root)
            for name in names:
                key = str(relative / name)
                if key.startswith(prefix) and not name.startswith(TEMPORARY):
                    found.append(key)
        return iter(sorted(found))

    def listed(self, prefix: str = "") -> Iterator[Listed]:
        """All blobs with this prefix, in no order, with their sizes and ages."""
        top = prefix.rpartition("/")[0]
        if top and not is_key(top):
            return
        for found in self._walked(top):
            if found.key.startswith(prefix) and TEMPORARY not in found.key:
                yield found

    def leftovers(self, grace: float) -> Iterator[Listed]:
        """What writers that died left unfinished, older than the grace."""
        for found in self._walked(""):
            if found.key.rpartition("/")[2].startswith(TEMPORARY) and found.age >= grace:
                yield found

    def drop(self, key: str) -> None:
        """Remove a leftover."""
        try:
            (self._root / key).unlink(missing_ok=True)
        except OSError as error:
            raise system_error(error, f"delete {key}") from error

    def _walked(self, top: str) -> Iterator[Listed]:
        now = time.time()
        for directory, _, names in os.walk(self._root / top if top else self._root):
            for name in names:
                path = Path(directory) / name
                with contextlib.suppress(FileNotFoundError):  # it was removed meanwhile
                    told = path.stat(follow_symlinks=False)
                    key = str(path.relative_to(self._root))
                    yield Listed(key=key, size=told.st_size, age=max(0.0, now - told.st_mtime))

    def close(self) -> None:
        """Nothing to release."""

    def _path(self, key: str) -> Path:
        check_key(key)
        return self._root / key


def _at_once(path: str, flags: int) -> int:
    """Open without waiting, as a pipe would have us do until somebody writes to it."""
    return os.open(path, flags | os.O_NONBLOCK)


def _read(descriptor: int, start: int, length: int) -> bytes:
    """Up to ``length`` bytes; one system call returns at most 2 GiB."""
    parts = []
    while length > 0 and (part := os.pread(descriptor, length, start)):
        parts.append(part)
        start += len(part)
        length -= len(part)
    return b"".join(parts)


def make_directories(path: Path, *, sync: bool = False) -> None:
    """Make ``path`` and what is missing above it, for this user alone."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for directory in reversed(missing):
        # Another process may be quicker; a file in the way shows up as is_dir() being false.
        with contextlib.suppress(FileExistsError):
            os.mkdir(directory, 0o700)
        if not directory.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "a file is in the way", str(directory))
        if sync:
            sync_directory(directory.parent)


def write_whole(path: Path, data: bytes, *, sync: bool) -> None:
    """Write a file so that nobody ever sees a part of it; raises OSError and leaves nothing."""
    temporary = path.with_name(f"{TEMPORARY}{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        try:
            write_all(descriptor, data)
            if sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    if sync:
        sync_directory(path.parent)


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte, however few the system takes at a time."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_directory(path: Path) -> None:
    """Make the names in a directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _bad_key(key: str) -> StoreError:
    return StoreError(
        f"a directory of files cannot keep a blob under the key {key[:100]!r}",
        slug="blob-key-invalid",
        hint="another blob stands where it needs a directory, or blobs lie below it",
    )

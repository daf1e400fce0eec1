"""Small segments of a spool made into one, so that one object holds what many processes wrote.

    PLACE/.tmp-<name>-merged         the frames of all, being written
    PLACE/.tmp-merging/<name>/<old>  links that are to take the place of the segments in it
    PLACE/<name>                     the same file, once it is whole

A link takes the place of each segment, so that whoever waits for one to be moved waits for the
whole; a link whose file is gone is removed. Who dies before the file has its name has changed
nothing, and what one left that died later is finished by whoever comes next, before anything is
moved: no frame is moved twice. Nor is one merged whose upload was begun: the store may have it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import time
from collections import deque
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from tracediff.stores.files import TEMPORARY, make_directories, sync_directory, write_all
from tracediff.stores.open_segment import ROLL_AT, Ownership, segment_name
from tracediff.stores.segments import Damage, newer_frame, scan
from tracediff.stores.spooled import ARTIFACTS, SEGMENTS, segments

SMALL = ROLL_AT // 2
"""Bytes from which a segment is left as it is."""

MOST = 100
"""Segments that are merged at a time: each is an open file meanwhile."""

_MERGING = f"{TEMPORARY}merging"
LEFT_AFTER = 3600.0
"""Seconds after which what an unfinished merge left is taken for that."""


def merge_small(directory: Path) -> None:
    """Merge the small segments of a spool that nobody writes, those of each place on their own.

    Raises:
        OSError: The disk refuses it; each segment is still there.
    """
    for folder, same in groupby(segments(directory), key=lambda path: path.parent):
        small = deque(path for path in same if 0 < _size(path) < SMALL)
        while len(small) > 1:
            _merge_first(directory, folder, small)


def begin(path: Path) -> None:
    """Mark a segment whose upload begins: under another name the store would have it twice."""
    path.chmod(0o700)


def finish(path: Path) -> bool:
    """Finish the merges beside a segment that were not; whether it is a segment still.

    Whoever owns a segment asks this before it does anything with it.
    """
    try:
        names = os.listdir(path.parent / _MERGING)
    except FileNotFoundError:  # nothing was ever merged there
        names = []
    for name in names:
        if (path.parent / name).exists():
            _put_links(path.parent, name)
    return not path.is_symlink()


def tidy(directory: Path) -> None:
    """Remove links to what was moved, and what merges left that were never finished."""
    late = time.time() - LEFT_AFTER
    for path in _files(directory / SEGMENTS):
        with contextlib.suppress(FileNotFoundError):  # another process does the same
            if path.is_symlink():
                if not path.exists():
                    path.unlink()
            elif path.name.startswith(TEMPORARY) and path.lstat().st_mtime < late:
                path.unlink()
    for path in (*_unfinished(directory), *_artifacts_of_none(directory)):
        if path.lstat().st_ctime < late:
            shutil.rmtree(path, ignore_errors=True)


def _merge_first(directory: Path, folder: Path, small: deque[Path]) -> None:
    """Take the first ones and merge them, as far as nobody else has them."""
    batch: dict[Path, bytes] = {}
    size = 0
    with contextlib.ExitStack() as owned:
        while small and len(batch) < MOST:
            data = _taken(small[0], owned)
            if data and size + len(data) > ROLL_AT:
                break
            path = small.popleft()
            if data:
                batch[path] = data
                size += len(data)
        if len(batch) > 1:
            _merge(directory, folder, batch)


def _taken(path: Path, owned: contextlib.ExitStack) -> bytes | None:
    """The bytes of a segment that is owned from now on; None when it is not to be merged."""
    try:
        file = owned.enter_context(Ownership(path))
        if file is None or os.fstat(file).st_nlink == 0 or not finish(path):
            return None  # somebody writes it, or has moved or merged it just now
        if os.fstat(file).st_mode & stat.S_IXUSR:
            return None
        data = path.read_bytes()
    except OSError:  # it is gone, or another user's: the others are merged all the same
        return None
    items = list(scan(data))
    if newer_frame(items) is not None:
        return None
    last = items[-1] if items else None
    return data[: last.offset] if isinstance(last, Damage) and last.torn else data


def _merge(directory: Path, folder: Path, batch: dict[Path, bytes]) -> None:
    name = segment_name()
    temporary, links = folder / f"{TEMPORARY}{name}-merged", folder / _MERGING / name
    beside = directory / ARTIFACTS / folder.relative_to(directory / SEGMENTS)
    temporary.touch(0o600, exist_ok=False)
    try:
        with Ownership(temporary) as file:  # nobody moves it before all below is done
            if file is None:
                return
            for data in batch.values():
                write_all(file, data)
            os.fsync(file)  # what it takes the place of may long be on the disk
            make_directories(links)
            for path in batch:
                _link_artifacts(beside / path.name, beside / name)
                (links / path.name).symlink_to(name)
            temporary.rename(folder / name)
            sync_directory(folder)
            _put_links(folder, name)
            for path in batch:
                shutil.rmtree(beside / path.name, ignore_errors=True)
    finally:
        temporary.unlink(missing_ok=True)
        if not (folder / name).exists():
            shutil.rmtree(links, ignore_errors=True)


def _put_links(folder: Path, name: str) -> None:
    """Put the links to a merged segment in the places of those that are in it."""
    links = folder / _MERGING / name
    with contextlib.suppress(FileNotFoundError):  # another process does the same, and was quicker
        for old in os.listdir(links):
            with contextlib.suppress(FileNotFoundError):  # that one is in its place
                (links / old).replace(folder / old)
        links.rmdir()


def _link_artifacts(old: Path, new: Path) -> None:
    if not old.is_dir():
        return
    make_directories(new)
    for one in old.iterdir():
        with contextlib.suppress(FileExistsError):  # two processes had the same artifact
            try:
                os.link(one, new / one.name)
            except PermissionError:  # so say file systems without links
                shutil.copy2(one, new / one.name)


def _unfinished(directory: Path) -> Iterator[Path]:
    """What is left of merges that changed nothing: their file never got its name."""
    for path in (directory / SEGMENTS).rglob(f"{_MERGING}/*"):
        if not (path.parents[1] / path.name).exists():
            yield path


def _artifacts_of_none(directory: Path) -> Iterator[Path]:
    """Directories of artifacts whose segment is not there."""
    root = directory / ARTIFACTS
    for folder in {path.parent for path in _files(root)}:
        if not (directory / SEGMENTS / folder.relative_to(root)).exists():
            yield folder


def _files(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = [one for one in folders if one != _MERGING]
        yield from (Path(folder) / name for name in names)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # another process has moved it
        return 0

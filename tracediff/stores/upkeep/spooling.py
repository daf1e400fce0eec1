"""Erasing what waits in a spool of this machine: segments are written anew there, under new names.

A segment that its writer still has is left until it is given up, which takes some seconds. One may
have been uploaded under its old name already, without its rows: who erases looks for that, too.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from tracediff.errors import StoreError
from tracediff.model import Row
from tracediff.stores.failures import system_error
from tracediff.stores.files import write_whole
from tracediff.stores.open_segment import Ownership, segment_name
from tracediff.stores.places import segment_key
from tracediff.stores.rows import load_row
from tracediff.stores.segments import Damage, Frame, good_end, scan
from tracediff.stores.spooled import ARTIFACTS, REJECTED, SEGMENTS, segments

Mentioned = Callable[[Frame], Collection[str] | None]
"""The artifacts of a frame; None when it cannot be read here."""


class Spooled:
    """What waits in a spool.

    Args:
        directory: The spool.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def rows(self) -> Iterator[Row]:
        """The rows of everything that waits, also in segments that are being written."""
        for path in self._files():
            for frame in _frames(path):
                try:
                    yield load_row(frame.row, ("", 0, 0))
                except ValueError:  # no row that could be asked for
                    continue

    def keys(self, is_chosen: Callable[[str], bool]) -> list[str]:
        """The blobs that segments with chosen traces are or were uploaded to."""
        return [
            self._key(path)
            for path in segments(self._directory)
            if any(is_chosen(frame.id) for frame in _frames(path))
        ]

    def erase(self, is_chosen: Callable[[str], bool], mentioned: Mentioned) -> tuple[int, int]:
        """Take chosen traces out of what nobody writes; how many went, and how many could not."""
        gone = left = 0
        for path in self._files():
            here = sum(is_chosen(frame.id) for frame in _frames(path))
            if not here:
                continue
            try:
                with Ownership(path) as file:
                    if file is None:
                        left += here
                    elif os.fstat(file).st_nlink:
                        self._without(path, is_chosen, mentioned)
                        gone += here
            except FileNotFoundError:  # it was uploaded just now
                left += here
            except OSError as error:
                raise system_error(error, f"write {path.name} anew") from error
        return gone, left

    def _without(self, path: Path, is_chosen: Callable[[str], bool], mentioned: Mentioned) -> None:
        data = path.read_bytes()
        items = list(scan(data))
        kept = [one for one in items if isinstance(one, Damage) or not is_chosen(one.id)]
        if path.parent.name == REJECTED or not any(isinstance(one, Frame) for one in kept):
            path.unlink()
        else:
            new = path.with_name(segment_name())
            self._take_artifacts(path, new, [one for one in kept if isinstance(one, Frame)],
                                 mentioned)  # fmt: skip
            end = good_end(items)
            whole = b"".join(
                data[one.offset : one.offset + one.length] for one in kept if one.offset < end
            )
            write_whole(new, whole, sync=True)
            path.unlink()
        shutil.rmtree(self._beside(path), ignore_errors=True)

    def _take_artifacts(
        self, path: Path, new: Path, frames: list[Frame], mentioned: Mentioned
    ) -> None:
        old = self._beside(path)
        if not old.is_dir():
            return
        found = [mentioned(frame) for frame in frames]
        wanted = None if None in found else {one for some in found if some for one in some}
        target = self._beside(new)
        target.mkdir(mode=0o700)
        for one in old.iterdir():
            if wanted is None or one.name in wanted:
                shutil.copyfile(one, target / one.name)

    def _files(self) -> list[Path]:
        aside = self._directory / REJECTED
        return [*segments(self._directory), *(sorted(aside.glob("*")) if aside.is_dir() else ())]

    def _key(self, path: Path) -> str:
        place = path.parent.relative_to(self._directory / SEGMENTS).as_posix()
        return segment_key(place, path.name)

    def _beside(self, path: Path) -> Path:
        if path.parent.name == REJECTED:
            return self._directory / ARTIFACTS / "none" / path.name
        place = path.parent.relative_to(self._directory / SEGMENTS)
        return self._directory / ARTIFACTS / place / path.name


def _frames(path: Path) -> Iterator[Frame]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:  # it was uploaded just now
        return
    except OSError as error:
        raise system_error(error, f"read {path.name}") from error
    yield from (one for one in scan(data) if isinstance(one, Frame))


def artifacts_of(mention: Callable[[Frame], Collection[str]]) -> Mentioned:
    """The same, with None in place of an error."""

    def mentioned(frame: Frame) -> Collection[str] | None:
        try:
            return mention(frame)
        except StoreError:  # all artifacts beside it are kept then
            return None

    return mentioned

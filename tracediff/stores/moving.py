"""Moving one segment of a spool to the store.

It is taken under its lock, so several processes share the work and none takes what another still
writes: what a dead process left is anybody's. Artifacts go first, then the segment as one object,
then its rows in one batch; only then is the file removed. Every part may be done again.

A tombstone takes a live trace back: its frames in the same segment are left out of the object, and
what the index has of it, or gets later, is buried.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tracediff.errors import StoreError
from tracediff.model import Row
from tracediff.stores import merging
from tracediff.stores.dictionaries import Dictionary, keep_dictionary
from tracediff.stores.files import make_directories, write_whole
from tracediff.stores.open_segment import SUFFIX, Ownership, age_of, segment_name
from tracediff.stores.places import artifact_key, segment_key
from tracediff.stores.remote import RemoteStore
from tracediff.stores.rows import frame_row
from tracediff.stores.segments import TOMBSTONE, Damage, Frame, good_end, newer_frame, scan
from tracediff.stores.spooled import ARTIFACTS, REJECTED

log = logging.getLogger("tracediff")

STALE = 6 * 3600.0
"""Seconds after which a segment gets a new name before it is put.

Its bytes may be there since an earlier try, without rows, and ``gc`` deletes such bytes when they
are older than its grace: rows that come then must not point to them.
"""

_SHA256 = re.compile(r"[0-9a-f]{64}")


class Mover:
    """Moves segments of one spool.

    Args:
        directory: The spool.
        opened: Gives the store, which is asked for only when there is something to move.
    """

    def __init__(self, directory: Path, opened: Callable[[], RemoteStore]) -> None:
        self.directory = directory
        self.dictionary: Dictionary | None = None
        self._opened = opened

    def move(self, path: Path) -> None:
        """Move a segment, unless somebody writes it or has moved it just now.

        Raises:
            StoreError: The store refuses it; it stays where it is.
        """
        try:
            with Ownership(path) as file:
                if file is None or os.fstat(file).st_nlink == 0 or not merging.finish(path):
                    return  # somebody writes it, or has moved or merged it just now
                if age_of(path.name) > STALE:
                    path = self._rename(path)
                try:
                    self._send(path, path.read_bytes())
                except StoreError as error:
                    if error.slug != "blob-exists":
                        raise
                    renamed = self._rename(path)
                    self._send(renamed, renamed.read_bytes())
        except FileNotFoundError:  # another process has moved it meanwhile
            return

    def _send(self, path: Path, data: bytes) -> None:
        kept, name = self._place(path), path.name
        items = list(scan(data))
        if (unknown := newer_frame(items)) is not None:
            raise _newer(path, unknown)
        data = data[: good_end(items)]
        buried = {one.id for one in items if isinstance(one, Frame) and one.kind == TOMBSTONE}
        if buried:
            data = _without(data, items, buried)
            items = list(scan(data))
        beside = self.directory / ARTIFACTS / kept / name
        rows = list(_rows(items, segment_key(kept, name)))
        if data:
            remote = self._opened()
            for artifact in _artifacts(beside):
                remote.blobs.put(artifact_key(kept, name, artifact.name), artifact.read_bytes())
            merging.begin(path)
            remote.blobs.put(segment_key(kept, name), data)
            self.dictionary = remote.dictionary()
            if remote.dictionary_number is not None:  # also where no key of it is here
                keep_dictionary(self.directory, remote.dictionary_number, remote.blobs)
            self._index(remote, rows, data)
        if buried:
            self._opened().ignore(buried)
        shutil.rmtree(beside, ignore_errors=True)  # first: nobody would find them without it
        path.unlink()

    def _place(self, path: Path) -> str:
        """The place among blobs that a segment is for: what lies between its root and its name."""
        return "/".join(path.relative_to(self.directory).parts[1:-1])

    def _rename(self, path: Path) -> Path:
        """Give a segment a new name: its own is taken by other bytes.

        A machine that lost power after an upload may have lost the end of the file too. Rows that
        were indexed by then stay where they point to.
        """
        name = segment_name()
        beside = self.directory / ARTIFACTS / self._place(path)
        if (beside / path.name).is_dir():  # both have them, whenever this ends
            shutil.copytree(beside / path.name, beside / name, copy_function=_link)
        renamed = path.rename(path.with_name(name))
        with contextlib.suppress(OSError):  # who waits for it goes on waiting
            path.symlink_to(name)
        shutil.rmtree(beside / path.name, ignore_errors=True)
        return renamed

    def _index(self, remote: RemoteStore, rows: list[Row], data: bytes) -> None:
        try:
            remote.index.create(rows)
        except StoreError as error:
            if error.slug != "row-invalid":
                raise
        else:
            return
        for row in rows:  # one of them the index cannot keep; the others it can
            try:
                remote.index.create([row])
            except StoreError as error:
                if error.slug != "row-invalid":
                    raise
                self._set_aside(row, data, error)

    def _set_aside(self, row: Row, data: bytes, error: StoreError) -> None:
        """Keep the frame of a trace that the index does not take, where ``doctor`` sees it."""
        _, start, length = row.location
        make_directories(self.directory / REJECTED)
        name = f"{row.id}-{row.parts - 1}" if row.parts else row.id
        place = self.directory / REJECTED / f"{name}{SUFFIX}"
        write_whole(place, data[start : start + length], sync=False)
        log.error("tracediff keeps trace %s aside: %s", row.id, error.message)


def _newer(path: Path, unknown: Damage) -> StoreError:
    """A segment that only a newer tracediff can move: it stays, whole, until one does."""
    return StoreError(
        f"the segment {path.name} has at byte {unknown.offset} {unknown.reason}",
        slug="segment-newer",
        hint="upgrade this process: a newer one on this machine wrote it, and uploads it",
    )


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copyfile(source, target)


def _artifacts(directory: Path) -> Iterable[Path]:
    if not directory.is_dir():
        return []
    return [
        one
        for one in directory.iterdir()
        if _SHA256.fullmatch(one.name) and one.is_file() and not one.is_symlink()
    ]


def _without(data: bytes, items: Iterable[Frame | Damage], ids: set[str]) -> bytes:
    """The frames of a segment, in their order, without those of these traces."""
    return b"".join(
        data[one.offset : one.offset + one.length]
        for one in items
        if isinstance(one, Frame) and one.id not in ids
    )


def _rows(items: Iterable[Frame | Damage], key: str) -> Iterator[Row]:
    """The rows of the good frames, with their places; frames without a usable row have none."""
    for one in items:
        if not isinstance(one, Frame):
            if not one.torn:  # what a killed writer left unfinished was never said to be saved
                log.error("tracediff: bytes of a segment are hurt: %s", one)
        elif one.kind != TOMBSTONE:
            try:
                yield frame_row(one, key)
            except ValueError as error:
                log.error("tracediff: trace %s has no usable row: %s", one.id, error)  # noqa: TRY400 - the row is at fault, not the code

"""A local store under upkeep.

A segment is taken under its lock, as recovery takes it, so what a living process writes is left
alone. Living frames are copied to a new segment that is synced; one transaction has the rows point
there; only then is the old file removed.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tracediff.errors import StoreError
from tracediff.stores.failures import read_only, system_error
from tracediff.stores.files import TEMPORARY, sync_directory
from tracediff.stores.listed import Listed
from tracediff.stores.liveness import living
from tracediff.stores.local import LocalStore
from tracediff.stores.local_opening import INDEX
from tracediff.stores.open_segment import SUFFIX, OpenSegment, Ownership
from tracediff.stores.places import SEGMENTS
from tracediff.stores.segments import Damage, Frame, good_end, scan
from tracediff.stores.sqlite_index import SqliteIndex
from tracediff.stores.tenants import TENANTS
from tracediff.stores.upkeep.base import Living, OpenedSegment
from tracediff.stores.upkeep.leases import file_lease
from tracediff.stores.upkeep.moves import moved
from tracediff.stores.upkeep.rekeying import Rekeying
from tracediff.stores.upkeep.sqlite_ledger import SqliteLedger

LOCK = "gc.lock"
_AHEAD = ("segments", "sources", "receipts", "live", "status")


class LocalKept:
    """See ``upkeep.base.Kept``."""

    late = False

    def __init__(self, store: LocalStore) -> None:
        if store.read_only:
            raise read_only(store.url)
        self._store = store
        self._directory = store.directory
        self.layout, self.blobs = store.layout, store.blobs
        self.ledger = SqliteLedger(self._index)
        self._asked: set[Path] = set()

    def alone(self) -> contextlib.AbstractContextManager[Callable[[], None]]:
        """Keep every other gc out, by a lock that ends with the process."""
        return file_lease(self._directory / LOCK)

    def graves(self, grace: float) -> Iterator[Sequence[tuple[str, int]]]:
        """Tombstones that stand in segments nobody has added to for so long, of what has ended."""
        running = living(self._directory)
        ages: dict[str, float] = {"": 0.0}
        for page in self.ledger.graves():
            for blob in {blob for _, _, blob in page} - ages.keys():
                ages[blob] = self._age(blob)
            yield [
                (one, number)
                for one, number, blob in page
                if ages[blob] >= grace and one not in running
            ]

    def _age(self, key: str) -> float:
        try:
            return max(0.0, time.time() - (self._directory / key).stat().st_mtime)
        except OSError:  # since when it is gone nobody knows: its tombstones stay
            return 0.0

    def walk(self) -> Iterator[tuple[str, Listed]]:
        """All segments, in no order."""
        for place in self._places():
            for entry in _scanned(self._directory / place):
                if entry.name.endswith(SUFFIX) and entry.is_file(follow_symlinks=False):
                    with contextlib.suppress(FileNotFoundError):  # it was moved or removed
                        told = entry.stat(follow_symlinks=False)
                        yield "segment", _listed(f"{place}/{entry.name}", told)

    def _places(self) -> Iterator[str]:
        yield SEGMENTS
        for entry in _scanned(self._directory / SEGMENTS / TENANTS):
            if entry.is_dir(follow_symlinks=False):
                yield f"{SEGMENTS}/{TENANTS}/{entry.name}"

    @contextlib.contextmanager
    def opened(self, key: str) -> Iterator[OpenedSegment | None]:
        """A segment under its lock; ``busy`` while another process writes it."""
        path = self._directory / key
        try:
            owned = Ownership(path)
            file = owned.__enter__()
        except FileNotFoundError:  # it was moved or removed meanwhile
            yield None
            return
        except OSError as error:
            raise system_error(error, f"read {key}") from error
        try:
            data = _read(path, key)
            items = list(scan(data))
            # What is not indexed yet, because the disk was full for instance, is nobody's to judge.
            known = file is not None and self.ledger.indexed(path.name) >= good_end(items)
            yield OpenedSegment(key=key, size=len(data), data=data, items=items, busy=not known)
        finally:
            owned.__exit__()

    def rewritten(
        self,
        segment: OpenedSegment,
        frames: Sequence[Frame | Damage],
        living: Mapping[str, Living],
        rekeying: Rekeying | None = None,
    ) -> str | None:
        """Copy these frames into a new segment and remove the old one; see ``Kept``."""
        place = segment.key.rpartition("/")[0]
        made = OpenSegment(self._directory / place, sync=True)
        key = f"{place}/{made.name}"
        path = self._directory / key
        try:
            data, moves = moved(
                segment, frames, living, key, None if rekeying is None else rekeying.renewed
            )
            made.append(data)
        except BaseException:
            path.unlink(missing_ok=True)
            made.close()
            raise
        try:
            # From here on rows may point to it, also where an error says that they do not.
            if not self.ledger.replace(segment.key, made.name, len(data), moves):
                path.unlink(missing_ok=True)
                return None
        finally:
            made.close()
        self._unlink(segment)
        return key

    def removed(self, segment: OpenedSegment) -> bool:
        """Remove a segment without living frames."""
        ids = {one.id for one in segment.items if one.id is not None}
        if self.ledger.points_to(segment.key, ids):
            return False
        self._unlink(segment)
        return True

    def _unlink(self, segment: OpenedSegment) -> None:
        path = self._directory / segment.key
        try:
            path.unlink(missing_ok=True)
            sync_directory(path.parent)
        except OSError as error:
            raise system_error(error, f"remove {segment.key}") from error
        self._index().forget_segment(path.name)

    def home(self, key: str) -> str:
        """Nothing lies beside a segment."""
        return ""

    def of_home(self, home: str) -> Iterator[Listed]:
        """Nothing lies beside a segment."""
        return iter(())

    def beside(self, home: str) -> Iterator[Listed]:
        """Nothing lies beside a segment."""
        return iter(())

    def mentions(self, frame: Frame) -> set[str] | None:
        """Nothing lies beside a segment."""
        return set()

    def age(self, key: str) -> float:
        """Who may add to it is known."""
        return float("inf")

    def ask_for(self, segment: OpenedSegment) -> None:
        """A second link to the file says so, which goes with the next ``gc``."""
        path = self._directory / segment.key
        if path not in self._asked:
            self._asked.add(path)
            with contextlib.suppress(OSError):  # without links it is waited for until it is full
                os.link(path, path.with_name(f"{TEMPORARY}asked-{path.name}"))

    def delete(self, keys: Sequence[str]) -> int:
        """Delete blobs; returns how many were there."""
        return self.blobs.delete(keys)

    def leftovers(self, grace: float) -> Iterator[tuple[str, Listed]]:
        """What crashes and rebuilt indexes leave behind."""
        for entry in _scanned(self._directory):
            name = entry.name
            if name.startswith(INDEX) and name.endswith(".hurt"):
                yield from _old("hurt index", name, entry, grace)
            elif name.startswith(TEMPORARY):
                yield from _old("temporary", name, entry, grace)
        for top in _AHEAD:
            for folder, _, names in os.walk(self._directory / top):
                for name in names:
                    if name.startswith(TEMPORARY):
                        path = Path(folder) / name
                        key = str(path.relative_to(self._directory))
                        yield from _old("temporary", key, path, grace)

    def drop(self, kind: str, key: str) -> None:
        """Remove a leftover."""
        try:
            (self._directory / key).unlink(missing_ok=True)
        except OSError as error:
            raise system_error(error, f"remove {key}") from error

    def scrub(self) -> list[str]:
        """Empty the index's log, and remove indexes that were set aside."""
        for kind, one in list(self.leftovers(0.0)):
            if kind == "hurt index":
                self.drop(kind, one.key)
        if self.ledger.scrub():
            return []
        return [f"{INDEX}-wal, which somebody reads from: it is emptied by the next who writes"]

    def finish(self, *, dry_run: bool) -> None:
        """Forget the marks of segments that are gone."""
        if not dry_run:
            places = [self._directory / place for place in self._places()]
            for name in self.ledger.marks():
                if not any((place / name).exists() for place in places):
                    self._index().forget_segment(name)

    def close(self) -> None:
        """Take back what was asked of writers."""
        for path in self._asked:
            with contextlib.suppress(OSError):  # it goes as a leftover then
                path.with_name(f"{TEMPORARY}asked-{path.name}").unlink(missing_ok=True)

    def _index(self) -> SqliteIndex:
        index = self._store.index
        if index.replaced:
            raise StoreError(
                f"the index of {self._store.url} was made anew meanwhile",
                slug="store-busy",
                hint="run it again: what it has done so far is done",
            )
        return index


def _scanned(directory: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as found:
            yield from found
    except FileNotFoundError:  # nothing was ever put there
        return
    except OSError as error:
        raise system_error(error, f"list {directory.name}") from error


def _old(
    kind: str, key: str, file: os.DirEntry[str] | Path, grace: float
) -> Iterator[tuple[str, Listed]]:
    with contextlib.suppress(FileNotFoundError):  # somebody else was quicker
        found = _listed(key, file.stat(follow_symlinks=False))
        if found.age >= grace:
            yield kind, found


def _listed(key: str, found: os.stat_result) -> Listed:
    return Listed(key=key, size=found.st_size, age=max(0.0, time.time() - found.st_mtime))


def _read(path: Path, key: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise system_error(error, f"read {key}") from error

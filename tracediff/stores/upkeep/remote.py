"""A store of an index server and blobs under upkeep.

Living frames are put as a new segment; each row is pointed there only if it still points to where
its frame was; and the old segment is deleted when no row points to it. A segment that is written
anew keeps the beginning of its name, by which its artifacts are found where they are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

from tracediff import codec
from tracediff.errors import CodecError, StoreError
from tracediff.model import Part
from tracediff.stores.failures import hurt
from tracediff.stores.listed import Listed
from tracediff.stores.open_segment import SUFFIX, segment_name
from tracediff.stores.packing import open_frame
from tracediff.stores.places import original
from tracediff.stores.remote import RemoteStore
from tracediff.stores.rows import frame_row
from tracediff.stores.segments import PART, TOMBSTONE, Damage, Frame, decompress, scan
from tracediff.stores.tenants import is_place
from tracediff.stores.upkeep.base import Ledger, Living, Move, OpenedSegment
from tracediff.stores.upkeep.moves import moved
from tracediff.stores.upkeep.rekeying import Rekeying


class MovingLedger(Ledger, Protocol):
    """The rows of an index server."""

    def move(self, moves: Sequence[Move]) -> None:
        """Have rows point to new places, each only if it points to the old one still."""


@runtime_checkable
class Tended(Protocol):
    """An index that can be kept up."""

    def ledger(self) -> MovingLedger:
        """Its rows, for upkeep."""

    def lease(self) -> contextlib.AbstractContextManager[Callable[[], None]]:
        """Keep every other gc out."""


@runtime_checkable
class Listing(Protocol):
    """Blobs that tell their sizes and ages."""

    def listed(self, prefix: str = "") -> Iterator[Listed]:
        """All blobs with this prefix."""

    def leftovers(self, grace: float) -> Iterator[Listed]:
        """What writers that died left behind, older than the grace."""

    def drop(self, key: str) -> None:
        """Remove a leftover."""


class RemoteKept:
    """See ``upkeep.base.Kept``."""

    late = True

    def __init__(self, store: RemoteStore) -> None:
        index, blobs = store.index, store.blobs
        if not isinstance(index, Tended) or not isinstance(blobs, Listing):
            raise StoreError(
                f"the store {store.url} is of a kind that tracediff cannot clean up",
                slug="gc-unsupported",
                hint="MongoDB with S3 or a directory can be",
            )
        self._store = store
        self._index, self._listing = index, blobs
        self.layout, self.blobs = store.layout, store.blobs
        self.ledger = index.ledger()

    def alone(self) -> contextlib.AbstractContextManager[Callable[[], None]]:
        """Keep every other gc out, by a lease in the index."""
        return self._index.lease()

    def graves(self, grace: float) -> Iterator[Sequence[tuple[str, int]]]:
        """None: the server itself removes graves that are old enough."""
        return iter(())

    def walk(self) -> Iterator[tuple[str, Listed]]:
        """All segments and artifacts."""
        for one in self._listing.listed():
            if _segment(one.key) is not None:
                yield "segment", one
            elif _artifact(one.key) is not None:
                yield "artifact", one

    @contextlib.contextmanager
    def opened(self, key: str) -> Iterator[OpenedSegment | None]:
        """A segment: nobody adds to one that was uploaded."""
        try:
            data = self.blobs.get(key)
        except StoreError as error:
            if error.slug != "blob-missing":
                raise
            yield None
            return
        yield OpenedSegment(key=key, size=len(data), data=data, items=list(scan(data)))

    def rewritten(
        self,
        segment: OpenedSegment,
        frames: Sequence[Frame | Damage],
        living: Mapping[str, Living],
        rekeying: Rekeying | None = None,
    ) -> str | None:
        """Copy these frames into a new segment and remove the old one; see ``Kept``."""
        folder, _, name = segment.key.rpartition("/")
        if rekeying is None:
            stem = original(name).removesuffix(SUFFIX)
            key = f"{folder}/{stem}~{segment_name()}"
            data, moves = moved(segment, frames, living, key)
        else:  # its artifacts are encrypted anew as well, so it takes a name of its own
            key = f"{folder}/{segment_name()}"
            data, moves = moved(segment, frames, living, key, rekeying.renewed)
            self._renew_artifacts(segment, frames, key, rekeying)
        self.blobs.put(key, data)
        self.ledger.move(moves)
        return key if self.removed(segment) else None

    def _renew_artifacts(
        self,
        segment: OpenedSegment,
        frames: Sequence[Frame | Damage],
        key: str,
        rekeying: Rekeying,
    ) -> None:
        """Put the artifacts of these frames beside the new segment, one at a time."""
        there = {one.key.rpartition("/")[2]: one.key for one in self.beside(self.home(segment.key))}
        if not there:
            return
        wanted: dict[str, Frame | None] = {}
        for one in frames:
            if isinstance(one, Frame) and one.kind != TOMBSTONE:
                found = self.mentions(one)
                for sha256 in there if found is None else found:
                    wanted.setdefault(sha256, one)
        for sha256 in there.keys() & wanted.keys():
            data = self.blobs.get(there[sha256])
            new = rekeying.renewed_artifact(data, sha256, wanted[sha256])
            self.blobs.put(f"{self.home(key)}/{sha256}", new)

    def removed(self, segment: OpenedSegment) -> bool:
        """Remove a segment, unless a row points to it."""
        ids = {one.id for one in segment.items if one.id is not None}
        for living in self.ledger.living(ids).values():
            if any(place[0] == segment.key for place in living.places.values()):
                return False
        self.blobs.delete([segment.key])
        return True

    def home(self, key: str) -> str:
        """Where the artifacts of a segment lie, or the one it is written anew from."""
        found = _segment(key) or _artifact(key)
        return f"{found[0]}/artifacts/{original(found[1])}" if found is not None else ""

    def of_home(self, home: str) -> Iterator[Listed]:
        """The segments that share these artifacts."""
        place, _, name = home.rpartition("/artifacts/")
        for one in self._listing.listed(f"{place}/segments/{name.removesuffix(SUFFIX)}"):
            if self.home(one.key) == home:
                yield one

    def beside(self, home: str) -> Iterator[Listed]:
        """The artifacts there."""
        return self._listing.listed(f"{home}/")

    def mentions(self, frame: Frame) -> set[str] | None:
        """The artifacts that a frame mentions; None when it cannot be read here."""
        try:
            if frame.kind == PART:
                found = self._part(frame).trace.artifacts
            else:
                found = open_frame(
                    frame, dictionaries=self._store.dictionaries, keyring=self._store.keyring
                ).artifacts
        except (StoreError, ValueError):  # all artifacts beside it stay then
            return None
        return {one.sha256 for one in found}

    def _part(self, frame: Frame) -> Part:
        raw = decompress(frame, dictionaries=self._store.dictionaries, keyring=self._store.keyring)
        try:
            return codec.load_part(raw, frame_row(frame, ""))
        except CodecError as error:
            raise hurt(frame.id, error.message) from error

    def age(self, key: str) -> float:
        """The seconds since a segment was written."""
        return next((one.age for one in self._listing.listed(key)), 0.0)

    def ask_for(self, segment: OpenedSegment) -> None:
        """Nobody writes a segment that was uploaded."""

    def delete(self, keys: Sequence[str]) -> int:
        """Delete blobs; returns how many were there."""
        return self.blobs.delete(keys)

    def leftovers(self, grace: float) -> Iterator[tuple[str, Listed]]:
        """What writers that died left behind."""
        for one in self._listing.leftovers(grace):
            yield "temporary", one

    def drop(self, kind: str, key: str) -> None:
        """Remove a leftover."""
        self._listing.drop(key)

    def scrub(self) -> list[str]:
        """What the index server keeps of rows is its own."""
        return ["the operations log and the journal of the index server, until they wrap around"]

    def finish(self, *, dry_run: bool) -> None:
        """Nothing is left to do."""

    def close(self) -> None:
        """Nothing to release."""


def _segment(key: str) -> tuple[str, str] | None:
    """The place and the name of a segment; None for what is none."""
    place, mark, name = key.rpartition("/segments/")
    return (place, name) if mark and "/" not in name and is_place(place) else None


def _artifact(key: str) -> tuple[str, str] | None:
    """The place of an artifact, and the name of the segment it was put beside."""
    place, mark, name = key.rpartition("/")[0].rpartition("/artifacts/")
    return (place, name) if mark and "/" not in name and is_place(place) else None

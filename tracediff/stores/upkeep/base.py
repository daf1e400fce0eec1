"""What upkeep asks of a store: its rows and where their bytes are, its blobs, and to move them.

Everything here streams: rows come in pages, segments one at a time. A driver that can be kept up
offers ``upkeep()``, which gives a ``Kept``; the decisions are in ``decisions``, the run in
``collecting``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from tracediff.errors import StoreError
from tracediff.stores.base import Blobs, Store
from tracediff.stores.listed import Listed
from tracediff.stores.places import Layout
from tracediff.stores.segments import Damage, Frame

if TYPE_CHECKING:
    from tracediff.stores.upkeep.rekeying import Rekeying

Location = tuple[str, int, int]
WHOLE = -1
"""The number in a ``Move`` of a trace that was written at once and has no parts."""

Progress = Callable[[str, int, int], None]
"""Called with what is done, how many are done and of how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Living:
    """A trace that has a row: where its frames are, by number, and when it expires."""

    places: Mapping[int, Location]
    expires_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A frame that has a new place. ``number`` is that of a part, or ``WHOLE``."""

    id: str
    number: int
    old: Location
    new: Location


@dataclass(frozen=True, slots=True, kw_only=True)
class Surveyed:
    """A page of rows or parts, as far as upkeep needs them.

    ``tallied`` has how many frames of each blob live, and their bytes. ``expired`` has the ids of
    what has expired, ``silent`` those of running traces that were not heard of for too long,
    ``buried`` those of traces that were taken back when they were lost already, ``astray`` parts of
    traces that have no row.
    """

    count: int
    tallied: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    expired: Sequence[str] = ()
    silent: Sequence[str] = ()
    buried: Sequence[str] = ()
    astray: Sequence[tuple[str, int]] = ()


class Ledger(Protocol):
    """The rows of a store, for upkeep. Every call may be repeated after any failure."""

    def count(self) -> int:
        """About how many rows there are."""

    def survey_rows(self, now: int, silent_before: int) -> Iterator[Surveyed]:
        """All rows; those of live traces are tallied by their parts.

        Args:
            now: What expires until then has expired.
            silent_before: What runs and was last heard of before that is silent.
        """

    def survey_parts(self, now: int) -> Iterator[Surveyed]:
        """All parts of live traces."""

    def living(self, ids: Iterable[str]) -> dict[str, Living]:
        """Those of these traces that have a row."""

    def expire(self, ids: Sequence[str], now: int) -> int:
        """Remove the rows of these that have expired; statistics go on counting them."""

    def take_back(self, ids: Sequence[str]) -> int:
        """Remove the rows of traces that are buried; the statistics no longer count them."""

    def forget_parts(self, parts: Sequence[tuple[str, int]]) -> int:
        """Remove places of parts whose traces have no row."""

    def lose(self, ids: Sequence[str], before: int) -> int:
        """Make traces lost that run and were not heard of since; returns how many that were."""

    def buried(self, ids: Iterable[str]) -> dict[str, int]:
        """Those of these traces that were deleted, and up to which generation."""

    def unbury(self, graves: Sequence[tuple[str, int]]) -> int:
        """Forget these deletions, unless they are of another generation by now."""

    def entomb(self, ids: Sequence[str]) -> None:
        """See to it that nobody who uploads these traces once more brings them back."""

    def tidy(self, now: int, *, dry_run: bool) -> int:
        """Remove buckets of statistics that nobody needs any more; how many that are."""


class Kept(Protocol):
    """A store under upkeep; close it with the store it is of."""

    late: bool
    """Whether bytes may be in the store whose rows follow later."""

    @property
    def ledger(self) -> Ledger:
        """The rows of the store."""

    @property
    def layout(self) -> Layout:
        """Its keys and tenants."""

    @property
    def blobs(self) -> Blobs:
        """Its bytes."""

    def alone(self) -> AbstractContextManager[Callable[[], None]]:
        """Keep every other gc out; gives what is called now and then to say that this one goes on.

        Raises:
            StoreError: ``gc-running``: there is another one.
        """

    def graves(self, grace: float) -> Iterator[Sequence[tuple[str, int]]]:
        """Deletions that only a run may forget, with their generation, older than the grace.

        A job that still runs may write parts of a trace that was deleted meanwhile.
        """

    def walk(self) -> Iterator[tuple[str, Listed]]:
        """All that upkeep looks at, each behind its kind: ``segment`` or ``artifact``."""

    def opened(self, key: str) -> AbstractContextManager[OpenedSegment | None]:
        """A segment; None for one that is gone. Nobody adds to it meanwhile, unless ``busy``."""

    def rewritten(
        self,
        segment: OpenedSegment,
        frames: Sequence[Frame | Damage],
        living: Mapping[str, Living],
        rekeying: Rekeying | None = None,
    ) -> str | None:
        """Copy these frames into a new segment, have the rows point there and remove the old one.

        With ``rekeying`` they and their artifacts are encrypted anew by the key that writes now.

        Returns:
            The new segment's key; None when rows came to point to the old one meanwhile, which
            stays then.
        """

    def removed(self, segment: OpenedSegment) -> bool:
        """Remove a segment without living frames; False when a row came to point to it."""

    def home(self, key: str) -> str:
        """What a segment's and its artifacts' keys have in common, however often it was rewritten.

        Empty for what has none.
        """

    def of_home(self, home: str) -> Iterator[Listed]:
        """The segments that share their artifacts: an interrupted run leaves two of them."""

    def beside(self, home: str) -> Iterator[Listed]:
        """The artifacts there."""

    def mentions(self, frame: Frame) -> set[str] | None:
        """The artifacts that a frame mentions; None when it cannot be read here."""

    def age(self, key: str) -> float:
        """The seconds since a segment was written."""

    def ask_for(self, segment: OpenedSegment) -> None:
        """Have the process that writes a segment go on in another one, as soon as it saves."""

    def delete(self, keys: Sequence[str]) -> int:
        """Delete blobs; returns how many were there."""

    def leftovers(self, grace: float) -> Iterator[tuple[str, Listed]]:
        """Files of no use older than the grace: their kind and what they are."""

    def drop(self, kind: str, key: str) -> None:
        """Remove a leftover."""

    def scrub(self) -> list[str]:
        """Remove what rows said from where nobody looks; what is out of reach there."""

    def finish(self, *, dry_run: bool) -> None:
        """What is to be done at the end of a run."""

    def close(self) -> None:
        """Give up what this needed; the store stays open."""


@dataclass(slots=True, kw_only=True)
class OpenedSegment:
    """A segment that was read: its frames in order, and what is known of it."""

    key: str
    size: int
    data: bytes
    items: list[Frame | Damage]
    busy: bool = False
    """Whether somebody may still add to it, or has frames in it that no row tells of yet."""


@runtime_checkable
class Upkept(Protocol):
    """A store that can be kept up."""

    def upkeep(self) -> Kept:
        """What upkeep needs of it."""


def kept_of(store: Store) -> Kept:
    """The store under upkeep; raises StoreError ``gc-unsupported`` for one that cannot be."""
    if isinstance(store, Upkept):
        return store.upkeep()
    raise StoreError(
        f"the store {store.url} is of a kind that tracediff cannot clean up",
        slug="gc-unsupported",
        hint="name a directory or a MongoDB with --store; others have tools of their own",
    )

"""Statistics checked and counted anew, whatever keeps them: a day at a time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from tracediff.errors import StoreError
from tracediff.model import Row
from tracediff.statistics.buckets import Bucket
from tracediff.statistics.checking import Checked, Count, Rebuilt
from tracediff.statistics.packing import dump_bucket
from tracediff.statistics.places import MINUTE, WIDTHS, Place


@dataclass(frozen=True, slots=True)
class Moment:
    """The rows that began in some minutes, and all deltas that were not folded, at one moment."""

    first: int
    end: int
    rows: Iterable[Row]
    pending: Sequence[bytes]


class Recount(Protocol):
    """What keeps rows, deltas and buckets. All but ``days`` is called while nothing is folded."""

    def still(self, *, write: bool) -> AbstractContextManager[None]:
        """Let nobody fold, until the end."""

    def days(self) -> Iterable[int]:
        """The first minutes of the days of which there is a row or a bucket."""

    def moments(self, day: int) -> Iterable[Moment]:
        """The parts of a day."""

    def kept(self, day: int) -> Mapping[Place, bytes]:
        """The buckets of a day, of all resolutions."""

    def replace(self, buckets: Mapping[Place, bytes | None]) -> None:
        """Write these buckets; None removes one."""

    def discard(self) -> int:
        """Remove the deltas that are none; returns how many those were."""


def verify(recount: Recount) -> Iterator[Checked]:
    """Count the rows, and compare what each bucket says.

    Much that is not folded yet is counted once for each day: fold it before.
    """
    for day in recount.days():
        with recount.still(write=False):
            count = _counted(recount, day)
            checked = list(count.checked(recount.kept(day), minute_now()))
        yield from checked


def rebuild(recount: Recount, *, leave: bool = True) -> Rebuilt:
    """Count the rows, and make buckets say that.

    Args:
        recount: What keeps them.
        leave: Leave buckets as they are that may have counted what is gone.
    """
    days = rows = written = left = hurt = 0
    for day in recount.days():
        with recount.still(write=True):
            hurt += recount.discard()
            count = _counted(recount, day)
            kept, now = recount.kept(day), minute_now()
            checked = list(count.checked(kept, now))
            gone = {one.place for one in checked if leave and one.equal is None}
            left += len(gone)
            made = count.buckets(now)
            wrong = {one.place for one in checked if one.equal is not True} - gone
            changes = {place: _data(made.get(place)) for place in wrong}
            recount.replace(changes)
        days, rows, written = days + 1, rows + count.read, written + len(changes)
    return Rebuilt(days=days, rows=rows, written=written, left=left, hurt=hurt)


def minute_now() -> int:
    """The minute it is."""
    return time.time_ns() // MINUTE


def hurt() -> StoreError:
    """Statistics that nobody can read: ``statistics-hurt``."""
    return StoreError(
        "the statistics of this store are hurt",
        slug="statistics-hurt",
        hint="`tracediff stats --rebuild` counts the traces again; no trace is affected",
    )


def _counted(recount: Recount, day: int) -> Count:
    count = Count(day, day + WIDTHS["day"])
    for one in recount.moments(day):
        count.add(one.rows, one.pending, one.first, one.end)
    return count


def _data(bucket: Bucket | None) -> bytes | None:
    return dump_bucket(bucket) if bucket else None

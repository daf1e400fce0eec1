"""Whether buckets say what rows say, and what they must say when they are counted anew.

A row and its delta are written together, so at any moment what the buckets must say is what the
rows say without what the deltas say that are not folded yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from tracediff.model import STATES, Row
from tracediff.statistics.buckets import Bucket, Sum, Tally
from tracediff.statistics.deltas import cells_of
from tracediff.statistics.folding import Changes, spread
from tracediff.statistics.packing import load_bucket, load_delta
from tracediff.statistics.places import WIDTHS, Place, Resolution, kept_since


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a check found of one bucket.

    Args:
        place: Which one.
        equal: Whether it says what the rows say; None where traces may have expired, which it
            counted and no row is left of.
        kept: How many traces it says there are; None when it is missing, or no bucket.
        rows: How many rows there are.
    """

    place: Place
    equal: bool | None
    kept: int | None
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What counting anew did.

    Args:
        days: Days that were counted.
        rows: Rows that were counted.
        written: Buckets that say something else now.
        left: Buckets that were left, since traces may have expired that they had counted.
        hurt: Deltas that were none, and are gone.
    """

    days: int = 0
    rows: int = 0
    written: int = 0
    left: int = 0
    hurt: int = 0


class Count:
    """A day, or a part of one, counted anew from rows and the deltas of the same moment."""

    def __init__(self, first: int, end: int) -> None:
        self._first, self._end = first, end
        self._rows: dict[Place, Sum] = {}
        self._pending: dict[Place, Sum] = {}
        self.read = 0
        self.hurt = 0

    def add(self, rows: Iterable[Row], pending: Iterable[bytes], first: int, end: int) -> None:
        """Count the rows of these minutes, and what deltas say of them."""
        found = spread(cells_of(self._seen(rows)))
        told = spread(cell for cell in self._cells(pending) if first <= cell[0] < end)
        for sums, changes in ((self._rows, found), (self._pending, told)):
            for place, bucket in changes.items():
                sums.setdefault(place, Sum()).add(bucket)

    def buckets(self, now: int) -> Changes:
        """What the buckets must say, of those that are kept; empty ones are left out."""
        made = {}
        for place in self._rows.keys() | self._pending.keys():
            bucket = _made(self._rows.get(place), self._pending.get(place))
            if bucket and place.start >= kept_since(place.resolution, now):
                made[place] = bucket
        return made

    def checked(self, kept: Mapping[Place, bytes], now: int) -> Iterator[Checked]:
        """Each bucket that there is, or must be, beside what the rows say."""
        for place in sorted(kept.keys() | self._rows.keys() | self._pending.keys()):
            if place.start < kept_since(place.resolution, now):
                continue
            rows, pending = self._rows.get(place, Sum()), self._pending.get(place, Sum())
            bucket = loaded(kept.get(place))
            total = Sum(*filter(None, (bucket, pending.whole())))
            equal = _equal(rows.whole(), total.whole(), bucket)
            yield Checked(
                place=place,
                equal=equal or (None if bucket and may_have_expired(bucket, now) else False),
                kept=None if bucket is None else total.whole().count,
                rows=rows.whole().count,
            )

    def _seen(self, rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            self.read += 1
            yield row

    def _cells(self, pending: Iterable[bytes]) -> Iterator[tuple[int, str, Bucket]]:
        for data in pending:
            try:
                yield from load_delta(data)
            except ValueError:  # counted, and said
                self.hurt += 1


def loaded(data: bytes | None) -> Bucket | None:
    """The bucket of some bytes; None when there are none, or they are none."""
    try:
        return None if data is None else load_bucket(data)
    except ValueError:  # hurt: as if there were none
        return None


def may_have_expired(bucket: Bucket, now: int) -> bool:
    """Whether a trace may be gone that was counted, so that rows say less."""
    return bucket.expires_at is not None and bucket.expires_at < (now + 1) * 60 * 10**9


def day_of(minute: int) -> tuple[int, int]:
    """The day of a minute."""
    first = minute - minute % WIDTHS["day"]
    return first, first + WIDTHS["day"]


def by_resolution(checked: Iterable[Checked]) -> dict[Resolution, list[Checked]]:
    """What was checked, by resolution."""
    found: dict[Resolution, list[Checked]] = {}
    for one in checked:
        found.setdefault(one.place.resolution, []).append(one)
    return found


def _made(rows: Sum | None, pending: Sum | None) -> Bucket:
    total = Sum() if rows is None else Sum(rows.whole())
    if pending is not None:
        total.subtract(pending.whole())
    return total.bucket()


def _equal(rows: Bucket, total: Bucket, kept: Bucket | None) -> bool:
    """Tags by name where none is among the others on any side; else by how many they are."""
    for state in STATES:
        one, other = rows.tallies.get(state, Tally()), total.tallies.get(state, Tally())
        before = kept.tallies.get(state, Tally()) if kept else Tally()
        if (one.count, one.durations, one.tagged) != (other.count, other.durations, other.tagged):
            return False
        if not (one.other or other.other or before.other) and one.tags != other.tags:
            return False
    return True

"""What a batch of rows adds, and takes away, minute by minute and key by key.

It is made in the writer of every trace, so it takes about a microsecond a row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Final

from tracediff.model import Row, State
from tracediff.statistics import durations
from tracediff.statistics.buckets import Bucket, Sum, Tally, bounded_tags
from tracediff.statistics.packing import Cell, clamped, dump_delta, halves
from tracediff.statistics.places import MINUTE, starts

_MOST: Final = 4 << 20
"""Bytes of a delta that goes on to be split in two."""

_UNKNOWN: Final[State] = "lost"
"""The state of traces of which only the key and the start are known."""

_UNENDED: Final[State] = "running"


def deltas(added: Sequence[Row], removed: Sequence[Row] = ()) -> list[bytes]:
    """What a batch of rows changes: most often one delta, none when that is nothing.

    Args:
        added: Rows of traces that ended; what still runs is left out.
        removed: Rows that were added once.
    """
    cells = list(_signed(added, removed)) if removed else list(cells_of(added))
    if not cells:
        return []
    data = dump_delta(cells)
    if len(data) <= _MOST or len(added) + len(removed) < 2:
        return [data]
    (some, others), (fewer, rest) = halves(added), halves(removed)
    return [*deltas(some, fewer), *deltas(others, rest)]


def cells_of(rows: Iterable[Row], *, bounded: bool = True) -> Iterable[Cell]:
    """Rows counted by minute and key.

    Args:
        rows: The rows.
        bounded: Whether only as many tags are named as a bucket may have.
    """
    groups: dict[tuple[int, str, State], _Group] = {}
    for row in rows:
        place = (row.started_at // MINUTE, row.key, row.state)
        group = groups.get(place)
        if group is None:
            if row.state == _UNENDED:
                continue
            group = groups[place] = _Group()
        group.took.append(row.duration)
        tags = row.tags
        if tags:
            group.tags.append(tags if len(tags) == 1 else dict.fromkeys(tags))
        if row.expires_at is not None:
            group.expires.append(row.expires_at)
    return _joined(groups, bounded=bounded)


class _Group:
    """Rows of one minute, key and state; lists, because they are the soonest filled."""

    __slots__ = ("expires", "tags", "took")

    def __init__(self) -> None:
        self.took: list[int] = []
        self.tags: list[Iterable[str]] = []
        self.expires: list[int] = []

    def bucket(self, state: State, *, bounded: bool) -> Bucket:
        expires = clamped(min(self.expires)) if self.expires else None
        if state == _UNKNOWN:
            return Bucket({state: Tally(len(self.took))}, expires)
        tags: dict[str, int] = Counter(chain.from_iterable(self.tags))
        other = 0
        if bounded:
            tags, other = bounded_tags(tags)
        tally = Tally(len(self.took), durations.counts(self.took), tags, other)
        return Bucket({state: tally}, expires)


def _joined(groups: dict[tuple[int, str, State], _Group], *, bounded: bool) -> list[Cell]:
    """Groups that differ in their states alone, or in what of their keys is not told apart."""
    found: dict[tuple[int, str], Bucket] = {}
    for (minute, key, state), group in groups.items():
        place = (minute, starts(key)[-1])
        bucket = group.bucket(state, bounded=bounded)
        before = found.get(place)
        found[place] = bucket if before is None else _both(before, bucket, bounded=bounded)
    return [(*place, bucket) for place, bucket in found.items()]


def _both(one: Bucket, other: Bucket, *, bounded: bool) -> Bucket:
    if one.tallies.keys() & other.tallies.keys():
        total = Sum(one, other)
        return total.bucket() if bounded else total.whole()
    expires = [at for at in (one.expires_at, other.expires_at) if at is not None]
    return Bucket({**one.tallies, **other.tallies}, min(expires, default=None))


def _signed(added: Sequence[Row], removed: Sequence[Row]) -> Iterable[Cell]:
    """Nothing of this is bounded: a tag that is erased must not stay in any bucket."""
    sums: dict[tuple[int, str], Sum] = {}
    for rows, sign in ((added, 1), (removed, -1)):
        for minute, key, bucket in cells_of(rows, bounded=False):
            total = sums.setdefault((minute, key), Sum())
            if sign > 0:
                total.add(bucket)
            else:
                total.subtract(bucket)
    for (minute, key), total in sums.items():
        bucket = total.whole()
        if bucket:
            yield minute, key, bucket

"""Deltas added up, and laid into the buckets of all resolutions and starts of their keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tracediff.model import Row
from tracediff.statistics.buckets import Bucket, Sum
from tracediff.statistics.deltas import cells_of
from tracediff.statistics.packing import Cell, load_delta
from tracediff.statistics.places import WIDTHS, Place, Run, is_kept, places, starts

Changes = dict[Place, Bucket]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Buckets that were read; there is none where nothing was counted.

    Not ``complete`` are those of a store that has kept statistics for a part of its traces only.
    """

    buckets: Mapping[Place, Bucket]
    complete: bool = True


def folded(data: Iterable[bytes], now: int) -> Changes:
    """What deltas change in which buckets; nothing of those that are no longer kept.

    Args:
        data: Deltas.
        now: The minute it is.

    Raises:
        ValueError: One of them is none.
    """
    return spread((cell for one in data for cell in load_delta(one)), now)


def fitting(data: Iterable[bytes], now: int, most: int) -> tuple[int, Changes]:
    """As many deltas as change about ``most`` buckets, at least one, and what those change.

    Each is read once: of rows that lie weeks apart a few fill a transaction, and hundreds wait.

    Args:
        data: Deltas, in order.
        now: The minute it is.
        most: So many buckets.

    Raises:
        ValueError: One of them is none.
    """
    cells: list[Cell] = []
    seen: set[tuple[int, str]] = set()
    changed: set[Place] = set()
    count = 0
    for one in data:
        more = load_delta(one)
        fresh = {(minute, key) for minute, key, _ in more} - seen
        for minute, key in fresh:
            changed.update(place for place in places(key, minute) if is_kept(place, now))
        if count and len(changed) > most:
            break
        seen |= fresh
        cells += more
        count += 1
    return count, spread(cells, now)


def spread(cells: Iterable[Cell], now: int | None = None) -> Changes:
    """What is counted by minute and key, in all buckets that it belongs to; all tags are named."""
    sums: dict[tuple[int, str], Sum] = {}
    for minute, key, bucket in cells:
        total = sums.get((minute, key))
        if total is None:
            total = sums[minute, key] = Sum()
        total.add(bucket)
    laid: dict[Place, Sum] = {}
    for (minute, key), one in sums.items():
        bucket = one.whole()
        for place in places(key, minute):
            if now is None or is_kept(place, now):
                laid.setdefault(place, Sum()).add(bucket)
    return {place: one.whole() for place, one in laid.items()}


def counted(rows: Iterable[Row]) -> Changes:
    """The buckets that rows make, counted anew; all tags are named."""
    return spread(cells_of(rows, bounded=False))


def applied(bucket: Bucket | None, change: Bucket) -> Bucket:
    """A bucket after a change; it is false when nothing is left in it."""
    return Sum(*filter(None, (bucket, change))).bucket()


def of_key(data: Iterable[bytes], key: str, among: Sequence[Run]) -> Changes:
    """What deltas change in the buckets of one key, of those that are read.

    Raises:
        ValueError: One of them is none.
    """
    sums: dict[Place, Sum] = {}
    for minute, _, bucket in _cells_of_key(data, key):
        for run in among:
            if run.first <= minute < run.end:
                start = minute - minute % WIDTHS[run.resolution]
                sums.setdefault(Place(run.resolution, key, start), Sum()).add(bucket)
    return {place: one.whole() for place, one in sums.items()}


def span_of_key(data: Iterable[bytes], key: str) -> tuple[int, int] | None:
    """The first minute that deltas of a key are of, and the one after the last."""
    minutes = [minute for minute, _, _ in _cells_of_key(data, key)]
    return (min(minutes), max(minutes) + 1) if minutes else None


def _cells_of_key(data: Iterable[bytes], key: str) -> Iterator[Cell]:
    for one in data:
        for cell in load_delta(one):
            if key in starts(cell[1]):
                yield cell

"""Where buckets lie: a minute, hour or day, and a start of a key; which of them make up a range.

Times are minutes since the Unix epoch. Minutes are kept for a week and hours for 400 days; days are
for ever.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, NamedTuple

Resolution = Literal["minute", "hour", "day"]

RESOLUTIONS: Final[tuple[Resolution, ...]] = ("minute", "hour", "day")
"""In this order for ever: stores keep their numbers."""

WIDTHS: Final[dict[Resolution, int]] = {"minute": 1, "hour": 60, "day": 1440}
"""In minutes."""

KEPT_DAYS: Final[dict[Resolution, int]] = {"minute": 7, "hour": 400}
"""For how many days buckets of a resolution are kept; days for ever."""

MARGIN: Final = 1440
"""Minutes for which a bucket is kept longer than it is read: clocks differ, and so do moments."""

MINUTE: Final = 60 * 10**9
"""Nanoseconds."""

DEPTH: Final = 4
"""So many starts of a key have buckets of their own."""

LONGEST_KEY: Final = 500
"""Characters; longer starts of a key have no buckets of their own."""

_ID: Final = re.compile(
    r"[0-9]{5}"
    r"|[0-9a-f]{8}-[0-9a-f]{4}-"  # a UUID
    r"|(?=(?:[a-z]*[0-9]){3})[0-9a-z]{16}",
    re.IGNORECASE | re.ASCII,
)
"""A part of a key in which this is found is an id: it would make buckets of its own for each."""


class Place(NamedTuple):
    """One bucket's place; the key "" is that of all traces."""

    resolution: Resolution
    key: str
    start: int


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring buckets of one resolution: from the minute ``first`` up to ``end``."""

    resolution: Resolution
    first: int
    end: int


def starts(key: str) -> tuple[str, ...]:
    """The keys of all buckets that a trace of this key counts in, the shortest first.

    The key alone says which, whatever else was counted: so rows that are counted anew make the same
    buckets. What begins with an id in it has none.
    """
    return _starts(key[: LONGEST_KEY + 1])  # what goes on beyond that has no bucket


@lru_cache(1024)  # there are as many keys as jobs
def _starts(key: str) -> tuple[str, ...]:
    parts = key.split("/", DEPTH)[:DEPTH]
    ids = (at for at, part in enumerate(parts) if _ID.search(part))
    parts = parts[: next(ids, DEPTH)]
    found = ("/".join(parts[: count + 1]) for count in range(len(parts)))
    return tuple(dict.fromkeys(("", *(one for one in found if len(one) <= LONGEST_KEY))))


def places(key: str, minute: int) -> Iterator[Place]:
    """The buckets that a trace counts in which began in this minute."""
    for resolution in RESOLUTIONS:
        start = minute - minute % WIDTHS[resolution]
        for one in starts(key):
            yield Place(resolution, one, start)


def has_buckets(key: str) -> bool:
    """Whether traces below this key are counted apart from others."""
    return not key or starts(key)[-1] == key


def is_kept(place: Place, now: int) -> bool:
    """Whether deltas still go into this bucket."""
    return place.start >= kept_since(place.resolution, now) - MARGIN


def kept_since(resolution: Resolution, now: int) -> int:
    """From which minute on buckets of a resolution can be read."""
    days = KEPT_DAYS.get(resolution)
    return -(2**63) if days is None else now - days * 1440


def finest(minute: int, now: int) -> Resolution:
    """The finest resolution in which this minute can be told from others."""
    found = (one for one in RESOLUTIONS if minute - minute % WIDTHS[one] >= kept_since(one, now))
    return next(found)  # days are kept for ever


def widened(first: int, end: int, now: int) -> tuple[int, int]:
    """The smallest range of whole buckets around one of minutes."""
    low = WIDTHS[finest(first, now)]
    high = WIDTHS[finest(end, now)]
    return first - first % low, end + -end % high


def runs(first: int, end: int, now: int, coarsest: Resolution = "day") -> list[Run]:
    """The fewest buckets that make up a range which ``widened`` gave: at most five runs.

    Args:
        first: Its first minute.
        end: The minute after its last.
        now: The minute it is.
        coarsest: None is coarser, but where nothing finer is kept of the first.
    """
    most = max(WIDTHS[coarsest], WIDTHS[finest(first, now)])
    fitting = [one for one in RESOLUTIONS if WIDTHS[one] <= most]
    found: list[Run] = []
    while first < end:
        resolution = _fitting(first, end, fitting)
        stop = _stop(first, end, resolution, fitting)
        found.append(Run(resolution, first, stop))
        first = stop
    return found


def _fitting(first: int, end: int, among: Sequence[Resolution]) -> Resolution:
    """The coarsest resolution of which a bucket begins here and ends in the range."""
    fits = (
        one for one in reversed(among) if not first % WIDTHS[one] and first + WIDTHS[one] <= end
    )
    return next(fits, "minute")


def _stop(first: int, end: int, resolution: Resolution, among: Sequence[Resolution]) -> int:
    """Where the run that begins here ends: where coarser buckets fit, or no more of these do."""
    width = WIDTHS[resolution]
    last = end - (end - first) % width
    for coarser in (WIDTHS[one] for one in among if WIDTHS[one] > width):
        border = first + -first % coarser
        if border + coarser <= end:
            return min(border, last)
    return last


def narrowed(
    spans: Sequence[tuple[int, int]], known: tuple[int, int] | None
) -> tuple[int, int] | None:
    """From when to when there are traces, as exactly as buckets of several resolutions tell.

    Args:
        spans: The first and the last minute of buckets, of the finest resolution first. A finer one
            lies in the first or last bucket of a coarser one, or knows less.
        known: The same of what is in no bucket yet.
    """
    found: tuple[int, int] | None = None
    width = WIDTHS["day"]
    for first, end in reversed(spans):
        if found is None:
            found = (first, end)
        else:
            low, high = found
            found = (first if first - low < width else low, end if high - end < width else high)
            width = WIDTHS["hour"]
    if found is None or known is None:
        return found or known
    return min(found[0], known[0]), max(found[1], known[1])

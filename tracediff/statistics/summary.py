"""What the traces of a key are like over a range: by parts of it, and together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tracediff.statistics.buckets import Bucket, Sum, merged
from tracediff.statistics.places import WIDTHS, Place, Resolution, Run, finest, runs, widened

_HOURS: Final = 100
_MINUTES: Final = 180
"""Up to so many of them are shown unless another resolution is asked for."""


@dataclass(frozen=True, slots=True)
class Span:
    """A part of the range, in minutes since the epoch, and the traces that began in it."""

    first: int
    end: int
    bucket: Bucket


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The traces of a key over a range.

    Args:
        key: Its start; "" for all traces.
        first: The minute since the epoch that the range begins with.
        end: The minute that it ends before.
        by: How long its parts are.
        spans: The parts in which a trace that ended began.
        total: All of them together.
        running: How many run now.
        more: Whether more run than were counted.
        complete: False where the statistics know a part of the traces only.
    """

    key: str = ""
    first: int = 0
    end: int = 0
    by: Resolution = "day"
    spans: tuple[Span, ...] = ()
    total: Bucket = Bucket()  # noqa: RUF009 - it is frozen
    running: int = 0
    more: bool = False
    complete: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is read for a range."""

    first: int
    end: int
    by: Resolution
    runs: Sequence[Run]


def planned(first: int, end: int, now: int, by: Resolution | None = None) -> Plan:
    """How to read a range of minutes; it is widened to what is kept of it."""
    wide = widened(first, end, now)
    fine = finest(wide[0], now)
    chosen = by or _fitting(wide[1] - wide[0])
    if WIDTHS[chosen] < WIDTHS[fine]:
        chosen = fine
    return Plan(first=wide[0], end=wide[1], by=chosen, runs=runs(*wide, now, chosen))


def spans(found: Mapping[Place, Bucket], by: Resolution) -> tuple[Span, ...]:
    """Buckets put together in parts of a resolution, the first first."""
    width = WIDTHS[by]
    sums: dict[int, Sum] = {}
    for place, bucket in found.items():
        sums.setdefault(place.start - place.start % width, Sum()).add(bucket)
    return tuple(Span(first, first + width, sums[first].bucket()) for first in sorted(sums))


def together(found: Mapping[Place, Bucket]) -> Bucket:
    """All of them in one."""
    return merged(found.values())


def _fitting(minutes: int) -> Resolution:
    if minutes <= _MINUTES:
        return "minute"
    return "hour" if minutes <= _HOURS * WIDTHS["hour"] else "day"

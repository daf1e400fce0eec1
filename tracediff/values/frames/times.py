"""Moments and durations that are counted in units, as objects to look at."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from tracediff.values.nodes import Opaque

_MISSING: Final = -(1 << 63)
_NANOSECONDS: Final = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1, "D": 86_400 * 10**9}
_EPOCH: Final = datetime(1970, 1, 1)
_AWARE: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_ONE: Final = date(1970, 1, 1).toordinal()


def moments(unit: str, *, aware: bool) -> Callable[[int], Any]:
    """What makes a datetime of a count since 1970: in UTC where it is of a zone.

    What a datetime cannot hold, as nanoseconds, reads as its text; None is what numpy calls NaT.
    """
    epoch, factor = _AWARE if aware else _EPOCH, _NANOSECONDS[unit]

    def read(count: int) -> Any:
        if count == _MISSING:
            return None
        whole, rest = divmod(count * factor, 1_000)
        try:
            found = epoch + timedelta(microseconds=whole)
        except OverflowError:
            return Opaque("datetime", f"{count} {unit} since 1970")
        if not rest:
            return found
        text = f"{found:%Y-%m-%dT%H:%M:%S}.{found.microsecond:06d}{rest:03d}"
        return Opaque("datetime", text + ("+00:00" if aware else ""))

    return read


def durations(unit: str) -> Callable[[int], Any]:
    """What makes a timedelta of a count."""
    factor = _NANOSECONDS[unit]

    def read(count: int) -> Any:
        if count == _MISSING:
            return None
        whole, rest = divmod(count * factor, 1_000)
        try:
            return (
                timedelta(microseconds=whole)
                if not rest
                else Opaque("timedelta", f"{count * factor} ns")
            )
        except OverflowError:
            return Opaque("timedelta", f"{count} {unit}")

    return read


def days(count: int) -> Any:
    """The date so many days after the first of 1970; None for what pandas calls NaT."""
    if count == _MISSING:
        return None
    try:
        return date.fromordinal(_DAY_ONE + count)
    except (ValueError, OverflowError):
        return Opaque("date", f"{count} days since 1970")


def clock(unit: str) -> Callable[[int], Any]:
    """What makes a time of day of a count since midnight."""
    factor = _NANOSECONDS[unit]

    def read(count: int) -> Any:
        whole, rest = divmod(count * factor, 1_000)
        if rest or not 0 <= whole < 86_400 * 10**6:
            return Opaque("time", f"{count} {unit} after midnight")
        return (_EPOCH + timedelta(microseconds=whole)).time()

    return read

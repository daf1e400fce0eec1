"""How reports word times, durations, counts, numbers and places."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tracediff.model import MISSING, Code
from tracediff.reports.clean import clean

_SECOND = 1_000_000_000
_AGES = (
    (60, 1, "s"),
    (3600, 60, "min"),
    (2 * 86400, 3600, "h"),
    (14 * 86400, 86400, "days"),
    (60 * 86400, 7 * 86400, "weeks"),
    (730 * 86400, 30 * 86400, "months"),
)
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]*@")
_PLAIN_KEY = re.compile(r"[^\W\d]\w*\Z")
_LONG_NUMBER = 16


def age(at: int, now: int) -> str:
    """Return how long before ``now`` something was, both in nanoseconds since the epoch."""
    seconds = (now - at) // _SECOND
    if seconds < 0:
        return "in the future"
    if seconds < 5:
        return "just now"
    for bound, unit, name in _AGES:
        if seconds < bound:
            return f"{seconds // unit} {name} ago"
    return f"{seconds // (365 * 86400)} years ago"


def moment(at: int) -> str:
    """Return a time in nanoseconds since the epoch as ``2024-05-02 10:12:33 UTC``."""
    try:
        return f"{datetime.fromtimestamp(at // _SECOND, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError, OSError):
        return f"{at} ns since 1970"


def iso(at: int) -> str | None:
    """Return a time in nanoseconds as ISO 8601 in UTC, None when no calendar holds it."""
    try:
        whole = datetime.fromtimestamp(at // _SECOND, UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{at % _SECOND // 1000:06d}Z"


def lasted(nanoseconds: int) -> str:
    """Return a duration in the unit that reads best, with three significant digits."""
    size = abs(nanoseconds)
    if size >= 3600 * _SECOND:
        return f"{nanoseconds // (3600 * _SECOND)} h {nanoseconds // (60 * _SECOND) % 60:02d} min"
    if size >= 60 * _SECOND:
        return f"{nanoseconds // (60 * _SECOND)} min {nanoseconds // _SECOND % 60:02d} s"
    for unit, name in ((_SECOND, "s"), (1_000_000, "ms"), (1_000, "µs")):
        if size >= unit:
            return f"{_three_digits(nanoseconds / unit)} {name}"
    return f"{nanoseconds} ns"


def _three_digits(number: float) -> str:
    size = abs(number)
    decimals = 2 if size < 10 else 1 if size < 100 else 0
    return f"{number:.{decimals}f}"


def many(count: int, noun: str, plural: str | None = None) -> str:
    """Return ``1 step`` or ``1,234 steps``."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def signed(delta: Any) -> str:
    """Return a delta with its sign; a very long exact number is rounded and marked ``≈``."""
    if delta is None or delta is MISSING:
        return ""
    if isinstance(delta, timedelta):
        return f"-{-delta}" if delta < timedelta() else f"+{delta}"
    if isinstance(delta, float):
        return f"{delta:+.6g}"
    if isinstance(delta, Fraction):
        if max(abs(delta.numerator), delta.denominator) >= 10**_LONG_NUMBER:
            return f"≈{Decimal(delta.numerator) / delta.denominator:+.6g}"
        return (
            f"{delta.numerator:+d}/{delta.denominator}"
            if delta.denominator != 1
            else (f"{delta.numerator:+d}")
        )
    if isinstance(delta, Decimal):
        exact = f"{delta:+f}" if -30 < delta.adjusted() < 30 else f"{delta:+}"
        return exact if len(exact) <= _LONG_NUMBER else f"≈{delta:+.10g}"
    if isinstance(delta, int):
        return f"{delta:+d}" if abs(delta) < 10**_LONG_NUMBER else f"≈{Decimal(delta):+.6g}"
    return clean(str(delta))


def percent(old: Any, delta: Any) -> str:
    """Return ``delta`` in percent of ``old``, or nothing where that has no meaning."""
    try:
        share = float(Fraction(delta) / abs(Fraction(old))) * 100
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return ""  # not numbers, not finite, nothing to divide by, or beyond all proportion
    size = abs(share)
    if share == 0 or not math.isfinite(share):
        return ""
    if size >= 1e6:
        return f"{share:+.1e}%"
    return f"{share:+,.2f}%" if size >= 0.01 else f"{share:+.2g}%"


def field_path(path: Sequence[str | int]) -> str:
    """Return ``lines[2].net`` for ``("lines", 2, "net")``; odd keys are quoted."""
    parts: list[str] = []
    for key in path:
        if isinstance(key, int):
            parts.append(f"[{key}]")
        elif _PLAIN_KEY.match(key):
            parts.append(f".{key}" if parts else key)
        else:
            parts.append(f"[{clean(repr(key))}]")
    return "".join(parts)


def version(code: Code) -> str:
    """Return which code that is: the short commit, and whether files differed from it."""
    if code.commit is None:
        return "commit unknown"
    commit = clean(code.commit[:7])
    return f"{commit} + uncommitted changes" if code.dirty else commit


def code_changes(old: Code, new: Code) -> tuple[str, ...]:
    """Return the files, packages and interpreter that differ between two codes.

    What only one of the processes had loaded says nothing about the code.
    """
    files = [
        clean(name)
        for name in sorted(old.files.keys() & new.files.keys())
        if old.files[name] != new.files[name]
    ]
    return (*files, *surroundings_changes(old, new))


def surroundings_changes(old: Code, new: Code) -> tuple[str, ...]:
    """Return the packages and the interpreter that differ between two codes, as for them."""
    packages = [
        f"{clean(name)} {clean(old.distributions[name])} → {clean(new.distributions[name])}"
        for name in sorted(old.distributions.keys() & new.distributions.keys())
        if old.distributions[name] != new.distributions[name]
    ]
    python = [f"python {clean(old.python)} → {clean(new.python)}"]
    return (*packages, *(python if old.python and old.python != new.python else ()))


def without_credentials(url: str) -> str:
    """Return a URL with the user and password taken out."""
    return _CREDENTIALS.sub("…@", url)

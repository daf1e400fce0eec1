"""What people type to search by, on the command line and in the pages: one way to read it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

LAST: Final = 2**63 - 1
"""Nanoseconds since the epoch: what an index can hold, in the year 2262."""

Scalar = str | int | float | bool

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_TEXTS: Final = frozenset({"otel_trace_id", "otel_span_id", "trifle_reference"})
"""Context fields that are texts, though one may have digits alone."""

_SECOND: Final = 1_000_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def context_field(text: str) -> tuple[str, Scalar]:
    """Return the name and value that "NAME=VALUE" asks for; a quoted value is a text.

    Raises:
        ValueError: It is none; the message says so.
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ValueError(f"{text!r} is not NAME=VALUE")
    if name in _TEXTS:
        return name, value.strip('"')
    return name, scalar(value)


def context_fields(texts: Iterable[str]) -> dict[str, Scalar]:
    """Return the context fields that several texts ask for; of a name that is repeated the last.

    Raises:
        ValueError: One of them is none.
    """
    return dict(context_field(one) for one in texts)


def scalar(text: str) -> Scalar:
    """Return true, false, a number, or else the text; without its quotes where it has some."""
    if text in ("true", "false"):
        return text == "true"
    if len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1]
    try:
        return int(text) if re.fullmatch(r"-?\d{1,400}", text) else float(text)
    except ValueError:  # no number, so it is a text
        return text


def typed(value: Scalar) -> str:
    """Return the text of which ``scalar`` makes this value."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        again = scalar(value)
        return value if isinstance(again, str) and again == value else f'"{value}"'
    return repr(value)


def seconds(text: str) -> float:
    """Return the seconds that "30m", "6h" or "1d" is.

    Raises:
        ValueError: It is no span of time; the message says so.
    """
    found = re.fullmatch(r"(\d{1,6})([smhdw])", text, re.ASCII)
    if found is None:
        raise ValueError(f"{text!r} is no span of time; write 30m, 6h or 1d")
    return float(int(found[1]) * _UNITS[found[2]])


def moment(text: str, now: int | None = None) -> int:
    """Return nanoseconds since the epoch of "2h", "3d" (ago) or an ISO date.

    Args:
        text: What was typed.
        now: From when "2h" counts; now by default.

    Raises:
        ValueError: It is no time; the message says so.
    """
    ago = re.fullmatch(r"(\d{1,6})([smhdw])", text, re.ASCII)
    if ago is not None:
        return (time.time_ns() if now is None else now) - int(ago[1]) * _UNITS[ago[2]] * _SECOND
    try:
        since = datetime.fromisoformat(text).astimezone(UTC) - _EPOCH
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"{text!r} is no time; write 2h, 3d or 2026-11-24") from None
    whole = (since.days * 86_400 + since.seconds) * _SECOND + since.microseconds * 1_000
    return max(-LAST, min(whole, LAST))

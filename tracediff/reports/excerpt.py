"""Short readings of values: one side alone, or two cut around where they part."""

from __future__ import annotations

from itertools import takewhile
from typing import Any

from tracediff.errors import CodecError
from tracediff.model import MISSING, ErrorInfo, Step, Value
from tracediff.reports.clean import clean
from tracediff.values import glimpse, inert, text

_LONG = 20_000


def seen(value: Value, limit: int | None = None) -> object:
    """Return the inert form of a value; a hurt one becomes a remark instead of ending the report.

    Args:
        value: The recorded value.
        limit: How many characters of it are shown; only what they need is read.
    """
    try:
        return inert(value) if limit is None else glimpse(value, limit)
    except CodecError as error:
        return Unreadable(error.message)


class Unreadable:
    """Stands where a value's bytes could not be read."""

    def __init__(self, why: str) -> None:
        self.why = why

    def __repr__(self) -> str:
        return f"‹unreadable: {self.why}›"


def short(thing: object, limit: int = 80) -> str:
    """Return an inert object on one line of at most ``limit`` characters, safe to print."""
    if thing is MISSING:
        return "—"
    if isinstance(thing, Unreadable):
        return cut(clean(repr(thing)), limit)
    return cut(clean(text(thing, limit)), limit)


def short_value(value: Value | None, limit: int = 80) -> str:
    """Return a recorded value on one line; nothing for None."""
    return "" if value is None else short(seen(value, limit), limit)


def cut(line: str, limit: int) -> str:
    """Return ``line`` with at most ``limit`` characters, its end replaced by ``…``."""
    return line if len(line) <= limit else line[: max(limit - 1, 0)] + "…"


def pair(before: str, after: str, limit: int) -> tuple[str, str]:
    """Return both lines in at most ``limit`` characters each, cut around their first difference."""
    if len(before) <= limit and len(after) <= limit:
        return before, after
    same = sum(1 for _ in takewhile(lambda two: two[0] == two[1], zip(before, after, strict=False)))
    start = max(0, same - limit // 3)
    return _window(before, start, limit), _window(after, start, limit)


def whole(thing: object) -> str:
    """Return an inert object on one line, however long it is (within reason)."""
    return short(thing, _LONG)


def _window(line: str, start: int, limit: int) -> str:
    start = min(start, max(0, len(line) - limit))
    return cut(f"…{line[start + 1 :]}" if start else line, limit)


def arguments(value: Value | None, limit: int = 80) -> str:
    """Return a call's arguments as ``country='DE', net=100``."""
    if value is None:
        return ""
    named = seen(value, limit)
    if not isinstance(named, dict):
        return short(named, limit)
    each = max(24, limit // 2)
    told: list[str] = []
    room = limit
    for name, one in named.items():
        told.append(f"{clean(str(name))}={short(one, each)}")
        room -= len(told[-1]) + 2
        if room < -2:  # what follows would be cut
            break
    return cut(", ".join(told), limit)


def fault(error: ErrorInfo, limit: int = 80) -> str:
    """Return an error as ``ValueError: no rate``."""
    kind = error.type.rpartition(":")[2]
    return cut(clean(f"{kind}: {error.message}" if error.message else kind), limit)


def outcome(step: Step, limit: int = 80) -> str:
    """Return what came out of a step: its error, or its result."""
    return fault(step.error, limit) if step.error else short_value(step.result, limit)


def size(value: Value | None) -> str:
    """Return how large a value's recorded form is, as ``12.3 kB``."""
    return bytes_of(len(value.data) if value else 0)


def bytes_of(count: float) -> str:
    """Return a number of bytes as ``12.3 kB``."""
    if count < 1000:
        return f"{count} B"
    for unit in ("kB", "MB"):
        count /= 1000
        if count < 1000:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:.1f} GB"


def named_arguments(value: Value | None) -> dict[str, Any]:
    """Return a call's arguments by name; anything else goes under an empty name."""
    if value is None:
        return {}
    named = seen(value)
    return {str(k): v for k, v in named.items()} if isinstance(named, dict) else {"": named}

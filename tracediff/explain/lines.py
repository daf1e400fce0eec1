"""The first local variable that differs between the old and the new run of one function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracediff import values
from tracediff.explained import LineChange
from tracediff.model import MISSING, Source, Value
from tracediff.replay.watching import MAX_ASSIGNED, Assigned


def first_difference(
    old: Sequence[Assigned],
    new: Sequence[Assigned],
    *,
    old_source: Source,
    new_source: Source,
) -> LineChange | None:
    """Lay what the variables of two runs became against each other, by call, name and turn.

    It is the first variable of the first call in which one differs; a call that only one side
    makes counts when all others are the same.

    Args:
        old: What ``watching`` found in the run of the old code.
        new: The same of the other code.
        old_source: Where the function was.
        new_source: Where it is.
    """
    before, after = _by_call(old), _by_call(new)
    for then, now in zip(before, after, strict=False):
        found = _first_of_call(then, now, old_source, new_source)
        if found is not None:
            return found
    if len(after) > len(before):
        return _change(None, after[len(before)][0], old_source, new_source)
    if len(before) > len(after) and after and len(old) < MAX_ASSIGNED:
        return _change(before[len(after)][0], None, old_source, new_source)
    return None


def _by_call(found: Sequence[Assigned]) -> list[list[Assigned]]:
    """By the order in which the calls began."""
    calls: dict[int, list[Assigned]] = {}
    for one in found:
        calls.setdefault(one.call, []).append(one)
    return [calls[number] for number in sorted(calls)]


def _first_of_call(
    old: Sequence[Assigned], new: Sequence[Assigned], old_source: Source, new_source: Source
) -> LineChange | None:
    before: dict[str, list[Assigned]] = {}
    for one in old:
        before.setdefault(one.name, []).append(one)
    turn: dict[str, int] = {}
    fallback: LineChange | None = None
    for one in new:
        at = turn[one.name] = turn.get(one.name, -1) + 1
        known = before.get(one.name, [])
        if at < len(known):
            if known[at].data != one.data:
                return _change(known[at], one, old_source, new_source)
        elif fallback is None:
            fallback = _change(known[-1] if known else None, one, old_source, new_source)
    return fallback


def _change(old: Assigned | None, new: Assigned | None, then: Source, now: Source) -> LineChange:
    either = new or old
    return LineChange(
        name=either.name if either is not None else "",
        old=_text(old) if old is not None else None,
        new=_text(new) if new is not None else None,
        old_source=Source(then.file, old.line, then.unit) if old is not None else None,
        new_source=Source(now.file, new.line, now.unit) if new is not None else None,
    )


def _text(one: Assigned) -> str:
    found: Any = values.inert(Value(one.data))
    value = found.get(one.name, MISSING) if isinstance(found, dict) else found
    return values.text(value)

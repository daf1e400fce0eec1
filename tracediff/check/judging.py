"""What one trace has to say for a check, once it was replayed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tracediff import values
from tracediff.checked import Moved, Result
from tracediff.compare import compare
from tracediff.compare.code import Load
from tracediff.digests import outcome_digest
from tracediff.errors import TracediffError
from tracediff.expectations.causes import cause_of
from tracediff.explain.outcomes import differing, fields, number, recorded
from tracediff.explain.telling import field_name
from tracediff.model import MISSING, Miss, Row, Tolerance, Trace
from tracediff.reports.wording import surroundings_changes

MOST_FIELDS = 200
MOST_NAMED = 5
"""How many packages that are others now are named."""


@dataclass(frozen=True, slots=True)
class Changed:
    """The result of a trace that changed, and whether changed code is known to be behind it."""

    result: Result
    coded: bool


def judged(
    old: Trace, new: Trace, rules: Sequence[Tolerance], load: Load | None = None
) -> Changed | None:
    """What one trace has to say; None where nothing differs beyond tolerance.

    Args:
        old: The recording, or what the old code makes of it.
        new: What the new code makes of it.
        rules: What counts as the same.
        load: Reads source files, so that causes are told by their code.
    """
    new = _without_misses_of(old, new)
    missed = new.replay is not None and new.replay.misses
    if not missed and old.state == new.state and outcome_digest(old) == outcome_digest(new):
        return None
    comparison = compare(old, new, tolerances=rules, load=load)
    if not comparison.different:
        return None
    cause = cause_of(comparison)
    result = Result(
        id=old.id, key=old.key, kind="changed", meta=old.meta, size=len(old.steps),
        cause=cause.id, label=cause.label, moved=_moved(old, new),
        surroundings=", ".join(surroundings_changes(old.code, new.code)[:MOST_NAMED]),
    )  # fmt: skip
    return Changed(result, cause.coded)


def _moved(old: Trace, new: Trace) -> tuple[Moved, ...]:
    before, after = fields(recorded(old)), fields(recorded(new))
    moved = []
    for path in differing(before, after)[:MOST_FIELDS]:
        was, now = before.get(path, MISSING), after.get(path, MISSING)
        amounts = number(was), number(now)
        change = None if amounts[0] is None or amounts[1] is None else amounts[1] - amounts[0]
        moved.append(Moved(field=field_name(path), old=_text(was), new=_text(now), change=change))
    return tuple(moved)


def _text(value: object) -> str:
    return "nothing" if value is MISSING else values.text(value)


def _without_misses_of(old: Trace, new: Trace) -> Trace:
    """The new trace without the misses that the old side has too: no code changed them."""
    if old.replay is None or new.replay is None or not (old.replay.misses and new.replay.misses):
        return new
    known = [_asked(one) for one in old.replay.misses]
    left = []
    for one in new.replay.misses:
        asked = _asked(one)
        if asked in known:
            known.remove(asked)
        else:
            left.append(one)
    return replace(new, replay=replace(new.replay, misses=tuple(left)))


def _asked(miss: Miss) -> tuple[str, str, bytes | None]:
    return miss.kind, miss.name, miss.args.data if miss.args is not None else None


def same(row: Row) -> Result:
    """A trace that gives what it gave."""
    return Result(id=row.id, key=row.key, kind="same")


def failed(row: Row, error: TracediffError) -> Result:
    """A trace that could not be replayed."""
    return Result(
        id=row.id, key=row.key, kind="failed",
        message=error.message, slug=error.slug, hint=error.hint or "",
    )  # fmt: skip

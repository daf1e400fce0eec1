"""What one trace has to say for a check, once it was replayed."""

from __future__ import annotations

from collections.abc import Iterable

from tracediff import values
from tracediff.checked import Moved, Result
from tracediff.compare import compare
from tracediff.compare.code import Load
from tracediff.errors import TracediffError
from tracediff.expectations.causes import cause_of
from tracediff.explain.outcomes import differing, fields, number, recorded
from tracediff.explain.telling import field_name
from tracediff.model import MISSING, Row, Tolerance, Trace

MOST_FIELDS = 200


def judged(old: Trace, new: Trace, rules: Iterable[Tolerance], load: Load | None) -> Result | None:
    """What one trace has to say; None where nothing differs beyond tolerance.

    Args:
        old: The recording, or what the old code makes of it.
        new: What the new code makes of it.
        rules: What counts as the same.
        load: Reads source files, so that causes are told by their code.
    """
    comparison = compare(old, new, tolerances=tuple(rules), load=load)
    if not comparison.different:
        return None
    cause = cause_of(comparison)
    before, after = fields(recorded(old)), fields(recorded(new))
    moved = []
    for path in differing(before, after)[:MOST_FIELDS]:
        was, now = before.get(path, MISSING), after.get(path, MISSING)
        amounts = number(was), number(now)
        change = None if amounts[0] is None or amounts[1] is None else amounts[1] - amounts[0]
        moved.append(
            Moved(field=field_name(path), old=values.text(was), new=values.text(now), change=change)
        )
    return Result(
        id=old.id, key=old.key, kind="changed", meta=old.meta, size=len(old.steps),
        cause=cause.id, label=cause.label, moved=tuple(moved),
    )  # fmt: skip


def same(row: Row) -> Result:
    """A trace that gives what it gave."""
    return Result(id=row.id, key=row.key, kind="same")


def failed(row: Row, error: TracediffError) -> Result:
    """A trace that could not be replayed."""
    return Result(
        id=row.id, key=row.key, kind="failed",
        message=error.message, slug=error.slug, hint=error.hint or "",
    )  # fmt: skip

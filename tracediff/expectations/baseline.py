"""A new result as the next expectation: what it says, with as little changed as can be."""

from __future__ import annotations

from dataclasses import replace

from tracediff.model import Comparison, Trace


def baseline(comparison: Comparison) -> Trace:
    """The new trace as the file to expect from now on.

    A replay keeps the identity of what it replayed: id, start, surroundings, labels. Steps that are
    matched keep their times, which say nothing, so that the file differs where the calculation
    does. Another run has its own times, by which its clock is known.
    """
    old, new = comparison.old, comparison.new
    if new.replay is None:
        return replace(new, id=old.id)
    steps = list(new.steps)
    for i, j in comparison.pairs:
        if i is not None and j is not None:
            before = old.steps[i]
            steps[j] = replace(steps[j], start=before.start, duration=before.duration)
    return replace(
        new,
        id=old.id,
        started_at=old.started_at,
        duration=old.duration,
        environment=old.environment,
        tags=old.tags,
        meta=old.meta,
        context=old.context,
        retention=old.retention,
        steps=tuple(steps),
        replay=None,
    )


def obstacle(comparison: Comparison) -> str | None:
    """Why a new trace cannot become the expectation, None when it can."""
    replay = comparison.new.replay
    for miss in replay.misses if replay is not None else ():
        if miss.served in ("failed", "stub"):
            return f"the {miss.kind} {miss.name!r} has no recording: what came after it is not real"
    return None

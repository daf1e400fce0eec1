"""Traces that were autotraced in different ways: what one side lacks for that is no difference.

Functions that the other side did not trace are dropped, as are values that it did not record. Which
calls a limit took out of a trace nobody can tell, only of which functions they were: steps of these
that have no counterpart are let go.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from tracediff import values
from tracediff.compare.trees import renumbered, without
from tracediff.model import Autotracing, Step, Trace

MOST_NAMED = 5


def autotraced(step: Step) -> str | None:
    """The unit of a step that may be of a function nobody marked; its name tells."""
    if step.kind != "step" or step.source is None:
        return None
    unit = step.source.unit
    return unit if step.name == unit.partition(":")[2] else None


def lacking(trace: Trace) -> frozenset[str]:
    """The units of which not all calls are steps of a trace."""
    return (
        frozenset(one.unit for one in trace.autotracing.cuts) if trace.autotracing else frozenset()
    )


def common_tracing(old: Trace, new: Trace) -> tuple[Trace, Trace, list[str]]:
    """Both traces with the functions and values that both recorded, and what was dropped."""
    here, there = _known(old), _known(new)
    if here is None or there is None or "inputs" in (old.depth, new.depth):
        return old, new, []
    remarks: list[str] = []
    if here.patterns != there.patterns:
        before, after = _without(old, here, there), _without(new, there, here)
        dropped = len(old.steps) + len(new.steps) - len(before[0].steps) - len(after[0].steps)
        if dropped:
            remarks.append(
                f"other functions were autotraced ({_shown(here)} and {_shown(there)}): the "
                f"{dropped} steps that only one side could have are left out"
            )
            old, new = before[0], after[0]
            if new.replay is not None:
                new = replace(new, replay=renumbered(new.replay, before[1], after[1]))
    if here.values != there.values and here.patterns and there.patterns:
        old, new = _bare(old, here), _bare(new, there)
        remarks.append(
            "only one side recorded arguments and results of autotraced functions: they are not "
            "compared"
        )
    return old, new, remarks


def excused(count: int, units: Collection[str]) -> str:
    """The remark on steps that the other side's limits may have taken out."""
    names = sorted(unit.partition(":")[2] for unit in units)
    named = ", ".join(names[:MOST_NAMED])
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return (
        f"{count} steps, with what is in them, are left out: the other side says that it lacks "
        f"calls of their functions ({named}{more})"
    )


def _known(trace: Trace) -> Autotracing | None:
    """How a trace was autotraced; None where nobody can tell, as of older ones of depth full."""
    if trace.autotracing is not None:
        return trace.autotracing
    return None if trace.depth == "full" else Autotracing()


def _shown(traced: Autotracing) -> str:
    return ", ".join(traced.patterns) or "none"


def _without(trace: Trace, traced: Autotracing, other: Autotracing) -> tuple[Trace, dict[int, int]]:
    """A trace without the autotraced steps that the other one could not have."""
    own, theirs = values.Allow(traced.patterns), values.Allow(other.patterns)

    def goes(step: Step) -> bool:
        unit = autotraced(step)
        return unit is not None and own.permits(unit) and not theirs.permits(unit)

    return without(trace, goes)


def _bare(trace: Trace, traced: Autotracing) -> Trace:
    """A trace without the arguments and results of its autotraced steps."""
    if not traced.values:
        return trace
    allow = values.Allow(traced.patterns)
    steps = tuple(
        replace(step, args=None, result=None, mutated=())
        if (unit := autotraced(step)) is not None and allow.permits(unit)
        else step
        for step in trace.steps
    )
    return replace(trace, steps=steps)

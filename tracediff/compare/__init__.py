"""Comparing two traces: alignment, typed differences, labels, verdict. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tracediff.compare.autotraced import common_tracing
from tracediff.compare.code import CodeChanges, Load
from tracediff.compare.comparing import Comparing
from tracediff.compare.tolerances import Rules
from tracediff.compare.trees import common_depth
from tracediff.compare.walker import value_changes
from tracediff.model import Comparison, Tolerance, Trace

__all__ = ["compare", "value_changes"]


def compare(
    old: Trace,
    new: Trace,
    *,
    tolerances: Sequence[Tolerance] = (),
    strict_steps: bool = False,
    load: Load | None = None,
) -> Comparison:
    """Lay two traces against each other.

    Args:
        old: The recorded trace.
        new: The other one, usually its replay.
        tolerances: How exactly places must match; for each bound the last that matches holds.
        strict_steps: Let any step that differs beyond tolerance decide the verdict.
        load: Reads source files, to name the definitions that differ behind a step.

    Returns:
        The comparison. ``first`` is the step with a differing value, or added or removed, that
        *ended* first, so a cause comes before the steps it is inside of; a note or a step that
        only has another name or place is first only when nothing else differs.
    """
    old, new, remarks = common_tracing(old, new)
    old, new, remark = common_depth(old, new)
    code = CodeChanges(old, new, load) if load is not None else None
    comparing = Comparing(old, new, Rules(tolerances), strict=strict_steps, code=code)
    comparing.remarks[:0] = [*([remark] if remark else []), *remarks]
    return comparing.run()

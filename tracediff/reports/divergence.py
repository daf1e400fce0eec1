"""What is said of one divergence, on a terminal and on a page: what it means, where it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tracediff.model import Comparison, Divergence, DivergenceKind, FieldChange, Label, Step
from tracediff.reports import excerpt
from tracediff.reports.clean import clean
from tracediff.reports.deep import deep_lines
from tracediff.reports.paths import names

MEANINGS: Final[dict[Label, str]] = {
    "origin": "same arguments, another result: the change is in this step's own code",
    "propagated": "its own code is the same; what it was given differs",
    "mixed": "its code and what it was given both changed the result",
    "absorbed": "it was given something else and came to the same result",
    "hidden input": "same code, same arguments, another result: it reads something unrecorded",
    "clock": "times within the run itself",
    "unproven": "",
}
KINDS: Final[dict[DivergenceKind, str]] = {
    "added": "only the new execution runs this step",
    "removed": "the new execution no longer runs this step",
    "moved": "the step runs at another place",
    "renamed": "the step has another name",
    "reordered": "the steps run in another order",
    "changed": "",
}


def meaning(divergence: Divergence) -> str:
    """Return why a step differs, in one sentence; nothing where nobody can tell."""
    return KINDS[divergence.kind] or MEANINGS[divergence.label]


def within(comparison: Comparison, divergence: Divergence) -> str:
    """Return the steps that a step is in, from the job down; nothing for the job itself."""
    if divergence.new is not None:
        trace, index = comparison.new, divergence.new
    else:
        trace, index = comparison.old, divergence.old or 0
    if not index:
        return ""
    return " › ".join(map(clean, (trace.steps[0].name, *names(trace.steps, index)[:-1])))


def in_few_lines(
    before: Step, after: Step, one: Divergence, changes: Sequence[FieldChange], most: int
) -> list[str]:
    """Return what many changes of a result come to, such as rows in another order.

    Args:
        before: The recorded step.
        after: The other one.
        one: How they differ.
        changes: Those of its result.
        most: How many lines there may be; where more would be needed, there are none.
    """
    if one.frames.get("result"):
        return []  # summed up already
    if len(changes) <= most or before.result is None or after.result is None:
        return []
    values = excerpt.seen(before.result), excerpt.seen(after.result)
    lines = deep_lines(*values, len(changes), changes)
    return lines if len(lines) <= most else []

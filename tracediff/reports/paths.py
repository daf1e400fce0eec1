"""Where a step is: its line number, and the names from the job down to it joined by ``/``."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from tracediff.errors import TraceReferenceError
from tracediff.model import Step, Trace
from tracediff.reports.clean import clean


def names(steps: Sequence[Step], index: int) -> tuple[str, ...]:
    """Return the step names from below the job down to this step; () for the job itself."""
    found: list[str] = []
    while index > 0:
        found.append(steps[index].name)
        index = steps[index].parent if steps[index].parent < index else -1
    return tuple(reversed(found))


def path(steps: Sequence[Step], index: int) -> str:
    """Return the names of ``names`` joined by ``/``."""
    return "/".join(names(steps, index))


def address(steps: Sequence[Step], index: int) -> str:
    """Return what names this step alone: its path, or its line number where that is not enough."""
    own = path(steps, index)
    plain = own and own == clean(own) and not own.isdecimal()
    same = sum(step.name == steps[index].name for step in steps)
    if plain and (same == 1 or _indexes(steps, own) == [index]):
        return own
    return str(index)


def depths(steps: Sequence[Step]) -> list[int]:
    """Return how deep each step is; the job is at 0."""
    found: list[int] = []
    for index, step in enumerate(steps):
        found.append(found[step.parent] + 1 if 0 <= step.parent < index else min(index, 1))
    return found


def find_step(trace: Trace, wanted: str) -> int:
    """Return the index of the step that ``wanted`` names.

    Args:
        trace: The trace to look in.
        wanted: A line number, a path (``taxes/VAT rate``), or the last names of one.

    Raises:
        TraceReferenceError: ``step-unknown`` when no step has that name, ``step-ambiguous`` when
            several do.
    """
    found = find_steps(trace, wanted)
    if len(found) == 1:
        return found[0]
    lines = ", ".join(map(str, found[:8])) + (", …" if len(found) > 8 else "")
    raise TraceReferenceError(
        f"{len(found)} steps are called {wanted!r}",
        slug="step-ambiguous",
        hint=f"name one by its line number: {lines}",
    )


def find_steps(trace: Trace, wanted: str) -> list[int]:
    """Return the indexes of all steps that ``wanted`` names, at least one; see ``find_step``.

    Raises:
        TraceReferenceError: ``step-unknown``.
    """
    if wanted.isascii() and wanted.isdecimal() and int(wanted) < len(trace.steps):
        return [int(wanted)]
    found = _indexes(trace.steps, wanted) or _indexes(trace.steps, wanted, suffix=True)
    if not found:
        raise TraceReferenceError(
            f"trace {trace.id} has no step {wanted!r}",
            slug="step-unknown",
            hint=_nearest(trace, wanted),
        )
    return found


def _indexes(steps: Sequence[Step], wanted: str, *, suffix: bool = False) -> list[int]:
    last = wanted.rpartition("/")[2]
    # Names may hold a "/" themselves, so whole joined paths are compared, not parts.
    return [
        index
        for index, step in enumerate(steps)
        if index
        and step.name.endswith(last)
        and ((own := path(steps, index)) == wanted or (suffix and own.endswith(f"/{wanted}")))
    ]


def _nearest(trace: Trace, wanted: str) -> str:
    known = {step.name.casefold(): step.name for step in trace.steps[1:2000]}
    close = difflib.get_close_matches(wanted.rpartition("/")[2].casefold(), known, n=3)
    if close:
        return "did you mean " + " or ".join(repr(known[name]) for name in close) + "?"
    return f"give a line number from 0 to {len(trace.steps) - 1}, or the names joined by /"

"""What a check found as plain lines, for formats that have no layout of their own.

Each function returns lines that are safe to print, without the escapes of a format.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tracediff.checked import Checked, Group
from tracediff.reports import verdict
from tracediff.reports.clean import clean

_FIELDS: Final = 4
_MARKS: Final = 3
_LINES: Final = 40


def headline(found: Checked, told: verdict.Told) -> str:
    """Return one sentence on a cause: ``VAT moves result by -46.89 (124.7%) in 180 traces``."""
    traces = f"{told.group.count:,} of {found.changed:,} changed traces"
    if not told.amount:
        return f"{told.title} changes {traces}"
    part = f" ({told.part} of all)" if told.part else ""
    return f"{told.title} moves {clean(found.main[:200])} by {told.amount}{part} in {traces}"


def cause_lines(found: Checked, told: verdict.Told, *, hunk: bool = True) -> Iterator[str]:
    """Yield all that is said of a cause.

    Args:
        found: The check it is of.
        told: The cause.
        hunk: Whether its changed lines are shown.
    """
    group = told.group
    yield headline(found, told)
    if told.main is not None and told.main.count > 1:
        least, middle, most = verdict.spread(told.main)
        about = f", median about {middle}" if middle else ""
        yield f"{verdict.direction(told.main)}, from {least} to {most}{about}"
    yield f"{verdict.kind(group)}{f' at {told.place}' if told.place else ''}, cause {id_of(group)}"
    if group.change is not None and hunk:
        yield from hunk_lines(group)
    if group.change is not None and group.change.commit:
        yield f"commit {clean(group.change.commit[:40])}"
    others = list(verdict.elsewhere(found, group))
    for field, amount in others[:_FIELDS]:
        yield f"also {field}: {amount}"
    if len(others) > _FIELDS:
        yield f"also {len(others) - _FIELDS:,} more fields"
    for mark in group.marks[:_MARKS]:
        yield f"marks: {verdict.mark(mark)}"
    yield from acceptance_lines(group)
    shown = verdict.such_as(group, found.main)
    if shown:
        yield f"such as {shown}"
    yield f"look: {verdict.explain_command(group)}"
    if not group.passes:
        yield f"if it is as it should be: {verdict.accept_command(group)}"


def acceptance_lines(group: Group) -> Iterator[str]:
    """Yield why a cause was accepted, and what goes beyond that."""
    if group.accepted is not None:
        yield f"accepted: {verdict.accepted(group.accepted)}"
        yield from (f"beyond that: {clean(one[: verdict.LONGEST])}" for one in group.drift)


def hunk_lines(group: Group) -> Iterator[str]:
    """Yield the lines that went and came, and how many are left out."""
    hunk = group.change.hunk if group.change is not None else ()
    for line in hunk[:_LINES]:
        yield clean(line[: verdict.LONGEST].expandtabs(4))
    if len(hunk) > _LINES:
        yield f"… {len(hunk) - _LINES:,} more lines"


def id_of(group: Group) -> str:
    """Return a cause's id, safe to print."""
    return clean(group.cause[:120])


def failure(message: str, hint: str) -> str:
    """Return why a trace could not be replayed."""
    said = clean(message[: verdict.LONGEST]) or "no message"
    return f"{said} ({clean(hint[: verdict.LONGEST])})" if hint else said

"""Which definitions differ, the lines that do, and the steps at which that shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from rich.text import Text

from tracediff.model import CodeChange, Comparison, Divergence
from tracediff.reports import excerpt
from tracediff.reports.clean import clean
from tracediff.reports.text.canvas import BOLD, DIM, NAME, NEW, OLD, Look, apart, span
from tracediff.reports.text.entries import Entry, describe
from tracediff.reports.wording import many

_CHANGES_SHOWN = 8
_LINES_SHOWN = 3
_STEPS_SHOWN = 2
_PROVEN = ("origin", "mixed", "hidden input")


@dataclass(slots=True)
class Cause:
    """A definition that differs and the divergences that it may be the reason of."""

    change: CodeChange
    steps: list[Divergence] = field(default_factory=list)


def causes(comparison: Comparison) -> list[Cause]:
    """The definitions that differ behind differing steps, in the order they first show.

    Those that are the origin of a difference come before those that may be.
    """
    found: dict[tuple[str, str], Cause] = {}
    for one in comparison.divergences:
        for change in () if one.within else one.code or ():
            cause = found.setdefault((change.file, change.name), Cause(change))
            cause.steps.append(one)
    return sorted(found.values(), key=lambda one: not any(map(_proven, one.steps)))


def cause_rows(comparison: Comparison, look: Look) -> Iterator[Entry | Text]:
    """Yield the lines of the block; none where no definition is known to differ."""
    found = causes(comparison)
    for cause in found[:_CHANGES_SHOWN]:
        yield _head(cause.change, look.columns)
        yield from _lines("-", cause.change.removed, OLD, look.columns)
        yield from _lines("+", cause.change.added, NEW, look.columns)
        steps = sorted(cause.steps, key=lambda one: not _proven(one))
        for one in steps[:_STEPS_SHOWN]:
            entry = describe(comparison, one.old, one.new, one, 1)
            yield replace(entry, mark=" ", title=f"at {entry.title}")
        left = len(steps) - _STEPS_SHOWN
        if left > 0:
            yield Entry(title=f"and at {many(left, 'more step')}", depth=1, quiet=True)
    if len(found) > _CHANGES_SHOWN:
        more = many(len(found) - _CHANGES_SHOWN, "more definition")
        yield Entry(mark="…", title=f"{more}; --format json has them", quiet=True)


def _proven(one: Divergence) -> bool:
    return one.label in _PROVEN


def _head(change: CodeChange, width: int) -> Text:
    place = f"{change.file}:{change.line}" if change.file else ""
    left = span("  ", (clean(change.name), BOLD))
    return apart(left, span((clean(place), NAME)), width)


def _lines(mark: str, lines: tuple[str, ...], style: str, width: int) -> Iterator[Text]:
    for line in lines[:_LINES_SHOWN]:
        yield span((f"  {mark} ", style), (excerpt.cut(clean(line.rstrip()), width - 4), style))
    if len(lines) > _LINES_SHOWN:
        yield span((f"  {mark} … {many(len(lines) - _LINES_SHOWN, 'more line')}", DIM))

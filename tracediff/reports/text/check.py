"""The report of a check: the verdict, what moved in all, a block a cause, what failed."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from rich.text import Text

from tracediff.checked import Checked, Group, Total
from tracediff.reports.clean import clean
from tracediff.reports.text.canvas import (
    BAD,
    BOLD,
    DIM,
    GOOD,
    NAME,
    WARN,
    Look,
    fit,
    rule,
    span,
    wrapped,
)
from tracediff.reports.wording import many

_GROUPS = 12
_FIELDS = 6
_FAILURES = 5
_PLACES = 2


def check_lines(found: Checked, look: Look) -> Iterator[Text]:
    """Yield the report.

    Args:
        found: The check.
        look: How to draw.
    """
    glyph, style = ("✗", BAD) if found.broken else ("✓", GOOD)
    said = f"{many(found.checked, 'trace')} replayed: {found.same:,} the same"
    if found.changed:
        said += f", {found.changed:,} changed"
    if found.failed:
        said += f", {found.failed:,} failed"
    yield span((f" {glyph} ", style), (said, BOLD))
    if found.matching > found.checked:
        yield span((f"   a sample of {found.matching:,} that match", DIM))
    yield from _totals(found.totals, look, "   in all  ")
    for number, group in enumerate(found.groups[:_GROUPS], 1):
        yield span()
        yield from _group(number, group, found.changed, look)
    rest = found.groups[_GROUPS:]
    if rest:
        traces = many(sum(one.count for one in rest), "trace")
        yield span()
        yield span(
            (f"   … {many(len(rest), 'more cause')} of {traces}; --format json has all", DIM)
        )
    yield from _ending(found, look)


def _ending(found: Checked, look: Look) -> Iterator[Text]:
    """What failed, what is to be said, and which gates are broken."""
    if found.failures:
        yield span()
        yield rule(span(("could not be replayed", WARN)), look.columns)
        for one in found.failures[:_FAILURES]:
            yield fit(span("   ", (clean(one.id), NAME), f"  {clean(one.message)}"), look.columns)
        if found.failed > _FAILURES:
            yield span((f"   … and {found.failed - _FAILURES:,} more", DIM))
    for remark in found.remarks:
        for line in wrapped(clean(remark).split(), look.columns - 3, " "):
            yield span((f"   {line}", DIM))
    if found.broken:
        yield span()
        for sentence in found.broken:
            yield span((" ✗ ", BAD), clean(sentence))


def _group(number: int, group: Group, changed: int, look: Look) -> Iterator[Text]:
    share = f"{group.count:,} of {changed:,}"
    title = span((f"{number}  ", BOLD), (clean(group.label), BOLD))
    yield rule(title, look.columns, span((f"{share}  {group.cause}", DIM)))
    yield from _totals(group.totals, look, "   moves   ")
    smallest = group.smallest
    for moved in smallest.moved[:1]:
        line = span("   such as ", (clean(moved.field), NAME), f"  {clean(moved.old)} → ")
        yield fit(line + span(clean(moved.new)), look.columns)
    yield fit(span(("   look    ", DIM), f"tracediff explain {clean(smallest.id)}"), look.columns)


def _totals(totals: tuple[Total, ...], look: Look, head: str) -> Iterator[Text]:
    largest = sorted(totals, key=lambda one: (-abs(one.change), one.field))
    for at, one in enumerate(largest[:_FIELDS]):
        spread = (
            f"{one.up:,} up, {one.down:,} down, from {_amount(one.least)} to {_amount(one.most)}"
        )
        start = head if at == 0 else " " * len(head)
        line = span((start, DIM), (f"{_amount(one.change):>12}", BOLD), f"  {clean(one.field)}  ")
        yield fit(line + span((spread, DIM)), look.columns)
    if len(largest) > _FIELDS:
        yield span((" " * len(head) + f"… {many(len(largest) - _FIELDS, 'more field')}", DIM))


def _amount(amount: Fraction) -> str:
    """A sum for people: two places, more where that would be nothing."""
    places = _PLACES
    while amount and places < 12 and not round(amount, places):
        places += 1
    return f"{round(amount * 10**places) / 10**places:+,.{places}f}"

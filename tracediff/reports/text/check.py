"""The report of a check: the answer, what moved in all, a block a cause, and what is left.

The first five lines hold the answer; the blocks follow by how much they moved the main field.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from rich.cells import cell_len
from rich.text import Text

from tracediff.checked import Checked, Total
from tracediff.reports import sums, verdict
from tracediff.reports.clean import clean
from tracediff.reports.text.canvas import (
    BAD,
    BOLD,
    DIM,
    GOOD,
    NAME,
    WARN,
    Look,
    apart,
    ending,
    fit,
    prose,
    rule,
    span,
    wrapped,
)
from tracediff.reports.text.portfolio import cause_block, columns, sum_lines
from tracediff.reports.wording import many

_CAUSES: Final = 12
_FIELDS: Final = 6
_FAILURES: Final = 5
_STALE: Final = 8
_GATES: Final = 3


def check_lines(found: Checked, look: Look) -> Iterator[Text]:
    """Yield the report.

    Args:
        found: The check.
        look: How to draw.
    """
    told = verdict.story(found, _CAUSES)
    yield from _head(found, told, look)
    yield from _block(_totals(found, look))
    shared = columns(found, told.causes[:_CAUSES])
    for cause in told.causes[:_CAUSES]:
        yield span()
        yield from cause_block(found, cause, shared, look)
    rest = told.causes[_CAUSES:]
    if rest:
        yield span()
        more = many(len(rest), "more cause")
        yield span((f"   … {more}; --format json has all of them, and html most", DIM))
    yield from _block(sum_lines(found, told, look))
    for part in (_noise(found, look), _failures(found, look), _stale(found, look)):
        yield from _block(part)
    yield from _block(_remarks(found, look))
    yield from _block(_next(found, told, look))


def _block(lines: Iterable[Text]) -> Iterator[Text]:
    """Some lines with an empty one before them, if there are any."""
    for at, line in enumerate(lines):
        if at == 0:
            yield span()
        yield line


def _head(found: Checked, told: verdict.Story, look: Look) -> Iterator[Text]:
    """What came out, in three lines or a few more."""
    glyph, style = ("✗", BAD) if found.broken else ("✓", GOOD)
    took = verdict.took(found)
    lines = list(wrapped(told.counts.split(), look.columns - 3, " "))
    for at, line in enumerate(lines):
        text = span((f" {glyph} ", style) if at == 0 else "   ", (line, BOLD))
        if at == len(lines) - 1 and text.cell_len + len(took) + 2 <= look.columns:
            text = apart(text, span((took, DIM)), look.columns)
        yield text
    yield from prose("   ", "", told.answer, look)
    for sentence in found.broken[:_GATES]:
        yield from prose("   ✗ ", BAD, clean(sentence[: verdict.LONGEST]), look)
    if len(found.broken) > _GATES:
        yield span((f"     … {many(len(found.broken) - _GATES, 'more broken gate')}", DIM))
    if found.changed and not found.broken:
        yield span("   ", ("no gate is broken: ", GOOD), _within(found))


def _within(found: Checked) -> str:
    if found.accepted >= found.changed:
        return "all that changed is accepted"
    return f"{many(found.changed - found.accepted, 'trace')} may differ"


def _totals(found: Checked, look: Look) -> Iterator[Text]:
    """A row a field: its sum, how many moved it and which way, and how they are spread."""
    largest = sorted(
        found.totals, key=lambda one: (one.field != found.main, -abs(one.change), one.field)
    )
    shown = largest[:_FIELDS]
    if not shown:
        return
    names = [ending(clean(one.field[: verdict.LONGEST]), look.columns // 3) for one in shown]
    rows = [_cells(one) for one in shown]
    heads = ("in all", "traces", "up", "down", "least", "median", "most")
    widths = [max(map(cell_len, column)) for column in zip(heads, *rows, strict=True)]
    while sum(widths) + 2 * len(widths) > look.columns - 16 and len(widths) > 2:
        widths.pop()
    name = max(look.columns - 3 - sum(widths) - 2 * len(widths), 8)
    name = min(max(map(cell_len, names)), name)
    yield _row("", heads, widths, name, DIM)
    for at, cells in enumerate(rows):
        yield _row(names[at], cells, widths, name, "")
    if len(largest) > len(shown):
        yield span((f"   … {many(len(largest) - len(shown), 'more field')}", DIM))


def _cells(one: Total) -> tuple[str, ...]:
    least, middle, most = verdict.spread(one)
    amount = sums.written(one.change, sums.places_of([one.change, one.least, one.most]))
    counts = (f"{one.count:,}", f"{one.up:,}", f"{one.down:,}")
    return amount, *counts, least, middle and f"≈{middle}", most


def _row(name: str, cells: tuple[str, ...], widths: list[int], room: int, style: str) -> Text:
    line = span("   ").append_text(fit(span((name, style or NAME)), room))
    for at, (cell, width) in enumerate(zip(cells, widths, strict=False)):
        how = style or (BOLD if at == 0 else "")
        line.append("  ").append_text(fit(span((cell, how)), width, right=True))
    return line


def _noise(found: Checked, look: Look) -> Iterator[Text]:
    if not found.noise:
        return
    yield rule(span(("noise, not counted", BOLD)), look.columns)
    for one in found.noise[:_FIELDS]:
        yield from prose("   ", "", verdict.noise(one.field, one.count, one.example), look)
    if len(found.noise) > _FIELDS:
        yield span((f"   … {many(len(found.noise) - _FIELDS, 'more field')}", DIM))


def _failures(found: Checked, look: Look) -> Iterator[Text]:
    if not found.failed:
        return
    title = f"{many(found.failed, 'trace')} could not be replayed"
    yield rule(span((title, BAD)), look.columns)
    shown = found.failures[:_FAILURES]
    for one in shown:
        yield from prose("   ✗ ", BAD, f"{clean(one.id[:40])}  {_said(one.message)}", look)
        if one.hint:
            yield from prose("     hint: ", DIM, _said(one.hint), look)
    if found.failed > len(shown):
        yield span((f"     … and {found.failed - len(shown):,} more", DIM))


def _said(text: str) -> str:
    return clean(text[: verdict.LONGEST])


def _stale(found: Checked, look: Look) -> Iterator[Text]:
    for one in found.stale[:_STALE]:
        yield from prose(" ! ", WARN, verdict.stale(one), look)
    if len(found.stale) > _STALE:
        yield span((f"   … and {len(found.stale) - _STALE:,} more", DIM))


def _remarks(found: Checked, look: Look) -> Iterator[Text]:
    for remark in verdict.remarks(found):
        yield from prose("   ", "", remark, look)


def _next(found: Checked, told: verdict.Story, look: Look) -> Iterator[Text]:
    """What to type next, where a reader's eye is after a long report."""
    if not found.broken:
        return
    first = next((one for one in told.causes if one.failing), None)
    if first is not None:
        yield _command(verdict.explain_command(first.group), "all of its smallest trace", look)
        yield _command(verdict.accept_command(first.group), "if it is as it should be", look)
    elif found.failures:
        command = f"tracediff replay {clean(found.failures[0].id[:40])}"
        yield _command(command, "the first that failed, alone", look)


def _command(command: str, why: str, look: Look) -> Text:
    line = span(("   next  ", DIM), command)
    room = look.columns - line.cell_len - 2
    return apart(line, span((why if len(why) <= room else "", DIM)), look.columns)

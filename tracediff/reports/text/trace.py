"""A trace as numbered, indented lines; and one of its steps in full."""

from __future__ import annotations

from collections.abc import Iterator

from rich.cells import cell_len
from rich.text import Text

from tracediff.model import UNFINISHED, Page, Row, Step, Trace
from tracediff.reports import excerpt, living, wording
from tracediff.reports.clean import clean, clean_lines
from tracediff.reports.paths import depths, path
from tracediff.reports.text.canvas import (
    BAD,
    BOLD,
    DIM,
    GOOD,
    LOST,
    NAME,
    WARN,
    Look,
    fit,
    rule,
    span,
    wrapped,
)

_STATES = {
    "success": ("●", GOOD),
    "warning": ("▲", WARN),
    "error": ("✗", BAD),
    "running": ("◌", NAME),
    "lost": ("⊘", LOST),
}
_NARROW = 18
"""Columns that a job's name keeps whatever is said behind it."""
_MARKS = {"input": "⇠ ", "output": "⇢ ", "artifact": "▤ "}


def trace_lines(trace: Trace, look: Look, *, parts: int = 0) -> Iterator[Text]:
    """Yield a trace as it happened.

    Args:
        trace: The trace.
        look: How it is drawn.
        parts: How many parts of a live trace it was read from.
    """
    yield from head_lines(trace, look, parts=parts)
    indents = depths(trace.steps)
    width = len(str(len(trace.steps)))
    for index, step in enumerate(trace.steps[1:], 1):
        yield step_line(trace, index, step, indents[index] - 1, width, look)


def head_lines(trace: Trace, look: Look, *, parts: int = 0) -> Iterator[Text]:
    """Yield what is said of a trace before its steps."""
    crumbs = " › ".join(clean(trace.key).split("/"))
    yield rule(span((crumbs, BOLD)), look.columns, span((clean(trace.id), DIM)), "━")
    yield span(f"   {clean(trace.meta)}")
    yield outcome_line(trace, look, parts=parts)
    when = f"{wording.moment(trace.started_at)}, {wording.age(trace.started_at, look.now)}"
    unfinished = trace.state in UNFINISHED
    took = "" if unfinished else f"took {wording.lasted(trace.duration)}, "
    yield span((f"   {when}, {took}on {wording.version(trace.code)}", DIM))
    if trace.tags:
        for at, line in enumerate(wrapped(map(clean, trace.tags), look.columns - 8)):
            yield fit(span((f"   {'    ' if at else 'tags'} {line}", DIM)), look.columns)
    for warning in trace.warnings:
        yield span(("   warning: ", WARN), clean(warning))
    yield span()


def outcome_line(trace: Trace, look: Look, *, parts: int = 0) -> Text:
    """Return how a trace ended and what came of it, or how it stands with one that has not."""
    glyph, style = _STATES[trace.state]
    standing = living.standing(trace, look.now, parts=parts, quiet=look.quiet)
    outcome = excerpt.outcome(trace.steps[0], 120)
    return span("   ", (f"{glyph} {standing or trace.state}", style), f"  {outcome}")


def end_line(index: int, step: Step, indent: int, width: int, look: Look) -> Text:
    """Return the line that says that a step has ended which was open before."""
    glyph, style = _STATES[step.state]
    number = (f"{index:>{width}}  ", DIM)
    took = (f" took {wording.lasted(step.duration)}", DIM)
    line = span(number, _inset(indent, look), ("└ ", DIM), clean(step.name), took)
    if step.state != "success":
        line.append(f" {glyph}", style)
    outcome = excerpt.outcome(step, 80)
    return fit(line + span((" → ", DIM), outcome) if outcome else line, look.columns)


def _inset(indent: int, look: Look) -> str:
    """What stands before a step; no more of it than a line shows, however deep the step is."""
    return "  " * min(indent, look.columns)


def step_line(trace: Trace, index: int, step: Step, indent: int, width: int, look: Look) -> Text:
    """Return the line of one step.

    Args:
        trace: The trace that it is of.
        index: Its number.
        step: The step.
        indent: How far it is indented.
        width: How many digits its number has room for.
        look: How it is drawn.
    """
    number = (f"{index:>{width}}  ", DIM)
    if step.kind == "note":
        if step.head:
            title = span((clean(step.name), BOLD))
            bar = rule(title, look.columns - width - 2, span((wording.lasted(step.start), DIM)))
            return span(number) + bar
        return fit(span(number, _inset(indent, look), (clean(step.name), DIM)), look.columns)
    mark = _MARKS.get(step.kind, "")
    glyph, style = _STATES[step.state]
    flag = "" if step.state == "success" else f" {glyph}"
    if open_for := living.open_for(trace, step):
        flag += f" {open_for}"
    if step.mutated:
        flag += f" changed {', '.join(map(clean, step.mutated))}"
    arguments = excerpt.arguments(step.args, 60)
    shown = span((f" ({arguments})" if arguments else "", DIM))
    line = span(number, _inset(indent, look), mark, (clean(step.name), ""))
    # Arguments give way to what is said of the step.
    room = look.columns - line.cell_len - cell_len(flag)
    shown.truncate(max(room, 0), overflow="ellipsis")
    line = line + shown + span((flag, style))
    outcome = excerpt.outcome(step, 80)
    if outcome:
        line = line + span((" → ", DIM), outcome)
    return fit(line, look.columns)


def step_lines(trace: Trace, index: int, look: Look) -> Iterator[Text]:
    """Yield one step in full."""
    step = trace.steps[index]
    yield rule(span((clean(path(trace.steps, index)), BOLD)), look.columns)
    source = step.source
    if source is not None and source.file:
        yield span((f"   {clean(source.file)}:{source.line}  {clean(source.unit)}", DIM))
    said = living.open_for(trace, step)
    yield span(f"   {step.kind}, {said or f'{step.state}, took {wording.lasted(step.duration)}'}")
    if step.mutated:
        yield span(("   changed its own arguments: ", WARN), ", ".join(map(clean, step.mutated)))
    for title, value in (("arguments", step.args), ("key", step.key), ("result", step.result)):
        if value is not None:
            yield span()
            yield span((f"   {title}", BOLD))
            for line in clean_lines(excerpt.whole(excerpt.seen(value))):
                yield span(f"     {line}")
    if step.error is not None:
        yield span()
        yield span(("   error ", BAD), clean(f"{step.error.type}: {step.error.message}"))
        for line in clean_lines(step.error.traceback):
            yield span((f"     {line}", DIM))


def page_lines(page: Page, look: Look) -> Iterator[Text]:
    """Yield a table of traces."""
    yield span((f"  {'id':<20}  {'when':>11}  {'took':>8}  {'lines':>6}  job", DIM))
    for row in page.rows:
        yield from _row(row, look)
    if page.cursor is not None:
        yield span((f"more: --cursor {page.cursor}", DIM))


def _row(row: Row, look: Look) -> Iterator[Text]:
    """Columns of one width first, then the name, and tags where there is room for them.

    What is said of a job that has not ended is never cut: a long name gives way to it, and on a
    narrow page it has a line of its own.
    """
    glyph, style = _STATES[row.state]
    facts = (
        f"  {wording.age(row.started_at, look.now):>11}"
        f"  {wording.lasted(living.took(row, look.now, look.quiet)):>8}  {row.steps:>6,}  "
    )
    line = span((glyph, style), f" {clean(row.id)}", (facts, DIM))
    name = span(f"{clean(row.key)}({clean(row.meta)})")
    said = _standing(row, look)
    room = look.columns - line.cell_len - said.cell_len
    if room < _NARROW and room < name.cell_len:
        yield _cut(line + name, look.columns)
        yield fit(said, look.columns, right=True)
        return
    line = line + _cut(name, room) + said
    if row.tags and look.columns - line.cell_len > len("  …"):
        line.append(f"  {' '.join(map(clean, row.tags))}", DIM)
    yield _cut(line, look.columns)


def _cut(line: Text, width: int) -> Text:
    line.truncate(width, overflow="ellipsis")
    return line


def _standing(row: Row, look: Look) -> Text:
    """What a row that runs or was lost says behind its name, which gives way to it."""
    if row.state == "running":
        quiet = living.is_quiet(row, look.now, look.quiet)
        heard = living.heard(row, look.now, look.quiet).removeprefix("last ")
        said = f"  {heard}" if quiet else f"  so far, {heard}"
        return span((said, WARN if quiet else NAME))
    return span(("  lost", LOST)) if row.state == "lost" else span()

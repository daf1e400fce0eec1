"""A trace as numbered, indented lines; and one of its steps in full."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from tracediff.model import Page, Row, Step, Trace
from tracediff.reports import excerpt, wording
from tracediff.reports.clean import clean, clean_lines
from tracediff.reports.paths import depths, path
from tracediff.reports.text.canvas import BAD, BOLD, DIM, GOOD, WARN, Look, fit, rule, span

_STATES = {
    "success": ("●", GOOD),
    "warning": ("▲", WARN),
    "error": ("✗", BAD),
    "running": ("◌", DIM),
}
_MARKS = {"input": "⇠ ", "output": "⇢ ", "artifact": "▤ "}


def trace_lines(trace: Trace, look: Look) -> Iterator[Text]:
    """Yield a trace as it happened."""
    root = trace.steps[0]
    glyph, style = _STATES[trace.state]
    crumbs = " › ".join(clean(trace.key).split("/"))
    yield rule(span((crumbs, BOLD)), look.columns, span((clean(trace.id), DIM)), "━")
    yield span(f"   {clean(trace.meta)}")
    yield span("   ", (f"{glyph} {trace.state}", style), f"  {excerpt.outcome(root, 120)}")
    when = f"{wording.moment(trace.started_at)}, {wording.age(trace.started_at, look.now)}"
    how = f"took {wording.lasted(trace.duration)}, on {wording.version(trace.code)}"
    yield span((f"   {when}, {how}", DIM))
    if trace.tags:
        yield span(("   tags " + ", ".join(map(clean, trace.tags)), DIM))
    for warning in trace.warnings:
        yield span(("   warning: ", WARN), clean(warning))
    yield span()
    indents = depths(trace.steps)
    width = len(str(len(trace.steps)))
    for index, step in enumerate(trace.steps[1:], 1):
        yield _line(index, step, indents[index] - 1, width, look)


def _line(index: int, step: Step, indent: int, width: int, look: Look) -> Text:
    number = (f"{index:>{width}}  ", DIM)
    if step.kind == "note":
        if step.head:
            title = span((clean(step.name), BOLD))
            bar = rule(title, look.columns - width - 2, span((wording.lasted(step.start), DIM)))
            return span(number) + bar
        return fit(span(number, "  " * indent, (clean(step.name), DIM)), look.columns)
    mark = _MARKS.get(step.kind, "")
    glyph, style = _STATES[step.state]
    flag = "" if step.state == "success" else f" {glyph}"
    if step.mutated:
        flag += f" changed {', '.join(map(clean, step.mutated))}"
    arguments = excerpt.arguments(step.args, 60)
    shown = f" ({arguments})" if arguments else ""
    line = span(number, "  " * indent, mark, (clean(step.name), ""), (shown, DIM), (flag, style))
    outcome = excerpt.outcome(step, 80)
    if outcome:
        line = line + span((" → ", DIM), outcome)
    return fit(line, look.columns)


def step_lines(trace: Trace, index: int, look: Look) -> Iterator[Text]:
    """Yield one step in full."""
    step = trace.steps[index]
    yield rule(span((clean(path(trace.steps, index)), BOLD)), look.columns)
    source = step.source
    if source is not None:
        yield span((f"   {clean(source.file)}:{source.line}  {clean(source.unit)}", DIM))
    yield span(f"   {step.kind}, {step.state}, took {wording.lasted(step.duration)}")
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
        yield _row(row, look)
    if page.cursor is not None:
        yield span((f"more: --cursor {page.cursor}", DIM))


def _row(row: Row, look: Look) -> Text:
    """Columns of one width first, the name last: what is cut on a narrow page is its end."""
    glyph, style = _STATES[row.state]
    facts = (
        f"  {wording.age(row.started_at, look.now):>11}"
        f"  {wording.lasted(row.duration):>8}  {row.steps:>6,}  "
    )
    tags = f"  {' '.join(map(clean, row.tags))}" if row.tags else ""
    name = (f"{clean(row.key)}({clean(row.meta)})", "")
    line = span((glyph, style), f" {clean(row.id)}", (facts, DIM), name, (tags, DIM))
    line.truncate(look.columns, overflow="ellipsis")
    return line

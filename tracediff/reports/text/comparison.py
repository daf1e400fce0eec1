"""The report of one comparison: what changed, where it starts, and every step that differs."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from itertools import islice

from rich.text import Text

from tracediff.model import Comparison, FieldChange, Trace
from tracediff.reports import excerpt, wording
from tracediff.reports.clean import clean
from tracediff.reports.outcome import drifted, outcome, root, stopped
from tracediff.reports.paths import address
from tracediff.reports.text.canvas import (
    BAD,
    BOLD,
    DIM,
    GOOD,
    NEW,
    OLD,
    WARN,
    Look,
    apart,
    rule,
    span,
    wrapped,
)
from tracediff.reports.text.causes import cause_rows
from tracediff.reports.text.columns import table
from tracediff.reports.text.entries import changes_of, listed
from tracediff.reports.text.first import first_divergence
from tracediff.reports.text.served import misses, unused
from tracediff.reports.text.tree import entries
from tracediff.reports.wording import many

_FIELDS_SHOWN = 12
_CODE_SHOWN = 6


def comparison_lines(comparison: Comparison, look: Look) -> Iterator[Text]:
    """Yield the report of a comparison."""
    heads = sides(comparison)
    yield from _header(comparison, look, heads)
    yield span()
    yield from verdict(comparison, look, heads)
    if comparison.first is not None:
        yield span()
        yield from first_divergence(comparison, comparison.first, look, heads)
    found = list(cause_rows(comparison, look))
    if found:
        yield span()
        yield from table(found, look, heads, "changed code, and where it shows")
    rows = list(entries(comparison, look.limit))
    if rows:
        yield span()
        yield from table(rows, look, heads)
    yield from _ending(comparison, look)


def sides(comparison: Comparison) -> tuple[str, str]:
    """Return what the two columns are called: a replay is ``now``, a second recording ``other``."""
    return ("recorded", "now" if comparison.new.replay is not None else "other")


def _header(comparison: Comparison, look: Look, heads: tuple[str, str]) -> Iterator[Text]:
    old, new = comparison.old, comparison.new
    yield rule(span((clean(old.key), BOLD)), look.columns, span((clean(old.id), DIM)), "━")
    call = excerpt.arguments(old.steps[0].args, look.columns - 4) if old.steps else ""
    if call or old.meta:
        yield span(f"   {call or excerpt.cut(clean(old.meta), look.columns - 4)}")
    yield span()
    half = (look.columns - 14) // 2
    now = "now" if new.replay is not None else clean(new.id)
    rows = [
        ("", heads[0], heads[1] if new.replay is not None else f"{heads[1]}  {now}"),
        ("when", _when(old, look), "replayed just now" if new.replay else _when(new, look)),
        ("code", wording.version(old.code), wording.version(new.code)),
        ("took", _took(old), _took(new)),
    ]
    for name, left, right in rows:
        styles = (DIM, "", "") if name else (DIM, f"{BOLD} {OLD}", f"{BOLD} {NEW}")
        before, after = excerpt.cut(left, half - 2), excerpt.cut(right, half)
        yield span(
            (f"   {name:<9}", styles[0]), (f"{before:<{half}}", styles[1]), (after, styles[2])
        )
    yield from _code(old, new, look)


def _when(trace: Trace, look: Look) -> str:
    return f"{wording.age(trace.started_at, look.now)} · {wording.moment(trace.started_at)}"


def _took(trace: Trace) -> str:
    steps = sum(step.kind not in ("job", "note") for step in trace.steps)
    return f"{wording.lasted(trace.duration)} · {many(steps, 'step')}"


def _code(old: Trace, new: Trace, look: Look) -> Iterator[Text]:
    changed = wording.code_changes(old.code, new.code)
    if not changed:
        if old.code.files and new.code.files:
            yield span(("   differs  ", DIM), "no file that either side loaded")
        return
    words = list(changed[:_CODE_SHOWN])
    if len(changed) > _CODE_SHOWN:
        words.append(f"and {len(changed) - _CODE_SHOWN:,} more")
    for at, line in enumerate(wrapped(words, look.columns - 14)):
        yield span((f"   {'' if at else 'differs':<9}", DIM), line)


def verdict(comparison: Comparison, look: Look, heads: tuple[str, str]) -> Iterator[Text]:
    """Yield whether both are the same, and what of the outcome differs."""
    found = outcome(comparison)
    if found.head != "different":
        yield span((f" ✓ {found.head} ", GOOD), f"  {found.said}")
        return
    line = span((" ✗ different ", BAD), "  ")
    replay = comparison.new.replay
    if found.stop is not None and replay is not None:
        yield line.append(f"{found.said} ").append(clean(found.stop.name), BOLD)
        yield span()
        yield from misses(comparison.old, replay, look)
    elif len(found.changes) == 1 and not found.changes[0].path:
        yield from _one_change(line, found.changes[0], look, heads)
    else:
        for at, part in enumerate(
            wrapped(found.said.split(" "), look.columns - line.cell_len, " ")
        ):
            yield span((" " * line.cell_len, ""), part) if at else line.copy().append(part)
        if found.both is not None:
            yield from _stacked(*found.both, look, heads)
        if found.changes:
            yield from table(listed(found.changes, _FIELDS_SHOWN, 1), look, heads)


def _one_change(
    line: Text, change: FieldChange, look: Look, heads: tuple[str, str]
) -> Iterator[Text]:
    old, new = excerpt.whole(change.old), excerpt.whole(change.new)
    line.append("result")
    if len(old) + len(new) > look.columns - 50:
        yield line
        yield from _stacked(old, new, look, heads)
        return
    line.append("  ").append(old, style=OLD).append(" → ").append(new, style=f"{BOLD} {NEW}")
    delta = wording.signed(change.delta)
    if delta:
        line.append(f"   {delta}", style=BOLD)
        line.append(f"  {wording.percent(change.old, change.delta)}", style=BOLD)
    yield line


def _stacked(old: str, new: str, look: Look, heads: tuple[str, str]) -> Iterator[Text]:
    head = max(map(len, heads))
    left, right = excerpt.pair(old, new, look.columns - head - 8)
    for name, text, style in ((heads[0], left, OLD), (heads[1], right, NEW)):
        line = span((f"     {name:<{head}}  ", DIM), (text, style))
        line.truncate(look.columns, overflow="ellipsis")
        yield line


def _ending(comparison: Comparison, look: Look) -> Iterator[Text]:
    replay = comparison.new.replay
    blocks: list[Iterator[Text]] = []
    if replay is not None:
        told = [] if stopped(replay) else [misses(comparison.old, replay, look)]
        blocks = [*told, unused(comparison.old, replay, look)]
    blocks += [_remarks(comparison, look), _next(comparison, look)]
    for block in blocks:
        lines = list(block)
        if lines:
            yield span()
            yield from lines


def _remarks(comparison: Comparison, look: Look) -> Iterator[Text]:
    if comparison.drift:
        yield span((f"  {drifted(comparison)}", DIM))
    remarks = [*comparison.remarks, *comparison.new.warnings]
    for remark in islice(remarks, 10):
        yield span(("  ! ", WARN), excerpt.cut(clean(remark), look.columns - 4))
    if len(remarks) > 10:
        yield span((f"    … and {len(remarks) - 10:,} more remarks", DIM))


def _summary(comparison: Comparison, look: Look) -> Iterator[Text]:
    """The verdict again, where a reader's eye is after a long report."""
    first, top = comparison.first, root(comparison)
    index = first.new if first and first.new is not None else None
    if not comparison.different or first is None or index is None:
        return
    change = next(iter(changes_of(top, "result") if top else ()), None)
    said = "different"
    if change is not None and not change.path and "error" not in (top.aspects if top else ()):
        sides = [excerpt.short(side, 24) for side in (change.old, change.new)]
        said = " ".join(filter(None, [" → ".join(sides), wording.signed(change.delta)]))
    step = comparison.new.steps[index]
    place = (
        f" ({clean(step.source.file)}:{step.source.line})"
        if step.source and step.source.file
        else ""
    )
    line = span(("  ✗ ", BAD), said, (", first at ", DIM), clean(step.name), (place, DIM))
    line.truncate(look.columns, overflow="ellipsis")
    yield line


def _next(comparison: Comparison, look: Look) -> Iterator[Text]:
    first = comparison.first
    if first is None:
        return
    if first.old is not None:
        trace, index, what = comparison.old, first.old, "the recorded step in full"
    elif first.new is not None and comparison.new.replay is None:
        trace, index, what = comparison.new, first.new, "that step in full"
    else:
        trace, index, what = comparison.old, 0, "the recorded trace"
    yield from _summary(comparison, look)
    yield _command(f"tracediff show {clean(trace.id)}", trace, index, what, look)


def _command(command: str, trace: Trace, index: int, what: str, look: Look) -> Text:
    """What to type next, whole: a cut command is none. What it shows gives way to it."""
    whole = [command]
    if index:
        places = address(trace.steps, index), str(index)
        whole = [f"{command} --step {shlex.quote(place)}" for place in places]
    for remark in (f"  {what}", ""):
        for line in whole:
            left, right = span(("  next  ", DIM), line), span((remark, DIM))
            if left.cell_len + right.cell_len <= look.columns:
                return apart(left, right, look.columns)
    return apart(span(("  next  ", DIM), whole[-1]), span(), look.columns)

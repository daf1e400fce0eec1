"""The report of one comparison: what changed, where it starts, and every step that differs."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from itertools import islice

from rich.text import Text

from tracediff.model import Comparison, Divergence, FieldChange, Miss, ReplayInfo, Trace
from tracediff.reports import excerpt, wording
from tracediff.reports.clean import clean
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


def _differing(comparison: Comparison) -> list[Divergence]:
    return [divergence for divergence in comparison.divergences if not divergence.within]


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
    count = len(_differing(comparison))
    if not comparison.different:
        yield _same(comparison, count)
        return
    line = span((" ✗ different ", BAD), "  ")
    replay = comparison.new.replay
    stop = _stop(replay)
    if replay is not None and stop is not None:
        yield line.append(f"the replay stopped at {stop.kind} ").append(clean(stop.name), BOLD)
        yield span()
        yield from misses(comparison.old, replay, look)
        return
    root = _root(comparison)
    before = excerpt.outcome(comparison.old.steps[0], 400) or "None"
    after = excerpt.outcome(comparison.new.steps[0], 400) or "None"
    if root and "error" in root.aspects:
        yield line.append("how it ends")
        yield from _stacked(before, after, look, heads)
        return
    changes = changes_of(root, "result") if root else ()
    if len(changes) == 1 and not changes[0].path:
        yield from _one_change(line, changes[0], look, heads)
    elif changes:
        yield line.append(f"{many(len(changes), 'field')} of the result")
        yield from table(listed(changes, _FIELDS_SHOWN, 1), look, heads)
    elif root and "result" in root.aspects:
        yield line.append("result")
        yield from _stacked(before, after, look, heads)
    else:
        yield line.append(_elsewhere(comparison, count))


def _stop(replay: ReplayInfo | None) -> Miss | None:
    """The call that ended the replay, if one did: what came after it says nothing."""
    return next((one for one in replay.misses if one.served == "failed"), None) if replay else None


def _same(comparison: Comparison, count: int) -> Text:
    if count:
        differ = "step differs" if count == 1 else "steps differ"
        return span((" ✓ same result ", GOOD), f"  {count:,} {differ} on the way")
    steps = sum(step.kind not in ("job", "note") for step in comparison.new.steps)
    return span((" ✓ same ", GOOD), f"  {many(steps, 'step')} unchanged")


def _root(comparison: Comparison) -> Divergence | None:
    for divergence in comparison.divergences:
        if divergence.old == 0 and divergence.new == 0 and not divergence.within:
            return divergence
    return None


def _elsewhere(comparison: Comparison, count: int) -> str:
    outputs = sum(
        "output"
        in (
            comparison.old.steps[d.old].kind if d.old is not None else "",
            comparison.new.steps[d.new].kind if d.new is not None else "",
        )
        for d in _differing(comparison)
    )
    if outputs:
        return f"same result, but {many(outputs, 'output differs', 'outputs differ')}"
    root = _root(comparison)
    if root and "state" in root.aspects:
        return f"same result, but {comparison.old.state} became {comparison.new.state}"
    return f"same result, but {many(count, 'step differs', 'steps differ')}"


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
        told = [] if _stop(replay) else [misses(comparison.old, replay, look)]
        blocks = [*told, unused(comparison.old, replay, look)]
    blocks += [_remarks(comparison, look), _next(comparison, look)]
    for block in blocks:
        lines = list(block)
        if lines:
            yield span()
            yield from lines


def _remarks(comparison: Comparison, look: Look) -> Iterator[Text]:
    if comparison.drift:
        differ = many(comparison.drift, "difference lies", "differences lie")
        yield span((f"  {differ} within a tolerance", DIM))
    remarks = [*comparison.remarks, *comparison.new.warnings]
    for remark in islice(remarks, 10):
        yield span(("  ! ", WARN), excerpt.cut(clean(remark), look.columns - 4))
    if len(remarks) > 10:
        yield span((f"    … and {len(remarks) - 10:,} more remarks", DIM))


def _summary(comparison: Comparison, look: Look) -> Iterator[Text]:
    """The verdict again, where a reader's eye is after a long report."""
    first, root = comparison.first, _root(comparison)
    index = first.new if first and first.new is not None else None
    if not comparison.different or first is None or index is None:
        return
    change = next(iter(changes_of(root, "result") if root else ()), None)
    said = "different"
    if change is not None and not change.path and "error" not in (root.aspects if root else ()):
        sides = [excerpt.short(side, 24) for side in (change.old, change.new)]
        said = " ".join(filter(None, [" → ".join(sides), wording.signed(change.delta)]))
    step = comparison.new.steps[index]
    place = f" ({clean(step.source.file)}:{step.source.line})" if step.source else ""
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

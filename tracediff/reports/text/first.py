"""The block about the first divergence: the step where two executions part."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from tracediff.model import Aspect, Comparison, Divergence, FieldChange, Source, Step
from tracediff.reports import excerpt, frames, wording
from tracediff.reports.clean import clean
from tracediff.reports.divergence import in_few_lines, meaning, within
from tracediff.reports.text.canvas import (
    BOLD,
    CAUSE,
    DIM,
    NAME,
    NEW,
    OLD,
    Look,
    apart,
    panel,
    span,
    wrapped,
)
from tracediff.reports.text.entries import changes_of
from tracediff.reports.wording import many

_FIELDS_SHOWN = 6


def first_divergence(
    comparison: Comparison, divergence: Divergence, look: Look, heads: tuple[str, str]
) -> Iterator[Text]:
    """Yield the block about one divergence."""
    title = span(("first divergence", BOLD))
    if divergence.label != "unproven":
        title.append(" · ").append(divergence.label, style=CAUSE)
    yield from panel(title, _body(comparison, divergence, look.columns - 4, heads), look.columns)


def _body(
    comparison: Comparison, divergence: Divergence, width: int, heads: tuple[str, str]
) -> Iterator[Text]:
    before = None if divergence.old is None else comparison.old.steps[divergence.old]
    after = None if divergence.new is None else comparison.new.steps[divergence.new]
    step = after or before
    if step is None:
        return
    yield apart(_name(before, after), _place(before, after), width)
    where = within(comparison, divergence)
    if where:
        yield span(("in ", DIM), (excerpt.cut(where, width - 3), NAME))
    said = meaning(divergence)
    if said:
        yield span((said, DIM))
    yield span()
    yield from _arguments(step, divergence, width, heads)
    yield from _outcomes(before, after, divergence, width, heads)


def _name(before: Step | None, after: Step | None) -> Text:
    step = after or before
    line = span((clean(step.name), BOLD)) if step else span()
    if before and after and before.name != after.name:
        line = span((clean(before.name), OLD), " → ", (clean(after.name), NEW))
    if step and step.kind not in ("step", "job"):
        line.append(f"  {step.kind}", style=DIM)
    return line


def _place(before: Step | None, after: Step | None) -> Text:
    source = (after and after.source) or (before and before.source) or None
    if source is None or not source.file:
        return span()
    line = span(("  ", ""), (_spot(source), NAME))
    was = before.source if before else None
    if was is not None and was.file and after is not None and was.file != source.file:
        line = span((f"  {_spot(was)} → ", DIM)).append(_spot(source), style=NAME)
    return line


def _spot(source: Source) -> str:
    return clean(f"{source.file}:{source.line}")


def _arguments(
    step: Step, divergence: Divergence, width: int, heads: tuple[str, str]
) -> Iterator[Text]:
    changes = changes_of(divergence, "args")
    if changes:
        summed = list(_summed("args", divergence, width))
        yield from summed
        yield from _changes("" if summed else "args", changes, width, heads)
        return
    call = excerpt.arguments(step.args, width - 10)
    if call:
        yield span(("args    ", DIM), call)


def _outcomes(
    before: Step | None,
    after: Step | None,
    divergence: Divergence,
    width: int,
    heads: tuple[str, str],
) -> Iterator[Text]:
    if before is None or after is None:
        step, head = (after, heads[1]) if after else (before, heads[0])
        told = excerpt.outcome(step, width - 10 - len(head)) if step else ""
        if told:
            name = "raised" if step and step.error else "result"
            yield span((f"{name:<8}", DIM), (f"{head}  ", DIM), (told, NEW if after else OLD))
        return
    changes = changes_of(divergence, "result")
    if "error" in divergence.aspects:
        old, new = excerpt.outcome(before, 2000) or "—", excerpt.outcome(after, 2000) or "—"
        yield from _sides("ends in", old, new, width, heads)
    elif changes:
        few = in_few_lines(before, after, divergence, changes, _FIELDS_SHOWN)
        for at, line in enumerate(few):
            yield span((f"{'' if at else 'result':<8}", DIM), excerpt.cut(line, width - 8))
        if not few:
            summed = list(_summed("result", divergence, width))
            yield from summed
            yield from _changes("" if summed else "result", changes, width, heads)
    elif "result" in divergence.aspects:
        old, new = excerpt.outcome(before, 2000) or "—", excerpt.outcome(after, 2000) or "—"
        yield from _sides("result", old, new, width, heads)
    elif unchanged := excerpt.outcome(after, width - 10):
        yield span(("result  ", DIM), (f"{unchanged}", ""), ("  unchanged", DIM))
    if "state" in divergence.aspects and "error" not in divergence.aspects:
        yield from _sides("state", before.state, after.state, width, heads)


def _summed(aspect: Aspect, divergence: Divergence, width: int) -> Iterator[Text]:
    for told in frames.told(divergence, aspect):
        for at, line in enumerate(wrapped(told.split(" "), width - 8, " ")):
            yield span((f"{'' if at else aspect:<8}", DIM), line)


def _changes(
    name: str, changes: tuple[FieldChange, ...], width: int, heads: tuple[str, str]
) -> Iterator[Text]:
    for at, change in enumerate(changes[:_FIELDS_SHOWN]):
        delta = " ".join(
            filter(
                None,
                (wording.signed(change.delta), wording.percent(change.old, change.delta)),
            )
        )
        place = wording.field_path(change.path)
        if place:
            yield span((f"{'' if at else name:<8}", DIM), (place, ""))
        old, new = excerpt.whole(change.old), excerpt.whole(change.new)
        yield from _sides("" if place or at else name, old, new, width, heads, delta)
    if len(changes) > _FIELDS_SHOWN:
        yield span((f"        … {many(len(changes) - _FIELDS_SHOWN, 'more field')}", DIM))


def _sides(
    name: str,
    old: str,
    new: str,
    width: int,
    heads: tuple[str, str],
    delta: str = "",
) -> Iterator[Text]:
    head = max(map(len, heads))
    lead = 8 + head + 2
    left, right = excerpt.pair(old, new, width - lead - (len(delta) + 3 if delta else 0))
    yield span((f"{name:<8}", DIM), (f"{heads[0]:<{head}}  ", DIM), (left, OLD))
    line = span((f"{'':<8}", DIM), (f"{heads[1]:<{head}}  ", DIM), (right, f"{BOLD} {NEW}"))
    if delta:
        line.append("   ").append(delta, style=BOLD)
    yield line

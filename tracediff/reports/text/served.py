"""How a replay got its inputs: calls that no recording answers, recordings nobody asked for."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from tracediff.model import FieldChange, Miss, ReplayInfo, Trace
from tracediff.reports import excerpt, wording
from tracediff.reports.clean import clean
from tracediff.reports.text.canvas import BAD, DIM, NEW, OLD, WARN, Look, span, wrapped
from tracediff.reports.wording import many

_MISSES_SHOWN = 5
_HINT_LINES = 5
_NEAREST_SHOWN = 2
_FIELDS_SHOWN = 3
_UNUSED_SHOWN = 5
ANSWERS = {
    "failed": "the replay stopped here",
    "nearest": "answered with the nearest recording",
    "stub": "answered with a stand-in",
    "live": "called for real",
}
"""What a call that has no recording was answered with."""


def misses(recorded: Trace, replay: ReplayInfo, look: Look) -> Iterator[Text]:
    """Yield a block about the calls that no recording answers, with the nearest recordings."""
    if not replay.misses:
        return
    noun = many(len(replay.misses), "call has no recording", "calls have no recording")
    yield span((f"  {noun}", WARN))
    for miss in replay.misses[:_MISSES_SHOWN]:
        yield from _miss(recorded, miss, look)
    if len(replay.misses) > _MISSES_SHOWN:
        yield span((f"    … and {len(replay.misses) - _MISSES_SHOWN:,} more", DIM))


def _miss(recorded: Trace, miss: Miss, look: Look) -> Iterator[Text]:
    call = f"{clean(miss.name)}({excerpt.arguments(miss.args, look.columns)})"
    line = span(("  ✗ ", BAD), (f"{miss.kind} ", DIM), call)
    line.truncate(look.columns, overflow="ellipsis")
    yield line
    place = " › ".join(map(clean, miss.path))
    where = f"in {place} · " if place else ""
    yield span((excerpt.cut(f"    {where}{ANSWERS[miss.served]}", look.columns), DIM))
    for index, changes in miss.nearest[:_NEAREST_SHOWN]:
        if not 0 <= index < len(recorded.steps):
            continue
        step = recorded.steps[index]
        near = f"{clean(step.name)}({excerpt.arguments(step.args, look.columns)})"
        line = span(("    nearest  ", DIM), f"line {index}  ", near)
        line.truncate(look.columns, overflow="ellipsis")
        yield line
        for change in changes[:_FIELDS_SHOWN]:
            yield _difference(change, look)
        if len(changes) > _FIELDS_SHOWN:
            yield span((f"             … {many(len(changes) - _FIELDS_SHOWN, 'more field')}", DIM))
    before = "    hint     "
    room = max(look.columns - len(before), 1)
    words = excerpt.cut(clean(miss.hint or ""), _HINT_LINES * room).split()
    for part in wrapped(words, room, " "):
        line = span((before, DIM), part)
        line.truncate(look.columns, overflow="ellipsis")
        yield line
        before = " " * len(before)


def _difference(change: FieldChange, look: Look) -> Text:
    room = max((look.columns - 50) // 2, 12)
    old, new = excerpt.pair(excerpt.whole(change.old), excerpt.whole(change.new), room)
    place = excerpt.cut(wording.field_path(change.path) or "value", 16)
    return span(
        (f"             {place}", ""),
        ("  recorded ", DIM),
        (old, OLD),
        ("  asked ", DIM),
        (new, NEW),
    )


def unused(recorded: Trace, replay: ReplayInfo, look: Look) -> Iterator[Text]:
    """Yield a block about recordings that the replay did not ask for, or asked for elsewhere."""
    known = [index for index in replay.unused if 0 <= index < len(recorded.steps)]
    if known:
        yield span((f"  {many(len(known), 'recording')} no longer asked for", WARN))
    for index in known[:_UNUSED_SHOWN]:
        step = recorded.steps[index]
        call = f"{clean(step.name)}({excerpt.arguments(step.args, look.columns)})"
        line = span((f"    line {index:<5}", DIM), (f"{step.kind} ", DIM), call)
        line.truncate(look.columns, overflow="ellipsis")
        yield line
    if len(known) > _UNUSED_SHOWN:
        yield span((f"    … and {len(known) - _UNUSED_SHOWN:,} more", DIM))
    if replay.moved:
        yield span((f"  {many(len(replay.moved), 'recording')} served at another place", DIM))

"""From a cause to its lines, to the first variable it changes, and through the steps it travels.

Each cause is run by itself, on the old code; where that shows nothing, because it only matters in
the company of others, it is taken out of the new code instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tracediff import values
from tracediff.compare import compare
from tracediff.explain.changes import changed_lines
from tracediff.explain.lines import first_difference
from tracediff.explain.merging import Player, expand
from tracediff.explain.mixing import Mixing
from tracediff.explain.slots import Pairing, Slot, members
from tracediff.explained import Cause, LineChange, Passed, Unit
from tracediff.model import Source, Trace
from tracediff.replay.watching import Watch
from tracediff.reports.excerpt import pair
from tracediff.reports.paths import names

MOST_DETAILED = 24
"""How many causes are looked into, by the size of their share."""
MOST_TRAVELLED = 50
_LONGEST = 20_000
_SHOWN = 200

Lines = tuple[tuple[int | None, int | None], ...]


def lines_of(pairing: Pairing) -> dict[Unit, Lines]:
    """The lines of each unit of code that differ, (old, new)."""
    found: dict[Unit, Lines] = {}
    slots = [slot for plan in pairing.modules.values() for slot, _ in members(plan.body)]
    for slot in slots:
        for number, parts in (
            (slot.unit, ("",)),
            (slot.decorator, ("decorator_list",)),
            (slot.bases, ("bases", "keywords")),
        ):
            if number is not None:
                found[pairing.units[number]] = _lines(slot, parts)
    return found


def _lines(slot: Slot, parts: Sequence[str]) -> Lines:
    if slot.old is None or slot.new is None:
        item = slot.item
        first = item.node.lineno
        return ((first, None) if slot.new is None else (None, first),)
    old, new = slot.old.node, slot.new.node
    differing = changed_lines(old, new)
    named = {
        line
        for part in parts
        if part
        for node in (old, new)
        for one in getattr(node, part, ())
        for line in range(one.lineno, (one.end_lineno or one.lineno) + 1)
    }
    decorators = {
        line
        for node in (old, new)
        for one in getattr(node, "decorator_list", ())
        for line in range(one.lineno, (one.end_lineno or one.lineno) + 1)
    }
    if parts != ("",):
        kept = [one for one in differing if set(one) & named]
    else:
        kept = [one for one in differing if not set(one) & decorators]
    return tuple(kept or differing or [(old.lineno, new.lineno)])


def detailed(
    mixing: Mixing,
    players: Sequence[Player],
    causes: Sequence[tuple[int, Cause]],
    lines: Mapping[Unit, Lines],
    *,
    deep: bool,
    most: int = MOST_DETAILED,
) -> list[Cause]:
    """The causes with their lines, variables and ways.

    Args:
        mixing: Runs mixtures.
        players: All players.
        causes: Each cause with the number of its player, the largest first.
        lines: From ``lines_of``.
        deep: Whether functions become steps.
        most: How many causes are followed; the others have their line only.
    """
    looked = causes[:most]
    every = mixing.everything
    alone = [expand(players, 1 << at) for at, _ in looked]
    ends = mixing.in_detail([0, every, *alone], deep=deep) if looked else []
    found = []
    for at, ((_, cause), mixture) in enumerate(zip(looked, alone, strict=True)):
        before, after = 0, mixture
        read = any(unit.kind == "input" for unit in cause.units)
        way = _way(ends[0].trace, ends[2 + at].trace, inputs=read)
        if not way:
            before, after = every & ~mixture, every
            without = mixing.in_detail([before], deep=deep)
            way = _way(without[0].trace, ends[1].trace, inputs=read)
        travelled = _both_ends([one for one, _ in way])
        made = replace(cause, travelled=tuple(_placed(travelled, ends[1].trace)))
        watched = _watched(mixing, cause, way)
        variable = _variable(mixing, before, after, watched, deep=deep) if watched else None
        found.append(_with_line(replace(made, variable=variable), lines))
    return [*found, *(_with_line(cause, lines) for _, cause in causes[most:])]


def _way(
    old: Trace | None, new: Trace | None, *, inputs: bool
) -> list[tuple[Passed, Source | None]]:
    """The steps whose result differs, in the order in which they ended, with their functions.

    Those of inputs, if they count, have none: they are answered and do not run.
    """
    if old is None or new is None:
        return []
    comparison = compare(old, new)
    found = []
    for one in comparison.divergences:
        if one.old is None or one.new is None or not {"result", "error"} & set(one.aspects):
            continue
        before, after = old.steps[one.old], new.steps[one.new]
        if after.kind in ("output", "note", "artifact") or (after.kind == "input" and not inputs):
            continue
        end = after.start + after.duration
        was, now = pair(_said(old, one.old), _said(new, one.new), _SHOWN)
        passed = Passed(path=names(new.steps, one.new), old=was, new=now, index=one.new)
        source = before.source if before.source == after.source else after.source
        source = None if after.kind == "input" else source
        found.append((end, -one.new, passed, source))
    return [(passed, source) for _, _, passed, source in sorted(found, key=lambda one: one[:2])]


def _both_ends(way: list[Passed]) -> list[Passed]:
    """Where it entered and what it came to, which is at the end, without the middle of many."""
    if len(way) <= MOST_TRAVELLED:
        return way
    return [*way[: MOST_TRAVELLED // 2], *way[-MOST_TRAVELLED // 2 :]]


def _placed(way: Sequence[Passed], new: Trace | None) -> list[Passed]:
    """With the indexes of the new trace, found by path; those that are not in it are left out."""
    if new is None:
        return []
    places: dict[tuple[str, ...], list[int]] = {}
    for index in range(len(new.steps)):
        places.setdefault(names(new.steps, index), []).append(index)
    found = []
    for one in way:
        known = places.get(one.path)
        if known:
            nearest = min(known, key=lambda index: abs(index - one.index))
            found.append(replace(one, index=nearest))
    return found


def _said(trace: Trace, index: int) -> str:
    step = trace.steps[index]
    if step.error is not None:
        return f"{step.error.type.rpartition(':')[2]}: {step.error.message}"
    if step.result is None:
        return "nothing"
    return values.text(values.inert(step.result), _LONGEST)  # they may part far behind


def _watched(
    mixing: Mixing, cause: Cause, way: Sequence[tuple[Passed, Source | None]]
) -> tuple[Source, Source] | None:
    """The function to follow, old and new: the cause's own, else the step's where it entered."""
    for unit in cause.units:
        if unit.kind in ("function", "method", "property") and unit.old and unit.new:
            return Source(unit.old.file, 0, unit.name), Source(unit.new.file, 0, unit.name)
    entered = next((source for _, source in way if source is not None), None)
    if entered is None:
        return None
    entered = replace(entered, file=mixing.relative(entered.file))
    return entered, entered


def _variable(
    mixing: Mixing, before: int, after: int, watched: tuple[Source, Source], *, deep: bool
) -> LineChange | None:
    """The first local variable of a function that a cause changes."""
    source, target = watched
    watch = Watch(target.unit)
    old, new = mixing.in_detail([before, after], deep=deep, watches={0: watch, 1: watch})
    if not old.locals or not new.locals:
        return None
    return first_difference(old.locals, new.locals, old_source=source, new_source=target)


def _with_line(cause: Cause, lines: Mapping[Unit, Lines]) -> Cause:
    """The line to look at first: of those that differ, the last before the variable shows it."""
    for unit in cause.units:
        span = unit.new or unit.old
        if span is None:
            continue
        side = 1 if unit.new else 0
        known = [pair[side] for pair in lines.get(unit, ())]
        differing = [line for line in known if line is not None]
        shown = cause.variable.new_source if cause.variable is not None else None
        if shown is not None and shown.unit == unit.name and unit.new:
            differing = (
                sorted((one for one in differing if one <= shown.line), reverse=True) or differing
            )
        line = differing[0] if differing else span.first
        return replace(cause, line=Source(span.file, line, unit.name))
    return cause

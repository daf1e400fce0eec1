"""One line of a step tree: what a step is called, both its sides, and how far they are apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tracediff.model import Aspect, Comparison, Divergence, FieldChange, Step
from tracediff.reports import excerpt, frames, wording
from tracediff.reports.clean import clean
from tracediff.reports.paths import names

_MARKS = {"added": "+", "removed": "-", "moved": "»"}
_SHOWN: dict[Aspect, int] = {"args": 4, "result": 8}
_SHOWN_OF_EFFECTS: dict[Aspect, int] = {"args": 1, "result": 2}
VALUES: frozenset[Aspect] = frozenset({"args", "result", "error", "state"})
"""The aspects of a step that have a value; the others are about its name and place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A line of the tree, not yet laid out. ``old`` and ``new`` are whole lines, None for none.

    ``quiet`` lines are dimmed; ``field`` marks a line about one field of the step above it.
    """

    mark: str = " "
    title: str = ""
    detail: str = ""
    depth: int = 0
    old: str | None = None
    new: str | None = None
    delta: str = ""
    percent: str = ""
    label: str = ""
    quiet: bool = False
    field: bool = False


def describe(
    comparison: Comparison,
    old: int | None,
    new: int | None,
    divergence: Divergence | None,
    depth: int,
) -> Entry:
    """Return the line of one aligned step."""
    if divergence is None:
        return unchanged(comparison, old, new, depth)
    before, after = _side(comparison.old.steps, old), _side(comparison.new.steps, new)
    change = _headline(divergence)
    left, right = _cells(before, after, divergence, change)
    return Entry(
        mark=_MARKS.get(divergence.kind, "~"),
        title=_title(before, after),
        detail=_detail(comparison, divergence, before, after),
        depth=depth,
        old=left,
        new=right,
        delta=wording.signed(change.delta) if change else "",
        percent=wording.percent(change.old, change.delta) if change else "",
        label=divergence.label if VALUES & set(divergence.aspects) else "",
    )


def unchanged(comparison: Comparison, old: int | None, new: int | None, depth: int) -> Entry:
    """Return the dimmed line of a step that is the same on both sides."""
    step = _side(comparison.new.steps, new) or _side(comparison.old.steps, old)
    return Entry(title=_title(step, step), depth=depth, quiet=True)


def fields(comparison: Comparison, divergence: Divergence, depth: int) -> Iterator[Entry]:
    """Yield a line for each field that differs inside a step, args first, bounded."""
    for aspect in ("args", "result"):
        for told in frames.told(divergence, aspect):
            yield Entry(title=told, depth=depth, quiet=True, field=True)
    for inner in picked(divergence):
        yield left_out(inner, depth) if isinstance(inner, int) else one_field(inner, depth)
    yield from _state(comparison, divergence, depth)


def picked(divergence: Divergence) -> Iterator[FieldChange | int]:
    """Yield the changes inside a step that are worth a line, and how many others there are.

    Few for a step that only passes on what it was given: the number that did is above it.
    """
    effect = divergence.label in ("propagated", "absorbed")
    for aspect, most in (_SHOWN_OF_EFFECTS if effect else _SHOWN).items():
        inner = [change for change in changes_of(divergence, aspect) if change.path]
        yield from inner[:most]
        if len(inner) > most:
            yield len(inner) - most


def listed(changes: Sequence[FieldChange], most: int, depth: int) -> Iterator[Entry]:
    """Yield a line a field change, at most ``most``, and how many are left out."""
    for change in changes[:most]:
        yield one_field(change, depth)
    if len(changes) > most:
        yield left_out(len(changes) - most, depth)


def left_out(count: int, depth: int) -> Entry:
    """Return the line that says how many field changes have none of their own."""
    title = f"… {wording.many(count, 'more field')}"
    return Entry(mark=" ", title=title, depth=depth, quiet=True, field=True)


def one_field(change: FieldChange, depth: int) -> Entry:
    """Return the line of one field change."""
    return Entry(
        title=wording.field_path(change.path) or "value",
        detail="" if change.kind in ("changed", "added", "removed") else _kind_of(change),
        depth=depth,
        old=excerpt.whole(change.old),
        new=excerpt.whole(change.new),
        delta=wording.signed(change.delta),
        percent=wording.percent(change.old, change.delta),
        field=True,
    )


def _kind_of(change: FieldChange) -> str:
    if change.kind == "type":
        return f"{type(change.old).__name__} → {type(change.new).__name__}"
    return change.kind


def _side(steps: tuple[Step, ...], index: int | None) -> Step | None:
    return None if index is None else steps[index]


def _headline(divergence: Divergence) -> FieldChange | None:
    """The change of the whole result, where the result is one thing that changed as a whole."""
    if "error" in divergence.aspects:
        return None
    for change in divergence.changes.get("result", ()):
        if not change.path and not change.within:
            return change
    return None


def _cells(
    before: Step | None, after: Step | None, divergence: Divergence, change: FieldChange | None
) -> tuple[str | None, str | None]:
    if before is None or after is None:
        return (
            excerpt.outcome(before, 400) or None if before else None,
            excerpt.outcome(after, 400) or None if after else None,
        )
    if "error" in divergence.aspects:
        return _ending(before), _ending(after)
    if change:
        return excerpt.whole(change.old), excerpt.whole(change.new)
    if "result" in divergence.aspects and not divergence.changes.get("result"):
        return _ending(before), _ending(after)
    return None, None


def _ending(step: Step) -> str:
    return excerpt.outcome(step, 400) or "—"


def _title(before: Step | None, after: Step | None) -> str:
    if before and after and before.name != after.name:
        return f"{clean(before.name)} → {clean(after.name)}"
    step = after or before
    return clean(step.name) if step else ""


def _detail(
    comparison: Comparison, divergence: Divergence, before: Step | None, after: Step | None
) -> str:
    said = turns(comparison, divergence)
    step = after or before
    if step and not said and "args" not in divergence.aspects and step.kind != "job":
        call = excerpt.short_value(step.key, 40) or excerpt.arguments(step.args, 40)
        said.append(f"({call})" if call else "")
    return ", ".join(filter(None, said))


def turns(comparison: Comparison, divergence: Divergence) -> list[str]:
    """Return how a step's place or name changed, and what it is when it is no plain step."""
    said: list[str] = []
    kinds = (divergence.kind, *divergence.also)
    step = _side(comparison.new.steps, divergence.new) or _side(
        comparison.old.steps, divergence.old
    )
    if "moved" in kinds and divergence.old is not None:
        parents = names(comparison.old.steps, divergence.old)[:-1]
        said.append(f"moved from {' › '.join(map(clean, parents)) or 'the top level'}")
    if "renamed" in kinds and step and step.kind != "note":
        said.append("renamed")
    if "reordered" in kinds:
        said.append("reordered")
    if step and step.kind in ("note", "output", "artifact"):
        said.append(step.kind)
    return said


def _state(comparison: Comparison, divergence: Divergence, depth: int) -> Iterator[Entry]:
    before = _side(comparison.old.steps, divergence.old)
    after = _side(comparison.new.steps, divergence.new)
    if before is None or after is None:
        return
    if "state" in divergence.aspects and "error" not in divergence.aspects:
        yield Entry(title="state", depth=depth, old=before.state, new=after.state, field=True)
    if "kind" in divergence.aspects:
        yield Entry(title="kind", depth=depth, old=before.kind, new=after.kind, field=True)


def changes_of(divergence: Divergence, aspect: Aspect) -> tuple[FieldChange, ...]:
    """Return the changes of one aspect that lie beyond every tolerance."""
    return tuple(change for change in divergence.changes.get(aspect, ()) if not change.within)

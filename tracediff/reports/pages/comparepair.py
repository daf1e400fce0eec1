"""One pair of a comparison in full: both sides' arguments, results, errors, and what differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from tracediff.model import Divergence, Trace
from tracediff.reports import excerpt, frames
from tracediff.reports.clean import clean
from tracediff.reports.divergence import meaning, within
from tracediff.reports.pages import stepview
from tracediff.reports.pages.aligned import Aligned
from tracediff.reports.pages.comparelines import Field, change_field
from tracediff.reports.text.canvas import ending
from tracediff.reports.wording import many

_CHANGES: Final = 200
_CODE: Final = 6
_TEXT: Final = 500
_BUDGET: Final = 60

SideName = Literal["old", "new"]
Address = Callable[[SideName], stepview.ValueAddress]
"""Gives what gives the addresses of the levels of one side's values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSide:
    """One side: the step, and the trace it is in; that is None for a replay, which is not stored.

    ``linked`` says that the step has the same number in the stored trace.
    """

    head: str
    trace: str | None
    linked: bool
    number: int
    name: str
    kind: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one aspect is on both sides, None where there is none of it."""

    name: str
    same: bool
    old: stepview.ShownValue | None
    new: stepview.ShownValue | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PairView:
    """A pair as it is shown when it is opened.

    ``facts`` are (name, old, new); ``code`` are (name, place, removed, added).
    """

    old: PairSide | None
    new: PairSide | None
    label: str
    meaning: str
    where: str
    changes: tuple[tuple[str, tuple[Field, ...]], ...]
    more: str
    parts: tuple[Part, ...]
    errors: tuple[stepview.ShownError | None, stepview.ShownError | None] | None
    facts: tuple[tuple[str, str, str], ...]
    code: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...]], ...]


def pair_view(
    found: Aligned,
    at: int,
    heads: tuple[str, str],
    *,
    address: Address | None = None,
    stored: tuple[int, int] | None = None,
) -> PairView:
    """Return a pair in full.

    Args:
        found: All lines of the comparison.
        at: The number of the pair.
        heads: What both sides are called.
        address: Gives the addresses of values; None in a file.
        stored: How many steps both traces have where they are stored: of traces of two depths less
            is compared, and its numbers are other ones.
    """
    comparison, divergence = found.comparison, found.divergence[at]
    old, new = numbers(found, at)
    sides = [
        _side(trace, number, head, count)
        for trace, number, head, count in zip(
            (comparison.old, comparison.new), (old, new), heads, stored or (-1, -1), strict=True
        )
    ]
    views = (
        _view(comparison.old, old, address and address("old")),
        _view(comparison.new, new, address and address("new")),
    )
    changes, more = _changes(divergence)
    note = found.step(at).kind == "note"
    errors = tuple(view.error if view else None for view in views)
    return PairView(
        old=sides[0], new=sides[1],
        label=divergence.label if divergence and divergence.label != "unproven" else "",
        meaning=meaning(divergence) if divergence and not note else "",
        where=ending(within(comparison, divergence), _TEXT) if divergence else "",
        changes=changes, more=more,
        parts=tuple(_parts(comparison.old, comparison.new, (old, new), views)),
        errors=(errors[0], errors[1]) if any(errors) else None,
        facts=tuple(_facts(views)),
        code=tuple(
            (clean(one.name[:_TEXT]), clean(f"{one.file[:_TEXT]}:{one.line}") if one.file else "",
             _lines(one.removed), _lines(one.added))
            for one in ((divergence.code if divergence else None) or ())[:_CODE]
        ),
    )  # fmt: skip


def numbers(found: Aligned, at: int) -> tuple[int | None, int | None]:
    """Return the steps of a pair; of the place that a moved step left, both of its."""
    if at in found.left:
        at = found.link[at]
    return found.old[at], found.new[at]


def _lines(lines: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(excerpt.cut(clean(line.rstrip()), _TEXT) for line in lines)


def _side(trace: Trace, number: int | None, head: str, stored: int) -> PairSide | None:
    if number is None:
        return None
    step = trace.steps[number]
    return PairSide(
        head=head, trace=None if trace.replay is not None else trace.id,
        linked=len(trace.steps) == stored, number=number,
        name=excerpt.cut(clean(step.name[:_TEXT]), _TEXT), kind=step.kind, state=step.state,
    )  # fmt: skip


def _view(
    trace: Trace, number: int | None, address: stepview.ValueAddress | None
) -> stepview.StepView | None:
    if number is None:
        return None
    step = trace.steps[number]

    def seen(aspect: stepview.AspectName) -> object:
        value = stepview.value_of(step, aspect)
        return None if value is None else excerpt.seen(value)

    return stepview.step_view(trace, number, seen, address, budget=_BUDGET)


def _facts(
    views: tuple[stepview.StepView | None, stepview.StepView | None],
) -> Iterator[tuple[str, str, str]]:
    old, new = (dict(view.facts) if view else {} for view in views)
    for name in {**old, **new}:
        yield name, old.get(name, ""), new.get(name, "")


def _changes(one: Divergence | None) -> tuple[tuple[tuple[str, tuple[Field, ...]], ...], str]:
    """The changes of each aspect, 200 in all, and how many are left out."""
    found, left, room = [], 0, _CHANGES
    for aspect, changes in (one.changes if one else {}).items():
        if aspect == "name":
            continue
        some = tuple(change_field(change) for change in changes[:room])
        summed = tuple(Field(title=line) for line in frames.told(one, aspect)) if one else ()
        if some:
            found.append((aspect, (*summed, *some)))
        room -= len(some)
        left += len(changes) - len(some)
    return tuple(found), f"… {many(left, 'more field')}" if left else ""


def _parts(
    old: Trace,
    new: Trace,
    at: tuple[int | None, int | None],
    views: tuple[stepview.StepView | None, stepview.StepView | None],
) -> Iterator[Part]:
    before, after = ({one.title: one for one in view.values} if view else {} for view in views)
    steps = [None if number is None else trace.steps[number]
             for trace, number in zip((old, new), at, strict=True)]  # fmt: skip
    for aspect, title in stepview.TITLES.items():
        if title in before or title in after:
            values = [None if one is None else stepview.value_of(one, aspect) for one in steps]
            yield Part(name=title, same=values[0] == values[1], old=before.get(title),
                       new=after.get(title))  # fmt: skip

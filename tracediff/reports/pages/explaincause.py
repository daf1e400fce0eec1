"""What a page says of one cause: its share, its code, who brought it, its way through the steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tracediff.explained import Blame, Cause, LineChange, Passed
from tracediff.reports import attributed, excerpt, waterfall
from tracediff.reports.attributed import LONGEST
from tracediff.reports.clean import clean
from tracediff.reports.pages.marked import Marked, marked
from tracediff.reports.wording import many

Link = Callable[[int], str | None]
"""The address at which a step of the new trace is shown; None where there is none."""

_HUNKS: Final = 8
_LINES: Final = 80
_FEW_LINES: Final = 12
_UNITS: Final = 24
_COMMITS: Final = 8
_STEPS: Final = 200
_ENDS: Final = 5
_WIDEST: Final = 400
_VALUE: Final = 80
_PASSED: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitView:
    """A unit of a cause that has several."""

    name: str
    kind: str
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitView:
    """A commit; without ``sha`` it is what was not committed yet."""

    sha: str
    subject: str = ""
    who: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HunkView:
    """Lines that went and came: each a style and a text. ``where`` is told if it is not plain."""

    where: str
    lines: tuple[tuple[str, str], ...]
    more: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VariableView:
    """The first local variable that differs."""

    name: str
    old: Marked
    new: Marked
    place: str
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView:
    """A step on a cause's way; ``names`` lead from the job down to it."""

    within: str
    name: str
    old: Marked
    new: Marked
    link: str | None
    last: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseView:
    """All that is said of a cause.

    ``way`` is where it entered and what it changed from there on; ``folded`` is the middle of a
    long one, and what comes after that is ``way_end``.
    """

    number: int
    name: str
    kind: str
    amount: str
    margin: str
    percent: str
    sign: str
    place: str
    opened: bool
    merged: str
    units: tuple[UnitView, ...]
    more_units: str
    commits: tuple[CommitView, ...]
    more_commits: str
    hunks: tuple[HunkView, ...]
    more_hunks: str
    variable: VariableView | None
    way: tuple[StepView, ...]
    folded: tuple[StepView, ...]
    way_end: tuple[StepView, ...]
    more_way: str
    kept: tuple[str, ...]
    more_kept: str


def cause_view(
    cause: Cause, number: int, share: tuple[str, str, str], job: str, link: Link, *, opened: bool
) -> CauseView:
    """Return what a page says of a cause.

    Args:
        cause: What to tell.
        number: Its number in the waterfall, from 1.
        share: Its amount, margin and part of the whole.
        job: What a step without a path, the job itself, is called.
        link: Where a step of the new trace can be looked at.
        opened: Whether it is shown unfolded at first; of another, less is told.
    """
    amount, margin, percent = share
    several = len(cause.units) > 1
    found = attributed.commits(cause)
    way = _way(cause.travelled[:_STEPS], job, link)
    ends = _ENDS if len(way) > 2 * _ENDS + 1 else len(way)
    return CauseView(
        number=number,
        name=waterfall.short_names([cause])[0],
        kind="" if several or not cause.units else cause.units[0].kind,
        amount=amount, margin=margin, percent=percent,
        sign="" if amount == "elsewhere" else "down" if amount.startswith("-") else "up",
        place=waterfall.place(cause), opened=opened,
        merged=clean((cause.merged or attributed.MERGED)[:LONGEST]) if several else "",
        units=tuple(_units(cause)) if several else (),
        more_units=_left(len(cause.units), _UNITS, "more unit"),
        commits=tuple(_commit(one) for one in found[:_COMMITS]),
        more_commits=_left(len(found), _COMMITS, "more commit"),
        hunks=tuple(_hunks(cause, _LINES if opened else _FEW_LINES)),
        more_hunks=_left(len(cause.hunks), _HUNKS, "more hunk"),
        variable=_variable(cause, cause.variable) if cause.variable is not None else None,
        way=way[:ends], folded=way[ends : len(way) - ends], way_end=way[len(way) - ends :]
        if ends < len(way) else (),
        more_way=_left(len(cause.travelled), _STEPS, "more step"),
        kept=tuple(clean(name[:_WIDEST]) for name in cause.kept[:_UNITS]),
        more_kept=_left(len(cause.kept), _UNITS, "more definition"),
    )  # fmt: skip


def _left(count: int, shown: int, noun: str) -> str:
    return f"… {many(count - shown, noun)}" if count > shown else ""


def _units(cause: Cause) -> Iterator[UnitView]:
    for unit in cause.units[:_UNITS]:
        yield UnitView(name=clean(unit.name[:_WIDEST]), kind=unit.kind, place=waterfall.spot(unit))


def _commit(one: Blame) -> CommitView:
    if one.sha is None:
        return CommitView(sha="")
    day = f"{one.date:%Y-%m-%d}" if one.date else ""
    author = excerpt.cut(clean(one.author[:LONGEST]), 60)
    return CommitView(
        sha=clean(one.sha[:7]),
        subject=excerpt.cut(clean(one.subject[:LONGEST]), _WIDEST),
        who=", ".join(filter(None, (author, day))),
    )


def _hunks(cause: Cause, most: int) -> Iterator[HunkView]:
    styles = {"-": "gone", "+": "added"}
    for hunk in cause.hunks[:_HUNKS]:
        lines = tuple((styles.get(line[:1], ""), _line(line)) for line in hunk.lines[:most])
        told = len(cause.hunks) > 1 or hunk.old_path != hunk.path
        yield HunkView(
            where=attributed.where(hunk) if told else "",
            lines=lines,
            more=_left(len(hunk.lines), most, "more line"),
        )


def _line(line: str) -> str:
    text = clean(line[1:LONGEST].expandtabs(4))
    return excerpt.cut(f"{line[:1] or ' '} {text}", _WIDEST)


def _variable(cause: Cause, found: LineChange) -> VariableView:
    old, new = _values(found.old, found.new, _VALUE * 2)
    source = found.new_source or found.old_source
    return VariableView(
        name=clean(found.name[:_VALUE]), old=old, new=new,
        place="" if source is None else attributed.spot(source),
        code=excerpt.cut(attributed.code_of(cause, found).strip(), _WIDEST),
    )  # fmt: skip


def _values(old: str | None, new: str | None, room: int) -> tuple[Marked, Marked]:
    texts = ["—" if one is None else clean(one[: 10 * LONGEST]) for one in (old, new)]
    return marked(texts[0], texts[1], room)


def _way(steps: Sequence[Passed], job: str, link: Link) -> tuple[StepView, ...]:
    found = []
    for one in steps:
        names = [excerpt.cut(clean(name[:LONGEST]), _VALUE) for name in one.path]
        old, new = _values(one.old, one.new, _PASSED)
        found.append(StepView(
            within=" › ".join(names[:-1]),
            name=names[-1] if names else excerpt.cut(clean(job[:LONGEST]), _VALUE),
            old=old, new=new, link=link(one.index), last=not one.path,
        ))  # fmt: skip
    return tuple(found)

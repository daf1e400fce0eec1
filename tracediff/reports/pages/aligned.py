"""The lines of two traces side by side: every pair in execution order, and which of them to show.

A line is one pair of steps, or the place that a moved step left. Lines are numbered from 0 in
execution order, whatever is shown of them; those that do not matter lie in folds, at least two in
each. Everything here is made once for a comparison and is O(lines).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from tracediff.model import Comparison, Divergence, Step
from tracediff.reports.text.entries import VALUES

LABELS: Final = ("origin", "mixed", "hidden input", "propagated", "absorbed", "clock", "unproven")
TURNS: Final = ("added", "removed", "moved", "renamed", "reordered")
WITHIN: Final = "within tolerance"
NOTE: Final = "note"
FACETS: Final = (*LABELS, *TURNS, WITHIN, NOTE)
"""What lines can be chosen by, in the order in which they are offered."""


@dataclass(frozen=True, slots=True)
class Row:
    """Something to show: line ``first``; with another ``last`` a fold of both and all between."""

    first: int
    last: int

    @property
    def fold(self) -> bool:
        """Whether it stands for several lines."""
        return self.last > self.first


@dataclass(frozen=True, slots=True, kw_only=True)
class Aligned:
    """The lines of a comparison, as columns.

    ``end`` is the line behind all that is inside of a line. ``divergence`` is what differs there,
    tolerated or not. ``link`` of a moved step is the line that it left, and back; ``left`` are the
    lines that were left. ``steps`` counts the steps before each line, ``differing`` those of them
    that differ beyond tolerance, notes left out of both.
    """

    comparison: Comparison
    old: Sequence[int | None]
    new: Sequence[int | None]
    depth: Sequence[int]
    end: Sequence[int]
    divergence: Sequence[Divergence | None]
    facets: Sequence[tuple[str, ...]]
    link: dict[int, int]
    left: frozenset[int]
    steps: Sequence[int]
    differing: Sequence[int]
    by_old: dict[int, int]
    by_new: dict[int, int]

    def __len__(self) -> int:
        return len(self.old)

    def step(self, at: int) -> Step:
        """The step of a line, the new one where there are two."""
        new, old = self.new[at], self.old[at]
        if new is not None:
            return self.comparison.new.steps[new]
        return self.comparison.old.steps[old or 0]

    def line_of(self, old: int | None, new: int | None) -> int | None:
        """The line on which a pair of steps stands."""
        if new is not None:
            return self.by_new.get(new)
        return self.by_old.get(old) if old is not None else None

    def counts(self) -> dict[str, int]:
        """How many lines there are of each facet."""
        found = dict.fromkeys(FACETS, 0)
        for at, facets in enumerate(self.facets):
            if at not in self.left:
                for facet in facets:
                    found[facet] += 1
        return found


def aligned(comparison: Comparison) -> Aligned:
    """Return the lines of a comparison."""
    lines, left = _lines(comparison)
    old, new = [line[0] for line in lines], [line[1] for line in lines]
    depth = [line[2] for line in lines]
    by_new = {step: at for at, step in enumerate(new) if step is not None}
    by_old = {step: at for at, step in enumerate(old) if step is not None and at not in left}
    divergence: list[Divergence | None] = [None] * len(lines)
    for one in comparison.divergences:
        at = by_new.get(one.new) if one.new is not None else None
        if at is None and one.old is not None:
            at = by_old.get(one.old)
        if at is not None and divergence[at] is None:
            divergence[at] = one
    link: dict[int, int] = {}
    for at in left:
        there = by_old[old[at] or 0]
        link |= {at: there, there: at}
        divergence[at] = divergence[there]
    notes = [_is_note(comparison, *pair) for pair in zip(old, new, strict=True)]
    differ = [
        one is not None and not one.within and not note
        for one, note in zip(divergence, notes, strict=True)
    ]
    counted = [not note and at not in left for at, note in enumerate(notes)]
    return Aligned(
        comparison=comparison, old=old, new=new, depth=depth, end=_ends(depth),
        divergence=divergence,
        facets=[
            () if one is None else ("moved",) if at in left else _facets(one, note=note)
            for at, (one, note) in enumerate(zip(divergence, notes, strict=True))
        ],
        link=link, left=left, steps=list(accumulate(counted, initial=0)),
        differing=list(accumulate(map(_both, differ, counted), initial=0)),
        by_old=by_old, by_new=by_new,
    )  # fmt: skip


def _both(one: bool, other: bool) -> bool:
    return one and other


_Line = tuple[int | None, int | None, int]


def _lines(comparison: Comparison) -> tuple[list[_Line], frozenset[int]]:
    """All lines as (old, new, depth), and which of them are places that moved steps left."""
    pairs = comparison.pairs
    depth = _depths(comparison)
    by_old = {old: at for at, (old, _) in enumerate(pairs) if old is not None}
    ends = _ends(depth)
    places: list[tuple[int, int, int]] = []
    steps = comparison.old.steps
    moved = [one.old for one in comparison.divergences
             if one.old is not None and "moved" in (one.kind, *one.also)]  # fmt: skip
    before = _before(comparison, moved)
    for old in moved:
        host = by_old.get(steps[old].parent)
        if host is not None:
            brother = before[old]
            after = ends[by_old[brother]] if brother is not None else host + 1
            places.append((after, old, depth[host] + 1))
    places.sort()
    lines: list[_Line] = []
    left: set[int] = set()
    start = 0
    for place, old, deep in places:
        lines += ((*pairs[at], depth[at]) for at in range(start, place))
        left.add(len(lines))
        lines.append((old, None, deep))
        start = max(start, place)
    lines += ((*pairs[at], depth[at]) for at in range(start, len(pairs)))
    return lines, frozenset(left)


def _before(comparison: Comparison, moved: Collection[int]) -> dict[int, int | None]:
    """The last step before each moved one that is still where both were."""
    if not moved:
        return {}
    steps, gone = comparison.old.steps, set(moved)
    partner = {old: new for old, new in comparison.pairs if old is not None}
    last: dict[int, int] = {}
    found: dict[int, int | None] = {}
    for old, step in enumerate(steps):
        if old in gone:
            found[old] = last.get(step.parent)
        elif old in partner:
            last[step.parent] = old
    return found


def _depths(comparison: Comparison) -> list[int]:
    """How deep each pair is: in the new tree, removed steps in what they were in."""
    old_steps, new_steps = comparison.old.steps, comparison.new.steps
    by_old: dict[int, int] = {}
    by_new: dict[int, int] = {}
    found: list[int] = []
    for old, new in comparison.pairs:
        if new is not None:
            above = by_new.get(new_steps[new].parent, -1)
        else:
            above = by_old.get(old_steps[old or 0].parent, -1)
        found.append(above + 1)
        if new is not None:
            by_new[new] = above + 1
        if old is not None:
            by_old[old] = above + 1
    return found


def _ends(depth: Sequence[int]) -> list[int]:
    ends = [len(depth)] * len(depth)
    open_: list[int] = []
    for at, deep in enumerate(depth):
        while open_ and depth[open_[-1]] >= deep:
            ends[open_.pop()] = at
        open_.append(at)
    return ends


def _is_note(comparison: Comparison, old: int | None, new: int | None) -> bool:
    if new is not None:
        return comparison.new.steps[new].kind == "note"
    return comparison.old.steps[old or 0].kind == "note"


def _facets(one: Divergence, *, note: bool) -> tuple[str, ...]:
    if note:
        return (NOTE,)
    if one.within:
        return ("clock",) if one.label == "clock" else (WITHIN,)
    turned = [turn for turn in TURNS if turn in (one.kind, *one.also)]
    return (*((one.label,) if VALUES & set(one.aspects) else ()), *turned)


def rows(lines: Aligned, chosen: Collection[str] = ()) -> list[Row]:
    """Return what is shown at first: the lines that were chosen with all around them, and folds.

    Args:
        lines: All lines.
        chosen: The facets of the lines that matter; all that have one by default.
    """
    wanted = frozenset(chosen)
    counts = [0, *accumulate(
        bool(facets) and (not wanted or not wanted.isdisjoint(facets)) for facets in lines.facets
    )]  # fmt: skip
    return list(_folded(lines, counts))


def _folded(lines: Aligned, counts: Sequence[int]) -> Iterator[Row]:
    at, end, depth = 0, lines.end, lines.depth
    while at < len(lines):
        if not at or counts[end[at]] > counts[at]:
            yield Row(at, at)
            at += 1
            continue
        start = at
        while at < len(lines) and depth[at] == depth[start] and counts[end[at]] == counts[at]:
            at = end[at]
        yield Row(start, at - 1)

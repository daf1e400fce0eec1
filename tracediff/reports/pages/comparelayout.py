"""The lines of a comparison's page: pairs, the fields that differ in them, folds of what does not.

Each is one line of ``pieces``, so that folding, filters and the way to the next change work for all
of them alike, filled or not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Final

from tracediff.model import Divergence, FieldChange
from tracediff.reports.pages.aligned import FACETS, NOTE, WITHIN, Aligned, Row, rows
from tracediff.reports.pages.pieces import Shape
from tracediff.reports.text.entries import picked

_QUIET: Final = frozenset({NOTE, WITHIN, "clock"})
_FEW: Final = 2
_MANY: Final = 20_000
_DEEPEST: Final = 60_000  # the script keeps depths in 16 bits


@dataclass(frozen=True, slots=True)
class Part:
    """A field that differs in a pair, or how many others do."""

    at: int
    change: FieldChange | int


Entry = int | Row | Part
"""A line: a pair by its number, a fold, a field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """All lines of a page, in order.

    ``line`` is where each pair is. ``counts`` are the facets that occur: what a filter is called,
    how it is shown, how many pairs it keeps.
    """

    aligned: Aligned
    entries: Sequence[Entry]
    line: Sequence[int]
    shape: Shape
    counts: tuple[tuple[str, str, int], ...]


def layout(found: Aligned) -> Layout:
    """Return the lines of a comparison's page."""
    entries: list[Entry] = []
    depths: list[int] = []
    line = [0] * len(found)
    folded: list[int] = []
    labels: dict[str, list[int]] = {}
    changes: list[int] = []
    brief = sum(one is not None for one in found.divergence) > _MANY
    for row in rows(found):
        deeper = 0
        if row.fold:
            folded.append(len(entries))
            depths.append(found.depth[row.first])
            entries.append(row)
            deeper = 1
        for at in range(row.first, row.last + 1):
            line[at] = len(entries)
            depth = min(found.depth[at] + deeper, _DEEPEST)
            own: list[Entry] = [at, *_parts(found, at, brief=brief)]
            for facet in found.facets[at]:
                labels.setdefault(named(facet), []).extend(
                    range(len(entries), len(entries) + len(own))
                )
            if is_change(found, at):
                changes.append(len(entries))
            entries += own
            depths.append(depth)
            depths += [depth + 1] * (len(own) - 1)
    known = found.counts()
    counts = tuple((named(one), one, known[one]) for one in FACETS if known[one])
    shape = Shape(depths=depths, labels=labels, changes=changes, folded=folded)
    return Layout(aligned=found, entries=entries, line=line, shape=shape, counts=counts)


def named(facet: str) -> str:
    """Return what a filter is called: one word."""
    return facet.replace(" ", "-")


def is_change(found: Aligned, at: int) -> bool:
    """Whether a pair is one that a reader goes to: no note, no drift that a tolerance accepts."""
    return at not in found.left and not _QUIET.issuperset(found.facets[at])


def _parts(found: Aligned, at: int, *, brief: bool) -> Iterator[Part]:
    divergence = found.divergence[at]
    if divergence is None or at in found.left or found.old[at] is None or found.new[at] is None:
        return
    inner = list(_drifts(divergence) if divergence.within else picked(divergence))
    if brief and len(inner) > _FEW:
        inner = [inner[0], sum(one if isinstance(one, int) else 1 for one in inner[1:])]
    for one in inner:
        yield Part(at, one)


def _drifts(divergence: Divergence) -> Iterator[FieldChange | int]:
    every = chain.from_iterable(divergence.changes.values())
    inner = [one for one in islice(every, 1_000) if one.path]
    yield from inner[:_FEW]
    if len(inner) > _FEW:
        yield len(inner) - _FEW

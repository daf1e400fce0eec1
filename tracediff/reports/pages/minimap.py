"""A long list of lines as a narrow strip: its shape, and what stands out, in few rectangles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final, TypeVar

from tracediff.reports.markup import Markup, element

Attributes = Mapping[str, str | float]
T = TypeVar("T")

LEAST: Final = 60
"""Lines from which a strip helps."""

_BUCKETS: Final = 300
_WIDTH: Final = 44
_SHAPE: Final = 30
_STEP: Final = 2


def minimap(
    depths: Sequence[int], marks: Mapping[str, Sequence[int]], heads: Sequence[int] = ()
) -> Markup | None:
    """Return the strip of a list of lines, None for a short one.

    Args:
        depths: How deep each line is.
        marks: The lines that stand out, by a name; a rectangle has the class ``m-NAME``. Where
            several meet, the first name counts.
        heads: The lines that begin a section.
    """
    total = len(depths)
    if total < LEAST:
        return None
    count = min(total, _BUCKETS)
    box = {"viewBox": f"0 0 {_WIDTH} {count}", "preserveAspectRatio": "none",
           "aria-hidden": "true"}  # fmt: skip
    body = [*_shape(depths, count), *_heads(heads, total, count), *_marks(marks, total, count)]
    view = element("rect", {"class": "view", "x": 0, "y": 0, "width": _WIDTH, "height": 1})
    picture = element("svg", box, body, view)
    return element("div", {"class": "minimap", "aria-hidden": "true"}, picture)


def _shape(depths: Sequence[int], count: int) -> Iterator[Markup]:
    """How deep the lines of each bucket are, about."""
    total = len(depths)
    places = [min(depths[at * total // count], _SHAPE // _STEP - 2) for at in range(count)]
    yield from _runs(places, lambda depth: {
        "class": "shape", "x": 2 + _STEP * depth, "width": _SHAPE - _STEP * depth,
    })  # fmt: skip


def _heads(heads: Sequence[int], total: int, count: int) -> Iterator[Markup]:
    for at in sorted({line * count // total for line in heads}):
        yield _rect(at, 1, {"class": "head", "x": 0, "width": _WIDTH})


def _marks(marks: Mapping[str, Sequence[int]], total: int, count: int) -> Iterator[Markup]:
    places = [""] * count
    for name in reversed(list(marks)):
        for line in marks[name]:
            places[line * count // total] = name
    beside: Attributes = {"x": _SHAPE + 4, "width": _WIDTH - _SHAPE - 6}
    yield from _runs(places, lambda name: {"class": f"m-{name}", **beside} if name else None)


def _runs(places: Iterable[T], told: Callable[[T], Attributes | None]) -> Iterator[Markup]:
    at = 0
    for place, run in groupby(places):
        size = sum(1 for _ in run)
        attributes = told(place)
        if attributes:
            yield _rect(at, size, attributes)
        at += size


def _rect(at: int, size: int, attributes: Attributes) -> Markup:
    return element("rect", {**attributes, "y": at, "height": size})

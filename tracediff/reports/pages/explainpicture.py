"""A waterfall as the rows of a table: the bars are drawn by the server, in parts of their cell.

A row has its bar in an SVG of its own, as wide as there is room, so that it fits a phone as well as
a wide screen. Lengths are percentages, colours are classes of the pages' style: nothing in it needs
a style of its own, which the pages' policy would refuse.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from tracediff.reports.markup import Markup, element
from tracediff.reports.waterfall import Bar, Waterfall

STRIPES: Final = "explain-stripes"
"""The pattern of what goes down, which each page with a waterfall has once."""

_EDGE: Final = 1.5
_LEAST: Final = 0.4
_STRIPED_FROM: Final = 1.5
_CLOSE: Final = 13.0
_TOP: Final = 20.0
_THICK: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row; ``number`` is that of its cause, None for both results and for the rest."""

    kind: str
    number: int | None
    name: str
    place: str
    amount: str
    margin: str
    percent: str
    bar: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The rows, and what stands above and below the bars.

    ``told`` says all of it in words, for who does not see it.
    """

    axis: Markup
    rows: tuple[Row, ...]
    stripes: Markup
    zoomed: bool
    told: str


def picture(drawn: Waterfall, told: str) -> Picture:
    """Draw a waterfall.

    Args:
        drawn: Its numbers.
        told: What it shows, in words.
    """
    ticks = [_at(drawn, value) for value, _ in drawn.ticks]
    rows = []
    for at, bar in enumerate(drawn.bars):
        before = _at(drawn, drawn.bars[at - 1].end) if at else None
        after = _at(drawn, bar.end) if at + 1 < len(drawn.bars) else None
        parts = [*_grid(ticks), *_links(before, after), *_bar(drawn, bar)]
        rows.append(Row(
            kind=bar.kind, number=None if bar.cause is None else bar.cause + 1, name=bar.name,
            place=bar.place, amount=bar.amount, margin=bar.margin, percent=bar.percent,
            bar=element("svg", {"class": "drawn", "aria-hidden": "true"}, parts),
        ))  # fmt: skip
    return Picture(
        axis=element("svg", {"class": "drawn", "aria-hidden": "true"}, _axis(drawn)),
        rows=tuple(rows), stripes=_stripes(), zoomed=drawn.zoomed, told=told,
    )  # fmt: skip


def _at(drawn: Waterfall, value: Fraction) -> float:
    """Where a value is, in per cent of the cell's width."""
    return _EDGE + float(drawn.at(value)) * (100 - 2 * _EDGE)


def _stripes() -> Markup:
    pattern = element(
        "pattern",
        {"id": STRIPES, "width": 6, "height": 6, "patternUnits": "userSpaceOnUse",
         "patternTransform": "rotate(45)"},
        element("rect", {"width": 6, "height": 6, "class": "down"}),
        element("path", {"d": "M0 0V6", "class": "stripe"}),
    )  # fmt: skip
    return element("svg", {"class": "stripes", "aria-hidden": "true"}, element("defs", {}, pattern))


def _line(x: float, top: float, bottom: float, kind: str) -> Markup:
    where = {"x1": f"{x:.2f}%", "x2": f"{x:.2f}%", "y1": f"{top:g}%", "y2": f"{bottom:g}%"}
    return element("line", {**where, "class": kind})


def _grid(ticks: list[float]) -> Iterator[Markup]:
    for x in ticks:
        yield _line(x, 0, 100, "grid")


def _links(before: float | None, after: float | None) -> Iterator[Markup]:
    """What joins a bar to the one above it, where that ends, and to the one below."""
    if before is not None:
        yield _line(before, 0, _TOP, "link")
    if after is not None:
        yield _line(after, _TOP + _THICK, 100, "link")


def _bar(drawn: Waterfall, bar: Bar) -> Iterator[Markup]:
    if bar.start == bar.end:
        return
    first, last = sorted(_at(drawn, one) for one in (bar.start, bar.end))
    width = max(last - first, _LEAST)
    first = min(first, 100 - _EDGE - width)
    shape = {"x": f"{first:.2f}%", "y": f"{_TOP:g}%", "width": f"{width:.2f}%",
             "height": f"{_THICK:g}%"}  # fmt: skip
    striped = bar.kind == "down" and width > _STRIPED_FROM
    fill = {"fill": f"url(#{STRIPES})"} if striped else {"class": bar.kind}
    yield element("rect", {**shape, **fill})
    if drawn.zoomed and bar.kind in ("old", "new") and width > _CLOSE / 4:
        # The bar is longer than what is drawn of it: it is cut where it leaves the axis.
        x = first + _EDGE if bar.start < bar.end else last - _EDGE
        ends = {"x1": f"{x - 0.6:.2f}%", "x2": f"{x + 0.6:.2f}%",
                "y1": f"{_TOP + _THICK:g}%", "y2": f"{_TOP:g}%"}  # fmt: skip
        yield element("line", {**ends, "class": "cut"})


def _axis(drawn: Waterfall) -> Iterator[Markup]:
    """The labels of the ticks: those that have room, and on a narrow screen the first and last."""
    ticks = [(_at(drawn, value), text) for value, text in drawn.ticks]
    shown: list[tuple[float, str]] = []
    for x, text in ticks:
        if not shown or x - shown[-1][0] >= _CLOSE:
            shown.append((x, text))
    for at, (x, text) in enumerate(shown):
        anchor = "start" if x < _CLOSE / 2 else "end" if x > 100 - _CLOSE / 2 else "middle"
        roomy = "roomy" if 0 < at < len(shown) - 1 else ""
        yield element(
            "text", {"x": f"{x:.2f}%", "y": "70%", "text-anchor": anchor, "class": roomy}, text
        )

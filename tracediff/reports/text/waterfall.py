"""Draws a waterfall with block characters, in the width there is.

Up and down differ in colour, in sign and in texture, so that it reads without colour as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from rich.cells import cell_len
from rich.text import Text

from tracediff.reports.text.canvas import BOLD, DIM, NAME, NEW, OLD, WARN, Look, ending, fit, span
from tracediff.reports.waterfall import Bar, BarKind, Waterfall

_STYLES: Final[dict[BarKind, str]] = {"old": DIM, "up": NEW, "down": OLD, "new": ""}
_FULL: Final[dict[BarKind, str]] = {"old": "█", "up": "█", "down": "▒", "new": "█"}
_NARROW = 100
_LEAST_NAME = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class _Columns:
    number: int
    name: int
    amount: int
    margin: int
    percent: int
    bar: int
    place: int


def waterfall_lines(found: Waterfall, look: Look, title: str) -> Iterator[Text]:
    """Yield the picture: the axis, a row for the old result, one a cause, one for the new result.

    Args:
        found: What to draw.
        look: How.
        title: What stands above the names.
    """
    places = [_short(bar.place, look.columns) for bar in found.bars]
    columns = _measure(found, places, look.columns)
    yield from _axis(found, columns, title)
    for bar, place in zip(found.bars, places, strict=True):
        yield _row(bar, place, found, columns)


def _short(place: str, width: int) -> str:
    """A place in a fifth or a quarter of the width: the end of its path says most."""
    most = width // 5 if width < _NARROW else width // 4
    return ending(place.rpartition("/")[2] if width < _NARROW else place, most)


def _measure(found: Waterfall, places: list[str], width: int) -> _Columns:
    bars = found.bars
    number = max(len(_number(bar)) for bar in bars)
    amount = max(cell_len(bar.amount) for bar in bars)
    margin = max(cell_len(bar.margin) for bar in bars)
    percent = max(cell_len(bar.percent) for bar in bars)
    place = max(map(cell_len, places))
    rest = width - 2 - number - sum(size + 1 for size in (amount, margin, percent, place) if size)
    wanted = max(cell_len(bar.name) for bar in bars)
    name = max(min(wanted, rest * 2 // 5), _LEAST_NAME)
    return _Columns(number=number, name=name, amount=amount, margin=margin, percent=percent,
                    bar=max(rest - name - 2, 4), place=place)  # fmt: skip


def _number(bar: Bar) -> str:
    return "" if bar.cause is None else f"{bar.cause + 1} "


def _row(bar: Bar, place: str, found: Waterfall, columns: _Columns) -> Text:
    whole = bar.kind in ("old", "new")
    line = span("  ", (f"{_number(bar):>{columns.number}}", DIM))
    line.append_text(fit(span((bar.name, BOLD if bar.kind == "new" else "")), columns.name))
    style = BOLD if whole else f"{BOLD} {_STYLES[bar.kind]}"
    for text, width, how in (
        (bar.amount, columns.amount, style),
        (bar.margin, columns.margin, DIM),
        (bar.percent, columns.percent, DIM),
    ):
        if width:
            line.append(" ").append_text(fit(span((text, how)), width, right=True))
    line.append("  ").append(_bar(bar, found, columns.bar), style=_STYLES[bar.kind])
    if columns.place:
        line.append(" ").append(place, style=NAME)
    return line


def _bar(bar: Bar, found: Waterfall, width: int) -> str:
    """The bar in ``width`` cells, exact to half a cell; what is not nothing is seen."""
    ends = sorted(_halves(found, value, width) for value in (bar.start, bar.end))
    first, last = ends
    if first == last and bar.start == bar.end:
        return " " * width
    if first == last:
        first = min(first, 2 * width - 1)
        last = first + 1
    full = _FULL[bar.kind]
    if bar.kind == "down":
        # A texture has no halves: the cells that are half covered are drawn whole.
        first, last = first // 2 * 2, -(-last // 2) * 2
    cells = [" "] * width
    for cell in range(first // 2, -(-last // 2)):
        left, right = 2 * cell >= first, 2 * cell + 1 < last
        cells[cell] = full if left and right else "▌" if left else "▐"
    return "".join(cells)


def _halves(found: Waterfall, value: Fraction, width: int) -> int:
    return min(max(round(found.at(value) * 2 * width), 0), 2 * width)


def _axis(found: Waterfall, columns: _Columns, title: str) -> Iterator[Text]:
    lead = 2 + columns.number + columns.name + 2
    lead += sum(size + 1 for size in (columns.amount, columns.margin, columns.percent) if size)
    labels, ruler = _ruler(found, columns.bar)
    remark = "axis not from zero" if found.zoomed else ""
    yield span((fit(span(f"  {title}"), lead - 1).plain, DIM), (f" {labels}", DIM))
    yield span((fit(span(f"  {remark}"), lead - 1).plain, WARN), (f" {ruler}", DIM))


def _ruler(found: Waterfall, width: int) -> tuple[str, str]:
    """The labels of the ticks, and a line with these; every second or fifth where room is short."""
    ticks = [(min(round(found.at(value) * width), width - 1), text) for value, text in found.ticks]
    for stride in (1, 2, 5):
        drawn = _labelled(ticks[::stride], width)
        if drawn is not None:
            return drawn
    return " " * width, "─" * width


def _labelled(ticks: list[tuple[int, str]], width: int) -> tuple[str, str] | None:
    """Both lines; None where two labels would touch."""
    labels, ruler = [" "] * width, ["─"] * width
    free = 0
    for at, text in ticks:
        begin = min(max(at - len(text) // 2, 0), width - len(text))
        if begin < free:
            return None
        labels[begin : begin + len(text)] = text
        ruler[at] = "┴"
        free = begin + len(text) + 1
    return "".join(labels), "".join(ruler)

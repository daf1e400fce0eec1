"""Lays a step tree out in columns: step, recorded, now, delta, label."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from tracediff.reports import excerpt
from tracediff.reports.text.canvas import (
    BAD,
    BOLD,
    CAUSE,
    DIM,
    NAME,
    NEW,
    OLD,
    Look,
    apart,
    fit,
    span,
)
from tracediff.reports.text.entries import Entry

_GAP = "  "
_ROOMY = 96
_MARK_STYLES = {"+": NEW, "-": OLD, "»": NAME, "…": DIM, "~": BOLD}
_LABEL_STYLES = {"origin": CAUSE, "mixed": CAUSE, "hidden input": BAD}


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The widths of the columns. ``value`` is that of each of the two value columns."""

    step: int
    value: int
    delta: int
    percent: int
    label: int

    @property
    def rest(self) -> int:
        """The width of everything right of the step column, the label left out."""
        parts = [self.value, self.value, self.delta, self.percent]
        return sum(part + len(_GAP) for part in parts if part)


def measure(entries: Sequence[Entry], width: int) -> Grid:
    """Return the columns that suit these lines; values too long for theirs go below the line."""
    most = max(width // 5, 14)
    values = [cell_len(text) for e in entries for text in (e.old, e.new) if text]
    value = max([8, *(size for size in values if size <= most)]) if values else 0
    delta = min(max((cell_len(e.delta) for e in entries), default=0), 18)
    roomy = width >= _ROOMY
    percent = max((cell_len(e.percent) for e in entries), default=0) if roomy else 0
    label = max((cell_len(e.label) for e in entries), default=0)
    taken = sum(part + len(_GAP) for part in (value, value, delta, percent, label) if part)
    return Grid(step=width - taken, value=value, delta=delta, percent=percent, label=label)


def table(
    entries: Iterable[Entry | Text], look: Look, heads: tuple[str, str], title: str = "step"
) -> Iterator[Text]:
    """Yield the head line and the lines of the tree.

    Args:
        entries: The lines; a Text is drawn as it is.
        look: How to draw.
        heads: What the old and the new column are called.
        title: What the first column is called.
    """
    rows = list(entries)
    grid = measure([row for row in rows if isinstance(row, Entry)], look.columns)
    if grid.value:
        yield _line(
            span((f"  {title}", DIM)),
            [
                (heads[0], grid.value, f"{DIM} {OLD}"),
                (heads[1], grid.value, f"{DIM} {NEW}"),
                ("delta" if grid.delta else "", grid.delta, DIM),
                ("", grid.percent, DIM),
            ],
            span(),
            grid,
        )
    else:
        yield span((f"  {title}", DIM))
    for row in rows:
        if isinstance(row, Entry):
            yield from _row(row, grid, heads, look.columns)
        else:
            yield row


def _row(row: Entry, grid: Grid, heads: tuple[str, str], width: int) -> Iterator[Text]:
    indent = min(row.depth, max(grid.step // 6, 2))
    name = _name(row, indent)
    label = span((row.label, _LABEL_STYLES.get(row.label, DIM)))
    sides = [text for text in (row.old, row.new) if text]
    if not sides:
        yield apart(name, label, width)
        return
    if all(cell_len(text) <= grid.value for text in sides):
        cells = [
            (row.old or "", grid.value, OLD),
            (row.new or "", grid.value, NEW),
            (row.delta, grid.delta, BOLD),
            (row.percent, grid.percent, BOLD),
        ]
        yield _line(name, cells, label, grid)
        return
    cells = [
        ("", grid.value, ""),
        ("", grid.value, ""),
        (row.delta, grid.delta, BOLD),
        (row.percent, grid.percent, BOLD),
    ]
    yield _line(name, cells, label, grid) if row.delta else apart(name, label, width)
    yield from _stacked(row, indent, heads, width)


def _name(row: Entry, indent: int) -> Text:
    quiet = row.quiet or row.field
    line = span((f"{row.mark} ", _MARK_STYLES.get(row.mark, "")), ("│ " * indent, DIM))
    line.append(row.title, style=DIM if quiet else "")
    if row.detail:
        line.append(f" {row.detail}", style=DIM)
    return line


def _line(name: Text, cells: Iterable[tuple[str, int, str]], label: Text, grid: Grid) -> Text:
    line = fit(name, grid.step)
    for text, width, style in cells:
        if width:
            line.append(_GAP).append_text(fit(span((text, style)), width, right=True))
    if grid.label:
        line.append(_GAP).append_text(fit(label, grid.label, right=True))
    return line


def _stacked(row: Entry, indent: int, heads: tuple[str, str], width: int) -> Iterator[Text]:
    lead = "  " + "│ " * (indent + 1)
    head = max(map(len, heads))
    room = width - len(lead) - head - 2
    old, new = excerpt.pair(row.old or "", row.new or "", room)
    for name, text, whole, style in (
        (heads[0], old, row.old, OLD),
        (heads[1], new, row.new, NEW),
    ):
        if whole is not None:
            line = span((lead, DIM), (f"{name:<{head}}  ", DIM), (text, style))
            line.truncate(width, overflow="ellipsis")
            yield line

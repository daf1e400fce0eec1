"""The sheet text reports are drawn on: its width, its colours, and lines that fit."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len
from rich.color import ColorSystem
from rich.console import Console
from rich.text import Text

from tracediff.reports import living

NARROWEST: Final = 80
WIDEST: Final = 160

# Only the sixteen colours that a terminal's own theme defines, so that light and dark both work.
OLD = "red"
NEW = "green"
DIM = "dim"
BOLD = "bold"
NAME = "cyan"
CAUSE = "bold magenta"
GOOD = "bold green"
BAD = "bold red"
WARN = "yellow"
LOST = "magenta"

STATE_GLYPHS = {
    "success": ("✓", "green"),
    "warning": ("▲", WARN),
    "error": ("✗", BAD),
    "running": ("◌", NAME),
    "lost": ("⊘", LOST),
}
KIND_GLYPHS = {"input": "⇠", "output": "⇢", "artifact": "▤", "note": "·"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How a report is drawn.

    ``now`` is the time (nanoseconds since the epoch) that ages are counted from; ``limit`` bounds
    the number of steps a report shows; ``quiet`` is after how many nanoseconds of silence a running
    job is no longer taken to be well.
    """

    now: int
    width: int = 100
    colour: bool = False
    limit: int = 20
    quiet: int = living.QUIET

    @property
    def columns(self) -> int:
        """The width within what reports are made for."""
        return min(max(self.width, NARROWEST), WIDEST)


def span(*parts: str | tuple[str, str]) -> Text:
    """Return a line of plain and (text, style) parts. Nothing in it is read as markup."""
    return Text.assemble(*parts, no_wrap=True, end="")


def fit(line: Text, width: int, *, right: bool = False) -> Text:
    """Return a copy of ``line`` exactly ``width`` cells wide, cut with ``…`` or padded."""
    fitted = line.copy()
    fitted.truncate(width, overflow="ellipsis")
    gap = " " * (width - fitted.cell_len)
    return span(gap).append_text(fitted) if right else fitted.append(gap)


def apart(left: Text, right: Text, width: int) -> Text:
    """Return one line with ``right`` at the right margin; ``left`` gives way."""
    line = left.copy()
    if right.cell_len:
        line = fit(left, max(width - right.cell_len, 0)).append_text(right)
    line.truncate(width, overflow="ellipsis")
    return line


def rule(
    title: Text, width: int, end: Text | None = None, stroke: str = "─", *, most: int | None = None
) -> Text:
    """Return a bar across the page with a title at its left and a remark at its right.

    Of the remark no more is shown than ``most`` cells, which is half of the page by default.
    """
    tail = _tail(end, width // 2 if most is None else most, stroke)
    head = span((f"{stroke * 2} ", DIM))
    name = title.copy()
    name.truncate(max(width - tail.cell_len - 6, 8), overflow="ellipsis")
    head.append_text(name).append(" ")
    head.append(stroke * max(width - head.cell_len - tail.cell_len, 0), style=DIM)
    return head.append_text(tail)


def _tail(end: Text | None, most: int, stroke: str) -> Text:
    if end is None:
        return span()
    name = end.copy()
    name.truncate(most, overflow="ellipsis")
    return span(" ").append_text(name).append(f" {stroke * 2}", DIM)


def ending(text: str, width: int) -> str:
    """Return the end of a text in ``width`` cells, ``…`` before it: of a path it says most."""
    if cell_len(text) <= width:
        return text
    taken, start = 1, len(text)
    while start and taken + cell_len(text[start - 1]) <= width:
        start -= 1
        taken += cell_len(text[start])
    return f"…{text[start:]}"


def panel(title: Text, body: Iterable[Text], width: int) -> Iterable[Text]:
    """Yield ``body`` in a box with a title in its upper edge."""
    inner = width - 4
    name = title.copy()
    name.truncate(inner - 4, overflow="ellipsis")
    edge = "─" * (width - name.cell_len - 5)
    yield span(("╭─ ", DIM)).append_text(name).append(f" {edge}╮", style=DIM)
    for line in body:
        yield span(("│ ", DIM)).append_text(fit(line, inner)).append(" │", style=DIM)
    yield span((f"╰{'─' * (width - 2)}╯", DIM))


def wrapped(words: Iterable[str], width: int, separator: str = ", ") -> Iterable[str]:
    """Yield ``words`` joined by ``separator`` on as few lines of ``width`` cells as they need."""
    line = ""
    for word in words:
        joined = f"{line}{separator}{word}" if line else word
        if line and cell_len(joined) > width:
            yield f"{line}{separator.rstrip()}"
            joined = word
        line = joined
    if line:
        yield line


def prose(head: str, style: str, text: str, look: Look) -> Iterator[Text]:
    """Yield a sentence behind a heading, on as many lines as it takes."""
    for at, line in enumerate(wrapped(text.split(), look.columns - cell_len(head), " ")):
        part = span((" " * cell_len(head) if at else head, style), line)
        part.truncate(look.columns, overflow="ellipsis")
        yield part


def paint(lines: Iterable[Text], look: Look) -> str:
    """Return the lines as text, with colours if ``look`` has them; no line ends in blanks."""
    if not look.colour:
        return "".join(f"{line.plain.rstrip()}\n" for line in lines)
    sheet = io.StringIO()
    console = Console(
        file=sheet,
        width=look.columns,
        force_terminal=True,
        color_system="standard",
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
        _environ={},
    )
    for line in lines:
        line.rstrip()
        sheet.write("".join(_coloured(line, console)) + "\n")
    return sheet.getvalue()


def _coloured(line: Text, console: Console) -> Iterable[str]:
    for segment in line.render(console):
        style = segment.style
        yield (
            style.render(segment.text, color_system=ColorSystem.STANDARD)
            if style
            else (segment.text)
        )

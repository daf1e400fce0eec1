"""The fields that are not drawn, as a table of fields by causes, and what causes do together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.cells import cell_len
from rich.text import Text

from tracediff.explained import Effect, Explanation
from tracediff.reports import attributed, excerpt, waterfall
from tracediff.reports.text.canvas import BOLD, DIM, NEW, OLD, Look, ending, fit, span
from tracediff.reports.wording import many

_FIELDS_SHOWN: Final = 10
_TOGETHER_SHOWN: Final = 3
_GAP = "  "
_TITLE = "also changed"


def effects_table(
    found: Explanation, effects: Sequence[Effect], look: Look, most: int | None = None
) -> Iterator[Text]:
    """Yield a row a field and a column a cause, by number; what has no room is counted.

    Args:
        found: The explanation.
        effects: Those of its effects that are told here.
        look: How to draw.
        most: The most fields to show, all by default.
    """
    shown = effects[: most if most is not None else _FIELDS_SHOWN]
    if not shown:
        return
    columns = [at for at in range(len(found.causes)) if any(one.shares[at] for one in shown)]
    names = [ending(waterfall.field(one), look.columns * 2 // 5) for one in shown]
    sides = [_sides(found, one) for one in shown]
    cells = [[_cell(one, at) for at in columns] for one in shown]
    heads = [f"{at + 1}" for at in columns]
    widths = [max(cell_len(row[at]) for row in (*cells, heads)) for at in range(len(columns))]
    first = max(map(cell_len, [_TITLE, *names]))
    second = min(max(map(cell_len, ["change", *sides])), look.columns // 3)
    fitting = _fitting(widths, look.columns - first - second - 4)
    yield _row(_TITLE, "change", heads[:fitting], widths, (first, second), DIM)
    for name, side, row in zip(names, sides, cells, strict=True):
        yield _row(name, side, row[:fitting], widths, (first, second), "")
    if fitting < len(columns):
        more = many(len(columns) - fitting, "more cause")
        verb = "has" if len(columns) - fitting == 1 else "have"
        yield span((f"  … {more} {verb} a part in them; --format json has all", DIM))
    if len(shown) < len(effects):
        yield span((f"  … {many(len(effects) - len(shown), 'more field')}", DIM))


def _sides(found: Explanation, effect: Effect) -> str:
    if effect.kind == "number":
        return waterfall.change(effect)
    return " → ".join(excerpt.pair(*waterfall.ends(found, effect), 12))


def _cell(effect: Effect, cause: int) -> str:
    if not effect.shares[cause]:
        return "·"
    return f"{waterfall.shown(effect, cause)}{waterfall.margin(effect, cause)}"


def _fitting(widths: Sequence[int], room: int) -> int:
    """How many columns fit, at least one."""
    for count, width in enumerate(widths):
        room -= width + len(_GAP)
        if room < 0:
            return max(count, 1)
    return len(widths)


def _row(
    name: str, side: str, cells: Sequence[str], widths: Sequence[int], firsts: tuple[int, int],
    style: str,
) -> Text:  # fmt: skip
    line = span("  ").append_text(fit(span((name, style)), firsts[0]))
    line.append(_GAP).append_text(fit(span((side, style or BOLD)), firsts[1], right=True))
    for cell, width in zip(cells, widths, strict=False):
        how = style or (DIM if cell == "·" else OLD if cell.startswith("-") else NEW)
        line.append(_GAP).append_text(fit(span((cell, how)), width, right=True))
    return line


def together(found: Explanation, effect: Effect) -> Iterator[Text]:
    """Yield the largest interactions of an effect that are more than a hundredth of its change."""
    worth = attributed.together(found, effect)
    for first, second, name, other, amount in worth[:_TOGETHER_SHOWN]:
        yield span(
            ("  together  ", DIM), f"{first + 1} {name}", (" and ", DIM),
            f"{second + 1} {other}", ": ", (amount, BOLD), (" beyond each alone", DIM),
        )  # fmt: skip
    if len(worth) > _TOGETHER_SHOWN:
        yield span((f"  … {many(len(worth) - _TOGETHER_SHOWN, 'more interaction')}", DIM))

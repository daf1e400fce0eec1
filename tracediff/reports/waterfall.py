"""The waterfall from the old result to the new one, as numbers: what the pictures draw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import Final, Literal

from tracediff.explained import Cause, Effect, Explanation, Unit
from tracediff.reports import amounts, excerpt
from tracediff.reports.clean import clean
from tracediff.reports.wording import many

MOST: Final = 12
"""How many causes are shown by themselves; the others are one row."""

_LONGEST = 60
_NEAR_ZERO = Fraction(1, 4)
_STEPS = (1, 2, 5, 10)

BarKind = Literal["old", "up", "down", "new"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One row of a waterfall, from ``start`` to ``end`` on its axis; its texts are safe to print.

    ``cause`` is the position in ``Explanation.causes``, None for both results and for the rest.
    """

    kind: BarKind
    name: str
    start: Fraction
    end: Fraction
    amount: str
    percent: str = ""
    margin: str = ""
    place: str = ""
    cause: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waterfall:
    """The rows, and the axis from ``low`` to ``high`` with its ``ticks``.

    ``zoomed`` says that zero is not on it.
    """

    bars: tuple[Bar, ...]
    low: Fraction
    high: Fraction
    ticks: tuple[tuple[Fraction, str], ...]
    zoomed: bool

    def at(self, value: Fraction) -> Fraction:
        """Where a value is on the axis, from 0 to 1."""
        return (value - self.low) / (self.high - self.low)


def main_effect(found: Explanation) -> Effect | None:
    """Return the effect that is drawn, None where there is none."""
    if not found.effects:
        return None
    return found.effects[found.main if found.main is not None else 0]


def waterfall(
    found: Explanation, effect: Effect, heads: tuple[str, str], most: int = MOST
) -> Waterfall:
    """Lay one effect out.

    Args:
        found: The explanation.
        effect: One of its effects.
        heads: What the old and the new result are called.
        most: How many causes get a row of their own.
    """
    first = amounts.number(effect.old) if effect.kind == "number" else Fraction(0)
    start = first if first is not None else Fraction(0)
    steps = list(_steps(found, effect, start, most))
    low, high, zoomed = _axis(start, [bar.end for bar in steps], effect)
    base = Fraction(0) if low <= 0 <= high else low if low > 0 else high
    last = steps[-1].end if steps else start + effect.change
    texts = _totals(effect)
    bars = (
        Bar(kind="old", name=heads[0], start=base, end=start, amount=texts[0]),
        *steps,
        Bar(kind="new", name=heads[1], start=base, end=last, amount=texts[1]),
    )
    return Waterfall(bars=bars, low=low, high=high, ticks=_ticks(low, high, effect), zoomed=zoomed)


def _totals(effect: Effect) -> tuple[str, str]:
    if effect.kind == "indicator":
        return "0%", "100%"
    return excerpt.short(effect.old, 24), excerpt.short(effect.new, 24)


def _steps(found: Explanation, effect: Effect, start: Fraction, most: int) -> Iterator[Bar]:
    """The causes' rows; each starts where the one before it ends."""
    guilty = [at for at, share in enumerate(effect.shares) if share]
    single = guilty if len(guilty) <= most else guilty[: most - 1]
    rest = guilty[len(single) :]
    names = short_names([found.causes[at] for at in single])
    parts = [effect.shares[at] for at in single]
    if rest:
        parts.append(sum((effect.shares[at] for at in rest), Fraction(0)))
    # Where causes cancel out nearly all of each other, parts of what is left tell nothing.
    tells = effect.kind == "number" and all(abs(one) <= 10 * abs(effect.change) for one in parts)
    percents = amounts.per_cents(parts, effect.change) if tells else None
    at = start
    for row, share in enumerate(parts):
        cause = single[row] if row < len(single) else None
        yield Bar(
            kind="down" if share < 0 else "up",
            name=names[row] if cause is not None else many(len(rest), "smaller cause"),
            start=at,
            end=at + share,
            amount=shown(effect, cause) if cause is not None else _together(effect, rest, share),
            percent=percents[row] if percents else "",
            margin=margin(effect, cause) if cause is not None else "",
            place=place(found.causes[cause]) if cause is not None else "",
            cause=cause,
        )
        at += share


def _together(effect: Effect, rest: Sequence[int], share: Fraction) -> str:
    total = amounts.added([effect.shown[at] for at in rest])
    if total is None:
        return amounts.like(share, effect.shown_change)
    text = f"{total}{amounts.unit(effect.shown_change)}"
    return amounts.of_whole(text) if effect.kind == "indicator" else amounts.signed(text)


def shown(effect: Effect, cause: int) -> str:
    """Return the share that a cause has in an effect, as it is written."""
    text = effect.shown[cause]
    return amounts.of_whole(text) if effect.kind == "indicator" else amounts.signed(text)


def margin(effect: Effect, cause: int) -> str:
    """Return ``±0.02``, or nothing where the share is exact."""
    if not effect.margins or not effect.margins[cause]:
        return ""
    width = effect.margins[cause]
    if effect.kind == "indicator":
        return f"±{amounts.part(width)}"
    return f"±{amounts.like(width, effect.shown[cause]).removeprefix('+')}"


def change(effect: Effect) -> str:
    """Return the whole change of an effect; nothing for an indicator, whose change is a fact."""
    return amounts.signed(effect.shown_change) if effect.kind == "number" else ""


def place(cause: Cause) -> str:
    """Return where to look first, as ``pricing/vat.py:14``; nothing for what has no lines."""
    if cause.line is not None:
        return clean(f"{cause.line.file[: _LONGEST * 4]}:{cause.line.line}")
    for unit in cause.units:
        if unit.new or unit.old:
            return spot(unit)
    return ""


def spot(unit: Unit) -> str:
    """Return where a unit is: on the new side, else where it was."""
    lines = unit.new or unit.old
    if lines is None or unit.kind == "data file":
        return ""
    return clean(f"{lines.file[: _LONGEST * 4]}:{lines.first}")


def ends(found: Explanation, effect: Effect, limit: int = 20_000) -> tuple[str, str]:
    """Return the old and the new value on one line each; of an error what came of the job."""
    if effect.path[:1] == ("error",) and found.old.steps and found.new.steps:
        roots = found.old.steps[0], found.new.steps[0]
        return excerpt.outcome(roots[0], limit) or "None", excerpt.outcome(
            roots[1], limit
        ) or "None"
    return excerpt.short(effect.old, limit), excerpt.short(effect.new, limit)


def field(effect: Effect) -> str:
    """Return what changed, as ``result.lines[2].net``: what ``--field`` takes."""
    said = ""
    for part in effect.path:
        said += f"[{part}]" if isinstance(part, int) else f".{part}" if said else part
    text = clean(said[-_LONGEST * 4 :])
    return text if len(said) <= _LONGEST * 4 else f"…{text}"


def short_names(causes: Sequence[Cause]) -> list[str]:
    """Return a short name a cause: its first unit's, without the module where that is enough."""
    names = [bare(cause.units[0]) if cause.units else "?" for cause in causes]
    often = Counter(names)
    found = []
    for cause, name in zip(causes, names, strict=True):
        whole = clean(cause.units[0].name[:_LONGEST]) if cause.units else name
        more = f" and {len(cause.units) - 1} more" if len(cause.units) > 1 else ""
        found.append(f"{whole if often[name] > 1 else name}{more}")
    return found


def bare(unit: Unit) -> str:
    """Return a unit's name without its module."""
    name = unit.name[:_LONGEST]
    if unit.kind in ("data file", "dependency", "input", "arguments"):
        return clean(name)
    return clean(name.partition(":")[2] or name)


def _axis(
    start: Fraction, ends: Sequence[Fraction], effect: Effect
) -> tuple[Fraction, Fraction, bool]:
    """The ends of the axis, and whether zero is left out.

    It begins at zero unless what changes would then be less than a quarter of the picture.
    """
    if effect.kind == "indicator":
        return min(Fraction(0), *ends), max(Fraction(1), *ends), False
    low, high = min([start, *ends]), max([start, *ends])
    far = max(abs(low), abs(high))
    if high - low >= far * _NEAR_ZERO:  # as it is where zero lies between them
        low, high = min(low, Fraction(0)), max(high, Fraction(0))
        return (low, high, False) if low != high else (low, low + 1, False)
    if low == high:
        room = far / 10
        return low - room, high + room, True
    room = (high - low) / 5
    return (low - room, high, True) if low > 0 else (low, high + room, True)


def _nice(length: Fraction) -> Fraction:
    """The distance of ticks that gives three to five of them: 1, 2 or 5 times a power of ten."""
    rough = length / 5
    size = amounts.decimal(rough).adjusted()
    power = Fraction(10) ** size
    return next((power * one for one in _STEPS if power * one >= rough), power * 10)


def _ticks(low: Fraction, high: Fraction, effect: Effect) -> tuple[tuple[Fraction, str], ...]:
    whole = effect.kind == "indicator" and high - low == 1
    step = Fraction(1, 4) if whole else _nice(high - low)
    found = []
    at = ceil(low / step) * step
    while at <= high:
        found.append((at, _label(at, step, effect)))
        at += step
    return tuple(found)


def _label(at: Fraction, step: Fraction, effect: Effect) -> str:
    if effect.kind == "indicator":
        return amounts.of_whole(str(amounts.decimal(at)))
    finest = Decimal(1).scaleb(min(amounts.decimal(step).adjusted(), 0))
    return amounts.plain(amounts.to_nearest(at, finest))

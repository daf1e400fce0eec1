"""What is said of an explanation, on a terminal and on a page; all of it is safe to print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from tracediff.explained import Blame, Cause, Certificate, Effect, Explanation, Hunk, LineChange
from tracediff.model import Source, Step
from tracediff.reports import amounts, excerpt, waterfall
from tracediff.reports.clean import clean
from tracediff.reports.waterfall import Waterfall
from tracediff.reports.wording import many

LONGEST: Final = 2_000
"""Characters of one recorded text that are looked at."""

MERGED: Final = "they cannot run apart"
NOISE: Final = "what differs is noise: the recorded code does not reproduce it"
NO_CHANGE: Final = "there is no change to explain"
DOES_NOT_ADD_UP: Final = "the shares do not add up to the change"

_ROUNDED: Final = Fraction(1, 100)
_WORTH_NAMING: Final = Fraction(1, 100)
_DATA: Final = ("input", "arguments")
_METHODS: Final = {
    "exact": "exact, over {}",
    "groups": "exact within groups (Owen values), over {}",
    "sampling": "sampled, over {}; ± is half of a 95 % confidence interval",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """That nothing is left over: the shares as they are shown, and what they make."""

    holds: bool
    parts: tuple[str, ...] = ()
    whole: str = ""


def proof(drawn: Waterfall, main: Effect) -> Proof:
    """Add the shares up, as they are shown.

    Args:
        drawn: The waterfall that shows them.
        main: The effect that it is of.
    """
    total = amounts.added(main.shown)
    exact = sum(main.shares, Fraction(0)) == main.change
    if not exact or total is None or total != amounts.parsed(main.shown_change):
        return Proof(holds=False)
    ends = "= 100%" if main.kind == "indicator" else f"= {waterfall.change(main)}{_ends(main)}"
    return Proof(holds=True, parts=tuple(bar.amount for bar in drawn.bars[1:-1]), whole=ends)


def _ends(main: Effect) -> str:
    """``= 221.79 - 219.38``, where that is what the change is."""
    old, new = amounts.number(main.old), amounts.number(main.new)
    said = amounts.parsed(main.shown_change)
    if old is None or new is None or said is None:
        return ""
    off = abs(new - old - Fraction(said))
    if off > abs(new - old) * _ROUNDED:
        return ""
    return f" {'≈' if off else '='} {excerpt.short(main.new, 40)} - {excerpt.short(main.old, 40)}"


def share(main: Effect, cause: int, drawn: Waterfall) -> tuple[str, str, str]:
    """Return a cause's share as it is drawn: amount, margin and part of the whole.

    One that has none in what is drawn is ``elsewhere``.
    """
    bar = next((one for one in drawn.bars if one.cause == cause), None)
    if bar is not None:
        return bar.amount, bar.margin, bar.percent
    if main.shares[cause]:
        return waterfall.shown(main, cause), waterfall.margin(main, cause), ""
    return "elsewhere", "", ""


def data_and_code(found: Explanation, main: Effect) -> tuple[str, str] | None:
    """Return what data and what code has of the change, where inputs were read anew."""
    parts = next((found.data[at] for at, one in enumerate(found.effects)
                  if one is main and at in found.data), None)  # fmt: skip
    if parts is None:
        return None
    read = [all(unit.kind in _DATA for unit in one.units) for one in found.causes]
    data, code = (
        _summed(main, [at for at, one in enumerate(read) if one is side], part)
        for side, part in zip((True, False), parts, strict=True)
    )
    return data, code


def _summed(main: Effect, causes: Sequence[int], exact: Fraction) -> str:
    """What some causes have together, of their shares as they are shown: so it adds up."""
    total = amounts.added([main.shown[at] for at in causes])
    if total is None or sum((main.shares[at] for at in causes), Fraction(0)) != exact:
        return amounts.like(exact, main.shown_change)
    return amounts.plain(total, sign=True) + amounts.unit(main.shown_change)


def together(found: Explanation, effect: Effect) -> list[tuple[int, int, str, str, str]]:
    """Return the interactions that are more than a hundredth of a change, the largest first.

    Each as both causes, their names, and what they do beyond each alone.
    """
    worth = [
        one for one in effect.interactions
        if abs(one.amount) > abs(effect.change) * _WORTH_NAMING
    ]  # fmt: skip
    worth.sort(key=lambda one: -abs(one.amount))
    told = []
    for one in worth:
        first, second = sorted((one.first, one.second))
        names = waterfall.short_names([found.causes[first], found.causes[second]])
        amount = amounts.like(one.amount, effect.shown_change)
        if effect.kind == "indicator":
            amount = f"{'+' if one.amount > 0 else ''}{amounts.part(one.amount)}"
        told.append((first, second, names[0], names[1], amount))
    return told


def method(found: Explanation) -> str:
    """Return how the shares were found out."""
    mixtures = many(found.hybrids, "mixture") + " of old and new code"
    return _METHODS[found.method].format(mixtures)


def innocents(found: Explanation) -> Iterator[str]:
    """Yield the innocents' names, with the kind where two are equal: a function, its decorator."""
    names = [one.name for one in found.innocent]
    for one in found.innocent:
        kind = f" ({one.kind})" if names.count(one.name) > 1 else ""
        yield clean(one.name[:LONGEST]) + kind


def innocent(found: Explanation) -> str:
    """Return how many units are innocent; nothing where none is."""
    if not found.innocent:
        return ""
    return f"{many(len(found.innocent), 'changed unit')} ran and changed nothing"


def idle(found: Explanation) -> str:
    """Return how many units never ran; nothing where none is so."""
    return f"{many(found.idle, 'changed unit')} never ran" if found.idle else ""


def remarks(found: Explanation) -> list[str]:
    """Return what else is to be said, each once."""
    return list(dict.fromkeys([*found.remarks, *found.comparison.remarks]))


def unreproduced(said: Certificate) -> tuple[str, list[str]]:
    """Return what is wrong with the steps that the recorded code does not reproduce, and which."""
    paths = [" › ".join(clean(one[:60]) for one in path) or "the job itself"
             for path in said.unrecorded or said.unreproduced]  # fmt: skip
    what = "reads something unrecorded: " if said.unrecorded else "not reproduced: "
    return (what if paths else "", paths)


def first(found: Explanation) -> tuple[Step | None, Step | None, str] | None:
    """Return the step at which both first differ, before and after, and where its code is."""
    one, comparison = found.comparison.first, found.comparison
    if one is None:
        return None
    before = None if one.old is None else comparison.old.steps[one.old]
    after = None if one.new is None else comparison.new.steps[one.new]
    step = after or before
    if step is None:
        return None
    source = step.source
    return before, after, spot(source) if source and source.file else ""


def spot(source: Source) -> str:
    """Return a line of source as ``pricing/vat.py:14``."""
    return clean(f"{source.file[:LONGEST]}:{source.line}")


def commits(cause: Cause) -> list[Blame]:
    """Return the commits behind the changed lines, each once."""
    return list({one.sha: one for one in cause.commits}.values())


def where(hunk: Hunk) -> str:
    """Return where a hunk is, on both sides if its file has another name now."""
    new = clean(f"{hunk.path[:LONGEST]}:{hunk.line}")
    if hunk.old_path == hunk.path:
        return new
    return f"{clean(f'{hunk.old_path[:LONGEST]}:{hunk.old_line}')} → {new}"


def code_of(cause: Cause, found: LineChange) -> str:
    """Return the line of source where a variable differs, when a hunk shows it."""
    for source, mark in ((found.new_source, "+"), (found.old_source, "-")):
        for hunk in cause.hunks if source else ():
            path, at = (hunk.path, hunk.line) if mark == "+" else (hunk.old_path, hunk.old_line)
            own = [line for line in hunk.lines if line[:1] in (mark, " ")]
            if source and path == source.file and 0 <= source.line - at < len(own):
                return clean(own[source.line - at][1:LONGEST])
    return ""

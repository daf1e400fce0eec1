"""How reports word what a check found: the counts, the answer, the causes, what to do next.

All texts are on one line and safe to print; what a format needs beside that it does itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite
from typing import Final

from tracediff.checked import Acceptance, Checked, Group, Mark, Total
from tracediff.reports import sums
from tracediff.reports.clean import clean
from tracediff.reports.excerpt import cut
from tracediff.reports.wording import lasted, many

LONGEST: Final = 2_000
_NAME: Final = 120
_NAMED: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A cause as reports tell it.

    ``amount`` is its part of the main field's sum, rounded so that those of all causes add up;
    "" where it has none. ``part`` says how much that is of the whole, in per cent, ``length`` how
    long its bar is, from 0 to 1. ``failing`` says that it breaks the check.
    """

    number: int
    group: Group
    title: str
    place: str
    amount: str
    part: str
    length: float
    main: Total | None
    failing: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What all reports of a check tell.

    ``places`` is how many digits the main field's amounts have, ``sum`` the proof that nothing is
    left over; "" where the causes do not add up, or there is no number.
    """

    counts: str
    answer: str
    causes: tuple[Told, ...]
    places: int
    sum: str
    adds_up: bool


def story(found: Checked, most: int = 12) -> Story:
    """Return what is to be told.

    Args:
        found: The check.
        most: How many causes are written out in the sum; the others are one number.
    """
    whole = sums.of_field(found.totals, found.main)
    mains = [sums.of_field(one.totals, found.main) for one in found.groups]
    parts = [one.change if one else Fraction(0) for one in mains]
    places = sums.places_of((*parts, whole.change) if whole else parts)
    units = sums.rounded(parts, places)
    largest = max(map(abs, parts), default=Fraction(0))
    causes = tuple(
        Told(
            number=at + 1, group=group, title=title(group), place=place(group),
            amount=_amount(parts[at], units[at], places) if main else "",
            part=sums.part_of(parts[at], whole.change) if whole else "",
            length=sums.length(parts[at], largest),
            main=main, failing=bool(found.broken) and not group.passes,
        )
        for at, (group, main) in enumerate(zip(found.groups, mains, strict=True))
    )  # fmt: skip
    adds_up = whole is None or sum(parts, Fraction(0)) == whole.change
    return Story(
        counts=counts(found), causes=causes, places=places, adds_up=adds_up,
        answer=_answer(found, whole, causes, places),
        sum=_sum(parts, units, places, most) if whole and adds_up else "",
    )  # fmt: skip


def _amount(exact: Fraction, units: int, places: int) -> str:
    return sums.digits(units, places) if units else sums.written(exact, places)


def _sum(parts: Sequence[Fraction], units: Sequence[int], places: int, most: int) -> str:
    having = [unit for part, unit in zip(parts, units, strict=True) if part]
    texts = [sums.digits(one, places) for one in having[:most]]
    if len(having) > most:
        rest = sums.digits(sum(having[most:]), places)
        texts.append(f"{rest} ({many(len(having) - most, 'smaller cause')})")
    return f"{' '.join(texts) or '0'} = {sums.digits(sum(units), places)}"


def counts(found: Checked) -> str:
    """Return how many were replayed, and what came of them."""
    said = f"{many(found.checked, 'trace')} replayed: {found.same:,} the same"
    if found.changed:
        said += f", {found.changed:,} changed"
        if found.accepted:
            said += f" ({found.accepted:,} accepted)"
    if found.failed:
        said += f", {found.failed:,} failed"
    if found.unaffected:
        said += f"; {found.unaffected:,} unaffected"
    return said


def took(found: Checked) -> str:
    """Return how long it took; nothing where that is unknown."""
    return lasted(int(min(found.seconds, 1e9) * 1e9)) if found.seconds > 0 else ""


def _answer(found: Checked, whole: Total | None, causes: Sequence[Told], places: int) -> str:
    """What moved in all and why, as short as it can be said."""
    if not found.groups:
        return ""
    named = [one for one in causes if one.amount or whole is None]
    parts = [" ".join(filter(None, (one.amount, one.title))) for one in named[:_NAMED]]
    if len(causes) > len(parts):
        parts.append(f"{len(causes) - len(parts):,} more")
    why = ", ".join(parts)
    if whole is None:
        return f"because of {why}"
    field = cut(clean(found.main[:LONGEST]), _NAME)
    return f"{field} moves by {sums.written(whole.change, places)}: {why}"


def title(group: Group) -> str:
    """Return what a cause is called: its units without their modules, or its label."""
    if group.change is None or not group.change.units:
        return cut(clean(group.label[:LONGEST]) or "?", _NAME)
    names = [clean(name.rpartition(":")[2][:_NAME] or name[:_NAME]) for name in group.change.units]
    more = f" and {many(len(names) - _NAMED, 'more unit')}" if len(names) > _NAMED else ""
    return cut(" + ".join(names[:_NAMED]), _NAME) + more


def place(group: Group) -> str:
    """Return where a cause is, as ``pricing/vat.py:14``; nothing where no line is known."""
    change = group.change
    if change is None or not change.file:
        return ""
    line = f":{change.line}" if change.line > 0 else ""
    return f"{cut(clean(change.file[:LONGEST]), _NAME)}{line}"


def kind(group: Group) -> str:
    """Return what kind of thing changed, or that it was not found out."""
    if group.change is None:
        return "not explained: these traces differ in the same way, and all they moved by counts"
    return cut(clean(group.change.kind[:LONGEST]), _NAME)


def direction(total: Total) -> str:
    """Return how many rose and how many fell."""
    parts = [f"{count:,} {way}" for count, way in ((total.up, "up"), (total.down, "down")) if count]
    return ", ".join(parts) or "none up or down"


def spread(total: Total) -> tuple[str, str, str]:
    """Return the least, the median, which is approximate, and the largest of some changes."""
    places = sums.places_of([total.change, total.least, total.most])
    middle = sums.median(total)
    return (
        sums.written(total.least, places),
        "" if middle is None else sums.written(middle, places),
        sums.written(total.most, places),
    )


def elsewhere(found: Checked, group: Group) -> Iterator[tuple[str, str]]:
    """Yield the other fields that a cause moves, those that moved most first, and by how much."""
    others = [one for one in group.totals if one.field != found.main]
    for one in sorted(others, key=lambda one: (-abs(one.change), one.field)):
        amount = sums.written(one.change, sums.places_of([one.change, one.least, one.most]))
        yield clean(one.field[:LONGEST]), amount
    for field, count in sorted(group.others.items(), key=lambda one: (-one[1], one[0])):
        yield clean(field[:LONGEST]), f"differs in {many(count, 'trace')}"


def mark(one: Mark) -> str:
    """Return ``category = 'audio' (96% of these, 41 times as likely)``."""
    names = cut(clean(" and ".join(one.attributes)[:LONGEST]), 2 * _NAME)
    told = [f"{one.support:.0%} of these"] if isfinite(one.support) else []
    if isfinite(one.ratio):
        often = f"{one.ratio:,.0f}" if one.ratio >= 10 else f"{one.ratio:.1f}"
        told.append(f"{often} times as likely")
    elif one.ratio > 0:
        told.append("met nowhere else")
    return f"{names} ({', '.join(told)})" if told else names


def accepted(one: Acceptance) -> str:
    """Return ``the new tariff (Ada, 2026-11-26)``."""
    day = one.when.partition("T")[0]
    behind = ", ".join(clean(word[:_NAME]) for word in (one.who, day) if word)
    reason = clean(one.reason[:LONGEST]) or "no reason given"
    return f"{reason} ({behind})" if behind else reason


def such_as(group: Group, main: str) -> str:
    """Return what one trace of a cause shows: ``result 73.39 → 73.11``."""
    moves = {total.field for total in group.totals if total.count} | group.others.keys()
    own = [it for it in group.smallest.moved if sums.without_places(it.field) in moves]
    moved = own or group.smallest.moved  # what another cause moved in that trace says nothing here
    if not moved:
        return ""
    one = next((it for it in moved if sums.without_places(it.field) == main), moved[0])
    old, new = (cut(clean(side[:LONGEST]), 40) for side in (one.old, one.new))
    return f"{cut(clean(one.field[:LONGEST]), 60)} {old} → {new}"


def explain_command(group: Group) -> str:
    """Return the command that opens a cause's smallest trace."""
    return f"tracediff explain {clean(group.smallest.id[:_NAME])}"


def accept_command(group: Group) -> str:
    """Return the command that accepts a cause."""
    return f"tracediff accept --cause {clean(group.cause[:_NAME])} --reason WHY"


def stale(one: Acceptance) -> str:
    """Return what is said of an accepted cause that is not met any more, and what to do."""
    label = cut(clean(one.label[:LONGEST]), _NAME)
    drop = f"remove it with `tracediff accept --drop {clean(one.cause[:_NAME])}`"
    return f"accepted but no longer met: {label}, {accepted(one)}; {drop}"


def noise(field: str, count: int, example: str) -> str:
    """Return what is said of a field that is not counted."""
    name = cut(clean(field[:LONGEST]), _NAME)
    traces = many(count, "trace")
    return (
        f"{name} differs without a change of the code in {traces}, as in {clean(example[:_NAME])}"
    )


def remarks(found: Checked) -> Iterator[str]:
    """Yield what else is to be said."""
    if found.matching > found.checked + found.unaffected:
        yield f"a sample of the {found.matching:,} traces that match"
    if found.against:
        yield f"the old side is {clean(found.against[:_NAME])}, replayed too, and not the recording"
    right, of = found.reproduced
    if of:
        yield f"of {many(of, 'recording')} the recorded code was seen to reproduce {right:,}"
    for one in found.remarks:
        yield cut(clean(one[:LONGEST]), LONGEST)

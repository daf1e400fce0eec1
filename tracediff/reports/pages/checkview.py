"""A check as a page shows it: the answer, the causes with their sums, and what is left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tracediff.checked import Checked, Ran, Total
from tracediff.reports import story, sums, verdict
from tracediff.reports.clean import clean
from tracediff.reports.excerpt import cut
from tracediff.reports.pages import causeview
from tracediff.reports.pages.onefile import one_file
from tracediff.reports.wording import many

_ROWS: Final = 1_000
_CARDS: Final = 200
_OPEN: Final = 3
_SAID: Final = 100
_NAME: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A cause in the table of all; ``bar`` is the SVG length of its bar, "" for none."""

    id: str
    place: str
    title: str
    where: str
    amount: str
    part: str
    bar: str
    way: str
    traces: str
    state: str
    good: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TotalRow:
    """What one field moved in all, and how that is spread."""

    field: str
    amount: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Sentences under a heading, and how many are left out."""

    title: str
    texts: tuple[str, ...]
    more: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckView:
    """A check.

    ``rows`` are the causes in a table, ``cards`` the first of them with all that is said of them;
    ``more_…`` say how many are left out. ``sum`` is the proof that the causes add up.
    """

    failed: bool
    counts: str
    took: str
    answer: str
    gates: tuple[str, ...]
    boxes: tuple[tuple[str, str], ...]
    main: str
    rows: tuple[Row, ...]
    more_rows: str
    adds_up: bool
    sum: str
    cards: tuple[causeview.Card, ...]
    more_cards: str
    totals: tuple[TotalRow, ...]
    more_totals: str
    failures: tuple[tuple[str, str, str], ...]
    more_failures: str
    listings: tuple[Listing, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What only a served page of a check says.

    Args:
        ran: When it ran, and on which code.
        ago: How long ago that was.
        code: Whether the code has changed since.
        changed: Whether that is so, or unknown.
        since: What was accepted since.
        trouble: Why it is unknown what is accepted.
        csrf: The token of its forms.
        key: The job that a new check is of at first.
        last: Of how many traces.
    """

    ran: str = ""
    ago: str = ""
    code: str = ""
    changed: bool = False
    since: str = ""
    trouble: str = ""
    csrf: str = ""
    key: str = ""
    last: int = 100


def check_view(found: Checked, told: verdict.Story, *, typed: bool = True) -> CheckView:
    """Return a check.

    Args:
        found: The check.
        told: Its story.
        typed: Whether causes say what to type to look at them and to accept them.
    """
    opened = [one.number for one in told.causes if one.failing][:_OPEN]
    return CheckView(
        failed=bool(found.broken),
        counts=told.counts,
        took=verdict.took(found),
        answer=told.answer,
        gates=tuple(clean(one[: verdict.LONGEST]) for one in found.broken[:_SAID]),
        boxes=tuple(_boxes(found)),
        main=clean(found.main[:_NAME]),
        rows=tuple(_row(one, at) for at, one in enumerate(told.causes[:_ROWS])),
        more_rows=_more(len(told.causes) - _ROWS, "more cause"),
        adds_up=told.adds_up,
        sum=told.sum,
        cards=tuple(
            causeview.card(found, one, opened=one.number in opened, typed=typed)
            for one in told.causes[:_CARDS]
        ),
        more_cards=_more(len(told.causes) - _CARDS, "more cause"),
        totals=tuple(_totals(found)),
        more_totals=_more(len(found.totals) - _SAID, "more field"),
        failures=tuple(_failures(found)),
        more_failures=_more(found.failed - len(found.failures[:_SAID]), "more"),
        listings=tuple(_listings(found)),
    )


def check_html(found: Checked) -> str:
    """Return a check as a page of one file."""
    page = check_view(found, verdict.story(found))
    return one_file("check.html", scripted=False, page=page, served=None)


def ran_words(ran: Ran) -> str:
    """Return when a check ran and on which code: ``2026-11-26 15:22:40 UTC, on 1a2b3c4``."""
    at = cut(clean(ran.at[:_NAME]).replace("T", " ").removesuffix("+00:00"), 40)
    utc = f"{at} UTC" if ran.at.endswith("+00:00") else at
    if not ran.commit:
        return f"{utc}, on code of an unknown commit"
    dirty = " + uncommitted changes" if ran.dirty else ""
    return f"{utc}, on {clean(ran.commit[:7])}{dirty}"


def since_words(then: Checked, now: Checked) -> str:
    """Return what was accepted and dropped since a check ran; nothing where nothing was."""
    before = {one.cause: one.passes for one in then.groups}
    failing = sum(not one for one in before.values())
    new = sum(one.passes and not before[one.cause] for one in now.groups)
    lost = sum(before[one.cause] and not one.passes for one in now.groups)
    said = []
    if new:
        which = "All causes" if new == failing else f"{new:,} of {many(failing, 'cause')}"
        which = "The one cause" if new == failing == 1 else which
        verb, them = ("is", "it") if new == 1 else ("are", "them")
        said.append(
            f"{which} that it fails for {verb} accepted since: the next check passes {them}."
        )
    if lost:
        verb, is_not = ("was", "is") if lost == 1 else ("were", "are")
        said.append(
            f"{many(lost, 'cause')} {verb} accepted then and {is_not} not any more: "
            "the next check fails for that."
        )
    return " ".join(said)


def _more(count: int, noun: str) -> str:
    if count <= 0:
        return ""
    said = f"{count:,} more" if noun == "more" else many(count, noun)
    return f"… {said}; --format json has all"


def _boxes(found: Checked) -> Iterator[tuple[str, str]]:
    counts = (
        ("replayed", found.checked), ("the same", found.same), ("changed", found.changed),
        ("of them accepted", found.accepted), ("failed", found.failed),
        ("unaffected, not replayed", found.unaffected),
    )  # fmt: skip
    for name, count in counts:
        if count or name in ("replayed", "the same", "changed"):
            yield name, f"{count:,}"


def _row(one: verdict.Told, at: int) -> Row:
    return Row(
        id=one.group.cause,
        place=f"cause-{one.number}" if at < _CARDS else "",
        title=one.title,
        where=one.place,
        amount=one.amount,
        part=one.part,
        bar=f"{max(one.length * 100, 0.8):.1f}" if one.length else "",
        way="down" if one.amount.startswith("-") else "up",
        traces=f"{one.group.count:,}",
        state=causeview.state(one),
        good=one.group.passes,
    )


def _totals(found: Checked) -> Iterator[TotalRow]:
    order = sorted(found.totals, key=lambda one: (one.field != found.main, -abs(one.change)))
    for one in order[:_SAID]:
        yield _total(one)


def _total(one: Total) -> TotalRow:
    least, middle, most = verdict.spread(one)
    return TotalRow(
        field=clean(one.field[: verdict.LONGEST]),
        amount=sums.written(one.change, sums.places_of([one.change, one.least, one.most])),
        cells=(f"{one.count:,}", f"{one.up:,}", f"{one.down:,}", least,
               middle and f"≈{middle}", most),
    )  # fmt: skip


def _failures(found: Checked) -> Iterator[tuple[str, str, str]]:
    """Yield the traces that could not be replayed: the id for an address, that to show, and why."""
    for one in found.failures[:_SAID]:
        yield causeview.plain_id(one.id), clean(one.id[:120]), story.failure(one.message, one.hint)


def _listings(found: Checked) -> Iterator[Listing]:
    noise = (verdict.noise(one.field, one.count, one.example) for one in found.noise)
    for title, texts in (
        ("Noise, not counted", noise),
        ("Accepted but no longer met", map(verdict.stale, found.stale)),
        ("Remarks", verdict.remarks(found)),
    ):
        shown = list(texts)
        if shown:
            yield Listing(title=title, texts=tuple(shown[:_SAID]),
                          more=_more(len(shown) - _SAID, "more"))  # fmt: skip

"""One cause as a page shows it: what it moved, how that is spread, its lines, what marks it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Final

from tracediff.checked import Bin, Checked, Group, Total, TraceShare
from tracediff.reports import story, sums, verdict
from tracediff.reports.clean import clean
from tracediff.reports.excerpt import cut

WIDTH: Final = 300
HEIGHT: Final = 96
_FIELDS: Final = 12
_MARKS: Final = 5
_JOBS: Final = 8
_GAP: Final = 2
_LONGEST: Final = 120
_PLAIN: Final = frozenset("0123456789abcdefghijklmnopqrstuvwxyz")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """What is said under a name: an amount, ``code`` as it stands in code, ``text`` beside it."""

    name: str
    amount: str = ""
    code: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar of a distribution; ``way`` is "up" or "down", the rest are SVG lengths."""

    way: str
    x: str
    y: str
    width: str
    height: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """A distribution as bars, and the same in words."""

    label: str
    direction: str
    bars: tuple[Bar, ...]
    ends: tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A cause.

    ``id`` is that of the cause, ``place`` its fragment on a page. ``state`` is "accepted",
    "beyond what was accepted", "not accepted" or nothing, and ``good`` whether it passes.
    ``smallest`` is the id of its smallest trace, "" where that is no plain one.
    """

    number: int
    id: str
    place: str
    title: str
    amount: str
    state: str
    good: bool
    opened: bool
    facts: tuple[Fact, ...]
    histogram: Histogram | None
    hunk: tuple[tuple[str, str], ...]
    smallest: str


def card(
    found: Checked,
    told: verdict.Told,
    *,
    opened: bool = False,
    typed: bool = True,
    alone: bool = False,
) -> Card:
    """Return a cause.

    Args:
        found: The check it is of.
        told: The cause.
        opened: Whether it is shown unfolded at first.
        typed: Whether it says what to type to look at it and to accept it.
        alone: Whether its page says elsewhere how it is accepted.
    """
    return Card(
        number=told.number,
        id=told.group.cause,
        place=f"cause-{told.number}",
        title=told.title,
        amount=told.amount,
        state=state(told),
        good=told.group.passes,
        opened=opened,
        facts=tuple(_facts(found, told, typed=typed, alone=alone)),
        histogram=histogram(told.main) if told.main is not None and told.main.count > 1 else None,
        hunk=tuple(_hunk(told.group)),
        smallest=plain_id(told.group.smallest.id),
    )


def state(told: verdict.Told) -> str:
    """Return whether a cause is accepted; nothing where that does not matter."""
    if told.group.passes:
        return "accepted"
    if told.group.accepted is not None:
        return "beyond what was accepted"
    return "not accepted" if told.failing else ""


def plain_id(id: str) -> str:
    """Return the id of a trace if an address may hold it as it is, else nothing."""
    return id if len(id) <= _LONGEST and _PLAIN.issuperset(id) else ""


def _facts(found: Checked, told: verdict.Told, *, typed: bool, alone: bool) -> Iterator[Fact]:
    group = told.group
    yield Fact(name="traces", text=f"{group.count:,} of {found.changed:,} that changed")
    yield Fact(name="cause", code=story.id_of(group))
    yield Fact(name="change", text=verdict.kind(group))
    if told.place:
        yield Fact(name="at", code=told.place)
    if group.change is not None and group.change.commit:
        yield Fact(name="commit", code=clean(group.change.commit[:12]))
    others = list(verdict.elsewhere(found, group))
    for field, amount in others[:_FIELDS]:
        number = amount[:1] in "+-0"
        yield Fact(
            name="also", code=field,
            amount=amount if number else "", text="" if number else amount,
        )  # fmt: skip
    if len(others) > _FIELDS:
        yield Fact(name="", text=f"{len(others) - _FIELDS:,} more fields")
    if len(group.keys) > 1:
        jobs = [f"{clean(key[:120])} {count:,}" for key, count in [*group.keys.items()][:_JOBS]]
        yield Fact(name="jobs", text=", ".join(jobs))
    for mark in group.marks[:_MARKS]:
        yield Fact(name="marks", text=verdict.mark(mark))
    for line in () if alone else story.acceptance_lines(group):
        head, _, rest = line.partition(": ")
        yield Fact(name=head, text=rest)
    shown = verdict.such_as(group, found.main)
    if shown:
        yield Fact(name="such as", text=shown)
    if typed:
        yield Fact(name="look", code=verdict.explain_command(group))
        if not group.passes:
            yield Fact(name="to accept", code=verdict.accept_command(group))


def histogram(total: Total) -> Histogram:
    """Return a distribution, with its ends and its median."""
    least, middle, most = verdict.spread(total)
    direction = verdict.direction(total)
    about = f", median about {middle}" if middle else ""
    return Histogram(
        label=f"{direction}, from {least} to {most}{about}",
        direction=direction,
        bars=tuple(_bars(total)),
        ends=(least, f"median ≈{middle}" if middle else "", most),
    )


def _bars(total: Total) -> Iterator[Bar]:
    bins = total.bins
    highest = max((one.count for one in bins), default=0)
    wide = WIDTH / max(len(bins), 1)
    for at, one in enumerate(bins):
        if one.count > 0:
            high = max(one.count / highest * (HEIGHT - 6), 1.5)
            yield Bar(
                way="down" if _falls(one) else "up",
                x=f"{at * wide + _GAP / 2:.1f}",
                y=f"{HEIGHT - high - 1:.1f}",
                width=f"{max(wide - _GAP, 0.5):.1f}",
                height=f"{high:.1f}",
            )


def _falls(one: Bin) -> bool:
    return isfinite(one.low) and isfinite(one.high) and one.low / 2 + one.high / 2 < 0


def _hunk(group: Group) -> Iterator[tuple[str, str]]:
    """Yield the changed lines, each with how it looks."""
    styles = {"+": "added", "-": "gone"}
    for line in story.hunk_lines(group):
        yield styles.get(line[:1], ""), line or " "


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceRow:
    """A trace of a cause; ``id`` is "" where no address may hold it.

    ``name`` tells it from the others: its job as well, where the cause is met in several.
    """

    id: str
    name: str
    amount: str
    old: str
    new: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """Some of a cause's traces, from number ``first`` on, of ``kept`` ones of ``count``.

    ``key`` is that of their job, "" where there are several.
    ``before`` and ``after`` are the first numbers of the pages around, None for none.
    """

    rows: tuple[TraceRow, ...]
    key: str
    first: int
    kept: int
    count: int
    before: int | None
    after: int | None


def traces(group: Group, first: int, size: int, places: int) -> Traces:
    """Return a page of a cause's traces, the most moved ones first.

    Args:
        group: The cause.
        first: The number of the first one, from 0.
        size: How many a page has.
        places: With how many digits after the point amounts are written.
    """
    kept = len(group.traces)
    first = min(max(first, 0), max(kept - 1, 0)) // size * size
    return Traces(
        rows=tuple(
            _row(one, places, keyed=len(group.keys) != 1)
            for one in group.traces[first : first + size]
        ),
        key=cut(clean(next(iter(group.keys))), _LONGEST) if len(group.keys) == 1 else "",
        first=first,
        kept=kept,
        count=group.count,
        before=first - size if first else None,
        after=first + size if first + size < kept else None,
    )


def _row(one: TraceShare, places: int, *, keyed: bool) -> TraceRow:
    old, new = (cut(clean(side), 40) for side in (one.old, one.new))
    key, meta = (clean(text[: verdict.LONGEST]) for text in (one.key, one.meta))
    return TraceRow(
        id=plain_id(one.id),
        name=cut(f"{key}({meta})" if keyed or not meta else meta, _LONGEST),
        amount=sums.written(one.change, places) if one.change is not None else "",
        old=old,
        new=new,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """What a page offers to do about a cause, and what was done.

    Args:
        cause: Its id.
        csrf: The token of the form.
        offered: Whether it can be accepted: not where traces are not told apart.
        accepted: Why and by whom it is accepted, "" while it is not.
        beyond: What goes beyond that.
        covers: What an acceptance would cover.
        exact: Whether the cause is a change.
        seen: What stands for the cause as it is shown.
        was: What stands for its acceptance as it is shown.
        reason: What was typed already.
        done: What was done, in a sentence.
        problem: Why it was not.
        hint: What to do then.
        gone: Whether the check has no such cause any more.
    """

    cause: str
    csrf: str = ""
    offered: bool = True
    accepted: str = ""
    beyond: tuple[str, ...] = ()
    covers: tuple[str, ...] = ()
    exact: bool = True
    seen: str = ""
    was: str = ""
    reason: str = ""
    done: str = ""
    problem: str = ""
    hint: str = ""
    gone: bool = False


def covered(fields: Mapping[str, str]) -> tuple[str, ...]:
    """Return what an acceptance covers, a field a text: ``result down``."""
    names = sorted(fields, key=lambda name: (not name.startswith("result"), name))
    texts = [f"{cut(clean(name), _LONGEST)} {clean(fields[name])}" for name in names[:_FIELDS]]
    if len(names) > _FIELDS:
        texts.append(f"{len(names) - _FIELDS:,} more fields")
    return tuple(texts)

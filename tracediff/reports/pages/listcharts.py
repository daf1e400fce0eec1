"""What a range of traces is like, drawn: states over time, durations, tags.

Pictures are stretched to the room that a page gives them, so they hold no text: it stands beside
them, and each has a table that says the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from tracediff.model import State
from tracediff.reports import excerpt, wording
from tracediff.reports.markup import Markup, element
from tracediff.reports.pages.listview import Asked, Link, about

ORDER: Final[tuple[State, ...]] = ("error", "lost", "warning", "running", "success")
"""The states from the bottom of a bar to its top: what matters most stands on the axis."""

_HEIGHT: Final = 64
_STEP: Final = 8
_LEAST: Final = 2.5
_DAY: Final = 86_400 * 10**9
_TAG: Final = 48


class Part(Protocol):
    """A part of the range, and how many traces of each state began in it."""

    @property
    def since(self) -> int:
        """Its begin, in nanoseconds since the epoch."""

    @property
    def until(self) -> int:
        """Its end."""

    @property
    def counts(self) -> Mapping[State, float]:
        """How many there are."""

    @property
    def unread(self) -> bool:
        """Whether more of them were not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """A row of a picture's table."""

    head: Link
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A picture, what stands below it, and the same as a table."""

    picture: Markup
    ends: tuple[str, str]
    peak: str
    columns: tuple[str, ...]
    table: tuple[Cells, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """One of the most frequent tags."""

    link: Link
    count: str
    bar: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """All pictures of a range. ``said`` tells what the numbers are from."""

    said: str
    states: tuple[tuple[State, str, Link], ...] = ()
    times: Chart | None = None
    durations: Chart | None = None
    tags: tuple[Tag, ...] = ()


def times(parts: Sequence[Part], asked: Asked, *, exact: bool) -> Chart:
    """Return how many traces began when, in bars that narrow the range."""
    most = max((sum(part.counts.values()) for part in parts), default=0)
    states = [one for one in ORDER if any(part.counts.get(one) for part in parts)]
    links = [_narrowed(asked, part, last=part is parts[-1]) for part in parts]
    told = [_told(part, exact=exact) for part in parts]
    bars = [
        element(
            "a", {"href": link, "tabindex": -1},
            element("title", None, f"{_range(part)}: {', '.join(says) or 'none'}"),
            element("rect", {"class": "hit", "x": at * _STEP, "y": 0, "width": _STEP,
                             "height": _HEIGHT}),
            _stack(part, states, at, most),
        )
        for at, (part, link, says) in enumerate(zip(parts, links, told, strict=True))
    ]  # fmt: skip
    width = parts[-1].until - parts[0].since
    return Chart(
        picture=_picture(bars, len(parts)),
        ends=(_label(parts[0].since, width), _label(parts[-1].until, width)),
        peak=f"up to {about(most, exact=exact)} in {_wide(parts)}",
        columns=("began", *states),
        table=tuple(
            Cells(head=Link(_range(part), link),
                  cells=tuple(about(part.counts.get(one, 0), exact=exact) if part.counts.get(one)
                              else "" for one in states))
            for part, link in zip(parts, links, strict=True) if part.counts or part.unread
        ),
    )  # fmt: skip


def durations(bars: Sequence[tuple[int, int, float]], *, exact: bool) -> Chart | None:
    """Return how many traces took how long; None when none has ended."""
    if not bars:
        return None
    most = max(count for _, _, count in bars)
    drawn = []
    for at, (low, high, count) in enumerate(bars):
        tall = _tall(count, most)
        told = f"{_took(low)} to {_took(high)}: {about(count, exact=exact)}"
        drawn.append(element(
            "g", None, element("title", None, told),
            element("rect", {"class": "hit", "x": at * _STEP, "y": 0, "width": _STEP,
                             "height": _HEIGHT}),
            element("rect", {"class": "took", "x": at * _STEP + 0.5, "y": _HEIGHT - tall,
                             "width": _STEP - 1, "height": tall}),
        ))  # fmt: skip
    return Chart(
        picture=_picture(drawn, len(bars)),
        ends=(_took(bars[0][0]), _took(bars[-1][1])),
        peak="mostly " + _mode(bars),
        columns=("took", "traces"),
        table=tuple(
            Cells(head=Link(f"{_took(low)} to {_took(high)}"), cells=(about(count, exact=exact),))
            for low, high, count in bars
        ),
    )


def tags(counts: Sequence[tuple[str, float]], asked: Asked, *, exact: bool) -> tuple[Tag, ...]:
    """Return the most frequent tags, each adding its chip."""
    most = max((count for _, count in counts), default=0)
    return tuple(
        Tag(
            link=Link(excerpt.cut(tag, _TAG), asked.with_tag(tag).address(), tag in asked.tags),
            count=about(count, exact=exact),
            bar=element(
                "svg", {"viewBox": "0 0 100 8", "preserveAspectRatio": "none", "class": "share",
                        "aria-hidden": "true"},
                element("rect", {"class": "took", "x": 0, "y": 0, "height": 8,
                                 "width": f"{max(100 * count / most, 1):.1f}"}),
            ),
        )
        for tag, count in counts
    )  # fmt: skip


def states(
    counts: Mapping[State, float], asked: Asked, *, exact: bool
) -> tuple[tuple[State, str, Link], ...]:
    """Return how many traces are in each state that occurs."""
    return tuple(
        (state, about(counts[state], exact=exact or counts[state] == round(counts[state])),
         Link(state, replace(asked, state=state).address(), asked.state == state))
        for state in reversed(ORDER) if counts.get(state)
    )  # fmt: skip


def _picture(bars: Sequence[Markup], count: int) -> Markup:
    return element(
        "svg", {"viewBox": f"0 0 {count * _STEP} {_HEIGHT}", "preserveAspectRatio": "none",
                "class": "bars", "aria-hidden": "true"},
        bars,
    )  # fmt: skip


def _stack(part: Part, states: Sequence[State], at: int, most: float) -> Iterator[Markup]:
    if part.unread:
        yield _rect("unread", at, 0, _HEIGHT)
    top = float(_HEIGHT)
    for state in states:
        if count := part.counts.get(state, 0):
            tall = min(_tall(count, most), top)
            top -= tall
            yield _rect(state, at, top, tall)


def _rect(name: str, at: int, top: float, tall: float) -> Markup:
    return element("rect", {"class": name, "x": at * _STEP + 0.5, "y": f"{top:.2f}",
                            "width": _STEP - 1, "height": f"{tall:.2f}"})  # fmt: skip


def _tall(count: float, most: float) -> float:
    """As tall as its share, but seen when there is any."""
    return max(_HEIGHT * count / most, _LEAST) if count else 0.0


def _told(part: Part, *, exact: bool) -> list[str]:
    told = [f"{about(part.counts[one], exact=exact)} {one}" for one in reversed(ORDER)
            if part.counts.get(one)]  # fmt: skip
    return [*told, "the rest was not read"] if part.unread else told


def _narrowed(asked: Asked, part: Part, *, last: bool) -> str:
    until = "" if last and not asked.until else _typed(part.until)
    return replace(asked, since=_typed(part.since), until=until).address()


def _typed(at: int) -> str:
    """A time as it is typed; without the fraction of a second where there is none."""
    text = wording.iso(at)
    return "" if text is None else text.replace(".000000", "")


def _range(part: Part) -> str:
    begin, end = wording.moment(part.since), wording.moment(part.until)
    same = 11 if begin[:10] == end[:10] else 0
    return f"{begin.removesuffix(' UTC')} to {end[same:]}"


def _label(at: int, width: int) -> str:
    text = wording.moment(at)
    if width > 3 * _DAY:
        return text[:10]
    return text[5:16] if width > _DAY else text[11:19]


def _wide(parts: Sequence[Part]) -> str:
    width = max(part.until - part.since for part in parts)
    return f"{width // _DAY} days" if width >= 2 * _DAY else _took(width)


def _took(nanoseconds: int) -> str:
    """A round duration without the zeros of its fraction."""
    for unit, name in ((3600 * 10**9, "h"), (60 * 10**9, "min"), (10**9, "s"), (10**6, "ms"),
                       (10**3, "µs")):  # fmt: skip
        if nanoseconds >= unit:
            return f"{nanoseconds / unit:.3g} {name}"
    return f"{nanoseconds} ns"


def _mode(bars: Sequence[tuple[int, int, float]]) -> str:
    low, high, _ = max(bars, key=lambda one: one[2])
    return f"{_took(low)} to {_took(high)}"

"""The list of traces as a page shows it: what is asked for, the rows, what a range is like."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal
from urllib.parse import urlencode

from tracediff.model import STATES, Row
from tracediff.reports import excerpt, living, wording
from tracediff.reports.pages.traceview import GLYPHS

RANGES: Final = (("15m", "15 min"), ("1h", "1 h"), ("24h", "24 h"), ("7d", "7 d"), ("30d", "30 d"))
"""The ranges one click away: what is asked for, how it is called. Besides them, all."""

LONGEST: Final = 4_000
"""Characters of an address: servers and proxies take twice as much."""
_META: Final = 240
_ERROR: Final = 120
_SEGMENT: Final = 60
_TAG: Final = 48
_TAGS: Final = 6
_CRUMBS: Final = 12
_PARTS: Final = 40

Kind = Literal["key", "tag", "context"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the list's address asks for, as it was typed."""

    key: str = ""
    tags: tuple[str, ...] = ()
    context: tuple[str, ...] = ()
    state: str = ""
    since: str = ""
    until: str = ""

    @property
    def filtered(self) -> bool:
        """Whether anything is left out."""
        return self != Asked()

    def fields(self) -> Iterator[tuple[str, str]]:
        """The fields of an address or a form, as (name, value)."""
        yield from (("key", self.key),) if self.key else ()
        yield from (("tag", tag) for tag in self.tags)
        yield from (("context", field) for field in self.context)
        for name in ("state", "since", "until"):
            if value := getattr(self, name):
                yield name, value

    def others(self, *names: str) -> list[tuple[str, str]]:
        """The fields but some, for a form that has those itself."""
        return [(name, value) for name, value in self.fields() if name not in names]

    def address(self, path: str = "/", **more: str) -> str:
        """The address of this search; nothing where it would be too long for one."""
        query = urlencode([*self.fields(), *more.items()], errors="replace")
        found = f"{path}?{query}" if query else path
        return found if len(found) <= LONGEST else ""

    def with_tag(self, tag: str) -> Asked:
        """The search for another tag as well."""
        return replace(self, tags=tuple(dict.fromkeys((*self.tags, tag))))

    def with_context(self, field: str) -> Asked:
        """The search for a context field as well; of a name there is one."""
        name = field.partition("=")[0]
        kept = tuple(one for one in self.context if one.partition("=")[0] != name)
        return replace(self, context=(*kept, field))

    def without(self) -> Iterator[tuple[str, Asked]]:
        """The searches with one filter less, each with what it leaves out."""
        if self.key:
            yield f"key {self.key}", replace(self, key="")
        for tag in self.tags:
            yield f"tag {tag}", replace(self, tags=tuple(one for one in self.tags if one != tag))
        for field in self.context:
            kept = tuple(one for one in self.context if one != field)
            yield field, replace(self, context=kept)
        if self.state:
            yield f"state {self.state}", replace(self, state="")
        if self.since or self.until:
            yield "the time range", replace(self, since="", until="")


@dataclass(frozen=True, slots=True)
class Link:
    """A text that leads somewhere; nowhere without an address."""

    text: str
    address: str = ""
    current: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """A filter that is on: what it says, where a click on it leads, how to take it off."""

    kind: Kind
    text: str
    off: str
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A row of the list. ``at`` orders it, with ``id``.

    ``parts`` grow while its job runs; ``heard`` then says when that was last heard of, which is
    long ago where it is ``quiet``.
    """

    id: str
    at: int
    iso: str
    ago: str
    exact: str
    state: str
    glyph: str
    crumbs: tuple[Link, ...]
    meta: str
    error: str
    took: str
    heard: str
    quiet: bool
    parts: int
    steps: str
    tags: tuple[Link, ...]
    more_tags: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """What stands above the rows."""

    chips: tuple[Chip, ...]
    states: tuple[Link, ...]
    ranges: tuple[Link, ...]
    custom: bool


def controls(asked: Asked) -> Controls:
    """Return what stands above the rows of a search."""
    states = [Link("all", replace(asked, state="").address(), not asked.state)]
    for state in STATES:
        states.append(Link(state, replace(asked, state=state).address(), asked.state == state))
    named = {one for one, _ in RANGES}
    ranges = [
        Link(text, replace(asked, since=since, until="").address(),
             asked.since == since and not asked.until)
        for since, text in RANGES
    ]  # fmt: skip
    everything = not asked.since and not asked.until
    ranges.append(Link("all", replace(asked, since="", until="").address(), everything))
    return Controls(
        chips=tuple(_chips(asked)), states=tuple(states), ranges=tuple(ranges),
        custom=bool(asked.until or (asked.since and asked.since not in named)),
    )  # fmt: skip


def _chips(asked: Asked) -> Iterator[Chip]:
    parts = asked.key.split("/", _PARTS) if asked.key else []  # the last chip holds the rest
    for count, part in enumerate(parts):
        above, own = "/".join(parts[:count]), "/".join(parts[: count + 1])
        yield Chip(
            kind="key", text=excerpt.cut(part, _SEGMENT), off=replace(asked, key=above).address(),
            address=replace(asked, key=own).address(),
        )  # fmt: skip
    for tag in asked.tags:
        kept = tuple(one for one in asked.tags if one != tag)
        yield Chip(kind="tag", text=excerpt.cut(tag, _TAG), off=replace(asked, tags=kept).address())
    for field in asked.context:
        left = tuple(one for one in asked.context if one != field)
        yield Chip(kind="context", text=excerpt.cut(field, _TAG),
                   off=replace(asked, context=left).address())  # fmt: skip


def entries(
    rows: Sequence[Row], asked: Asked, now: int, quiet: int = living.QUIET
) -> tuple[Entry, ...]:
    """Return the rows of a page.

    Args:
        rows: What was found.
        asked: What for.
        now: The time that ages are counted from, in nanoseconds since the epoch.
        quiet: After how many nanoseconds of silence a running job is said to be quiet.
    """
    crumbs = {key: tuple(_crumbs(key, asked)) for key in {row.key for row in rows}}
    tags = {tag: _tag(tag, asked) for tag in {tag for row in rows for tag in row.tags[:_TAGS]}}
    return tuple(
        _entry(row, (now, quiet), crumbs[row.key], tuple(tags[tag] for tag in row.tags[:_TAGS]))
        for row in rows
    )


def _tag(tag: str, asked: Asked) -> Link:
    return Link(excerpt.cut(tag, _TAG), asked.with_tag(tag).address(), tag in asked.tags)


def _entry(
    row: Row, clock: tuple[int, int], crumbs: tuple[Link, ...], tags: tuple[Link, ...]
) -> Entry:
    now, quiet = clock
    more = len(row.tags) - len(tags)
    state = row.state if row.state in STATES else "error"
    running = state == "running"
    return Entry(
        id=row.id,
        at=row.started_at,
        iso=wording.iso(row.started_at) or "",
        ago=wording.age(row.started_at, now),
        exact=wording.moment(row.started_at),
        state=state,
        glyph=GLYPHS[state],
        crumbs=crumbs,
        meta=excerpt.cut(row.meta, _META),
        error=excerpt.cut(row.error or "", _ERROR),
        took=wording.lasted(living.took(row, now, quiet)),
        heard=living.heard(row, now, quiet) if running else "",
        quiet=running and living.is_quiet(row, now, quiet),
        parts=row.parts,
        steps=f"{row.steps:,}",
        tags=tags,
        more_tags=f"+{more}" if more else "",
    )


def _crumbs(key: str, asked: Asked) -> Iterator[Link]:
    parts = key.split("/", _CRUMBS)
    for count, part in enumerate(parts):
        start = "/".join(parts[: count + 1])
        text = excerpt.cut(part, _SEGMENT) or "∅"
        yield Link(text, replace(asked, key=start).address(), start == asked.key)


def about(number: float, *, exact: bool) -> str:
    """Return how many, all digits of it or two: "1,234", "≈ 1.2 M"."""
    if exact:
        return f"{round(number):,}"
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= 0.95 * size:
            scaled = number / size
            return f"≈ {scaled:.1f}{unit}" if scaled < 10 else f"≈ {_two(scaled):,}{unit}"
    return f"≈ {_two(number):,}"


def _two(number: float) -> int:
    """Two significant digits of a number."""
    whole = round(number)
    return round(whole, 2 - len(str(whole)))

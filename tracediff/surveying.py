"""What the traces of a search are like: their states over time, how long they took, their tags.

Where the store keeps statistics, and nothing but a key, a state and times is asked for, they say it
of any range, exactly. Else nothing is counted: where there are few rows all are read; else the
range of time is cut in slices, of each the newest rows are read, and from how densely they lie
follows how many there are. States are read apart, so that the few errors among millions are all
seen. What is read is bounded, and so is the time: what was not read then is left out, and said so.
"""

from __future__ import annotations

import contextlib
import time
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final

from tracediff.errors import StoreError
from tracediff.model import STATES, Page, Query, Row, State
from tracediff.statistics.buckets import Bucket as CountedBucket
from tracediff.statistics.buckets import merged, together
from tracediff.statistics.durations import number
from tracediff.statistics.places import (
    MINUTE,
    RESOLUTIONS,
    WIDTHS,
    Place,
    finest,
    has_buckets,
    runs,
    widened,
)  # fmt: skip
from tracediff.stores.base import Counting

EXACT: Final = 5_000
"""Up to about so many rows are all read."""

BUCKETS: Final = 48
"""At most so many parts of the range."""

_SLICES: Final = 5
"""Of each part. Five of a day, of two or of a week lie at five times of day, spread evenly, so
that a daily rhythm is not met at the same hour each time."""

_ROWS: Final = 16
_FEW: Final = 200
_PAGE: Final = 1_000
_TAGS: Final = 12
_SEEN: Final = 3
_PROBES: Final = 64
_SECOND: Final = 1_000_000_000
_MINUTE: Final = 60
_HOUR: Final = 3_600
_DAY: Final = 86_400
_WIDTHS: Final = tuple(
    width * _SECOND
    for width in (
        *(1, 2, 5, 10, 15, 30, _MINUTE, 2 * _MINUTE, 5 * _MINUTE, 10 * _MINUTE, 15 * _MINUTE),
        *(30 * _MINUTE, _HOUR, 2 * _HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR, _DAY, 2 * _DAY),
        *(7 * _DAY, 14 * _DAY, 28 * _DAY, 91 * _DAY, 364 * _DAY),
    )
)
_BOUNDS: Final = tuple(step * 10**power for power in range(15) for step in (1, 2, 5))

_MINUTES: Final = tuple(width // (_MINUTE * _SECOND) for width in _WIDTHS if width >= MINUTE)

Search = Callable[[Query], Page]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A part of the range, in nanoseconds, and how many traces of each state began in it."""

    since: int
    until: int
    counts: Mapping[State, float]
    unread: bool = False

    @property
    def total(self) -> float:
        """How many traces began in it."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What a range is like.

    ``durations`` are (from, to, count) of ended traces, in nanoseconds, without a gap. ``tags`` are
    the most frequent ones. Numbers are whole where ``exact``, else estimates from ``read`` rows.
    Not ``complete`` is what took too long. ``counted`` is what statistics say.
    """

    buckets: tuple[Bucket, ...] = ()
    durations: tuple[tuple[int, int, float], ...] = ()
    tags: tuple[tuple[str, float], ...] = ()
    read: int = 0
    exact: bool = True
    complete: bool = True
    counted: bool = False

    @property
    def total(self) -> float:
        """How many traces there are."""
        return sum(one.total for one in self.buckets)

    def of(self, state: State) -> float:
        """How many of them are in a state."""
        return sum(one.counts.get(state, 0) for one in self.buckets)


def survey(
    search: Search,
    query: Query,
    now: int,
    *,
    seconds: float = 3.0,
    counting: Counting | None = None,
) -> Survey:
    """Look at what a search finds.

    Args:
        search: Searches the store.
        query: What is asked for; its limit and cursor do not matter.
        now: Nanoseconds since the epoch.
        seconds: When to stop reading.
        counting: What keeps statistics of the store.
    """
    reader = _Reader(search, replace(query, cursor=None), time.monotonic() + seconds)
    if counting is not None and _is_counted(query):
        with contextlib.suppress(StoreError):  # they are hurt, or denied: traces can be read
            counted = _counted(reader, counting, query, now // MINUTE)
            if counted is not None:
                return counted
    span = _span(reader, query, now)
    if span is None:
        return Survey(exact=reader.in_time, complete=reader.in_time)
    parts = _parts(*span)
    sample = _Sample(parts)
    dense: dict[State, Page] = {}
    for state in STATES if query.state is None else (query.state,):
        page = reader.page(*span, _FEW, state)
        if page is None or page.cursor is not None:
            dense[state] = page or Page(())
        else:
            sample.add(page.rows)
    for state in dense:
        _sliced(reader, state, parts, sample)
    if dense and reader.in_time and sample.total <= EXACT:
        sample.forget(set(dense))
        for state in dense:
            sample.add(reader.all(*span, state))
    return sample.survey(complete=reader.in_time)


def _is_counted(query: Query) -> bool:
    """Whether statistics are kept of what is asked for."""
    if query.tags or query.context or query.path_signature is not None or query.key == "":
        return False
    return has_buckets(query.key or "")


def _counted(reader: _Reader, counting: Counting, query: Query, now: int) -> Survey | None:
    """What statistics say; None where there are few traces, or some that were not counted.

    The few are read instead, which tells them apart to the second.
    """
    key = query.key or ""
    known = counting.counted_span(key)
    if known is None:
        return None
    first, end = widened(*_range(query, known, now), now)
    width = next(
        one
        for one in (*_MINUTES, -(-(end - first) // (BUCKETS - 1)))
        if one >= WIDTHS[finest(first, now)] and (end - first) // one < BUCKETS - 1
    )
    coarsest = next(one for one in reversed(RESOLUTIONS) if not width % WIDTHS[one])
    found = counting.statistics(key, runs(first, end, now, coarsest))
    running = reader.page(first * MINUTE, end * MINUTE, _FEW, "running")
    few = sum(one.count for one in found.buckets.values()) <= EXACT
    if not found.complete or few or running is None or running.cursor is not None:
        return None
    states = STATES if query.state is None else (query.state,)
    rows = running.rows if "running" in states else ()
    return _surveyed(found.buckets, rows, states, (first, end, width))


def _range(query: Query, known: tuple[int, int], now: int) -> tuple[int, int]:
    """The minutes that are asked for; without a begin, those of which there are traces."""
    first = known[0] if query.since is None else query.since // MINUTE
    end = known[1] if query.since is None else max(known[1], now + 1)
    return first, max(first + 1, end if query.until is None else -(-query.until // MINUTE))


def _surveyed(
    found: Mapping[Place, CountedBucket],
    running: Sequence[Row],
    states: Sequence[State],
    minutes: tuple[int, int, int],
) -> Survey:
    first, end, width = minutes
    begins = [first, *range(first - first % width + width, end, width)]
    counts: list[Counter[State]] = [Counter() for _ in begins]
    for place, bucket in found.items():
        at = bisect_right(begins, place.start) - 1
        counts[at].update({one: bucket.of(one) for one in states if bucket.of(one)})
    for row in running:
        counts[max(bisect_right(begins, row.started_at // MINUTE) - 1, 0)]["running"] += 1
    tally = together(merged(found.values()), states)
    took: Counter[int] = Counter()
    for at, count in tally.durations.items():
        took[max(number(at), 1)] += max(count, 0)
    tags = sorted(tally.tags.items(), key=lambda one: (-one[1], one[0]))[:_TAGS]
    return Survey(
        buckets=tuple(
            Bucket(since=one * MINUTE, until=other * MINUTE, counts=dict(counts[at]))
            for at, (one, other) in enumerate(pairwise([*begins, end]))
        ),
        durations=_bars({one: float(count) for one, count in took.items()}),
        tags=tuple((tag, float(count)) for tag, count in tags),
        counted=True,
    )


def oldest(search: Search, query: Query, newest: int) -> int:
    """About when the oldest row began that a search finds, never later.

    Goes back in steps that double, then halves the last one: some dozens of searches for one row.

    Args:
        search: Searches the store.
        query: What is asked for.
        newest: When the newest row began.
    """
    return _oldest(_Reader(search, query, time.monotonic() + 60), newest)


class _Reader:
    """Searches a query's rows by time and state, until its time is over."""

    def __init__(self, search: Search, query: Query, deadline: float) -> None:
        self._search, self._query, self._deadline = search, query, deadline
        self.in_time = True

    def page(
        self, since: int | None, until: int | None, limit: int, state: State | None = None
    ) -> Page | None:
        """The newest rows of a part; None when the time is over."""
        self.in_time = self.in_time and time.monotonic() < self._deadline
        if not self.in_time:
            return None
        wanted = self._query.state if state is None else state
        return self._search(
            replace(self._query, since=since, until=until, limit=limit, state=wanted)
        )

    def all(self, since: int, until: int, state: State) -> Iterator[Row]:
        """All rows of a part, or a few times as many as were thought to be there."""
        query = replace(self._query, since=since, until=until, limit=_PAGE, state=state)
        for _ in range(2 * EXACT // _PAGE):
            page = self._search(query)
            yield from page.rows
            if page.cursor is None:
                return
            query = replace(query, cursor=page.cursor)
        self.in_time = False


def _span(reader: _Reader, query: Query, now: int) -> tuple[int, int] | None:
    """From when to when the range goes; None when nothing is in it."""
    first = reader.page(query.since, query.until, 1)
    if first is None or not first.rows:
        return None
    newest = first.rows[0].started_at
    if query.since is not None:
        until = max(now, newest + 1) if query.until is None else query.until
        return query.since, until
    # Of all traces, those that there are: the time since the newest one tells nothing.
    return _oldest(reader, newest), newest + 1


def _oldest(reader: _Reader, newest: int) -> int:
    known, step, empty = newest, 60 * _SECOND, None
    for _ in range(_PROBES):
        page = reader.page(None, known - step, 1)
        if page is None or not page.rows:
            empty = known - step
            break
        known, step = page.rows[0].started_at, step * 2
    while empty is not None and known - empty > max((newest - empty) // 100, 1):
        middle = (known + empty) // 2
        page = reader.page(None, middle, 1)
        if page is None:
            break
        if page.rows:
            known = page.rows[0].started_at
        else:
            empty = middle
    return known if empty is None else empty


def _parts(since: int, until: int) -> list[tuple[int, int]]:
    """The range in parts, with borders at round times."""
    width = next((one for one in _WIDTHS if (until - since) // one < BUCKETS - 1), None)
    if width is None:
        width = -(-(until - since) // (BUCKETS - 1))
    borders = range(since - since % width + width, until, width)
    return list(zip((since, *borders), (*borders, until), strict=True))


def _sliced(
    reader: _Reader, state: State, parts: Sequence[tuple[int, int]], sample: _Sample
) -> None:
    """Read the newest rows of each slice; the rest of it is as dense as they are."""
    for at in range(len(parts) - 1, -1, -1):
        begin, end = parts[at]
        borders = [begin + (end - begin) * step // _SLICES for step in range(_SLICES + 1)]
        for since, until in reversed(list(pairwise(borders))):
            page = reader.page(since, until, _ROWS, state)
            if page is None:
                sample.unread.add(at)
            elif page.cursor is None:
                sample.add(page.rows)
            else:
                sample.add(page.rows, _density(page.rows, since, until))


def _density(rows: Sequence[Row], since: int, until: int) -> float:
    """How many rows of a slice each of its newest ones stands for."""
    first, last = rows[0].started_at, rows[-1].started_at
    if first == last:  # nothing can be said: at least these
        return 1.0
    return max((len(rows) - 1) / (until - last) * (until - since) / len(rows), 1.0)


@dataclass(slots=True)
class _Sample:
    """The rows that were read, and how many each stands for."""

    parts: Sequence[tuple[int, int]]
    rows: list[tuple[Row, float]] = field(default_factory=list)
    unread: set[int] = field(default_factory=set)

    def add(self, rows: Iterable[Row], weight: float = 1.0) -> None:
        self.rows += ((row, weight) for row in rows)

    def forget(self, states: set[State]) -> None:
        self.rows = [one for one in self.rows if one[0].state not in states]

    @property
    def total(self) -> float:
        return sum(weight for _, weight in self.rows)

    def survey(self, *, complete: bool) -> Survey:
        counts: list[defaultdict[State, float]] = [defaultdict(float) for _ in self.parts]
        begins = [begin for begin, _ in self.parts]
        for row, weight in self.rows:
            at = bisect_right(begins, row.started_at) - 1
            counts[max(at, 0)][row.state] += weight
        exact = all(weight == 1 for _, weight in self.rows)
        return Survey(
            buckets=tuple(
                Bucket(since=begin, until=end, counts=dict(counts[at]), unread=at in self.unread)
                for at, (begin, end) in enumerate(self.parts)
            ),
            durations=_durations(self.rows),
            tags=_tags(self.rows, exact=exact),
            read=len(self.rows),
            exact=exact and complete,
            complete=complete,
        )


def _durations(rows: Iterable[tuple[Row, float]]) -> tuple[tuple[int, int, float], ...]:
    took: defaultdict[int, float] = defaultdict(float)
    for row, weight in rows:
        if row.state != "running":
            took[max(row.duration, 1)] += weight
    return _bars(took)


def _bars(took: Mapping[int, float]) -> tuple[tuple[int, int, float], ...]:
    counts: defaultdict[int, float] = defaultdict(float)
    for duration, count in took.items():
        if count:
            counts[min(bisect_right(_BOUNDS, duration), len(_BOUNDS) - 1)] += count
    if not counts:
        return ()
    return tuple(
        (_BOUNDS[at - 1], _BOUNDS[at], counts.get(at, 0.0))
        for at in range(min(counts), max(counts) + 1)
    )


def _tags(rows: Iterable[tuple[Row, float]], *, exact: bool) -> tuple[tuple[str, float], ...]:
    seen: Counter[str] = Counter()
    counts: defaultdict[str, float] = defaultdict(float)
    for row, weight in rows:
        for tag in dict.fromkeys(row.tags):
            seen[tag] += 1
            counts[tag] += weight
    # A tag that an estimate met once or twice stands for no one knows how many.
    known = [one for one in counts.items() if exact or seen[one[0]] >= _SEEN]
    return tuple(sorted(known, key=lambda one: (-one[1], one[0]))[:_TAGS])

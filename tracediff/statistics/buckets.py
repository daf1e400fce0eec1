"""What is counted of traces: of each state how many, how long they took, which tags they have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from tracediff.model import STATES, State
from tracediff.statistics import durations

TAGS: Final = 100
"""So many tags of each state a bucket knows by name."""

LONGEST_TAG: Final = 200
"""Characters; a longer tag counts as another."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Traces of one state.

    Args:
        count: How many there are.
        durations: How many of them took how long; see ``statistics.durations``. Of what is lost
            nobody knows.
        tags: How many have a tag: at least so many. One that was always more than 1 % of all tags,
            in each batch and in what was folded, is counted exactly.
        other: How many more tags there were, counted as often as they were on a trace.
    """

    count: int = 0
    durations: Mapping[int, int] = field(default_factory=dict)
    tags: Mapping[str, int] = field(default_factory=dict)
    other: int = 0

    @property
    def tagged(self) -> int:
        """How many tags there are on all traces together."""
        return sum(self.tags.values()) + self.other


@dataclass(frozen=True, slots=True)
class Bucket:
    """Traces of each state, and when the first of them may expire (nanoseconds)."""

    tallies: Mapping[State, Tally] = field(default_factory=dict)
    expires_at: int | None = None

    def of(self, state: State) -> int:
        """How many are in this state."""
        return max(self.tallies[state].count, 0) if state in self.tallies else 0

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(self.of(state) for state in self.tallies)

    def __bool__(self) -> bool:
        return bool(self.tallies)


class Sum:
    """Buckets added up; several may be taken away again, in any order."""

    __slots__ = ("_expires_at", "_states")

    def __init__(self, *buckets: Bucket) -> None:
        self._states: dict[State, _Part] = {}
        self._expires_at: int | None = None
        for bucket in buckets:
            self.add(bucket)

    def add(self, bucket: Bucket) -> None:
        """Add what another one counted."""
        for state, tally in bucket.tallies.items():
            self._part(state).add(tally, 1)
        self.expire(bucket.expires_at)

    def subtract(self, bucket: Bucket) -> None:
        """Take away what another one counted."""
        for state, tally in bucket.tallies.items():
            self._part(state).add(tally, -1)

    def expire(self, at: int | None) -> None:
        """Note when one of them expires."""
        if at is not None and (self._expires_at is None or at < self._expires_at):
            self._expires_at = at

    def bucket(self) -> Bucket:
        """What that makes, with as many tags as a bucket may have."""
        return self._made(bounded=True)

    def whole(self) -> Bucket:
        """The same with all tags, those included of which more were taken away than added."""
        return self._made(bounded=False)

    def _part(self, state: State) -> _Part:
        found = self._states.get(state)
        if found is None:
            found = self._states[state] = _Part()
        return found

    def _made(self, *, bounded: bool) -> Bucket:
        made = {
            state: self._states[state].tally(bounded=bounded)
            for state in STATES
            if state in self._states
        }
        left = {state: tally for state, tally in made.items() if tally != _NOTHING}
        return Bucket(left, self._expires_at if left else None)


_NOTHING = Tally()


class _Part:
    __slots__ = ("count", "durations", "other", "tags")

    def __init__(self) -> None:
        self.count = self.other = 0
        self.durations: dict[int, int] = {}
        self.tags: dict[str, int] = {}

    def add(self, tally: Tally, times: int) -> None:
        self.count += times * tally.count
        self.other += times * tally.other
        for mine, given in ((self.durations, tally.durations), (self.tags, tally.tags)):
            _add(mine, given, times)  # type: ignore[arg-type]  # each of its own kind

    def tally(self, *, bounded: bool) -> Tally:
        took = {at: count for at, count in sorted(self.durations.items()) if count}
        tags, other = self.tags, self.other
        if bounded and not (self.count or took):
            return _NOTHING  # all were taken away again, and their tags with them
        if bounded:
            tags, more = bounded_tags(tags)
            other += more
        return Tally(self.count, took, {tag: count for tag, count in tags.items() if count}, other)


def _add(mine: dict[object, int], given: Mapping[object, int], times: int) -> None:
    for name, count in given.items():
        mine[name] = mine.get(name, 0) + times * count


def bounded_tags(tags: Mapping[str, int]) -> tuple[dict[str, int], int]:
    """The most frequent tags, and how many the others are.

    Of equally frequent ones all are named or none. One of which more were taken away than added was
    among the others.
    """
    floor = 0
    if len(tags) > TAGS:
        floor = max(0, sorted(tags.values(), reverse=True)[TAGS])
    most = {tag: count for tag, count in tags.items() if count > floor and len(tag) <= LONGEST_TAG}
    return most, sum(tags.values()) - sum(most.values())


def merged(buckets: Iterable[Bucket]) -> Bucket:
    """What several make together."""
    return Sum(*buckets).bucket()


def together(bucket: Bucket, states: Iterable[State] = STATES) -> Tally:
    """What traces of several states are like together."""
    part = _Part()
    for state in states:
        if state in bucket.tallies:
            part.add(bucket.tallies[state], 1)
    return part.tally(bounded=False)


def took(tally: Tally, share: float) -> int | None:
    """The duration that this share of them do not exceed, in nanoseconds, to 1 %."""
    return durations.quantile(tally.durations, share)

"""Which steps of a trace a scheduler ordered among their siblings.

That is so when two siblings of different lanes overlap in time, when one runs on another thread
than its parent, or when siblings run in different asyncio tasks.

Of a trace that is written while its job runs, the siblings come a few at a time. What is decided of
one may only be seen when the next one comes, and then the first was written long ago: little is
kept of each parent that may still get children.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import Any

from tracediff.recording.spans import Span

Placed = tuple[int, Span]
"""A span and its place in its trace."""


def concurrent(spans: Sequence[Span], parents: Sequence[int]) -> set[int]:
    """The spans whose order among their siblings a scheduler decided, by their index."""
    lanes = [span.lane for span in spans]
    if lanes.count(lanes[0]) == len(lanes):
        return set()  # one thread and one task did it all
    children: dict[int, list[Placed]] = {}
    for at, parent in enumerate(parents):
        children.setdefault(parent, []).append((at, spans[at]))
    found: set[int] = set()
    until = spans[0].end
    for parent, group in children.items():
        if len(group) > 1 and parent >= 0:
            found.update(Siblings(spans[parent].lane).taken(group, (), until))
    return found


class Siblings:
    """What is known of the children of one step.

    Args:
        lane: The step's own.
        count: How many of its children are known already, all on one lane with it.
    """

    __slots__ = ("_count", "_first", "_home", "_lane", "_tasks", "_waiting")

    def __init__(self, lane: Any, count: int = 0) -> None:
        self._lane = lane
        self._home = _thread(lane)
        self._count = count
        self._first: int | None = None  # on another thread, and the only child so far
        # While all of them run in one task, who would be concurrent with a second one.
        self._waiting = array("q")
        self._tasks: list[Any] | None = [lane[1]] if count and type(lane) is tuple else []

    def taken(self, new: Sequence[Placed], others: Iterable[Placed], until: int) -> set[int]:
        """Take more children; the places of those that turn out to be concurrent, of old ones too.

        Args:
            new: Children that are not known yet.
            others: Known ones that had not ended when they were taken.
            until: The end of what is looked at; a child that has not ended lasts until then.
        """
        found: set[int] = set()
        for at, span in new:
            lane = span.lane
            self._count += 1
            if _thread(lane) != self._home:
                if self._count == 1:
                    self._first = at
                else:
                    found.add(at)
            if self._first is not None and self._count > 1:
                found.add(self._first)
                self._first = None
            if type(lane) is tuple:
                self._take_task(at, lane, found)
        group = [*others, *new]
        if any(span.lane != group[0][1].lane for _, span in group):
            found.update(_overlapping(group, until))
        return found

    def _take_task(self, at: int, lane: tuple[int, Any], found: set[int]) -> None:
        elsewhere = lane != self._lane
        if self._tasks is None:  # there are several
            if elsewhere:
                found.add(at)
            return
        if elsewhere:
            self._waiting.append(at)
        # They are kept, and with them their ids theirs.
        if all(task is not lane[1] for task in self._tasks):
            self._tasks.append(lane[1])
        if len(self._tasks) > 1:
            found.update(self._waiting)
            self._tasks, self._waiting = None, array("q")


def _overlapping(group: Iterable[Placed], until: int) -> set[int]:
    """Who overlaps in time with one of another lane."""
    ordered = sorted(
        ((span.start, min(span.end or until, until), span.lane, at) for at, span in group),
        key=lambda one: one[0],
    )
    found: set[int] = set()
    # Of those that began before, the one that ends last, and the last one of another lane.
    last, second = (-1, None), (-1, None)
    for start, end, lane, at in ordered:
        before = second if last[1] == lane else last
        if start < before[0]:
            found.add(at)
        if last[1] == lane:
            last = max(last, (end, lane), key=_first)
        elif end > last[0]:
            last, second = (end, lane), last
        elif end > second[0]:
            second = (end, lane)
    # Of those that begin after, the first one, and the first one of another lane.
    near: tuple[int, Any] = (until + 1, None)
    far: tuple[int, Any] = (until + 1, None)
    for start, end, lane, at in reversed(ordered):
        after = far if near[1] == lane else near
        if after[0] < end:
            found.add(at)
        if near[1] != lane:
            near, far = (start, lane), near
        else:
            near = (start, lane)
    return found


def _first(pair: tuple[int, Any]) -> int:
    return pair[0]


def _thread(lane: Any) -> int:
    return int(lane[0] if type(lane) is tuple else lane)

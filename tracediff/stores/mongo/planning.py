"""Which index answers a query, and the arguments of the find that reads it in order.

A find is a merge of ranges of one index: one for each label and state asked for, each in order
already, so the server neither sorts nor counts and reads about as many keys as rows are asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tracediff.model import STATES, Query
from tracediff.stores.mongo.labels import DEPTH, EVERYTHING, Choice, choices, key_labels

_INT64 = 1 << 63
ORDER = {"t": -1, "_id": -1}
"""Of every listing. The indexes go the other way: new rows then come last in each range."""

SEARCH_INDEXES = ("traces", *(f"traces_below_{depth}" for depth in range(1, DEPTH + 1)))
"""By how many segments of the key they know."""

EXPIRY_INDEX = "traces_expiry"

_HIDDEN = {"f": 0, **{str(depth): 0 for depth in range(1, DEPTH + 1)}}
_LONGEST_MS = 15_000
_MOST_MERGED = 64
"""Labels whose ranges are merged; the rows of more are sorted, which reads all of them."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a query is read.

    Args:
        index: In which index.
        labels: Of which a row has one.
        below: The prefix of its key.
        states: Of which it is in one.
        first: The first start.
        last: The last start, itself included.
        rest: Labels that are asked of each row.
    """

    index: str
    labels: Choice
    below: Mapping[str, int]
    states: Sequence[int]
    first: int
    last: int
    rest: tuple[Choice, ...] = ()

    def find(self, after: tuple[int, str] | None, limit: int) -> dict[str, Any]:
        """The arguments of the find that reads the next rows.

        Args:
            after: The position of the last row that was read.
            limit: How many.
        """
        return {
            "filter": self._filter(after),
            "projection": _HIDDEN,
            "sort": ORDER,
            "limit": limit,
            "hint": self.index,
            "max_time_ms": _LONGEST_MS,
            "batch_size": limit,
            "allow_disk_use": False,
        }

    def _filter(self, after: tuple[int, str] | None) -> dict[str, Any]:
        # An expression: another condition on the labels would be another choice of bounds.
        wanted = [{"$or": [{"$in": [label, "$f"]} for label in one]} for one in self.rest]
        left: dict[str, Any] = {"$expr": {"$and": wanted}} if wanted else {}
        branches = [
            {**one, **part, **left} for one in self._ranges() for part in self._parts(after)
        ]
        return {"$or": branches} if len(branches) > 1 else branches[0]

    def _ranges(self) -> list[dict[str, Any]]:
        """Each range by itself: the server merges those, and would sort what an $in is within."""
        if len(self.labels) > _MOST_MERGED:
            every: dict[str, Any] = {"f": {"$in": list(self.labels)}}
            return [{**every, **self.below, "s": {"$in": list(self.states)}}]
        return [
            {"f": label, **self.below, "s": state} for label in self.labels for state in self.states
        ]

    def _parts(self, after: tuple[int, str] | None) -> list[dict[str, Any]]:
        """What comes after a row: all that is older, and of those as old the smaller ids."""
        if after is None:
            return [{"t": {"$gte": self.first, "$lte": self.last}}]
        start, trace_id = after
        parts: list[dict[str, Any]] = [
            {"t": {"$gte": self.first, "$lte": min(start - 1, self.last)}}
        ]
        if self.first <= start <= self.last:
            parts.append({"t": start, "_id": {"$lt": trace_id}})
        return parts


def plan(query: Query) -> Plan | None:
    """How to read what the query asks for; None when no row can match."""
    first, last = bounds(query)
    if first > last or (query.state is not None and query.state not in STATES):
        return None
    labels, *rest = list(choices(query)) or [(EVERYTHING,)]
    starts = [] if query.key is None else key_labels(query.key)
    depth = len(starts)
    return Plan(
        index=SEARCH_INDEXES[depth],
        labels=labels,
        below={str(depth): starts[-1]} if starts else {},
        states=range(len(STATES)) if query.state is None else [STATES.index(query.state)],
        first=first,
        last=last,
        rest=tuple(rest),
    )


def bounds(query: Query) -> tuple[int, int]:
    """The first and the last start that the query takes, within what 64 bits can say."""
    first = -_INT64 if query.since is None else max(query.since, -_INT64)
    last = _INT64 - 1 if query.until is None else min(query.until - 1, _INT64 - 1)
    return first, last

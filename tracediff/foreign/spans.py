"""One span as OpenTelemetry means it, however it was written, and how spans make a tree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

KINDS: Final = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
"""In the order of their numbers in OTLP."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened within a span. ``time`` is in nanoseconds since the epoch."""

    name: str
    time: int | None = None
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One span. Ids are lower-case hexadecimal; times are nanoseconds since the epoch.

    A time that cannot be read is None.
    """

    trace_id: str
    span_id: str
    parent_id: str = ""
    name: str = ""
    kind: str = "INTERNAL"
    start: int | None = None
    end: int | None = None
    failed: bool = False
    message: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    resource: dict[str, Any] = field(default_factory=dict)
    scope: str = ""


class Tree(NamedTuple):
    """Spans in the order of a trace's steps, with the places of their parents.

    Spans at the top have -1. ``orphans`` counts those whose parent is not there, ``knots`` those
    that were their own ancestors.
    """

    spans: list[Span]
    parents: list[int]
    orphans: int
    knots: int


def tree(spans: Sequence[Span]) -> Tree:
    """Lay spans out as a tree: parents before children, siblings by the order they began in.

    Args:
        spans: Spans of one trace whose ids differ.
    """
    places = {span.span_id: place for place, span in enumerate(spans)}
    below: dict[int, list[int]] = defaultdict(list)
    orphans = 0
    for place, span in enumerate(spans):
        parent = places.get(span.parent_id, -1)
        orphans += parent < 0 and bool(span.parent_id)
        below[parent].append(place)
    for siblings in below.values():
        siblings.sort(key=lambda place: _order(spans[place], place))
    laid, parents, seen = _walked(below, below[-1], len(spans))
    knots = 0
    for place in range(len(spans)):
        if not seen[place]:  # it hangs below itself: its earliest is taken for the top
            more, above, _ = _walked(below, [place], len(spans), seen)
            parents += [one + len(laid) if one >= 0 else -1 for one in above]
            laid += more
            knots += 1
    return Tree([spans[place] for place in laid], parents, orphans, knots)


def _order(span: Span, place: int) -> tuple[int, int, int]:
    step = span.attributes.get("tracediff.step")
    own = step if type(step) is int else 0
    return (own, span.start or 0, place)


def _walked(
    below: dict[int, list[int]], tops: list[int], size: int, seen: bytearray | None = None
) -> tuple[list[int], list[int], bytearray]:
    """What hangs below these, depth first; nothing recurses, however deep it is."""
    seen = bytearray(size) if seen is None else seen
    laid: list[int] = []
    parents: list[int] = []
    waiting = [(place, -1) for place in reversed(tops)]
    while waiting:
        place, parent = waiting.pop()
        if seen[place]:
            continue
        seen[place] = 1
        own = len(laid)
        laid.append(place)
        parents.append(parent)
        waiting += [(child, own) for child in reversed(below.get(place, []))]
    return laid, parents, seen

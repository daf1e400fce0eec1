"""Random rows and queries from few values, so that they meet often."""

from __future__ import annotations

import math
from random import Random

from tracediff.model import STATES, Query, Row
from tracediff.testing.builders import make_row

KEYS = ("", "a", "a/b", "a/b/c", "a/bc", "ab", "\ud800", "a/")
TAGS = ("x", "y", "xy", "", "\ud800")
VALUES = (1, 1.0, True, False, 0, -0.0, "1", "", math.nan, math.inf, 10**20, "True")
SIGNATURES = (b"", b"p", b"q")


def draw_row(random: Random) -> Row:
    """A row."""
    return make_row(
        "".join(random.choices("ab", k=random.randrange(1, 6))),
        key=random.choice(KEYS),
        tags=tuple(random.choices(TAGS, k=random.randrange(3))),
        state=random.choice(STATES),
        started_at=random.randrange(10),
        context={name: random.choice(VALUES) for name in random.sample("nm", random.randrange(3))},
        path_signature=random.choice(SIGNATURES),
    )


def draw_query(random: Random) -> Query:
    """A query with about two filters."""

    def sometimes() -> bool:
        return random.random() < 0.3

    return Query(
        key=random.choice(KEYS) if sometimes() else None,
        tags=tuple(random.choices(TAGS, k=2)) if sometimes() else (),
        state=random.choice(STATES) if sometimes() else None,
        since=random.randrange(-1, 11) if sometimes() else None,
        until=random.randrange(-1, 11) if sometimes() else None,
        context={random.choice("nm"): random.choice(VALUES)} if sometimes() else {},
        path_signature=random.choice(SIGNATURES) if sometimes() else None,
        limit=random.randrange(1, 8),
    )

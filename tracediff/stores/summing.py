"""What the traces of a key are like over a range, from the statistics of any store."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Final

from tracediff.errors import StoreError
from tracediff.model import Query
from tracediff.statistics.places import DEPTH, MINUTE, Resolution, has_buckets
from tracediff.statistics.summary import Summary, planned, spans, together
from tracediff.stores.base import Counting, Store
from tracediff.stores.failures import no_statistics

_PAGE: Final = 1000
_PAGES: Final = 10
"""Running traces are counted one by one, so many pages of them."""


def counting(store: Store) -> Counting:
    """The store, if it keeps statistics.

    Raises:
        StoreError: ``store-unsuitable``.
    """
    if not isinstance(store, Counting):
        raise no_statistics(store.url)
    return store


def summary(
    store: Store,
    key: str = "",
    *,
    since: int | None = None,
    until: int | None = None,
    by: Resolution | None = None,
) -> Summary:
    """The traces of a key over a range of nanoseconds; see ``Project.statistics``.

    Raises:
        StoreError: ``store-unsuitable``, ``statistics-unkept``, ``statistics-hurt``.
    """
    kept = counting(store)
    if not has_buckets(key):
        raise StoreError(
            f"no statistics are kept of the key {key[:80]!r} alone",
            slug="statistics-unkept",
            hint=f"they are of the first {DEPTH} parts of a key, up to an id: name fewer",
        )
    running, more = _running(store, Query(key=key or None, since=since, until=until))
    known = kept.counted_span(key)
    now = time.time_ns() // MINUTE
    if known is None and (since is None or until is None):
        at = now if since is None else since // MINUTE
        return Summary(key=key, first=at, end=at, running=running, more=more)
    low, high = known or (now, now)
    first = low if since is None else since // MINUTE
    end = (
        max(high, now + 1 if since is not None else high) if until is None else -(-until // MINUTE)
    )
    plan = planned(first, max(first, end), now, by)
    found = kept.statistics(key, plan.runs)
    return Summary(
        key=key,
        first=plan.first,
        end=plan.end,
        by=plan.by,
        spans=spans(found.buckets, plan.by),
        total=together(found.buckets),
        running=running,
        more=more,
        complete=found.complete,
    )


def _running(store: Store, query: Query) -> tuple[int, bool]:
    """How many run, and whether there are more than were counted."""
    query = replace(query, state="running", limit=_PAGE)
    count = 0
    for _ in range(_PAGES):
        page = store.search(query)
        count += len(page.rows)
        if page.cursor is None:
            return count, False
        query = replace(query, cursor=page.cursor)
    return count, True

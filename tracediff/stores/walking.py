"""Walking through all rows of a search, and loading their traces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tracediff.errors import StoreError
from tracediff.model import Query, Row, Trace
from tracediff.stores.base import Store

_PAGE = 500


def every_row(store: Store, query: Query) -> Iterator[Row]:
    """All rows that match, newest first, a page at a time."""
    page = store.search(replace(query, limit=_PAGE))
    while True:
        yield from page.rows
        if page.cursor is None:
            return
        page = store.search(replace(query, limit=_PAGE, cursor=page.cursor))


def loaded(store: Store, row: Row) -> Trace | StoreError:
    """A row's trace, or why there is none to be read.

    Raises:
        StoreError: The store is at fault: the other traces would fail as well.
    """
    try:
        return store.load(row)
    except StoreError as error:
        if error.slug not in ("trace-gone", "trace-hurt", "trace-too-large"):
            raise
        return error

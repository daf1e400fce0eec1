"""Walking through all rows of a search."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tracediff.model import Query, Row
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

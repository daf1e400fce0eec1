"""Walking through all rows of a search, and loading their traces."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

from tracediff import codec
from tracediff.errors import ReplayError, StoreError, TracediffError
from tracediff.model import FOREIGN, UNFINISHED, Query, Row, Trace
from tracediff.stores.base import PackedStore, Store

_PAGE = 500
_ITS_OWN = ("key-missing", "trace-gone", "trace-hurt", "trace-too-large")
_SHARED = ("dictionary-hurt", "dictionary-missing", "encryption-missing", "key-missing")
"""What many traces lack at once: a key, a dictionary, a package."""


class Unread:
    """Why traces cannot be read: a sentence each, but one alone for all that lack the same."""

    def __init__(self) -> None:
        self._said: dict[str, tuple[str, int]] = {}

    def add(self, trace_id: str, error: TracediffError) -> None:
        """This trace cannot be read."""
        alike = error.message
        if error.slug in _SHARED:
            alike = alike.replace(f"trace {trace_id}", "trace")
        first, count = self._said.get(alike, (error.message, 0))
        self._said[alike] = (first, count + 1)

    def sentences(self, most: int | None = None) -> list[str]:
        """What is to be said, at most so many."""
        return [
            first if count == 1 else f"{first}; {_more(count - 1)} it too"
            for first, count in itertools.islice(self._said.values(), most)
        ]


def _more(count: int) -> str:
    return "1 more trace lacks" if count == 1 else f"{count:,} more traces lack"


def every_row(store: Store, query: Query) -> Iterator[Row]:
    """All rows that match, newest first, a page at a time."""
    page = store.search(replace(query, limit=_PAGE))
    while True:
        yield from page.rows
        if page.cursor is None:
            return
        page = store.search(replace(query, limit=_PAGE, cursor=page.cursor))


def finished_rows(store: Store, query: Query) -> Iterator[Row]:
    """As ``every_row``, without traces that lack their end: what runs, and what is lost."""
    return (row for row in every_row(store, query) if row.state not in UNFINISHED)


def replayable_rows(store: Store, query: Query) -> Iterator[Row]:
    """As ``finished_rows``, without imported traces, of which there is nothing to run.

    Raises:
        ReplayError: ``trace-imported``: all that match are.
    """
    found = imported = False
    for row in finished_rows(store, query):
        if row.job in FOREIGN:
            imported = True
        else:
            found = True
            yield row
    if imported and not found:
        raise imported_only("all traces that match were imported: there is nothing to run again")


def imported_only(message: str) -> ReplayError:
    """The error for traces of other tools where one is to run again."""
    return ReplayError(
        message,
        slug="trace-imported",
        hint="`tracediff compare A B` compares two of them; take recorded traces for what replays",
    )


def loaded(store: Store, row: Row) -> Trace | StoreError:
    """A row's trace, or why there is none to be read.

    Raises:
        StoreError: The store is at fault: the other traces would fail as well.
    """
    try:
        return store.load(row)
    except StoreError as error:
        if error.slug not in _ITS_OWN:
            raise
        return error


def loaded_packed(store: Store, rows: Sequence[Row]) -> Iterator[tuple[Row, bytes | StoreError]]:
    """Each row with its trace as ``codec.dump`` gives it, or why there is none; in any order.

    A store that has such bytes gives them as they are: they may be hurt inside, and may lack
    artifacts that lie elsewhere.

    Raises:
        StoreError: The store is at fault: the other traces would fail as well.
    """
    if isinstance(store, PackedStore) and _packs_what_it_loads(type(store)):
        for row, data in store.load_packed(rows):
            if isinstance(data, StoreError) and data.slug not in _ITS_OWN:
                raise data
            yield row, data
        return
    for row in rows:
        found = loaded(store, row)
        yield row, found if isinstance(found, StoreError) else codec.dump(found)


def _packs_what_it_loads(kind: type) -> bool:
    """Whether no class derived from the one that packs loads traces in another way."""
    owner = next(one for one in kind.__mro__ if "load" in vars(one))
    return "load_packed" in vars(owner)

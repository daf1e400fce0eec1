"""The rows of a store in one collection of MongoDB."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from tracediff.errors import StoreError
from tracediff.model import Page, Query, Row
from tracediff.statistics.checking import Checked, Rebuilt
from tracediff.statistics.folding import Statistics
from tracediff.statistics.places import Run
from tracediff.stores.base import Diagnosis
from tracediff.stores.failures import trace_unknown
from tracediff.stores.mongo import diagnosing, documents, preparing, writing
from tracediff.stores.mongo.address import COLLECTION, Address, check_name, parse_address
from tracediff.stores.mongo.connection import ClientSource, Connection, process
from tracediff.stores.mongo.counting import MongoStatistics
from tracediff.stores.mongo.documents import decode_row, encode_row
from tracediff.stores.mongo.failures import foreign, mongo_errors
from tracediff.stores.mongo.planning import EXPIRY_INDEX, SEARCH_INDEXES, Plan, plan
from tracediff.stores.mongo.writing import Batch
from tracediff.stores.queries import check_limit, matches, page, position, read_cursor
from tracediff.stores.rows import is_id

if TYPE_CHECKING:
    from tracediff.stores.mongo.ledger import MongoLedger

__all__ = ["EXPIRY_INDEX", "SEARCH_INDEXES", "MongoIndex"]

T = TypeVar("T")

_MOST = 1000
"""Rows of one round trip."""

_MOST_WRITTEN = 2000
"""Rows of one transaction: the server keeps all of it in memory until it is done."""

_CHECKED_EVERY = 60.0
"""Seconds after which a process asks again whether somebody has upgraded the store."""


class MongoIndex:
    """Rows in a MongoDB collection. Thread-safe, and safe to use on both sides of a fork.

    Nothing is connected before the first call. A write is acknowledged when a majority of the
    replica set has it on disk; every call may be repeated after any failure.

    Args:
        url: ``mongodb://host/database?collection=traces`` with any options of MongoDB's connection
            strings, or ``mongodb+srv://…``.
        client: A pymongo client to use instead of an own one, or a function that makes one; who
            made it closes it. A client is of no use after a fork, a function is.
        database: With a client: the database.
        collection: With a client: the collection.
        context: Context fields that are indexed first. All are, up to eight a row; a search by one
            reads the rows that have more than eight one by one.

    Raises:
        StoreError: ``store-url-invalid`` or ``store-option-invalid``: the URL names no store.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        client: ClientSource = None,
        database: str = "tracediff",
        collection: str = COLLECTION,
        context: Sequence[str] = (),
    ) -> None:
        self._declared = tuple(context)
        if url is not None:
            self.address = parse_address(url)
        else:
            name = check_name(database, database=True)
            self.address = Address(
                url="mongodb://",
                database=name,
                collection=check_name(collection),
                shown=f"mongodb://…/{name}",
            )
        self._connection = Connection(self.address, client)
        self._checked: tuple[int, int] | None = None
        self._schema, self._checked_at = 0, 0.0
        self._statistics = MongoStatistics(self._connection, self.search)

    def create(self, rows: Sequence[Row]) -> None:
        """Insert the rows in one batch; one whose id is there gives way to one of more parts.

        Raises:
            StoreError: ``row-invalid``, and none of the batch is kept. Others: a part of it may be
                kept, and the same call again completes it.
        """
        batches = [Batch()]
        for row in rows:
            document = encode_row(row, self._declared)
            if len(batches[-1].rows) >= _MOST_WRITTEN and row.id not in batches[-1].rows:
                batches.append(Batch())
            batches[-1].add(row, document)
        if not batches[0].rows:
            return
        self._check(writing=True)
        try:
            with mongo_errors(self.address, "add rows"):
                for batch in batches:
                    writing.create(self._connection, batch)
                self._statistics.folder.now_and_then()
        except StoreError:
            self._checked = None  # it may be done, and what is there be erased before it is again
            raise

    def update(self, row: Row) -> None:
        """Replace the row with this id; raises StoreError ``trace-unknown`` when there is none."""
        document = encode_row(row, self._declared)
        self._check(writing=True)
        with mongo_errors(self.address, "update a row"):
            found = writing.update(self._connection, row, document)
        if not found:
            raise trace_unknown(row.id)

    def delete(self, ids: Iterable[str]) -> int:
        """Remove these rows; returns how many were there."""
        deleted = 0
        for batch in _batches(one for one in ids if is_id(one)):
            self._check(writing=True)
            with mongo_errors(self.address, "delete rows"):
                deleted += writing.delete(self._connection, batch)
        return deleted

    def parts(self, trace_id: str) -> list[tuple[int, tuple[str, int, int]]]:
        """The number and location of each part that is known of a live trace, in order."""
        if not is_id(trace_id):
            return []
        self._check()
        with mongo_errors(self.address, "find the parts of a trace"):
            # One that was written whole has none, whatever was said of it meanwhile.
            live = {"_id": trace_id, "n": {"$exists": True}}
            if self._connection.rows().find_one(live, {"_id": 1}) is None:
                return []
            ids = {"_id": writing.part_ids(trace_id)}
            found = list(self._connection.beside("parts").find(ids))
        try:
            return sorted(map(documents.decode_part, found))
        except ValueError as error:
            raise _no_row(self.address, {"_id": trace_id}, error) from error

    def lose(self, rows: Iterable[Row]) -> int:
        """Make those of these traces lost that are running; returns how many that were."""
        lost = 0
        for batch in _batches(row for row in rows if is_id(row.id)):
            self._check(writing=True)
            with mongo_errors(self.address, "update rows"):
                lost += writing.lose(self._connection, batch)
        return lost

    def bury(self, ids: Iterable[str]) -> None:
        """Remove those of these live traces that run, and leave out what comes of them later."""
        for batch in _batches(one for one in ids if is_id(one)):
            self._check(writing=True)
            with mongo_errors(self.address, "delete rows"):
                writing.bury(self._connection, batch)

    def find(self, prefix: str, limit: int = 2) -> list[Row]:
        """Rows whose id starts with ``prefix``, newest first, at most ``limit``."""
        check_limit(limit)
        if not prefix:
            return list(self.search(Query(limit=limit)).rows)
        if not is_id(prefix):
            return []
        self._check()
        ids = {"$gte": prefix, "$lt": prefix + "\x7f"}
        with mongo_errors(self.address, "find a trace"):
            found = list(self._connection.rows().find({"_id": ids}, limit=_MOST))
        if len(found) < _MOST:
            rows = sorted(map(self._row, found), key=position, reverse=True)
            return rows[:limit]
        # Ids that begin alike are as old as each other: the newest of them are among the newest.
        everything = plan(Query())
        newest = self._read(everything, None, limit, {"_id": ids}) if everything else ()
        return list(itertools.islice(newest, limit))

    def search(self, query: Query) -> Page:
        """One page of the rows that match, newest first."""
        check_limit(query.limit)
        after = read_cursor(query)
        self._check()
        chosen = plan(query)
        if chosen is None:
            return Page(())
        rows = self._read(chosen, after, query.limit + 1)
        return page((row for row in rows if matches(row, query)), query)

    def statistics(self, key: str, runs: Sequence[Run]) -> Statistics:
        """The buckets of traces whose keys begin with ``key``."""
        self._check()
        return self._statistics.read(key, runs)

    def counted_span(self, key: str) -> tuple[int, int] | None:
        """About from which to which minute traces of a key began."""
        self._check()
        return self._statistics.span(key)

    def fold_statistics(self) -> int:
        """Fold what is pending, unless somebody else does; returns how many deltas."""
        self._check(writing=True)
        return self._statistics.fold()

    def verify_statistics(self) -> Iterator[Checked]:
        """Count all rows, and say of each bucket whether it says the same."""
        self._check(writing=True)
        return self._statistics.verify()

    def rebuild_statistics(self) -> Rebuilt:
        """Count all rows, and make the buckets say so."""
        self._check(writing=True)
        return self._statistics.rebuild()

    def prepare(self, *, dry_run: bool = False) -> list[str]:
        """Make the collection and its indexes where they are missing; a line for each.

        Args:
            dry_run: Only say what would be made.
        """
        return preparing.prepare(self._connection, dry_run=dry_run)

    def diagnose(self) -> list[Diagnosis]:
        """Look at the server, the user, the clock and the indexes; nothing is written."""
        return diagnosing.diagnose(self._connection)

    def ledger(self) -> MongoLedger:
        """The rows, for upkeep."""
        from tracediff.stores.mongo.ledger import MongoLedger  # nobody else needs it

        self._check()
        return MongoLedger(self._connection, self)

    def lease(self) -> contextlib.AbstractContextManager[Callable[[], None]]:
        """Keep every other gc out while the context lasts."""
        from tracediff.stores.mongo.leases import lease  # nobody else needs it

        self._check()
        return lease(self._connection)

    def connect(self) -> None:
        """Make this process's client; no server is asked."""
        self._connection.client()

    def close(self) -> None:
        """Close the connections; a second call does nothing."""
        self._connection.close()

    def _check(self, *, writing: bool = False) -> None:
        """That the store is one of traces, and to write of this schema: asked now and then."""
        self._connection.client()
        late = time.monotonic() - self._checked_at > _CHECKED_EVERY
        older = writing and self._schema < preparing.SCHEMA  # it may have been upgraded just now
        if self._checked != process() or late or older:
            self._schema = preparing.check_form(self._connection)
            self._checked, self._checked_at = process(), time.monotonic()
        if writing:
            preparing.check_writable(self._connection, self._schema)

    def _read(
        self,
        chosen: Plan,
        after: tuple[int, str] | None,
        limit: int,
        more: Mapping[str, Any] | None = None,
    ) -> Iterator[Row]:
        """The rows of a plan, read on while more of them are wanted than pass the filters."""
        ask = min(limit, _MOST)
        while True:
            arguments = chosen.find(after, ask)
            if more:
                arguments["filter"] = {"$and": [arguments["filter"], more]}
            with mongo_errors(self.address, "search"):
                found = list(self._connection.rows().find(**arguments))
            yield from map(self._row, found)
            if len(found) < ask:
                return
            after = documents.position(found[-1])
            ask = min(2 * ask, _MOST)

    def _row(self, document: Mapping[str, Any]) -> Row:
        try:
            return decode_row(document)
        except ValueError as error:
            raise _no_row(self.address, document, error) from error


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    """So many as one transaction takes."""
    rest = iter(items)
    while batch := list(itertools.islice(rest, _MOST)):
        yield batch


def _no_row(address: Address, document: Mapping[str, Any], error: ValueError) -> StoreError:
    return foreign(address, f"the document {str(document.get('_id'))[:60]!r} is {error}")

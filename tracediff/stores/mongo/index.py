"""The rows of a store in one collection of MongoDB."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pymongo import DeleteOne
from pymongo.errors import BulkWriteError

from tracediff.errors import StoreError
from tracediff.model import Page, Query, Row
from tracediff.stores.base import Diagnosis
from tracediff.stores.failures import trace_unknown
from tracediff.stores.mongo import diagnosing, documents, preparing
from tracediff.stores.mongo.address import COLLECTION, Address, check_name, parse_address
from tracediff.stores.mongo.connection import ClientSource, Connection, process
from tracediff.stores.mongo.documents import decode_row, encode_row
from tracediff.stores.mongo.failures import DUPLICATE, foreign, mongo_errors
from tracediff.stores.mongo.planning import EXPIRY_INDEX, SEARCH_INDEXES, Plan, plan
from tracediff.stores.queries import check_limit, matches, page, position, read_cursor
from tracediff.stores.rows import is_id

__all__ = ["EXPIRY_INDEX", "SEARCH_INDEXES", "MongoIndex"]

_MOST = 1000
"""Rows of one round trip."""


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

    def create(self, rows: Sequence[Row]) -> None:
        """Insert the rows in one batch; a row whose id is there already is left as it is.

        Raises:
            StoreError: ``row-invalid``, and none of the batch is kept. Others: a part of it may be
                kept, and the same call again completes it.
        """
        batch: dict[str, Any] = {}
        for row in rows:
            document = encode_row(row, self._declared)
            batch.setdefault(row.id, document)
        if not batch:
            return
        self._check()
        with mongo_errors(self.address, "add rows"):
            try:
                self._connection.raw_rows().insert_many(batch.values(), ordered=False)
            except BulkWriteError as error:
                if not _only_duplicates(error):
                    raise

    def update(self, row: Row) -> None:
        """Replace the row with this id; raises StoreError ``trace-unknown`` when there is none."""
        document = encode_row(row, self._declared)
        self._check()
        with mongo_errors(self.address, "update a row"):
            # As bytes, it could not be replaced by one that has its id within.
            found = self._connection.raw_rows().replace_one({"_id": row.id}, document)
        if not found.matched_count:
            raise trace_unknown(row.id)

    def delete(self, ids: Iterable[str]) -> int:
        """Remove these rows; returns how many were there."""
        wanted = iter(dict.fromkeys(one for one in ids if is_id(one)))
        deleted = 0
        while batch := list(itertools.islice(wanted, _MOST)):
            self._check()
            with mongo_errors(self.address, "delete rows"):
                # One by one, because pymongo repeats such deletes after a failure, and no others.
                done = self._connection.rows().bulk_write(
                    [DeleteOne({"_id": one}) for one in batch], ordered=False
                )
            deleted += done.deleted_count
        return deleted

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

    def prepare(self, *, dry_run: bool = False) -> list[str]:
        """Make the collection and its indexes where they are missing; a line for each.

        Args:
            dry_run: Only say what would be made.
        """
        return preparing.prepare(self._connection, dry_run=dry_run)

    def diagnose(self) -> list[Diagnosis]:
        """Look at the server, the user, the clock and the indexes; nothing is written."""
        return diagnosing.diagnose(self._connection)

    def connect(self) -> None:
        """Make this process's client; no server is asked."""
        self._connection.client()

    def close(self) -> None:
        """Close the connections; a second call does nothing."""
        self._connection.close()

    def _check(self) -> None:
        """That the collection is one of traces: once a process."""
        self._connection.client()
        if self._checked != process():
            preparing.check_form(self._connection)
            self._checked = process()

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


def _only_duplicates(error: BulkWriteError) -> bool:
    failed = error.details.get("writeErrors") or []
    return (
        bool(failed)
        and not error.details.get("writeConcernErrors")
        and all(one.get("code") == DUPLICATE for one in failed)
    )


def _no_row(address: Address, document: Mapping[str, Any], error: ValueError) -> StoreError:
    return foreign(address, f"the document {str(document.get('_id'))[:60]!r} is {error}")

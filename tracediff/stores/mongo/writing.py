"""Batches of rows on their way into MongoDB, with the parts and the statistics that go with them.

Each is one transaction: rows, the places of parts, and what the statistics are to add. So a batch
that is repeated, because nobody knows whether it was done, adds nothing twice. A recorder may not
read rows: what a batch has changed is told by what each of its writes has matched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument
from pymongo import DeleteMany, DeleteOne, ReplaceOne, UpdateOne
from pymongo.errors import BulkWriteError

from tracediff.model import STATES, Row
from tracediff.stores.mongo.connection import Connection
from tracediff.stores.mongo.documents import decode_row, expiry
from tracediff.stores.mongo.failures import DUPLICATE
from tracediff.stores.mongo.statistics import delta_documents
from tracediff.stores.mongo.transactions import Session, transaction
from tracediff.stores.rows import supersedes

GRAVES_KEPT = timedelta(days=90)
"""How long a late part of a trace that was deleted or taken back is left out."""

RUNNING, LOST = STATES.index("running"), STATES.index("lost")
Encoded = RawBSONDocument


@dataclass(slots=True)
class Batch:
    """Rows by id, each as the last of it is to be, and the places of parts by their own id.

    ``begun`` are live traces whose first part is here: they are most likely new.
    """

    rows: dict[str, tuple[Row, Encoded]] = field(default_factory=dict)
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)

    def add(self, row: Row, document: Encoded) -> None:
        """Add a row; of several with one id that counts which would when they came one by one."""
        known = self.rows.get(row.id)
        if row.parts and (known is None or known[0].parts):
            self._add_part(row)
        if known is None or supersedes(row, known[0]):
            self.rows[row.id] = (row, document)

    def _add_part(self, row: Row) -> None:
        blob, start, length = row.location
        number = row.parts - 1
        document: dict[str, Any] = {
            "_id": f"{row.id}/{number:06d}",
            "l": [blob, Int64(start), Int64(length)],
        }
        if row.expires_at is not None:
            document["x"] = expiry(row.expires_at)
        self.parts.setdefault(document["_id"], document)
        if not number:
            self.begun.add(row.id)

    @property
    def live(self) -> list[str]:
        """The ids of live traces."""
        return [one for one, (row, _) in self.rows.items() if row.parts]

    def without(self, ids: set[str]) -> Batch:
        """The batch without these traces."""
        if not ids:
            return self
        return Batch(
            {one: pair for one, pair in self.rows.items() if one not in ids},
            {one: part for one, part in self.parts.items() if one.partition("/")[0] not in ids},
            self.begun - ids,
        )


def create(connection: Connection, batch: Batch) -> None:
    """Write a batch: what is there already stays, but for rows of live traces that knew less."""
    try:
        transaction(connection, lambda session: _create(connection, session, batch, fast=True))
    except BulkWriteError as error:
        if not only_duplicates(error):
            raise
        transaction(connection, lambda session: _create(connection, session, batch, fast=False))
    buried = _graves(connection, _mortal(connection, batch))
    if buried:  # at the same time
        _take_back(connection, [batch.rows[one][0] for one in buried])


def _mortal(connection: Connection, batch: Batch) -> list[str]:
    """Those that may have a grave: what was written at once has one only where it was erased."""
    return list(batch.rows) if connection.erased else batch.live


def _take_back(connection: Connection, rows: Sequence[Row]) -> None:
    """Remove rows that were written just now, as far as they are there as they were written."""

    def work(session: Session) -> None:
        collection = connection.rows()
        gone = [
            row for row in rows if collection.delete_one(_as_is(row), session=session).deleted_count
        ]
        _forget_parts(connection, session, [row.id for row in gone if row.parts])
        count(connection, session, (), [row for row in gone if row.state != "running"])

    transaction(connection, work)


def _create(connection: Connection, session: Session, batch: Batch, *, fast: bool) -> None:
    batch = batch.without(_graves(connection, _mortal(connection, batch), session))
    rows = [row for row, _ in batch.rows.values()]
    new = [row for row in rows if fast and (not row.parts or row.id in batch.begun)]
    if new:  # all of them, or the server says that some are not
        documents = [batch.rows[row.id][1] for row in new]
        connection.raw_rows().insert_many(documents, ordered=False, session=session)
    added = [row for row in new if row.state != "running"]
    removed: list[Row] = []
    taken = {row.id for row in new}
    _upsert(connection, session, batch, [r for r in rows if r.id not in taken], added, removed)
    if batch.parts:
        parts = connection.beside("parts")
        if fast:
            parts.insert_many(list(batch.parts.values()), ordered=False, session=session)
        else:
            parts.bulk_write(
                [
                    UpdateOne({"_id": one}, {"$setOnInsert": document}, upsert=True)
                    for one, document in batch.parts.items()
                ],
                ordered=False,
                session=session,
            )
    count(connection, session, added, removed)


def _upsert(
    connection: Connection,
    session: Session,
    batch: Batch,
    rows: Sequence[Row],
    added: list[Row],
    removed: list[Row],
) -> None:
    """Write rows some of which are there; what that changes is added to both lists."""
    if not rows:
        return
    collection = connection.raw_rows()
    done = collection.bulk_write(
        [
            UpdateOne({"_id": row.id}, {"$setOnInsert": batch.rows[row.id][1]}, upsert=True)
            for row in rows
        ],
        ordered=False,
        session=session,
    )
    fresh = set(done.upserted_ids or ())
    added += [row for at, row in enumerate(rows) if at in fresh and row.state != "running"]
    there = [row for at, row in enumerate(rows) if at not in fresh and row.parts]
    running = [row for row in there if row.state == "running"]
    if running:
        collection.bulk_write(
            [ReplaceOne(_knows_less(row), batch.rows[row.id][1]) for row in running],
            ordered=False,
            session=session,
        )
    for row in there:
        if row.state == "running":
            continue
        document = batch.rows[row.id][1]
        if collection.replace_one(_knows_less(row), document, session=session).matched_count:
            added.append(row)
        elif row.state != "lost" and (
            collection.replace_one(_is_lost(row), document, session=session).matched_count
        ):
            added.append(row)
            removed.append(replace(row, state="lost"))


def _knows_less(row: Row) -> dict[str, Any]:
    return {"_id": row.id, "s": RUNNING, "n": {"$lt": row.parts}}


def _is_lost(row: Row) -> dict[str, Any]:
    return {"_id": row.id, "s": LOST, "n": {"$exists": True}}


def _as_is(row: Row) -> dict[str, Any]:
    # What has ended never changes; of one that runs it does not matter which part is known.
    found: dict[str, Any] = {"_id": row.id, "s": STATES.index(row.state)}
    if row.state != "running":
        found["n"] = row.parts or {"$exists": False}
    return found


def lose(connection: Connection, rows: Iterable[Row]) -> int:
    """Make those of these traces lost that are running, in one transaction."""
    wanted = list({row.id: row for row in rows}.values())

    def work(session: Session) -> int:
        collection = connection.rows()
        lost = [
            replace(row, state="lost")
            for row in wanted
            if collection.update_one(
                {"_id": row.id, "s": RUNNING}, {"$set": {"s": LOST}}, session=session
            ).matched_count
        ]
        count(connection, session, lost, ())
        return len(lost)

    return transaction(connection, work)


def bury(connection: Connection, ids: Iterable[str]) -> None:
    """Remove those of these live traces that run, and leave out what comes of them later.

    What is lost has been counted, and only who may read it can take that back.
    """
    wanted = list(dict.fromkeys(ids))

    def work(session: Session) -> None:
        _dig(connection, session, wanted)
        collection = connection.rows()
        gone = [
            one
            for one in wanted
            if collection.delete_one({"_id": one, "s": RUNNING}, session=session).deleted_count
        ]
        _forget_parts(connection, session, gone)

    transaction(connection, work)


def entomb(connection: Connection, ids: Sequence[str]) -> None:
    """Leave out from now on whatever comes of these, also of traces that are written at once."""

    def work(session: Session) -> None:
        _dig(connection, session, ids)

    transaction(connection, work)
    connection.about().update_one({"_id": "tracediff"}, {"$max": {"erased": datetime.now(UTC)}})
    connection.erased = True


def delete(connection: Connection, ids: Sequence[str]) -> int:
    """Remove rows, in one transaction; live ones leave a grave. Returns how many were there."""

    def work(session: Session) -> int:
        collection = connection.rows()
        found = list(collection.find({"_id": {"$in": list(ids)}}, session=session))
        if not found:
            return 0
        there = [one["_id"] for one in found]
        collection.bulk_write([DeleteOne({"_id": one}) for one in there], session=session)
        live = [one["_id"] for one in found if "n" in one]
        _dig(connection, session, live)
        _forget_parts(connection, session, live)
        count(connection, session, (), [row for row in _decoded(found) if row.state != "running"])
        return len(there)

    return transaction(connection, work)


def update(connection: Connection, row: Row, document: Encoded) -> bool:
    """Replace a row by this one; False when there is none."""

    def work(session: Session) -> bool:
        known = connection.rows().find_one({"_id": row.id}, session=session)
        if known is None:
            return False
        # As bytes, it could not be replaced by one that has its id within.
        connection.raw_rows().replace_one({"_id": row.id}, document, session=session)
        removed = [one for one in _decoded([known]) if one.state != "running"]
        count(connection, session, [row] if row.state != "running" else [], removed)
        return True

    return transaction(connection, work)


def count(
    connection: Connection, session: Session, added: Sequence[Row], removed: Sequence[Row]
) -> None:
    """Tell the statistics what has ended by this transaction, and what no longer counts."""
    documents = delta_documents(added, removed) if added or removed else []
    if documents:
        connection.beside("deltas").insert_many(documents, session=session)


def only_duplicates(error: BulkWriteError) -> bool:
    """Whether nothing else is wrong with a batch than that some of it is there."""
    failed = error.details.get("writeErrors") or []
    return (
        bool(failed)
        and not error.details.get("writeConcernErrors")
        and all(one.get("code") == DUPLICATE for one in failed)
    )


def part_ids(trace_id: str) -> dict[str, Any]:
    """Between what the ids of a trace's parts are: no id of a trace has a slash."""
    return {"$gt": f"{trace_id}/", "$lt": f"{trace_id}0"}


def _graves(connection: Connection, ids: Sequence[str], session: Session | None = None) -> set[str]:
    if not ids:
        return set()
    graves = connection.beside("graves")
    return {one["_id"] for one in graves.find({"_id": {"$in": list(ids)}}, session=session)}


def _dig(connection: Connection, session: Session, ids: Sequence[str]) -> None:
    if ids:
        until = {"x": datetime.now(UTC) + GRAVES_KEPT}
        connection.beside("graves").bulk_write(
            [UpdateOne({"_id": one}, {"$set": until}, upsert=True) for one in ids],
            ordered=False,
            session=session,
        )


def _forget_parts(connection: Connection, session: Session, ids: Sequence[str]) -> None:
    if ids:
        connection.beside("parts").bulk_write(
            [DeleteMany({"_id": part_ids(one)}) for one in ids], ordered=False, session=session
        )


def _decoded(documents: Iterable[Mapping[str, Any]]) -> Iterator[Row]:
    for document in documents:
        try:
            yield decode_row(document)
        except ValueError:  # somebody else's, which was never counted
            continue

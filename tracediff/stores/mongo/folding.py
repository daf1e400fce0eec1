"""Who folds the statistics of a store in MongoDB, and when: one at a time, in a transaction.

A document of ``NAME.statistics`` is the lease: ``{_id: "folding", until, next, owner}``, by the
server's clock. It spares work and no more: what is folded is removed in the transaction that folds
it, so two that fold the same meet there, and one of them gives up.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pymongo import DeleteOne, ReplaceOne
from pymongo.client_session import ClientSession
from pymongo.errors import DuplicateKeyError
from pymongo.read_concern import ReadConcern

from tracediff.errors import StoreError
from tracediff.statistics.folding import applied, fitting
from tracediff.statistics.packing import dump_bucket, load_bucket
from tracediff.statistics.places import Place
from tracediff.stores.counting import minute_now
from tracediff.stores.mongo import statistics
from tracediff.stores.mongo.connection import ACKNOWLEDGED, Connection
from tracediff.stores.mongo.failures import mongo_errors

EVERY: Final = 5.0
"""Seconds between two foldings, by all processes together."""

AT_MOST: Final = 500
"""Deltas of one transaction, which has a minute; fewer of those that change many buckets."""

BUCKETS: Final = 4000
"""About so many it may change."""

_LEASE: Final = "folding"
_LASTS: Final = 60.0
"""Seconds that nobody else folds when who does dies."""

_MOST: Final = 1000
SNAPSHOT: Final = ReadConcern("snapshot")


class Folder:
    """Folds what processes wrote, a few hundred deltas at a time."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._owner = ""
        self._next = 0.0
        self._made = False

    def now_and_then(self) -> None:
        """Fold if nobody has done so lately; what keeps it from that matters to nobody."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + EVERY * (1 + secrets.randbelow(100) / 100)
        try:
            with mongo_errors(self._connection.address, "fold the statistics"):
                self.fold(due=True)
        except StoreError as error:
            if error.slug == "store-denied":  # others may
                self._next = float("inf")

    def fold(self, *, due: bool = False) -> int:
        """Fold all there is, if nobody else does; returns how many deltas.

        Args:
            due: Only when nobody has done so lately.
        """
        total = 0
        if not self.take(_LASTS, due=due):
            return 0
        try:
            while done := self._fold():
                total += done
                if not self.extend(_LASTS):
                    break
        finally:
            self.release()
        return total

    def take(self, seconds: float, *, due: bool = False) -> bool:
        """Take the lease for so long, unless somebody has it, or has just had it."""
        self._owner = secrets.token_hex(8)  # a fork has the parent's no longer
        free = {"$max": ["$until", "$next"]} if due else "$until"
        if self._lease({"$expr": {"$lte": [free, "$$NOW"]}}, seconds):
            return True
        if self._made:
            return False
        self._made = True
        lease = {"_id": _LEASE, "until": statistics.EPOCH, "owner": ""}
        with contextlib.suppress(DuplicateKeyError):  # it is there: taken, or not due
            self._connection.beside("statistics").insert_one(lease)
        return self.take(seconds, due=due)

    def extend(self, seconds: float) -> bool:
        """Keep the lease for so much longer; False when it is another's by now."""
        return self._lease({"owner": self._owner}, seconds)

    def release(self) -> None:
        """Let others have it, who fold only when they are asked to for a while."""
        following = {"$add": ["$$NOW", int(EVERY * 1000)]}
        self._lease({"owner": self._owner}, 0, next=following)

    def check(self, session: ClientSession) -> bool:
        """Whether a transaction's lease is still this one's; what takes it away ends it."""
        done = self._connection.beside("statistics").update_one(
            {"_id": _LEASE, "owner": self._owner}, {"$inc": {"n": 1}}, session=session
        )
        return done.matched_count == 1

    def _lease(self, condition: Mapping[str, Any], seconds: float, **more: Any) -> bool:
        until = {"$add": ["$$NOW", int(seconds * 1000)]}
        done = self._connection.beside("statistics").update_one(
            {"_id": _LEASE, **condition}, [{"$set": {"until": until, "owner": self._owner, **more}}]
        )
        return done.matched_count == 1

    def _fold(self) -> int:
        with (
            self._connection.client().start_session() as session,
            session.start_transaction(SNAPSHOT, ACKNOWLEDGED),
        ):
            found, made = self._next_made(session, self._oldest(session))
            if not found or made is None or not self.check(session):
                session.abort_transaction()
                return 0
            write(self._connection, session, made)
            gone = {"_id": {"$in": [one["_id"] for one in found]}}
            self._connection.beside("deltas").delete_many(gone, session=session)
        return len(found)

    def _oldest(self, session: ClientSession) -> list[dict[str, Any]]:
        """What adds before what takes away: what is taken away was added before."""
        deltas = self._connection.beside("deltas")
        found: list[dict[str, Any]] = []
        for negative in (False, True):
            more = deltas.find({"n": {"$exists": negative}}, session=session)
            found += more.sort("_id", 1).limit(AT_MOST - len(found) or 1)
        return found[:AT_MOST]

    def _next_made(
        self, session: ClientSession, found: list[dict[str, Any]]
    ) -> tuple[list[dict[str, Any]], dict[Place, bytes | None] | None]:
        """As many deltas as change not too many buckets, and these.

        None where they are hurt, which readers are told.
        """
        try:
            count, changes = fitting((bytes(one["d"]) for one in found), minute_now(), BUCKETS)
            found = found[:count]
            there = self._there(session, [statistics.bucket_id(place) for place in changes])
            made: dict[Place, bytes | None] = {}
            for place, change in changes.items():
                data = there.get(bytes(statistics.bucket_id(place)))
                bucket = applied(None if data is None else load_bucket(data), change)
                made[place] = dump_bucket(bucket) if bucket else None
        except (ValueError, KeyError, TypeError):  # as the docstring says
            return found, None
        return found, made

    def _there(self, session: ClientSession, ids: Sequence[bytes]) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        for at in range(0, len(ids), _MOST):
            wanted = {"_id": {"$in": ids[at : at + _MOST]}}
            for one in self._connection.beside("statistics").find(wanted, session=session):
                found[one["_id"]] = bytes(one["d"])
        return found


def write(
    connection: Connection, session: ClientSession, buckets: Mapping[Place, bytes | None]
) -> None:
    """Write buckets in a transaction; None removes one."""
    changes: list[ReplaceOne[Any] | DeleteOne] = []
    for place, data in buckets.items():
        one = {"_id": statistics.bucket_id(place)}
        if data is None:
            changes.append(DeleteOne(one))
        else:
            changes.append(ReplaceOne(one, statistics.bucket_document(place, data), upsert=True))
    if changes:
        connection.beside("statistics").bulk_write(changes, ordered=False, session=session)

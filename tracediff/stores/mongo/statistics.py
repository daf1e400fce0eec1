"""The statistics of a store in MongoDB: deltas beside the rows, buckets, and what reads them.

    NAME.deltas       _id, d: a delta; n: 1 where it takes something away
    NAME.statistics   _id: resolution, hash of the key and start, in 25 bytes; k: the key;
                      d: the bucket; x: when nobody reads it any more

A batch's deltas are inserted in the transaction of its rows; see ``folding`` for the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import xxhash
from bson.binary import Binary
from pymongo.client_session import ClientSession

from tracediff import statistics
from tracediff.model import Row
from tracediff.statistics.buckets import Bucket
from tracediff.statistics.folding import applied, of_key, span_of_key
from tracediff.statistics.packing import load_bucket
from tracediff.statistics.places import (
    KEPT_DAYS,
    MARGIN,
    RESOLUTIONS,
    WIDTHS,
    Place,
    Run,
    narrowed,
)  # fmt: skip
from tracediff.stores.counting import hurt
from tracediff.stores.mongo.connection import Connection, Document

_BIAS: Final = 1 << 63
_HIGHEST: Final = b"\xff" * 8
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def delta_documents(added: Sequence[Row], removed: Sequence[Row] = ()) -> list[dict[str, Any]]:
    """The documents that the transaction of a batch inserts into ``NAME.deltas``.

    Args:
        added: Rows that have ended by this batch: each trace comes once, however often it is
            written. Of one that is lost only ``key`` and ``started_at`` are known, here and when
            it is removed: neither its duration nor its tags may count.
        removed: Rows that were among those added once, and are deleted or no longer lost.
    """
    negative = {"n": 1} if removed else {}
    return [{"d": data, **negative} for data in statistics.deltas(added, removed)]


def read(
    connection: Connection, session: ClientSession, key: str, runs: Sequence[Run]
) -> dict[Place, Bucket]:
    """The buckets of a key, with what is not folded yet, as of the session's moment."""
    try:
        found = {
            place: load_bucket(document["d"])
            for run in runs
            for place, document in _between(connection, session, key, run)
        }
        for place, change in of_key(pending(connection, session), key, runs).items():
            found[place] = applied(found.get(place), change)
    except (ValueError, KeyError, TypeError):
        raise hurt() from None
    return {place: bucket for place, bucket in found.items() if bucket}


def span(connection: Connection, session: ClientSession, key: str) -> tuple[int, int] | None:
    """The minutes from the first trace of a key to the last, as of the session's moment."""
    try:
        known = span_of_key(pending(connection, session), key)
    except ValueError:
        raise hurt() from None
    spans = []
    for resolution, width in WIDTHS.items():
        between = {"$gte": _first(resolution, key), "$lte": _last(resolution, key)}
        ends = [
            connection.beside("statistics").find_one(
                {"_id": between}, {"_id": 1}, sort={"_id": way}, session=session
            )
            for way in (1, -1)
        ]
        if ends[0] and ends[1]:
            spans.append((_start(ends[0]["_id"]), _start(ends[1]["_id"]) + width))
    return narrowed(spans, known)


def pending(connection: Connection, session: ClientSession | None) -> list[bytes]:
    """What is not folded yet."""
    found = connection.beside("deltas").find({}, {"d": 1}, session=session)
    return [bytes(one.get("d", b"")) for one in found]


def keys(connection: Connection, session: ClientSession | None = None) -> Iterator[str]:
    """All keys: each found by skipping the buckets of the one before."""
    day = RESOLUTIONS.index("day")
    after = bytes([day])
    while True:
        found = connection.beside("statistics").find_one(
            {"_id": {"$gt": Binary(after.ljust(25, b"\0")), "$lt": Binary(bytes([day + 1]) * 25)}},
            {"k": 1}, sort={"_id": 1}, session=session,
        )  # fmt: skip
        if found is None:
            return
        yield text(found["k"])
        after = found["_id"][:17] + _HIGHEST


def bucket_id(place: Place) -> Binary:
    """Where a bucket lies; those of one resolution and key follow each other."""
    number = RESOLUTIONS.index(place.resolution)
    digest = xxhash.xxh3_128_digest(coded(place.key))
    start = max(0, min(place.start + _BIAS, (1 << 64) - 1))
    return Binary(bytes([number]) + digest + start.to_bytes(8, "big"))


def bucket_document(place: Place, data: bytes) -> Document:
    """The document of a bucket."""
    document: Document = {"_id": bucket_id(place), "k": coded(place.key), "d": data}
    days = KEPT_DAYS.get(place.resolution)
    if days is not None:
        minutes = place.start + WIDTHS[place.resolution] + days * 1440 + MARGIN
        document["x"] = EPOCH + timedelta(minutes=minutes)
    return document


def kept(
    connection: Connection, session: ClientSession | None, key: str, run: Run
) -> Iterator[tuple[Place, bytes]]:
    """The bytes of some buckets of a key."""
    for place, document in _between(connection, session, key, run):
        yield place, bytes(document.get("d", b""))


def _between(
    connection: Connection, session: ClientSession | None, key: str, run: Run
) -> Iterator[tuple[Place, Document]]:
    low = bucket_id(Place(run.resolution, key, run.first))
    high = bucket_id(Place(run.resolution, key, run.end))
    found = connection.beside("statistics").find(
        {"_id": {"$gte": low, "$lt": high}}, session=session
    )
    for document in found:
        yield Place(run.resolution, key, _start(document["_id"])), document


def _first(resolution: statistics.Resolution, key: str) -> Binary:
    return bucket_id(Place(resolution, key, -_BIAS))


def _last(resolution: statistics.Resolution, key: str) -> Binary:
    return bucket_id(Place(resolution, key, _BIAS))


def _start(found: bytes) -> int:
    return int.from_bytes(found[17:], "big") - _BIAS


def coded(key: str) -> bytes:
    """BSON refuses text with half a surrogate pair."""
    return key.encode("utf-8", "surrogatepass")


def text(found: Any) -> str:
    """The key that was coded."""
    if not isinstance(found, bytes):
        raise hurt()
    return found.decode("utf-8", "surrogatepass")

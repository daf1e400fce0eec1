"""The rows of a store in MongoDB, for upkeep."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import ormsgpack
from bson.datetime_ms import DatetimeMS
from bson.int64 import Int64
from pymongo import DeleteOne, UpdateOne
from pymongo.collection import Collection

from tracediff.model import STATES
from tracediff.stores.base import Index, LiveIndex
from tracediff.stores.mongo.connection import Connection, Document
from tracediff.stores.mongo.failures import mongo_errors
from tracediff.stores.mongo.writing import entomb, part_ids
from tracediff.stores.upkeep.base import WHOLE, Living, Location, Move, Surveyed
from tracediff.stores.upkeep.decisions import is_over, silent

_PAGE = 5000
_FEW = 1000
_MS = 1_000_000
_RUNNING, _LOST = STATES.index("running"), STATES.index("lost")
_GLIMPSED = {"x": 1, "r": 1, "l": 1, "e": 1, "s": 1, "t": 1, "n": 1}
_AT = 9
"""Where the location begins in what is packed of a row; see ``documents``."""


class MongoLedger:
    """Upkeep's view of a collection of rows and of the one of their parts.

    Args:
        connection: Where they are.
        index: What is there, as everybody else sees it.
    """

    def __init__(self, connection: Connection, index: Index) -> None:
        self._connection = connection
        self._index = index

    def count(self) -> int:
        """About how many rows there are."""
        with self._errors("count the rows"):
            return self._rows().estimated_document_count()

    def survey_rows(self, now: int, silent_before: int) -> Iterator[Surveyed]:
        """All rows, by id."""
        for page in self._pages(self._rows(), _GLIMPSED):
            lost = [one["_id"] for one in page if one["s"] == _LOST and "n" in one]
            yield _surveyed(page, now, silent_before, self.buried(lost))

    def survey_parts(self, now: int) -> Iterator[Surveyed]:
        """All parts, by id."""
        for page in self._pages(self._parts(), {"l": 1}):
            found = [(*_part(one["_id"]), _location(one["l"])) for one in page]
            ids = list({trace_id for trace_id, _, _ in found})
            expiry: dict[str, int | None] = {}
            for some in _batches(ids):
                with self._errors("read rows"):
                    there = self._rows().find({"_id": {"$in": some}}, {"x": 1})
                    expiry.update((one["_id"], _expires(one)) for one in there)
            tallied: dict[str, tuple[int, int]] = {}
            astray = []
            for trace_id, number, place in found:
                if trace_id not in expiry:
                    astray.append((trace_id, number))
                elif not is_over(expiry[trace_id], now):
                    _count(tallied, place)
            yield Surveyed(count=len(page), tallied=tallied, astray=astray)

    def living(self, ids: Iterable[str]) -> dict[str, Living]:
        """Those of these traces that have a row."""
        made: dict[str, Living] = {}
        for some in _batches(ids):
            with self._errors("read rows"):
                found = list(self._rows().find({"_id": {"$in": some}}, _GLIMPSED))
            for one in found:
                place, count, _ = _glimpse(one)
                places = self._places(one["_id"]) if count else {WHOLE: place}
                made[one["_id"]] = Living(places=places, expires_at=_expires(one))
        return made

    def _places(self, trace_id: str) -> dict[int, Location]:
        with self._errors("read parts"):
            found = list(self._parts().find({"_id": part_ids(trace_id)}, {"l": 1}))
        return {_part(one["_id"])[1]: _location(one["l"]) for one in found}

    def buried(self, ids: Iterable[str]) -> dict[str, int]:
        """Those of these traces that have a grave."""
        made: dict[str, int] = {}
        graves = self._connection.beside("graves")
        for some in _batches(ids):
            with self._errors("read graves"):
                made.update((one["_id"], 0) for one in graves.find({"_id": {"$in": some}}, {}))
        return made

    def expire(self, ids: Sequence[str], now: int) -> int:
        """Remove the rows of these that have expired; their parts are astray then."""
        gone = 0
        for some in _batches(ids):
            # As a search reads it: whole milliseconds, rounded up.
            over = {"$lte": DatetimeMS(now // _MS + 1)}
            with self._errors("remove rows that have expired"):
                done = self._rows().bulk_write(
                    [DeleteOne({"_id": one, "x": over}) for one in some], ordered=False
                )
            gone += done.deleted_count
        return gone

    def take_back(self, ids: Sequence[str]) -> int:
        """Remove the rows of traces that are buried; the statistics no longer count them."""
        return self._index.delete(ids)

    def forget_parts(self, parts: Sequence[tuple[str, int]]) -> int:
        """Remove places of parts whose traces have no row."""
        gone = 0
        for some in _batches(parts):
            with self._errors("forget parts"):
                there = {
                    one["_id"]
                    for one in self._rows().find({"_id": {"$in": [one for one, _ in some]}}, {})
                }
                keys = [f"{one}/{number:06d}" for one, number in some if one not in there]
                if keys:
                    done = self._parts().bulk_write(
                        [DeleteOne({"_id": key}) for key in keys], ordered=False
                    )
                    gone += done.deleted_count
        return gone

    def lose(self, ids: Sequence[str], before: int) -> int:
        """Make traces lost that run and were not heard of since; returns how many that were."""
        if not isinstance(self._index, LiveIndex):
            return 0
        return self._index.lose(silent(self._index, ids, before))

    def unbury(self, graves: Sequence[tuple[str, int]]) -> int:
        """Nothing to forget."""
        return 0

    def tidy(self, now: int, *, dry_run: bool) -> int:
        """Lay what is not folded yet into buckets; those that are too old go with that."""
        fold = getattr(self._index, "fold_statistics", None)
        if fold is not None and not dry_run:
            fold()
        return 0

    def entomb(self, ids: Sequence[str]) -> None:
        """See to it that nobody who uploads these once more brings them back."""
        for some in _batches(ids):
            with self._errors("dig graves"):
                entomb(self._connection, some)

    def move(self, moves: Sequence[Move]) -> None:
        """Have rows and parts point to new places, each only if it points to the old one still."""
        for some in _batches(moves):
            rows = {one.id: one for one in some}
            with self._errors("move rows"):
                found = list(self._rows().find({"_id": {"$in": list(rows)}}, _GLIMPSED))
                by_place = {(one.id, one.old): one for one in some}
                updates = [update for document in found for update in _moved(document, by_place)]
                if updates:
                    self._rows().bulk_write(updates, ordered=False)
                parts = [
                    UpdateOne(
                        {"_id": f"{one.id}/{one.number:06d}", "l": _as_list(one.old)},
                        {"$set": {"l": _as_list(one.new)}},
                    )
                    for one in some
                    if one.number != WHOLE
                ]
                if parts:
                    self._parts().bulk_write(parts, ordered=False)

    def _pages(
        self, collection: Collection[Document], fields: Mapping[str, int]
    ) -> Iterator[list[Document]]:
        """All documents by id, read anew for each page: no cursor has to outlive a failover."""
        last = ""
        while True:
            with self._errors("read all rows"):
                found = list(
                    collection.find({"_id": {"$gt": last}}, fields, limit=_PAGE).sort("_id", 1)
                )
            if not found:
                return
            yield found
            last = found[-1]["_id"]

    def _rows(self) -> Collection[Document]:
        return self._connection.rows()

    def _parts(self) -> Collection[Document]:
        return self._connection.beside("parts")

    def _errors(self, doing: str) -> Any:
        return mongo_errors(self._connection.address, doing)


def _surveyed(
    page: Sequence[Document], now: int, before: int, buried: Mapping[str, int]
) -> Surveyed:
    tallied: dict[str, tuple[int, int]] = {}
    expired, silent = [], []
    for one in page:
        if is_over(_expires(one), now):
            expired.append(one["_id"])
            continue
        place, parts, duration = _glimpse(one)
        if not parts:
            _count(tallied, place)
        if one["s"] == _RUNNING and one["t"] + duration < before:
            silent.append(one["_id"])
    return Surveyed(
        count=len(page), tallied=tallied, expired=expired, silent=silent, buried=list(buried)
    )


def _count(tallied: dict[str, tuple[int, int]], place: Location) -> None:
    count, size = tallied.get(place[0], (0, 0))
    tallied[place[0]] = (count + 1, size + place[2])


def _glimpse(document: Document) -> tuple[Location, int, int]:
    """Where a row's bytes are, how many parts it knows, and its duration."""
    parts = document.get("n", 0)
    if "e" in document:
        return _location(document["l"]), parts, json.loads(document["e"])["duration"]
    packed = ormsgpack.unpackb(document["r"])
    return _location(packed[_AT : _AT + 3]), parts, packed[1]


def _moved(document: Document, moves: Mapping[tuple[str, Location], Move]) -> Iterator[UpdateOne]:
    """The update of a row, if it points to where a frame was; the filter is what it says now."""
    place, _, _ = _glimpse(document)
    move = moves.get((document["_id"], place))
    if move is None:
        return
    if "e" in document:
        old = {"_id": move.id, "l": _as_list(move.old)}
        yield UpdateOne(old, {"$set": {"l": _as_list(move.new)}})
        return
    packed = ormsgpack.unpackb(document["r"])
    packed[_AT : _AT + 3] = move.new
    old = {"_id": move.id, "r": document["r"]}
    yield UpdateOne(old, {"$set": {"r": ormsgpack.packb(packed)}})


def _as_list(place: Location) -> list[Any]:
    return [place[0], Int64(place[1]), Int64(place[2])]


def _location(found: Sequence[Any]) -> Location:
    return (found[0], int(found[1]), int(found[2]))


def _expires(document: Document) -> int | None:
    found = document.get("x")
    return None if found is None else int(found) * _MS


def _part(key: str) -> tuple[str, int]:
    trace_id, _, number = key.rpartition("/")
    return trace_id, int(number)


def _batches(ids: Iterable[Any]) -> Iterator[list[Any]]:
    waiting = iter(ids)
    while some := list(itertools.islice(waiting, _FEW)):
        yield some

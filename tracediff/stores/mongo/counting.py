"""The statistics of a store in MongoDB: read, checked, and counted anew."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from pymongo.client_session import ClientSession

from tracediff.errors import StoreError
from tracediff.model import STATES, Page, Query, Row
from tracediff.statistics.checking import Checked, Rebuilt
from tracediff.statistics.folding import Statistics
from tracediff.statistics.packing import load_delta
from tracediff.statistics.places import MINUTE, RESOLUTIONS, WIDTHS, Place, Resolution, Run
from tracediff.stores import counting
from tracediff.stores.counting import Moment
from tracediff.stores.mongo import preparing
from tracediff.stores.mongo import statistics as buckets
from tracediff.stores.mongo.connection import Connection
from tracediff.stores.mongo.documents import decode_row
from tracediff.stores.mongo.failures import busy, foreign, mongo_errors
from tracediff.stores.mongo.folding import Folder, write
from tracediff.stores.mongo.labels import EVERYTHING
from tracediff.stores.mongo.planning import SEARCH_INDEXES
from tracediff.stores.mongo.transactions import transaction

_LONG: Final = 300.0
"""Seconds of a lease while rows are counted."""

_PATIENCE: Final = 90.0
_MOST: Final = 1000
_INT64: Final = 1 << 63


class MongoStatistics:
    """The statistics of a collection; see ``base.Counting``.

    Args:
        connection: Where it is.
        search: Searches its rows.
    """

    def __init__(self, connection: Connection, search: Callable[[Query], Page]) -> None:
        self._connection = connection
        self._search = search
        self.folder = Folder(connection)

    def read(self, key: str, runs: Sequence[Run]) -> Statistics:
        """The buckets of traces whose keys begin with ``key``."""
        with (
            mongo_errors(self._connection.address, "read the statistics"),
            self._moment() as session,
        ):
            found = buckets.read(self._connection, session, key, runs)
        return Statistics(buckets=found, complete=is_counted(self._connection))

    def span(self, key: str) -> tuple[int, int] | None:
        """About from which to which minute traces of a key began."""
        with (
            mongo_errors(self._connection.address, "read the statistics"),
            self._moment() as session,
        ):
            return buckets.span(self._connection, session, key)

    def fold(self) -> int:
        """Fold what is pending, unless somebody else does; returns how many deltas."""
        with mongo_errors(self._connection.address, "fold the statistics"):
            return self.folder.fold()

    def verify(self) -> Iterator[Checked]:
        """Count all rows, and say of each bucket whether it says the same."""
        self.fold()
        return counting.verify(MongoRecount(self._connection, self.folder, self._search))

    def rebuild(self) -> Rebuilt:
        """Count all rows, and make the buckets say so."""
        self.fold()
        known = is_counted(self._connection)
        recount = MongoRecount(self._connection, self.folder, self._search)
        done = counting.rebuild(recount, leave=known)
        with mongo_errors(self._connection.address, "say that all traces are counted"):
            preparing.say_counted(self._connection)
        return done

    @contextlib.contextmanager
    def _moment(self) -> Iterator[ClientSession]:
        with (
            mongo_errors(self._connection.address, "read the statistics"),
            self._connection.client().start_session(snapshot=True) as session,
        ):
            yield session


class MongoRecount:
    """The statistics of a collection, to be checked and counted anew."""

    def __init__(
        self, connection: Connection, folder: Folder, search: Callable[[Query], Page]
    ) -> None:
        self._connection = connection
        self._folder = folder
        self._search = search

    @contextlib.contextmanager
    def still(self, *, write: bool) -> Iterator[None]:
        """Keep the lease; whoever has it is waited for."""
        deadline = time.monotonic() + _PATIENCE
        with self._errors():
            while not self._folder.take(_LONG):
                if time.monotonic() > deadline:
                    raise self._lost()
                time.sleep(0.1)
        try:
            yield
        finally:
            # The lease ends by itself where this fails.
            with contextlib.suppress(StoreError), self._errors():
                self._folder.release()

    def days(self) -> Iterator[int]:
        """The first minutes of the days of which there is a row or a bucket."""
        width = WIDTHS["day"]
        found: set[int] = set()
        with self._errors():
            for key in buckets.keys(self._connection):
                found.update(place.start for place, _ in self._buckets("day", key))
        until = None
        while rows := self._search(Query(limit=1, until=until)).rows:
            day = rows[0].started_at // (MINUTE * width)
            found.add(day * width)
            until = day * width * MINUTE
        yield from sorted(found)

    def moments(self, day: int) -> Iterator[Moment]:
        """Hours, each as of a moment of its own: a day may be long to read."""
        hour = WIDTHS["hour"]
        for first in range(day, day + WIDTHS["day"], hour):
            with self._errors(), self._connection.client().start_session(snapshot=True) as session:
                if not self._folder.extend(_LONG):
                    raise self._lost()
                waiting = buckets.pending(self._connection, session)
                yield Moment(first, first + hour, self._rows(first, first + hour, session), waiting)

    def kept(self, day: int) -> dict[Place, bytes]:
        """The buckets of a day, of all resolutions."""
        end = day + WIDTHS["day"]
        with self._errors():
            return dict(
                one
                for key in list(buckets.keys(self._connection))
                for resolution in RESOLUTIONS
                for one in self._buckets(resolution, key, day, end)
            )

    def replace(self, buckets: Mapping[Place, bytes | None]) -> None:
        """Write these buckets; None removes one."""
        places = list(buckets)
        with self._errors():
            for at in range(0, len(places), _MOST):
                some = {place: buckets[place] for place in places[at : at + _MOST]}
                transaction(self._connection, functools.partial(self._write, some))

    def discard(self) -> int:
        """Remove the deltas that are none; returns how many those were."""
        deltas = self._connection.beside("deltas")
        with self._errors():
            bad = [one["_id"] for one in deltas.find({}) if not _is_delta(one.get("d"))]
            return deltas.delete_many({"_id": {"$in": bad}}).deleted_count if bad else 0

    def _write(self, buckets: Mapping[Place, bytes | None], session: ClientSession) -> None:
        if not self._folder.check(session):
            raise self._lost()
        write(self._connection, session, buckets)

    def _buckets(
        self, resolution: Resolution, key: str, first: int = -_INT64, end: int = _INT64
    ) -> Iterator[tuple[Place, bytes]]:
        return buckets.kept(self._connection, None, key, Run(resolution, first, end))

    def _rows(self, first: int, end: int, session: ClientSession) -> Iterator[Row]:
        low, high = max(first * MINUTE, -_INT64), min(end * MINUTE, _INT64) - 1
        wanted = {"f": EVERYTHING, "s": {"$in": list(range(len(STATES)))},
                  "t": {"$gte": low, "$lte": high}}  # fmt: skip
        rows = self._connection.rows()
        for document in rows.find(wanted, session=session, hint=SEARCH_INDEXES[0]):
            try:
                yield decode_row(document)
            except ValueError as error:
                raise foreign(self._connection.address, f"a document is {error}") from error

    def _lost(self) -> StoreError:
        address = self._connection.address
        return busy(f"cannot count in {address.shown}", "another process folds the statistics")

    def _errors(self) -> contextlib.AbstractContextManager[None]:
        return mongo_errors(self._connection.address, "count the traces")


def is_counted(connection: Connection) -> bool:
    """Whether all traces are counted; one that was upgraded has older ones that are not."""
    with mongo_errors(connection.address, "read what the collection is"):
        return preparing.is_counted(connection)


def _is_delta(data: Any) -> bool:
    try:
        load_delta(bytes(data))
    except (ValueError, TypeError):  # hurt, or no bytes at all
        return False
    return True

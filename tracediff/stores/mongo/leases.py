"""One gc at a time, whichever machine it runs on: a document that says who has the store."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo.errors import DuplicateKeyError

from tracediff.errors import StoreError
from tracediff.stores.mongo.connection import Connection
from tracediff.stores.mongo.failures import mongo_errors
from tracediff.stores.status import is_alive
from tracediff.stores.upkeep.leases import running

LASTS = 120.0
RENEWED = 20.0
_ID = "gc"


@contextlib.contextmanager
def lease(connection: Connection) -> Iterator[Callable[[], None]]:
    """Hold the lease; gives what renews it when that is due.

    One of a process of this machine that is gone is taken over at once, others when they end.

    Raises:
        StoreError: ``gc-running``: another has it.
    """
    own = secrets.token_hex(8)
    _take(connection, own)
    renewed = time.monotonic()

    def going() -> None:
        nonlocal renewed
        if time.monotonic() - renewed > RENEWED:
            renewed = time.monotonic()
            if not _renew(connection, own):
                raise running(", which took over because this one was silent for too long")

    try:
        yield going
    finally:
        # It ends by itself where this fails.
        with contextlib.suppress(StoreError), mongo_errors(connection.address, "end a lease"):
            connection.about().update_one({"_id": _ID, "holder": own}, {"$set": {"until": _in(-1)}})


def _take(connection: Connection, own: str) -> None:
    mine: dict[str, Any] = {"holder": own, "host": socket.gethostname(), "pid": os.getpid()}
    mine["until"] = _in(LASTS)
    with mongo_errors(connection.address, "take a lease"):
        try:
            connection.about().update_one(
                {"_id": _ID, "until": {"$lt": _in(0)}}, {"$set": mine}, upsert=True
            )
        except DuplicateKeyError:  # somebody has it: below, whether that one lives
            pass
        else:
            return
        found = connection.about().find_one({"_id": _ID}) or {}
        gone = found.get("host") == mine["host"] and not is_alive(int(found.get("pid", 0) or 0))
        if gone:
            taken = connection.about().update_one(
                {"_id": _ID, "holder": found["holder"]}, {"$set": mine}
            )
            if taken.matched_count:
                return
    raise running(f", process {found.get('pid')} on {found.get('host')}" if found else "")


def _renew(connection: Connection, own: str) -> bool:
    with mongo_errors(connection.address, "renew a lease"):
        done = connection.about().update_one(
            {"_id": _ID, "holder": own}, {"$set": {"until": _in(LASTS)}}
        )
    return bool(done.matched_count)


def _in(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)

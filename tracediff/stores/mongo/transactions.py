"""Transactions that are repeated where the server says that it helps, within a bound of time.

pymongo's own ``with_transaction`` repeats for two minutes, and where no server is found it waits
for one each time. Who writes here keeps what it has, tries again later, and wants to know why.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

from pymongo import ReadPreference
from pymongo.client_session import ClientSession
from pymongo.errors import PyMongoError, ServerSelectionTimeoutError
from pymongo.read_concern import ReadConcern

from tracediff.stores.mongo.connection import ACKNOWLEDGED, Connection

LONGEST = 20.0
"""Seconds after which nothing is begun again."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 0.5
_AGAIN = "TransientTransactionError"
_UNKNOWN = "UnknownTransactionCommitResult"
_EXPIRED = 50

Session = ClientSession
T = TypeVar("T")


def transaction(connection: Connection, work: Callable[[Session], T]) -> T:
    """Do ``work`` in one transaction: all of it or nothing, acknowledged by a majority's disks.

    Where it raises, a transaction whose commit was not answered may have been done nevertheless.

    Args:
        connection: Where.
        work: What to do, by operations that are given the session. It may be called several times.
    """
    until = time.monotonic() + LONGEST
    with connection.client().start_session() as session:
        for attempt in range(1_000_000):
            _pause(attempt)
            session.start_transaction(
                read_concern=ReadConcern("snapshot"),
                write_concern=ACKNOWLEDGED,
                read_preference=ReadPreference.PRIMARY,
            )
            try:
                found = work(session)
                _commit(session, until)
            except BaseException as error:
                if session.in_transaction:
                    session.abort_transaction()
                if not _helps(error, _AGAIN) or time.monotonic() > until:
                    raise
            else:
                return found
    raise AssertionError("unreachable")


def _commit(session: Session, until: float) -> None:
    """Commit, and again while nobody knows whether it was done: twice is as good as once."""
    for attempt in range(1_000_000):
        _pause(attempt)
        try:
            session.commit_transaction()
        except PyMongoError as error:
            expired = _code(error) == _EXPIRED
            if expired or not _helps(error, _UNKNOWN) or time.monotonic() > until:
                raise
        else:
            return


def _helps(error: BaseException, label: str) -> bool:
    """Whether to try again. Where no server was found, it has been waited for already."""
    return (
        isinstance(error, PyMongoError)
        and not isinstance(error, ServerSelectionTimeoutError)
        and error.has_error_label(label)
    )


def _code(error: Any) -> int | None:
    """The server's code; that of its write concern where this alone was not met."""
    details = getattr(error, "details", None) or {}
    concern = details.get("writeConcernError") or {}
    found: int | None = concern.get("code") or getattr(error, "code", None)
    return found


def _pause(attempt: int) -> None:
    """Others are in the way: not all of them should come back at once."""
    if attempt:
        longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 1.5**attempt)
        time.sleep(random.random() * longest)  # noqa: S311 - nothing depends on it

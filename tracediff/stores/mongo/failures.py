"""The one place that turns what pymongo raises into a ``StoreError`` with a slug and a hint.

What pymongo says may quote the URL, and what a server says of a refused document may quote the
document: the messages here are our own, and the rest is masked.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from bson.errors import BSONError
from pymongo import errors

from tracediff.errors import StoreError
from tracediff.runtime import aside
from tracediff.stores.failures import closed, full
from tracediff.stores.mongo.address import Address

DUPLICATE = 11000
_DENIED = frozenset({11, 13, 18, 33, 8000})
_FULL = frozenset({14031, 12501})
_SLOW = frozenset({50, 262})
_BUSY = frozenset({
    # No primary, or one that is going: the codes of the specification for retryable writes.
    6, 7, 43, 63, 64, 79, 89, 91, 100, 112, 133, 134, 150, 189, 234, 237, 9001, 10107, 11600, 11602,
    13388, 13435, 13436,
})  # fmt: skip
_UNSUPPORTED = frozenset({20, 263})
_LONGEST = 300


@contextlib.contextmanager
def mongo_errors(address: Address, doing: str) -> Iterator[None]:
    """What pymongo raises inside becomes a StoreError that says what was being done.

    It is no part of a job whose thread runs it, though a job may use pymongo too.
    """
    try:
        with aside():
            yield
    except BSONError:
        raise foreign(address, "a document of it cannot be read") from None
    except (errors.PyMongoError, OSError) as error:
        # The original is not chained: its text may hold a password or the contents of a row.
        raise mongo_error(error, address, doing) from None


def mongo_error(error: Exception, address: Address, doing: str) -> StoreError:
    """The StoreError for an error of pymongo.

    Args:
        error: What was raised.
        address: Where it was; nothing of its credentials gets into the message.
        doing: What was being done: "add rows".
    """
    what = f"cannot {doing} in {address.shown}"
    if isinstance(error, errors.InvalidOperation) and "close" in str(error).lower():
        return closed(what)
    if isinstance(error, errors.ServerSelectionTimeoutError):
        return _unselected(error, address, what)
    if isinstance(error, errors.BulkWriteError):
        return _bulk(error, address, what)
    if isinstance(error, errors.OperationFailure):
        return _refused(error.code, _said(error, address), what, error)
    if isinstance(error, errors.ConnectionFailure):
        return _unselected(error, address, what)
    if isinstance(error, errors.ConfigurationError):
        return _configured(_said(error, address), what)
    return StoreError(
        f"{what}: {_said(error, address)}",
        slug="store-io",
        hint="nothing that was acknowledged before is affected; try again",
    )


def _configured(said: str, what: str) -> StoreError:
    if "wire version" in said:
        return old_server(what)
    if "DNS" in said:
        return _unreachable(f"{what}: {said}")
    return StoreError(
        f"{what}: {said}",
        slug="store-option-invalid",
        hint="correct the options of the URL, which do not go together",
    )


def _said(error: Exception, address: Address) -> str:
    details = getattr(error, "details", None)
    text = details.get("errmsg") if isinstance(details, dict) else None
    return _short(text or str(error) or type(error).__name__, address)


def _short(text: str, address: Address) -> str:
    text = address.masked(" ".join(text.split()))
    text = text.rpartition(" :: caused by :: ")[2]  # before it stands the query
    text = text.partition(", full error:")[0].partition(" (configured timeouts:")[0]
    return (text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…").rstrip(".")


def _unselected(error: Exception, address: Address, what: str) -> StoreError:
    said = str(error)
    if "Authentication failed" in said:
        return _denied(what, "the user or the password is wrong")
    if (
        isinstance(error, errors.NotPrimaryError)
        or said.startswith("No replica set members")
        or "not primary" in said.lower()
    ):
        return busy(what, "the replica set has no primary")
    reason = said.partition(", Timeout:")[0].partition(" (configured timeouts:")[0]
    return _unreachable(f"{what}: {_short(reason or type(error).__name__, address)}")


def _unreachable(message: str) -> StoreError:
    return StoreError(
        message,
        slug="store-unreachable",
        hint="check the host, the port and TLS in the URL, and that MongoDB runs and lets this "
        "machine in; a recorder keeps its traces on disk until it does",
    )


def _bulk(error: errors.BulkWriteError, address: Address, what: str) -> StoreError:
    details: Mapping[str, Any] = error.details
    refused = [one for one in details.get("writeErrors", ()) if one.get("code") != DUPLICATE]
    first = (refused or details.get("writeConcernErrors") or [{}])[0]
    said = _short(str(first.get("errmsg", "a part of the batch was refused")), address)
    if not refused:
        return busy(what, f"it was not acknowledged by a majority: {said}")
    return _refused(first.get("code"), said, what, error)


def _refused(code: int | None, said: str, what: str, error: errors.OperationFailure) -> StoreError:
    if code == 18:
        return _denied(what, "the user or the password is wrong")
    if code in _DENIED or "not authorized" in said or "requires authentication" in said:
        return _denied(what, said)
    if code in _FULL:
        return full(f"{what}: the server's disk is full")
    if code in _SLOW or isinstance(error, errors.ExecutionTimeout):
        return StoreError(
            f"{what}: it took too long",
            slug="store-busy",
            hint="bound a search by key, --since and --until; see the server's load",
        )
    if code in _BUSY or isinstance(error, errors.WTimeoutError | errors.WriteConcernError):
        return busy(what, said)
    if error.has_error_label("RetryableWriteError"):
        return busy(what, said)
    if code in _UNSUPPORTED or "retryable writes" in said:
        return unsuitable(what)
    if "hint" in said and code == 2:
        return StoreError(
            f"{what}: an index is missing",
            slug="store-unprepared",
            hint="run tracediff init with this store: it makes what is missing",
        )
    if code in (59, 115):
        return old_server(what)
    return StoreError(
        f"{what}: {said}",
        slug="store-io",
        hint="nothing that was acknowledged before is affected; see the server's log",
    )


def busy(what: str, why: str) -> StoreError:
    """The server cannot take it now: ``store-busy``."""
    return StoreError(
        f"{what}: {why}",
        slug="store-busy",
        hint="try again: a replica set elects a primary within seconds, when a majority is up",
    )


def _denied(what: str, why: str) -> StoreError:
    return StoreError(
        f"{what}: {why}",
        slug="store-denied",
        hint="check user and password, authSource=admin when the user is that database's, and the "
        "user's role: tracediff doctor names what it may do",
    )


def old_server(what: str) -> StoreError:
    """The server is older than what is tested: ``store-old-server``."""
    return StoreError(
        f"{what}: the server is older than MongoDB 6.0",
        slug="store-old-server",
        hint="use MongoDB 6.0 or newer",
    )


def unsuitable(what: str) -> StoreError:
    """A server without a replica set: ``store-unsuitable``."""
    return StoreError(
        f"{what}: the server is no member of a replica set",
        slug="store-unsuitable",
        hint="make it a replica set, be it of one member: start mongod with --replSet and call "
        "rs.initiate(); without one no write can be repeated safely",
    )


def unprepared(address: Address) -> StoreError:
    """A collection that nobody prepared: ``store-unprepared``."""
    return StoreError(
        f"the collection {address.collection} in {address.shown} was not prepared for traces",
        slug="store-unprepared",
        hint="run tracediff init --store with this store, once",
    )


def outdated(address: Address, found: int, schema: int) -> StoreError:
    """A collection of an older schema that is to be written: ``store-unprepared``."""
    return StoreError(
        f"the store {address.collection} in {address.shown} has schema {found}, and this "
        f"tracediff writes {schema}",
        slug="store-unprepared",
        hint="run tracediff init --store with this store, which shows the upgrade and makes it; it "
        "can be read meanwhile, and a recorder keeps its traces on disk",
    )


def foreign(address: Address, why: str) -> StoreError:
    """A collection of somebody else's: ``store-foreign``."""
    return StoreError(
        f"the collection {address.collection} in {address.shown} is not one of traces: {why}",
        slug="store-foreign",
        hint="name a collection of its own: mongodb://host/database?collection=NAME",
    )


def newer(address: Address, found: object) -> StoreError:
    """A collection of a newer tracediff's: ``store-newer``."""
    return StoreError(
        f"the store {address.collection} in {address.shown} has schema {str(found)[:20]}, which "
        "this tracediff does not know",
        slug="store-newer",
        hint="install the version that upgraded it, or a later one; nothing was changed",
    )


def forked(address: Address) -> StoreError:
    """An injected client after a fork: ``store-forked``."""
    return StoreError(
        f"the client of {address.shown} was made before this process was forked",
        slug="store-forked",
        hint="give the store a URL, or a function that makes the client, instead of a client",
    )

"""What ``doctor`` finds out about a MongoDB store; nothing is written."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from pymongo.errors import OperationFailure

from tracediff.errors import StoreError
from tracediff.stores.base import Diagnosis
from tracediff.stores.mongo.connection import Connection
from tracediff.stores.mongo.failures import mongo_errors
from tracediff.stores.mongo.preparing import (
    OLDEST,
    check_form,
    check_writable,
    has_replicas,
    missing_indexes,
)

_SKEW = 2.0
"""Seconds that two clocks may differ by: more would show in ``--since`` and in what expires."""

_NEEDED = {"find": "read", "insert": "write", "update": "update", "remove": "delete"}


def diagnose(connection: Connection) -> list[Diagnosis]:
    """Each thing that was looked at; the first that keeps all others from it is the last."""
    found: list[Diagnosis] = []
    try:
        found.extend(_diagnose(connection))  # what was found before an error stays
    except StoreError as error:
        found.append(Diagnosis(False, error.message, error.hint))
    return found


def _diagnose(connection: Connection) -> Iterator[Diagnosis]:
    address = connection.address
    with mongo_errors(address, "look"):
        sent = time.time()
        hello = connection.client().admin.command("hello")
        took = time.time() - sent
        yield Diagnosis(True, f"MongoDB answers at {address.shown} in {took * 1000:.1f} ms")
        yield _clock(hello, sent + took / 2)
        yield _version(connection.client().server_info())
        yield _topology(hello)
        yield _permissions(connection)
    with mongo_errors(address, "look at the collection"):
        yield _form(connection)
        yield _indexes(connection)


def _clock(hello: Mapping[str, Any], now: float) -> Diagnosis:
    there: datetime = hello["localTime"]
    skew = there.replace(tzinfo=UTC).timestamp() - now
    which = "ahead of" if skew > 0 else "behind"
    text = f"the server's clock is {abs(skew):.1f} s {which} this machine's"
    if abs(skew) <= _SKEW:
        return Diagnosis(True, text)
    return Diagnosis(
        False, text, "let both follow a time server (NTP): times of traces come from this machine, "
        "and the server decides when they expire",
    )  # fmt: skip


def _version(info: Mapping[str, Any]) -> Diagnosis:
    text = f"MongoDB {info['version']}"
    if tuple(info["versionArray"]) >= OLDEST:
        return Diagnosis(True, text)
    return Diagnosis(False, f"{text} is too old", "use MongoDB 6.0 or newer")


def _topology(hello: Mapping[str, Any]) -> Diagnosis:
    if hello.get("msg") == "isdbgrid":
        return Diagnosis(True, "a sharded cluster")
    if has_replicas(hello):
        count = len(hello.get("hosts", ()))
        return Diagnosis(True, f"replica set {hello['setName']} of {count} with data")
    return Diagnosis(
        False, "the server is no member of a replica set",
        "start mongod with --replSet and call rs.initiate(), also for one server alone",
    )  # fmt: skip


def _permissions(connection: Connection) -> Diagnosis:
    """From what the server says of this user: no write is tried."""
    status = connection.client().admin.command("connectionStatus", showPrivileges=True)["authInfo"]
    users = [f"{one['user']}@{one['db']}" for one in status["authenticatedUsers"]]
    if not users:
        return Diagnosis(True, "the server asks for no password here, or this client gave none")
    address = connection.address
    actions: set[str] = set()
    for one in status.get("authenticatedUserPrivileges", ()):
        if _covers(one["resource"], address.database, address.collection):
            actions.update(one["actions"])
    may = [what for action, what in _NEEDED.items() if action in actions]
    text = f"{', '.join(users)} may {', '.join(may) or 'do nothing'} in {address.collection}"
    if may:
        return Diagnosis(True, text)
    return Diagnosis(
        False, text, f"give it a role on {address.database}: find to read, insert and update to "
        "record, remove to delete",
    )  # fmt: skip


def _covers(resource: Mapping[str, Any], database: str, collection: str) -> bool:
    if resource.get("anyResource"):
        return True
    if "db" not in resource:
        return False
    return resource["db"] in ("", database) and resource["collection"] in ("", collection)


def _form(connection: Connection) -> Diagnosis:
    schema = check_form(connection)
    check_writable(connection, schema)
    text = f"the collection {connection.address.collection} is one of traces, of schema {schema}"
    return Diagnosis(True, text)


def _indexes(connection: Connection) -> Diagnosis:
    try:
        missing = missing_indexes(connection)
    except OperationFailure as error:
        if error.code != 13:
            raise
        return Diagnosis(True, "the indexes were not looked at: this user may not list them")
    if not missing:
        return Diagnosis(True, "all indexes are there")
    names = [name for indexes in missing.values() for name in indexes]
    return Diagnosis(
        False, f"missing indexes: {', '.join(names)}", "run tracediff init with this store"
    )

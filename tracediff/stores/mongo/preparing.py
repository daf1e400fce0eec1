"""What a store of traces needs in MongoDB: shown first, then made; and how it is told from others.

The collection ``NAME.about`` holds one document, which says that ``NAME`` is one of traces and in
which form. Nobody writes a row where it is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pymongo import IndexModel

from tracediff.stores.mongo.connection import Connection
from tracediff.stores.mongo.failures import (
    foreign,
    mongo_errors,
    newer,
    old_server,
    unprepared,
    unsuitable,
)
from tracediff.stores.mongo.planning import EXPIRY_INDEX, SEARCH_INDEXES

SCHEMA = 1
OLDEST = (6, 0)
_ID = "tracediff"


def index_options() -> dict[str, dict[str, Any]]:
    """The indexes by name, as createIndexes takes them."""
    found: dict[str, dict[str, Any]] = {}
    for depth, name in enumerate(SEARCH_INDEXES):
        below = {str(depth): 1} if depth else {}
        found[name] = {"key": {"f": 1, **below, "s": 1, "t": 1, "_id": 1}}
        if depth:
            # A key of fewer segments costs this index nothing.
            found[name]["partialFilterExpression"] = {str(depth): {"$exists": True}}
    found[EXPIRY_INDEX] = {"key": {"x": 1}, "expireAfterSeconds": 0, "sparse": True}
    return found


def check_form(connection: Connection) -> None:
    """Raise StoreError unless the collection is one of traces, in a form that is known."""
    with mongo_errors(connection.address, "read what the collection is"):
        found = connection.about().find_one({"_id": _ID})
    _check(connection, found)
    if found is None:
        raise unprepared(connection.address)


def prepare(connection: Connection, *, dry_run: bool = False) -> list[str]:
    """Make what is missing.

    Args:
        connection: Where.
        dry_run: Only say what would be made.

    Returns:
        A line for each thing that is made; none when all is there.

    Raises:
        StoreError: The collection is somebody else's, the server is too old or no replica set, or
            the user may not.
    """
    address = connection.address
    with mongo_errors(address, "prepare the store"):
        check_server(connection)
        about = connection.about().find_one({"_id": _ID})
        _check(connection, about)
        if about is None and connection.rows().find_one({}, {"_id": 1}) is not None:
            raise foreign(address, "it holds other documents")
        missing = missing_indexes(connection)
        lines = [f"make index {name} on {_said(options)}" for name, options in missing.items()]
        if about is None:
            lines.append(
                f"make collection {address.collection}.about, which says that it is a store"
            )
        if not dry_run:
            _make(connection, missing, about)
    return lines


def missing_indexes(connection: Connection) -> dict[str, dict[str, Any]]:
    """The indexes that are not there, or that are others under their names."""
    there = connection.rows().index_information()
    return {
        name: options
        for name, options in index_options().items()
        if not _same(there, name, options)
    }


def check_server(connection: Connection) -> None:
    """Raise StoreError ``store-old-server`` or ``store-unsuitable`` for a server not to be used."""
    what = f"cannot use {connection.address.shown}"
    version = tuple(connection.client().server_info()["versionArray"])
    if version < OLDEST:
        raise old_server(what)
    if not has_replicas(connection.client().admin.command("hello")):
        raise unsuitable(what)


def has_replicas(hello: Mapping[str, Any]) -> bool:
    """Whether this server repeats writes safely: a replica set, or a router before several."""
    return "setName" in hello or hello.get("msg") == "isdbgrid"


def _check(connection: Connection, about: Mapping[str, Any] | None) -> None:
    if about is None:
        return
    form = about.get("schema")
    if not isinstance(form, int) or form < 1:
        raise foreign(connection.address, "what it says of itself is not tracediff's")
    if form > SCHEMA:
        raise newer(connection.address, form)


def _make(
    connection: Connection, missing: dict[str, dict[str, Any]], about: Mapping[str, Any] | None
) -> None:
    rows = connection.rows()
    there = rows.index_information()
    for name in missing.keys() & there.keys():
        rows.drop_index(name)
    if missing:
        rows.create_indexes(
            [
                IndexModel(
                    list(options["key"].items()),
                    name=name,
                    **{option: value for option, value in options.items() if option != "key"},
                )
                for name, options in missing.items()
            ]
        )
    if about is None:
        made = {"schema": SCHEMA, "made": datetime.now(UTC)}
        connection.about().update_one({"_id": _ID}, {"$setOnInsert": made}, upsert=True)


def _same(there: Mapping[str, Any], name: str, options: Mapping[str, Any]) -> bool:
    found = there.get(name)
    return (
        found is not None
        and list(found["key"]) == list(options["key"].items())
        and "collation" not in found
        and all(found.get(one) == value for one, value in options.items() if one != "key")
    )


def _said(options: Mapping[str, Any]) -> str:
    fields = ", ".join(
        f"{name} {'up' if way > 0 else 'down'}" for name, way in options["key"].items()
    )
    return f"({fields})" + (
        ", which removes what has expired" if "expireAfterSeconds" in options else ""
    )

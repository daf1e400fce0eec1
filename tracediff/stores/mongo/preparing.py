"""What a store of traces needs in MongoDB: shown first, then made; and how it is told from others.

The collection ``NAME.about`` holds one document, which says that ``NAME`` is one of traces and of
which schema. Nobody writes a row where it is missing or says an older schema, until ``init`` has
made what is new; a store of a newer schema is neither read nor written.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pymongo import IndexModel
from pymongo.errors import CollectionInvalid

from tracediff.stores.mongo.connection import Connection
from tracediff.stores.mongo.failures import (
    foreign,
    mongo_errors,
    newer,
    old_server,
    outdated,
    unprepared,
    unsuitable,
)
from tracediff.stores.mongo.planning import EXPIRY_INDEX, SEARCH_INDEXES

SCHEMA = 2
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


def beside_options() -> dict[str, dict[str, dict[str, Any]]]:
    """The indexes of the collections beside the rows, by the end of the collection's name."""
    expiry = {"key": {"x": 1}, "expireAfterSeconds": 0, "sparse": True}
    return {
        "parts": {"parts_expiry": expiry},
        "graves": {"graves_expiry": expiry},
        "deltas": {},
        "statistics": {"statistics_expiry": expiry},
    }


def check_form(connection: Connection) -> int:
    """The schema of the collection, if it is one of traces of this or an older schema.

    Raises:
        StoreError: ``store-unprepared``, ``store-foreign``, ``store-newer``.
    """
    with mongo_errors(connection.address, "read what the collection is"):
        found = connection.about().find_one({"_id": _ID})
    schema = _schema(connection, found)
    if schema is None:
        raise unprepared(connection.address)
    connection.erased = "erased" in (found or {})
    return schema


def check_writable(connection: Connection, schema: int) -> None:
    """Raise StoreError ``store-unprepared`` unless what is new in this schema has been made."""
    if schema < SCHEMA:
        raise outdated(connection.address, schema, SCHEMA)


def is_counted(connection: Connection) -> bool:
    """Whether the statistics know all traces: one that was upgraded has older ones."""
    found = connection.about().find_one({"_id": _ID}) or {}
    return found.get("counted") is True


def say_counted(connection: Connection) -> None:
    """Say that the statistics know all traces."""
    connection.about().update_one({"_id": _ID}, {"$set": {"counted": True}})


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
        schema = _schema(connection, connection.about().find_one({"_id": _ID}))
        if schema is None and connection.rows().find_one({}, {"_id": 1}) is not None:
            raise foreign(address, "it holds other documents")
        missing, collections = missing_indexes(connection), _missing_collections(connection)
        lines = [f"make collection {name}" for name in collections]
        lines += [
            f"make index {index} on {_said(options)}"
            for indexes in missing.values()
            for index, options in indexes.items()
        ]
        if schema is None:
            lines.append(
                f"make collection {address.collection}.about, which says that it is a store"
            )
        elif schema < SCHEMA:
            lines.append(
                f"upgrade the store from schema {schema} to {SCHEMA}: older tracediffs are refused "
                "from then on, and `tracediff stats --rebuild` counts what is there already"
            )
        if not dry_run:
            _make(connection, collections, missing, schema)
    return lines


def missing_indexes(connection: Connection) -> dict[str, dict[str, dict[str, Any]]]:
    """By collection, the indexes that are not there, or that are others under their names."""
    name = connection.address.collection
    wanted = {name: index_options()}
    wanted |= {f"{name}.{end}": indexes for end, indexes in beside_options().items() if indexes}
    database = connection.database()
    missing = {}
    for collection, indexes in wanted.items():
        there = database[collection].index_information()
        lacking = {one: opts for one, opts in indexes.items() if not _same(there, one, opts)}
        if lacking:
            missing[collection] = lacking
    return missing


def _missing_collections(connection: Connection) -> list[str]:
    """Collections beside the rows: no transaction of a recorder's should have to make them."""
    name = connection.address.collection
    wanted = [f"{name}.{end}" for end in beside_options()]
    there = connection.database().list_collection_names(filter={"name": {"$in": wanted}})
    return [one for one in wanted if one not in there]


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


def _schema(connection: Connection, about: Mapping[str, Any] | None) -> int | None:
    """The schema that the store says it has, None where nobody has prepared it."""
    if about is None:
        return None
    found = about.get("schema")
    if not isinstance(found, int) or found < 1:
        raise foreign(connection.address, "what it says of itself is not tracediff's")
    if found > SCHEMA:
        raise newer(connection.address, found)
    return found


def _make(
    connection: Connection,
    collections: list[str],
    missing: Mapping[str, Mapping[str, dict[str, Any]]],
    schema: int | None,
) -> None:
    """What is missing; that the store has this schema is said last."""
    database = connection.database()
    for name in collections:
        with contextlib.suppress(CollectionInvalid):  # somebody else was quicker
            database.create_collection(name)
    for name, indexes in missing.items():
        there = database[name].index_information()
        for index in indexes.keys() & there.keys():
            database[name].drop_index(index)
        database[name].create_indexes(
            [
                IndexModel(
                    list(options["key"].items()),
                    name=index,
                    **{option: value for option, value in options.items() if option != "key"},
                )
                for index, options in indexes.items()
            ]
        )
    if schema is None:
        made = {"schema": SCHEMA, "made": datetime.now(UTC), "counted": True}
        connection.about().update_one({"_id": _ID}, {"$setOnInsert": made}, upsert=True)
    elif schema < SCHEMA:
        upgraded = {"schema": SCHEMA, "upgraded": datetime.now(UTC)}
        connection.about().update_one({"_id": _ID, "schema": schema}, {"$set": upgraded})


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

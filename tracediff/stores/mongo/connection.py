"""A client for each process: made when it is first used, and never used after a fork."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pymongo
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient, WriteConcern
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.read_concern import ReadConcern

from tracediff.runtime import aside
from tracediff.stores.failures import closed
from tracediff.stores.mongo.address import Address, client_options
from tracediff.stores.mongo.failures import forked, mongo_errors

Document = dict[str, Any]
Client = MongoClient[Any]
ClientSource = Client | Callable[[], Client] | None

# Dates beyond the year 9999 are dates too.
_CODEC: CodecOptions[Document] = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_MS)
ACKNOWLEDGED = WriteConcern(w="majority", j=True, wtimeout=20_000)
_GOODBYE = 1.0
_READ = ReadConcern("majority")
"""What one majority has: no failover takes it back."""

_inherited: list[Client] = []
"""Clients of a parent process: letting go of one would close sockets that the parent uses."""
_forks = 0


def _after_fork() -> None:
    global _forks  # noqa: PLW0603 - the process has one such number
    _forks += 1


os.register_at_fork(after_in_child=_after_fork)


def process() -> tuple[int, int]:
    """This process; a number of its own alone may have been that of an ancestor."""
    return (os.getpid(), _forks)


class Connection:
    """The collection at an address, in this process.

    Args:
        address: Where it is.
        client: A client to use instead of an own one, or what makes one. It is the caller's, who
            closes it.
    """

    def __init__(self, address: Address, client: ClientSource = None) -> None:
        self.address = address
        self._given = client
        self._clients: dict[tuple[int, int], Client] = {}
        self._closed = False
        self.erased = False
        """Whether something was erased here, so that graves are to be looked at for all rows."""

        if isinstance(client, MongoClient):
            self._clients[process()] = client

    def client(self) -> Client:
        """This process's client. No lock is held: one might be inherited by a fork."""
        if self._closed:
            raise closed(f"cannot use {self.address.shown}")
        here = process()
        found = self._clients.get(here)
        if found is None:
            _inherited.extend(self._clients.values())
            made = self._make()
            found = self._clients.setdefault(here, made)
            if found is not made and not self._given:
                made.close()
        return found

    def _make(self) -> Client:
        if isinstance(self._given, MongoClient):
            raise forked(self.address)
        if self._given is not None:
            return self._given()
        with mongo_errors(self.address, "connect"):
            return MongoClient(self.address.url, connect=False, **client_options(self.address))

    def database(self) -> Database[Document]:
        """The database, as one reads and writes there."""
        database: Database[Document] = self.client().get_database(
            self.address.database,
            codec_options=_CODEC,
            write_concern=ACKNOWLEDGED,
            read_concern=_READ,
        )
        return database

    def rows(self) -> Collection[Document]:
        """The collection of the rows."""
        return self.database()[self.address.collection]

    def raw_rows(self) -> Collection[RawBSONDocument]:
        """The same, for documents that are encoded already."""
        rows: Collection[RawBSONDocument] = self.rows().with_options(
            codec_options=CodecOptions(document_class=RawBSONDocument)
        )
        return rows

    def about(self) -> Collection[Document]:
        """The collection that says what the other one is."""
        return self.database()[f"{self.address.collection}.about"]

    def beside(self, name: str) -> Collection[Document]:
        """The collection ``NAME.name`` beside the rows."""
        return self.database()[f"{self.address.collection}.{name}"]

    def close(self) -> None:
        """Close this process's own client; those of others stay open."""
        self._closed = True
        own = self._clients.pop(process(), None)
        _inherited.extend(self._clients.values())
        if own is not None and self._given is None:
            # It says goodbye to the server, which may be gone.
            with aside(), pymongo.timeout(_GOODBYE):
                own.close()

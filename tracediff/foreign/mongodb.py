"""Documents of a MongoDB collection as lines of JSON: the index of Trifle::Traces."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import IO, Any, Final
from urllib.parse import urlsplit, urlunsplit

from bson import json_util
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from tracediff.config import mask
from tracediff.errors import StoreError

COLLECTION: Final = "trifle_traces"
"""The collection of a URL that names none."""

_OPTION: Final = "serverselectiontimeoutms"
_MILLISECONDS: Final = 5_000


def lines(url: str) -> IO[bytes]:
    """The documents of a collection, read as they are asked for.

    Args:
        url: ``mongodb://HOST/DATABASE[.COLLECTION][?OPTIONS]``.

    Raises:
        StoreError: ``import-source``: it cannot be reached or read.
    """
    parts = urlsplit(url)
    database, _, collection = parts.path.lstrip("/").partition(".")
    server = urlunsplit(parts._replace(path="/"))
    wait: dict[str, Any] = {} if _OPTION in url.lower() else {_OPTION: _MILLISECONDS}
    with contextlib.ExitStack() as undo:
        try:
            client: MongoClient[Any] = MongoClient(server, tz_aware=True, **wait)
            undo.callback(client.close)
            found = client[database][collection or COLLECTION]
            found.database.command("ping")
        except (PyMongoError, ValueError) as error:
            raise _failed(url, error) from None
        undo.pop_all()
    return io.BufferedReader(_Lines(url, client, found.find()))


class _Lines(io.RawIOBase):
    """The documents as a stream of bytes."""

    def __init__(self, url: str, client: MongoClient[Any], found: Any) -> None:
        self._url = url
        self._client = client
        self._found: Iterator[Any] = iter(found)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            try:
                document = next(self._found, None)
            except PyMongoError as error:
                raise _failed(self._url, error) from None
            if document is None:
                return 0
            self._rest = json_util.dumps(document).encode() + b"\n"
        part = self._rest[: len(buffer)]
        self._rest = self._rest[len(part) :]
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        if not self.closed:
            self._client.close()
        super().close()


def _failed(url: str, error: Exception) -> StoreError:
    return StoreError(
        f"{mask(url)} cannot be read: {mask(str(error))[:300]}",
        slug="import-source",
        hint="name the database, and the collection if it is not trifle_traces, as in "
        "mongodb://HOST/DATABASE.COLLECTION, with credentials that may read it",
    )

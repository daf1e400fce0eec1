"""A real MongoDB for the tests: one server a process, a database a test."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pymongo
import pytest

from servers.mongod import VARIABLE, Mongod
from tracediff.stores.mongo import MongoIndex


class Place:
    """A server, and its URLs by database."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)

    def uri(self, database: str, **options: Any) -> str:
        more = "&".join(
            filter(None, [self._parts.query, *(f"{k}={v}" for k, v in options.items())])
        )
        return urlunsplit(self._parts._replace(path=f"/{database}", query=more))

    def client(self) -> pymongo.MongoClient:
        return pymongo.MongoClient(self.uri(""))


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The user's own server where there is one; else one for this process."""
    own = os.environ.get(VARIABLE)
    if own:
        yield Place(own)
        return
    with Mongod(tmp_path_factory.mktemp("mongod")) as mongod:
        yield Place(mongod.url)


def database_name(directory: Path) -> str:
    """A database for this directory: names are at most 63 bytes."""
    return "tracediff_test_" + re.sub(r"\W", "_", "_".join(directory.parts[-3:]))[-45:]


@pytest.fixture
def open_index(place: Place) -> Iterator[Callable[..., MongoIndex]]:
    """Open the index that a directory stands for; its database is dropped at the end."""
    opened: list[MongoIndex] = []

    def open_index(directory: Path, *, prepared: bool = True, **options: Any) -> MongoIndex:
        index = MongoIndex(place.uri(database_name(directory), **options))
        opened.append(index)
        if prepared:
            index.prepare()
        return index

    yield open_index
    with place.client() as client:
        for index in opened:
            index.close()
            client.drop_database(index.address.database)


@pytest.fixture
def index(open_index: Callable[..., MongoIndex], tmp_path: Path) -> MongoIndex:
    return open_index(tmp_path)


@pytest.fixture
def plain(place: Place, index: MongoIndex) -> Iterator[Any]:
    """The rows of ``index`` as pymongo alone sees them."""
    with place.client() as client:
        yield client[index.address.database][index.address.collection]


@pytest.fixture
def mongod(tmp_path: Path) -> Iterator[Mongod]:
    """A server of the test's own, to kill."""
    with Mongod(tmp_path / "mongod") as server:
        yield server

"""Stores whose rows are in a real MongoDB and whose bytes are in files or in a real S3."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pymongo
import pytest

from servers import mongod, seaweed
from tracediff.stores import open_store
from tracediff.stores.base import Store


@pytest.fixture(scope="session")
def mongo_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    own = os.environ.get(mongod.VARIABLE)
    if own:
        yield own
        return
    with mongod.Mongod(tmp_path_factory.mktemp("mongod")) as server:
        yield server.url


@pytest.fixture(scope="session")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[seaweed.Seaweed]:
    with seaweed.Seaweed(tmp_path_factory.mktemp("weed")) as server:
        yield server


def named(url: str, database: str) -> str:
    """The URL with this database."""
    base, _, query = url.partition("?")
    scheme, _, rest = base.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}/{database}" + (f"?{query}" if query else "")


@pytest.fixture
def open_remote(
    mongo_url: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Store]]:
    """Open the store that a directory stands for, with its blobs in files or in S3."""
    opened: list[Store] = []
    databases: set[str] = set()

    def open_remote(directory: Path, *, s3: bool) -> Store:
        database = "tracediff_" + re.sub(r"\W", "_", "_".join(directory.parts[-3:]))[-40:]
        databases.add(database)
        if s3:
            weed = request.getfixturevalue("weed")
            for variable, text in weed.identities["admin"].environment().items():
                monkeypatch.setenv(variable, text)
            blobs = f"s3://traces-a,traces-b/{database}?endpoint={weed.endpoint}"
        else:
            blobs = str(directory / "blobs")
        store = open_store(named(mongo_url, database), blobs=blobs)
        opened.append(store)
        store.prepare()
        return store

    yield open_remote
    for store in opened:
        store.close()
    with pymongo.MongoClient(mongo_url) as client:
        for database in databases:
            client.drop_database(database)

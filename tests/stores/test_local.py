"""The local driver, its index and its blobs against the conformance suites."""

from __future__ import annotations

import pytest

from tracediff.stores.files import FileBlobs
from tracediff.stores.local import LocalStore
from tracediff.stores.sqlite_index import SqliteIndex
from tracediff.testing import (
    BlobsConformance,
    CountingStoreConformance,
    IndexConformance,
    LiveIndexConformance,
    LiveStoreConformance,
    StoreConformance,
)


class TestIndex(IndexConformance):
    def make_index(self, directory):
        directory.mkdir(exist_ok=True)
        return SqliteIndex(directory / "index.sqlite")


class TestLiveIndex(LiveIndexConformance):
    def make_index(self, directory):
        directory.mkdir(parents=True, exist_ok=True)
        return SqliteIndex(directory / "index.sqlite")


class TestLiveStore(LiveStoreConformance):
    def make_store(self, directory):
        return LocalStore(directory)


class TestBlobs(BlobsConformance):
    def make_blobs(self, directory):
        return FileBlobs(directory)


class TestCountingStore(CountingStoreConformance):
    def make_store(self, directory):
        return LocalStore(directory)


class TestStore(StoreConformance):
    def make_store(self, directory):
        return LocalStore(directory)


class TestStoreThatSyncs(StoreConformance):
    def make_store(self, directory):
        return LocalStore(directory, durability="host")


class TestStoreWithSmallSegments(StoreConformance):
    """Each trace fills a segment, so whatever holds within one must hold across them."""

    @pytest.fixture(autouse=True)
    def roll_at_once(self, monkeypatch):
        monkeypatch.setattr("tracediff.stores.open_segment.ROLL_AT", 1)

    def make_store(self, directory):
        return LocalStore(directory)

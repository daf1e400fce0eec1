"""Whole stores on the real servers against the conformance suite."""

from __future__ import annotations

import pytest

from tracediff.model import Query
from tracediff.testing import (
    CountingStoreConformance,
    LiveStoreConformance,
    StoreConformance,
    make_trace,
)


class TestMongoAndFiles(StoreConformance):
    @pytest.fixture(autouse=True)
    def servers(self, open_remote):
        self.make_store = lambda directory: open_remote(directory, s3=False)


class TestMongoAndS3(StoreConformance):
    @pytest.fixture(autouse=True)
    def servers(self, open_remote):
        self.make_store = lambda directory: open_remote(directory, s3=True)


class TestCountingMongoAndFiles(CountingStoreConformance):
    @pytest.fixture(autouse=True)
    def servers(self, open_remote):
        self.make_store = lambda directory: open_remote(directory, s3=False)


class TestLiveMongoAndFiles(LiveStoreConformance):
    @pytest.fixture(autouse=True)
    def servers(self, open_remote):
        self.make_store = lambda directory: open_remote(directory, s3=False)


class TestLiveMongoAndS3(LiveStoreConformance):
    @pytest.fixture(autouse=True)
    def servers(self, open_remote):
        self.make_store = lambda directory: open_remote(directory, s3=True)


def test_a_trace_is_read_by_one_range_read(open_remote, tmp_path):
    store = open_remote(tmp_path, s3=True)
    store.save([make_trace(f"t{n}", result="x" * n) for n in range(50)])
    asked = []
    get = store.blobs.get
    store.blobs.get = lambda *place: asked.append(place) or get(*place)
    (row,) = store.find("t7")
    assert store.load(row) == make_trace("t7", result="x" * 7)
    assert asked == [row.location]


def test_a_trained_dictionary_makes_traces_smaller_and_both_kinds_are_read(open_remote, tmp_path):
    store = open_remote(tmp_path, s3=True)
    traces = [
        make_trace(f"t{n}", result={"price": n, "what": [f"part {n % 7} of a product"] * 3})
        for n in range(300)
    ]
    store.save(traces[:200])
    trained = store.train(Query(limit=200))
    assert trained.after < trained.before * 0.8
    store.save(traces[200:])
    sizes = {row.id: row.location[2] for row in store.search(Query(limit=300)).rows}
    assert sizes["t250"] < sizes["t50"] * 0.8
    again = open_remote(tmp_path, s3=True)
    assert again.dictionary().id == trained.id
    for n in (50, 250):
        assert again.load(again.find(f"t{n}")[0]) == traces[n]
    assert again.check() == []

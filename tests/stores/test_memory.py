"""The memory driver against the conformance suites: it is what the others are held to."""

from __future__ import annotations

from tracediff.model import Query
from tracediff.stores import open_store
from tracediff.stores.memory import MemoryBlobs, MemoryIndex, MemoryStore
from tracediff.testing import (
    BlobsConformance,
    CountingStoreConformance,
    IndexConformance,
    LiveIndexConformance,
    LiveStoreConformance,
    StoreConformance,
    make_trace,
)


class TestIndex(IndexConformance):
    def make_index(self, directory):
        return MemoryIndex()


class TestLiveIndex(LiveIndexConformance):
    def make_index(self, directory):
        return MemoryIndex()


class TestLiveStore(LiveStoreConformance):
    def make_store(self, directory):
        return MemoryStore()


class TestBlobs(BlobsConformance):
    def make_blobs(self, directory):
        return MemoryBlobs()


class TestCountingStore(CountingStoreConformance):
    def make_store(self, directory):
        return MemoryStore()


class TestStore(StoreConformance):
    def make_store(self, directory):
        return MemoryStore()


def test_a_loaded_trace_is_a_copy_as_from_any_other_store():
    trace = make_trace("a")
    store = open_store("memory:")
    store.save([trace])
    loaded = store.load(store.find("a")[0])
    assert loaded == trace
    assert loaded is not trace


def test_check_names_what_is_hurt():
    store = MemoryStore()
    store.save([make_trace("a"), make_trace("b")])
    frame = bytearray(store.blobs.get("traces/a"))
    frame[-1] ^= 1
    store.blobs.put("traces/a", frame)
    store.blobs.delete(["traces/b"])
    hurt = store.check()
    assert len(hurt) == 2
    assert any("trace a" in said for said in hurt)
    assert any("trace b" in said for said in hurt)
    assert len(store.search(Query()).rows) == 2

"""Traces behind an index and blobs of their own, with local drivers for both."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from tracediff.model import Artifact, Query
from tracediff.stores.files import FileBlobs
from tracediff.stores.memory import MemoryBlobs, MemoryIndex
from tracediff.stores.places import LARGE
from tracediff.stores.remote import RemoteStore
from tracediff.stores.sqlite_index import SqliteIndex
from tracediff.testing import StoreConformance, make_trace, refused


def artifact(data: bytes, name: str = "page.png") -> Artifact:
    sha256 = hashlib.sha256(data).hexdigest()
    return Artifact(name=name, sha256=sha256, size=len(data), data=data)


class TestRemoteStore(StoreConformance):
    def make_store(self, directory):
        directory.mkdir(parents=True, exist_ok=True)
        index = SqliteIndex(directory / "index.sqlite")
        return RemoteStore(str(directory), index, FileBlobs(directory / "blobs"))


def test_traces_share_a_segment_for_each_retention_class():
    store = RemoteStore("test:", MemoryIndex(), MemoryBlobs())
    days = [None, 1, 2, 3, 30, 365, 366]
    store.save([make_trace(f"t{n}", retention=one) for n, one in enumerate(days)])
    kept = {row.id: row.location[0].split("/")[0] for row in store.search(Query()).rows}
    assert [kept[f"t{n}"] for n in range(7)] == ["keep", "1d", "3d", "3d", "30d", "365d", "keep"]
    assert len(list(store.blobs.keys())) == 5


def test_a_large_artifact_lies_beside_its_segment_and_comes_back():
    store = RemoteStore("test:", MemoryIndex(), MemoryBlobs())
    large, small = artifact(b"x" * (LARGE + 1)), artifact(b"y", "note.txt")
    trace = make_trace("a", artifacts=(large, small), retention=30)
    store.save([trace])
    (row,) = store.find("a")
    assert row.location[2] < LARGE
    (beside,) = store.blobs.keys("30d/artifacts/")
    assert store.load(row) == trace
    store.blobs.put(beside, b"z" * (LARGE + 1))
    with refused("trace-hurt"):
        store.load(row)
    store.blobs.delete([beside])
    assert store.load(row) == replace(trace, artifacts=(replace(large, data=None), small))


def test_an_artifact_that_is_not_what_it_says_stays_in_its_trace():
    store = RemoteStore("test:", MemoryIndex(), MemoryBlobs())
    trace = make_trace("a", artifacts=(replace(artifact(b"x" * (LARGE + 1)), sha256="0" * 64),))
    store.save([trace])
    assert store.load(store.find("a")[0]) == trace

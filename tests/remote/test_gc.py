"""Cleaning up and erasing where rows are in MongoDB: what goes, what stays, and what is safe."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import time
from itertools import islice

import pytest

from tracediff.errors import StoreError
from tracediff.model import Artifact, Query
from tracediff.stores.memory import MemoryStore
from tracediff.stores.moving import STALE
from tracediff.stores.upkeep.base import kept_of
from tracediff.stores.upkeep.chosen import Chosen
from tracediff.stores.upkeep.collecting import SAFE, Wish, collect
from tracediff.stores.upkeep.erasing import Demand, Erasure, finish_notes, pending, verify
from tracediff.testing import make_parts, make_trace

DAY = 86_400 * 10**9


def large(text: str) -> Artifact:
    data = (text * 70_000).encode()[:70_000]
    sha256 = hashlib.sha256(data).hexdigest()
    return Artifact(name=text, sha256=sha256, size=len(data), data=data)


def some(count: int, **fields) -> list:
    now = time.time_ns()
    made = {"started_at": now, "retention": 90, **fields}
    return [make_trace(f"t{number:03d}", tags=(f"n:{number}",), **made) for number in range(count)]


def run(store, **wish):
    return collect(
        kept_of(store), Wish(**{"grace": 0.0, "unsafe": True, **wish}), lambda *told: None
    )


def erase(store, tmp_path, *tags: str, spool=None, **more):
    demand = Demand(
        queries=tuple(Query(tags=(tag,)) for tag in tags), said=tags, reason="asked", wait=1.0,
        **more,
    )  # fmt: skip
    with Chosen() as chosen:
        one = Erasure(
            store, kept_of(store), chosen, demand, blobs=store.blobs, root=tmp_path, spool=spool,
            progress=lambda *told: None,
        )  # fmt: skip
        return one.done(one.selected().bytes)


def segments(store) -> list[str]:
    return [key for key in store.blobs.keys("") if "/segments/" in key]


def artifacts(store) -> set[str]:
    return {key.rpartition("/")[2] for key in store.blobs.keys("") if "/artifacts/" in key}


@pytest.fixture(params=[False, True], ids=["files", "s3"])
def store(request, open_remote, tmp_path):
    return open_remote(tmp_path, s3=request.param)


def test_deleted_traces_go_and_what_lives_is_moved_and_reads_as_before(store):
    traces = some(10, artifacts=(large("shared"),))
    traces[3] = dataclasses.replace(traces[3], artifacts=(large("own"),))
    store.save(traces)
    (before,) = segments(store)
    old = store.find("t001", 1)[0]
    store.delete(["t003", "t005", "t007"])
    would = run(store, dry_run=True)
    assert segments(store) == [before]
    found = run(store)
    assert {one: amount.count for one, amount in found.freed.items()} == {
        "orphaned": 3, "artifact": 1,
    }  # fmt: skip
    assert found.freed == would.freed
    (after,) = segments(store)
    assert after != before
    assert artifacts(store) == {large("shared").sha256}
    rest = [one for one in traces if one.id not in ("t003", "t005", "t007")]
    assert [store.load(store.find(one.id, 1)[0]) for one in rest] == rest
    assert store.load(old) == traces[1]  # by a row that was read before
    assert [data for _, data in store.load_packed([old])] != []
    assert run(store).bytes == 0


def test_what_nobody_has_a_row_of_is_left_alone_until_the_grace_is_over(store):
    store.save(some(2, artifacts=(large("one"),)))
    store.index.delete(["t000", "t001"])
    found = run(store, grace=3600.0)
    assert found.bytes == 0
    assert found.left["young"].bytes > 0
    assert len(segments(store)) == 1
    found = run(store)
    assert found.removed.count == 1
    assert segments(store) == []
    assert artifacts(store) == set()


def test_expired_rows_and_their_bytes_go(store):
    store.save(some(4, started_at=time.time_ns() - 2 * DAY, retention=1))
    store.save([dataclasses.replace(make_trace("kept"), retention=None)])
    found = run(store)
    assert found.freed["expired"].count == 4
    assert [row.id for row in store.search(Query()).rows] == ["kept"]
    assert len(segments(store)) == 1
    assert store.load(store.find("kept", 1)[0]).id == "kept"


def test_a_trace_that_was_lost_before_its_job_was_ignored_goes(store):
    parts = [part for one in some(2) for part in make_parts(one, 3)[:2]]
    store.save_parts(parts)
    store.index.lose([part.row for part in parts])
    store.ignore(["t000"])
    assert len(store.search(Query()).rows) == 2
    assert run(store, dry_run=True).rows == 1
    found = run(store)
    assert (found.rows, [row.id for row in store.search(Query()).rows]) == (1, ["t001"])
    assert all(one.equal for one in store.verify_statistics())
    assert run(store).bytes == 0


def test_a_copy_that_an_interrupted_run_left_goes_and_its_trace_stays(store):
    traces = some(3)
    store.save(traces)
    (key,) = segments(store)
    again = key.replace(".seg", "~18ebac3319ee612d-7ce662bc4249.seg")
    store.blobs.put(again, store.blobs.get(key))
    found = run(store)
    assert found.freed["duplicate"].count == 3
    assert segments(store) == [key]
    assert [store.load(store.find(one.id, 1)[0]) for one in traces] == traces


def test_an_erasure_reaches_a_copy_and_leaves_the_artifacts_of_both(store, tmp_path):
    traces = [dataclasses.replace(one, artifacts=(large(one.id),)) for one in some(3)]
    store.save(traces)
    (key,) = segments(store)
    store.blobs.put(key.replace(".seg", "~18ebac3319ee612d-7ce662bc4249.seg"), store.blobs.get(key))
    assert erase(store, tmp_path, "n:1").verified
    assert b'"n:1"' not in b"".join(store.blobs.get(key) for key in segments(store))
    assert artifacts(store) == {large(name).sha256 for name in ("t000", "t002")}
    assert [store.load(store.find(one.id, 1)[0]) for one in traces[::2]] == traces[::2]


def test_a_row_that_comes_while_its_segment_is_looked_at_keeps_it(store):
    store.save(some(3))
    rows = store.search(Query()).rows
    store.index.delete([row.id for row in rows])
    kept = kept_of(store)
    with kept.opened(segments(store)[0]) as segment:
        store.index.create(rows)
        assert not kept.removed(segment)
    assert [store.load(row).id for row in rows] == [row.id for row in rows]


def test_a_second_run_says_that_there_is_one(store):
    with kept_of(store).alone(), pytest.raises(StoreError) as raised:
        run(store)
    assert raised.value.slug == "gc-running"
    assert f"process {os.getpid()}" in raised.value.message
    run(store)  # the first has ended


def test_a_grace_that_is_too_short_for_recorders_is_refused(store):
    assert SAFE >= STALE + 3600.0
    with pytest.raises(StoreError) as raised:
        collect(kept_of(store), Wish(grace=SAFE - 1), lambda *told: None)
    assert raised.value.slug == "grace-unsafe"
    collect(kept_of(store), Wish(grace=0.0, dry_run=True), lambda *told: None)


def test_a_store_in_memory_is_refused():
    with pytest.raises(StoreError) as raised:
        kept_of(MemoryStore())
    assert raised.value.slug == "gc-unsupported"


def test_what_carries_a_tag_is_erased_at_once_and_verified(store, tmp_path):
    traces = some(6, artifacts=(large("shared"),))
    traces[2] = dataclasses.replace(traces[2], artifacts=(large("own"), large("shared")))
    store.save(traces)
    (before,) = segments(store)
    done = erase(store, tmp_path, "n:2")
    assert (done.traces, done.verified, done.artifacts) == (1, True, 1)
    assert list(done.segments) == [before]
    assert artifacts(store) == {large("shared").sha256}
    found = b"".join(store.blobs.get(key) for key in segments(store))
    assert b"n:2" not in found
    assert b"n:3" in found
    rest = [one for one in traces if one.id != "t002"]
    assert [store.load(store.find(one.id, 1)[0]) for one in rest] == rest
    assert verify(store, kept_of(store), done, lambda *told: None, None) == []
    assert "t002" not in str(done.document())
    assert "n:2" not in str(done.document())


def test_an_erased_trace_does_not_come_back_when_its_rows_are_sent_again(store, tmp_path):
    store.save(some(3))
    rows = store.search(Query()).rows
    done = erase(store, tmp_path, "n:1")
    store.index.create(rows)
    assert [row.id for row in store.search(Query()).rows] == ["t002", "t000"]
    assert verify(store, kept_of(store), done, lambda *told: None, None) == []


def test_an_erasure_that_was_interrupted_is_finished_by_the_next_run(store, tmp_path, monkeypatch):
    store.save(some(20))
    monkeypatch.setattr(Erasure, "_rewrite", lambda *given: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        erase(store, tmp_path, "n:2")
    notes = pending(store.blobs)
    urgent = [key for keys in notes.values() for key in keys]
    assert urgent == segments(store)
    wish = Wish(grace=86_400.0)  # the segment is young
    collect(kept_of(store), wish, lambda *told: None, urgent=urgent)
    assert finish_notes(kept_of(store), store.blobs, notes) == []
    assert pending(store.blobs) == {}
    assert b'n:2"' not in b"".join(store.blobs.get(key) for key in segments(store))
    assert len(list(islice(store.search(Query()).rows, 50))) == 19


def test_a_receipt_that_is_no_longer_true_is_found_out(store, tmp_path):
    store.save(some(3))
    done = erase(store, tmp_path, "n:1")
    store.index._connection.beside("graves").delete_many({})
    store.save([some(2)[1]])
    assert verify(store, kept_of(store), done, lambda *told: None, None) == ["the row of t001"]

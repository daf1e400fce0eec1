"""Cleaning up and erasing a directory: what goes, what stays, and who is left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tracediff.errors import StoreError
from tracediff.model import Query
from tracediff.stores.local import LocalStore
from tracediff.stores.segments import Damage, scan, tombstone_frame, trace_frame
from tracediff.stores.upkeep.base import Living, kept_of
from tracediff.stores.upkeep.chosen import Chosen
from tracediff.stores.upkeep.collecting import Wish, collect
from tracediff.stores.upkeep.decisions import judge, plan
from tracediff.stores.upkeep.erasing import Demand, Erasure
from tracediff.testing import make_parts, make_trace

DAY = 86_400 * 10**9
ROOT = Path(__file__).parents[2]


def some(count: int, first: int = 0, **fields) -> list:
    made = {"started_at": time.time_ns(), **fields}
    return [make_trace(f"t{n:03d}", tags=(f"n:{n}",), **made) for n in range(first, first + count)]


def filled(directory: Path, *batches: list) -> LocalStore:
    """A store with a segment for each batch, none of which anybody writes."""
    for batch in batches:
        store = LocalStore(directory)
        store.save(batch)
        store.close()
    return LocalStore(directory)


def run(store, **wish):
    return collect(kept_of(store), Wish(**{"grace": 0.0, **wish}), lambda *told: None)


def erase(store, root: Path, *tags: str, wait: float = 1.0):
    queries = tuple(Query(tags=(tag,)) for tag in tags)
    demand = Demand(queries=queries, said=tags, reason="asked", wait=wait)
    with Chosen() as chosen:
        one = Erasure(store, kept_of(store), chosen, demand, blobs=store.blobs, root=root,
                      spool=None, progress=lambda *told: None)  # fmt: skip
        return one.done(one.selected().bytes)


def segments(store) -> list[Path]:
    return sorted((store.directory / "segments").glob("*.seg"))


def ids(store) -> set[str]:
    return {row.id for row in store.search(Query(limit=1000)).rows}


def everything(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())


def test_expired_and_deleted_traces_go_and_nothing_else(tmp_path):
    old = some(5, 10, started_at=time.time_ns() - 2 * DAY, retention=1)
    store = filled(tmp_path / "s", some(10), old, some(5, 20) + some(2, 30, retention=1))
    store.delete([f"t{n:03d}" for n in range(20, 25)])
    would = run(store, dry_run=True)
    assert len(ids(store)) == 17
    found = run(store)
    assert (found.freed["expired"].count, found.freed["deleted"].count) == (5, 5)
    assert (would.freed["expired"], would.freed["deleted"]) == (
        found.freed["expired"], found.freed["deleted"],
    )  # fmt: skip
    want = {*(f"t{n:03d}" for n in range(10)), "t030", "t031"}
    assert ids(store) == want
    assert store.check() == []
    again = run(store)
    assert (again.bytes, again.rewritten.count) == (0, 0)
    store.close()
    for path in tmp_path.glob("s/index.sqlite*"):
        path.unlink()
    with_new_index = LocalStore(tmp_path / "s")
    assert ids(with_new_index) == want  # nothing comes back
    with_new_index.close()


def test_a_deletion_is_remembered_while_any_frame_of_the_trace_is_left(tmp_path):
    store = filled(tmp_path / "s", some(1), some(3, 10))
    other = LocalStore(tmp_path / "s")
    other.save(some(40, 100))  # it goes on writing this one
    store.delete(["t000", "t100"])
    run(store)
    assert run(store, dry_run=True).left["busy"].count == 1
    other.close()
    store.close()
    for path in tmp_path.glob("s/index.sqlite*"):
        path.unlink()
    store = LocalStore(tmp_path / "s")
    assert "t100" not in ids(store)
    run(store, thorough=True)
    run(store, thorough=True)
    assert b"t100" not in everything(tmp_path / "s" / "segments")
    store.close()


def test_what_a_living_process_writes_is_left_alone(tmp_path):
    store = filled(tmp_path / "s", some(3))
    other = LocalStore(tmp_path / "s")
    other.save(some(3, 10))
    store.delete(["t010"])
    found = run(store)
    assert found.left["busy"].count == 1
    other.save(some(3, 20))
    other.close()
    assert ids(store) == {"t000", "t001", "t002", "t011", "t012", "t020", "t021", "t022"}
    assert store.check() == []
    store.close()


def test_leftovers_go_when_they_are_old_enough(tmp_path):
    store = filled(tmp_path / "s", some(1))
    for name in (".tmp-1", "segments/.tmp-2", "index.sqlite.hurt", "index.sqlite-wal.hurt"):
        (tmp_path / "s" / name).write_bytes(b"12345678")
    assert run(store, grace=3600.0).freed == {}
    found = run(store)
    assert {one: (a.count, a.bytes) for one, a in found.freed.items()} == {
        "temporary": (2, 16), "hurt index": (2, 16),
    }  # fmt: skip
    assert len(everything(tmp_path / "s").split(b"12345678")) == 1
    store.close()


def test_a_segment_with_hurt_bytes_is_left_unless_asked_for(tmp_path):
    store = filled(tmp_path / "s", some(3))
    (path,) = segments(store)
    with path.open("ab") as file:
        file.write(b"nobody's" + tombstone_frame("x", 0))
    store.close()
    store = LocalStore(tmp_path / "s")
    store.delete(["t001"])
    assert run(store).left["hurt"].count > 0
    assert path.exists()
    run(store, thorough=True)
    (_, *rest) = (one for one in segments(store) if b"nobody's" in one.read_bytes())
    assert rest == []
    assert ids(store) == {"t000", "t002"}
    store.close()


def test_a_full_disk_loses_nothing(tmp_path, monkeypatch):
    store = filled(tmp_path / "s", some(10))
    store.delete([f"t{n:03d}" for n in range(5)])
    from tracediff.stores import open_segment

    def full(descriptor, data):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(open_segment, "write_all", full)
        with pytest.raises(StoreError) as raised:
            run(store)
    assert raised.value.slug == "store-full"
    assert ids(store) == {f"t{n:03d}" for n in range(5, 10)}
    assert store.check() == []
    assert run(store).freed["deleted"].count == 5
    store.close()


def test_erasing_leaves_no_byte_of_it(tmp_path):
    store = filled(tmp_path / "s", some(10), some(10, 20))
    check = tmp_path / ".tracediff" / "check" / "20260101"
    check.mkdir(parents=True)
    (check / "rows").write_bytes(b"\0\1t003\0")
    done = erase(store, tmp_path, "n:3", "n:25")
    assert (done.traces, done.verified) == (2, True)
    assert done.caches == (".tracediff/check/20260101",)
    left = everything(tmp_path)
    assert b'"n:3"' not in left
    assert b'"n:25"' not in left
    assert b'"n:4"' in left
    assert len(ids(store)) == 18
    assert store.check() == []
    store.close()


def test_erasing_takes_kept_checks_that_cannot_be_looked_into(tmp_path):
    store = filled(tmp_path / "s", some(3))
    checks = tmp_path / ".tracediff" / "check"
    checks.mkdir(parents=True)
    (checks / "loop").symlink_to("loop")  # no file of it can be read
    with (checks / "large").open("wb") as file:
        file.truncate((1 << 30) + 1)
    (checks / "other").write_bytes(b"t002")
    assert erase(store, tmp_path, "n:9").caches == ()
    done = erase(store, tmp_path, "n:1")
    assert done.caches == (".tracediff/check/large", ".tracediff/check/loop")
    assert done.verified
    assert [one.name for one in checks.iterdir()] == ["other"]
    store.close()


def test_erasing_tells_of_a_kept_check_that_cannot_be_removed(tmp_path, monkeypatch):
    from tracediff.stores.upkeep import caches

    store = filled(tmp_path / "s", some(3))
    check = tmp_path / ".tracediff" / "check" / "now"
    check.mkdir(parents=True)
    (check / "rows").write_bytes(b"t001")
    stuck = SimpleNamespace(rmtree=lambda path, ignore_errors: None)
    monkeypatch.setattr(caches, "shutil", stuck)
    done = erase(store, tmp_path, "n:1")
    assert done.caches == ()
    assert done.remaining == (".tracediff/check/now cannot be removed: do so by hand",)
    assert not done.verified
    store.close()


def test_a_process_that_has_the_segment_open_goes_on_in_another(tmp_path):
    writer = LocalStore(tmp_path / "s")
    writer.save(some(5))
    store = LocalStore(tmp_path / "s")
    done = erase(store, tmp_path, "n:3", wait=0.0)
    assert not done.verified
    assert "t003" not in ids(store)

    kept = kept_of(store)
    with kept.opened(f"segments/{segments(store)[0].name}") as segment:
        assert segment.busy
        kept.ask_for(segment)
    writer.save(some(1, 10))  # now it gives the first one up
    kept.close()
    run(store, thorough=True)
    assert b'"n:3"' not in everything(tmp_path / "s" / "segments")
    assert ids(store) == {"t000", "t001", "t002", "t004", "t010"}
    writer.close()
    store.close()


KILLED = """
import sys, time
from tracediff.stores.local import LocalStore
from tracediff.stores.upkeep.base import kept_of
from tracediff.stores.upkeep.collecting import Wish, collect
store = LocalStore(__import__("pathlib").Path(sys.argv[1]))
print("ready", flush=True)
collect(kept_of(store), Wish(grace=0.0, thorough=True), lambda *told: time.sleep(0.002))
store.close()
"""


@pytest.mark.slow
def test_runs_that_are_killed_anywhere_lose_nothing_and_leave_nothing_twice(tmp_path, faker_seed):
    batches = [some(8, 10 * n) for n in range(12)]
    store = filled(tmp_path / "s", *batches)
    gone = {f"t{10 * n + 1:03d}" for n in range(12)}
    store.delete(gone)
    store.close()
    want = {one.id for batch in batches for one in batch} - gone
    for _ in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path / "s")], cwd=ROOT, text=True,
            stdout=subprocess.PIPE,
        )  # fmt: skip
        with process:
            process.stdout.readline()
            time.sleep(faker_seed.uniform(0, 0.12))
            process.send_signal(signal.SIGKILL)
        store = LocalStore(tmp_path / "s")
        assert ids(store) == want
        assert store.check() == []
        store.close()
    store = LocalStore(tmp_path / "s")
    run(store, thorough=True)
    frames = [one.id for path in segments(store) for one in scan(path.read_bytes())
              if not isinstance(one, Damage) and one.kind == 0]  # fmt: skip
    assert sorted(frames) == sorted(want)
    assert store.check() == []
    store.close()


@pytest.fixture
def faker_seed():
    import random

    return random.Random(int(os.environ["SEED"]))


def frames(*made: bytes):
    return list(scan(b"".join(made)))


def test_every_frame_is_judged_by_the_row_that_points_to_it():
    made = [trace_frame(one, b'{"expires_at":5}', b"") for one in ("a", "b", "c", "d")]
    items = frames(*made, trace_frame("e", b"{}", b""), tombstone_frame("c", 0))
    size = items[0].length
    living = {
        "a": Living(places={-1: ("k", 0, size)}),
        "b": Living(places={-1: ("other", size, size)}),
    }
    found = judge("k", items, living, {"c": 0}, 10)
    assert [(one.id, fate) for one, fate in found.dead] == [
        ("b", "duplicate"), ("c", "deleted"), ("d", "expired"), ("e", "orphaned"),
    ]  # fmt: skip
    assert [one.id for one in found.kept] == ["a", "c"]
    assert judge("k", items[:1], living, {}, 10).dead == []


@pytest.mark.parametrize(
    ("dead", "living", "thorough", "want"),
    [(0, 5, False, "leave"), (1, 9, False, "leave"), (1, 9, True, "rewrite"),
     (3, 7, False, "rewrite"), (5, 0, False, "remove")],
)  # fmt: skip
def test_a_segment_is_written_anew_when_that_frees_enough(dead, living, thorough, want):
    items = frames(*(trace_frame(f"t{n}", b"{}", b"") for n in range(dead + living)))
    size = items[0].length
    rows = {f"t{n}": Living(places={-1: ("k", size * n, size)}) for n in range(dead, dead + living)}
    found = judge("k", items, rows, {}, 10)
    assert plan(found, sum(one.length for one in items), thorough=thorough) == want


def test_a_running_trace_that_was_deleted_stays_so_whatever_gc_forgets(tmp_path):
    store = LocalStore(tmp_path / "s")
    parts = make_parts(some(1)[0], 4)
    store.save_parts(parts[:1])
    store.delete(["t000"])
    assert run(store).tombstones == 0
    store.save_parts(parts[1:2])
    assert ids(store) == set()
    store.save_parts(parts[2:])  # it has ended: nothing more can come
    assert run(store).tombstones == 1
    store.close()

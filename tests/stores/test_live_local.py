"""Live traces of a local store: rebuilt from its segments, and lost when their process dies."""

from __future__ import annotations

import itertools
import os
import time

import pytest

from tracediff.model import Query
from tracediff.stores import liveness
from tracediff.stores.local import LocalStore
from tracediff.stores.packing import pack, pack_part
from tracediff.stores.segments import tombstone_frame
from tracediff.testing import make_parts, make_trace

TRACE = make_trace("a")
PARTS = make_parts(TRACE, 3)

BEGIN = """
from tracediff.testing import make_parts
store = LocalStore(Path(sys.argv[1]))
parts = make_parts(make_trace("a"), 4)
store.save_parts(parts[:2])
print("begun", flush=True)
"""


@pytest.fixture(autouse=True)
def look_always(monkeypatch):
    monkeypatch.setattr("tracediff.stores.local.LOOK", 0)


def states(store) -> dict[str, str]:
    return {row.id: row.state for row in store.search(Query()).rows}


def frames_of(trace, count):
    return [pack_part(part).frame for part in make_parts(trace, count)]


def write_segments(directory, *segments):
    place = directory / "segments"
    place.mkdir(parents=True)
    for number, frames in enumerate(segments):
        (place / f"{number}.seg").write_bytes(b"".join(frames))


def test_a_rebuild_finds_the_parts_in_any_order_of_segments(tmp_path):
    for order in itertools.permutations(range(3)):
        directory = tmp_path / "".join(map(str, order))
        segments = [[frame] for frame in frames_of(TRACE, 3)]
        write_segments(directory, *(segments[number] for number in order))
        store = LocalStore(directory)
        (row,) = store.search(Query()).rows
        assert (row.state, row.parts) == ("success", 3)
        assert store.load(row) == TRACE
        assert store.check() == []
        store.close()


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_a_deleted_live_trace_stays_so_and_one_saved_after_it_is_there(tmp_path, order):
    new = make_trace("a", result="new")
    segments = [frames_of(TRACE, 3), [tombstone_frame("a", 0)], [pack(new, 1).frame]]
    write_segments(tmp_path / "gone", *(segments[number] for number in order if number < 2))
    write_segments(tmp_path / "again", *(segments[number] for number in order))
    for name, traces in (("gone", []), ("again", [new])):
        store = LocalStore(tmp_path / name)
        assert [store.load(row) for row in store.search(Query()).rows] == traces
        assert store.check() == []
        store.close()


def test_a_rebuild_makes_lost_what_ran_in_processes_that_are_gone(tmp_path, run):
    run(BEGIN + "os._exit(0)", tmp_path)
    store = LocalStore(tmp_path)
    store.save_parts([*make_parts(make_trace("mine"))[:1], *make_parts(make_trace("ended"))])
    (tmp_path / "index.sqlite").unlink()
    want = {"a": "lost", "mine": "running", "ended": "success"}
    assert states(store) == want
    store.close()
    store = LocalStore(tmp_path)
    assert states(store) == want
    trace = store.load(store.find("a")[0])
    assert (trace.state, len(trace.steps)) == ("lost", 3)
    assert store.check() == []
    store.close()


def test_when_a_process_is_killed_its_live_traces_are_lost_to_who_looks(tmp_path, start):
    store = LocalStore(tmp_path)
    process = start(BEGIN + "time.sleep(60)", tmp_path)
    assert process.stdout.readline() == "begun\n"
    assert states(store) == {"a": "running"}
    process.kill()
    process.wait()
    assert states(store) == {"a": "lost"}
    assert store.find("a")[0].state == "lost"
    assert list((tmp_path / "live").iterdir()) == []
    store.close()


def test_a_process_that_goes_on_ends_its_traces_whatever_else_is_opened(tmp_path, start):
    process = start(BEGIN + "sys.stdin.readline()\nstore.save_parts(parts[2:])", tmp_path, stdin=-1)
    assert process.stdout.readline() == "begun\n"
    for _ in range(2):
        store = LocalStore(tmp_path)
        assert states(store) == {"a": "running"}
        store.close()
    process.communicate("go on\n")
    store = LocalStore(tmp_path)
    assert store.load(store.find("a")[0]) == TRACE
    store.close()


def test_a_child_keeps_no_trace_of_its_parent_alive(tmp_path, start):
    code = """
    if not os.fork():
        store.save_parts(make_parts(make_trace("child"))[:1])
        print(os.getpid(), flush=True)
        time.sleep(60)
    time.sleep(60)
    """
    process = start(BEGIN + code.replace("\n    ", "\n"), tmp_path)
    assert process.stdout.readline() == "begun\n"
    child = int(process.stdout.readline())
    store = LocalStore(tmp_path)
    assert states(store) == {"a": "running", "child": "running"}
    process.kill()
    process.wait()
    assert states(store) == {"a": "lost", "child": "running"}
    os.kill(child, 9)
    until = time.monotonic() + 30
    while states(store)["child"] != "lost":
        assert time.monotonic() < until
    store.close()


def test_traces_that_go_on_in_another_store_object_are_not_lost(tmp_path):
    store = LocalStore(tmp_path)
    store.save_parts(PARTS[:1])
    store.close()
    store = LocalStore(tmp_path)
    assert states(store) == {"a": "running"}
    store.save_parts(PARTS[1:])
    store.close()
    assert list((tmp_path / "live").iterdir()) == []


def test_where_nothing_can_be_written_what_runs_is_left_as_it_is(tmp_path, run, monkeypatch):
    run(BEGIN + "os._exit(0)", tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    store = LocalStore(tmp_path)
    assert store.read_only
    assert states(store) == {"a": "running"}
    assert store.load(store.find("a")[0]).state == "running"
    store.close()


def test_a_file_of_live_traces_stays_short(tmp_path, monkeypatch):
    monkeypatch.setattr(liveness, "_LONG", 1000)
    file = liveness.LiveFile(tmp_path)
    file.begin([make_parts(make_trace("stays"))[0].row], "keep/1.seg")
    for number in range(100):
        row = make_parts(make_trace(f"t{number}"))[0].row
        file.begin([row])
        file.end([row.id])
        (path,) = (tmp_path / "live").iterdir()
        assert path.stat().st_size < 1200
    assert liveness.living(tmp_path) == {"stays"}
    path.unlink()
    file.begin([make_parts(make_trace("new"))[0].row])
    assert liveness.living(tmp_path) == {"stays", "new"}
    file.close()
    assert liveness.living(tmp_path) == {"stays", "new"}
    file.end(["stays", "new"])
    file.close()
    assert list((tmp_path / "live").iterdir()) == []


def test_lines_of_a_live_file_that_are_none_say_nothing(tmp_path):
    place = tmp_path / "live"
    place.mkdir()
    (place / "a.live").write_bytes(
        b'\xff\n[]\n["begin"]\n["begin", "a b", "k", 1]\n["begin", "x", "k", true]\n'
        b'["begin", "big", "k", ' + b"9" * 40 + b"]\n" + b"[" * 5000 + b"\n5\n"
        b'["begin", "good", "k", 1]\n["begin", "ended", "k", 1]\n["end", "ended"]\n["begin", "torn'
    )
    lost = []
    liveness.settle(tmp_path, lost.extend)
    assert [row.id for row in lost] == ["x", "good"]
    assert list(place.iterdir()) == []

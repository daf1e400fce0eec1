"""Traces on their way: the spool before a store on another machine, and what moves them."""

from __future__ import annotations

import fcntl
import hashlib
import importlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tracediff.errors import StoreError
from tracediff.model import Artifact, Query
from tracediff.stores import shipping
from tracediff.stores.files import TEMPORARY, FileBlobs
from tracediff.stores.memory import MemoryBlobs, MemoryIndex
from tracediff.stores.open_segment import OpenSegment, Ownership
from tracediff.stores.places import LARGE
from tracediff.stores.remote import RemoteStore
from tracediff.stores.segments import scan
from tracediff.stores.spool import SpoolStore
from tracediff.stores.spooled import waiting
from tracediff.stores.sqlite_index import SqliteIndex
from tracediff.testing import make_trace, refused


class Away:
    """A store that can be out of reach, and refuse a row."""

    def __init__(self) -> None:
        self.index, self.blobs = MemoryIndex(), MemoryBlobs()
        self.down = False
        self.poison = ""
        self.attempts = 0
        self.store = RemoteStore("away:", self, self.blobs)

    def open(self) -> RemoteStore:
        self.attempts += 1
        if self.down:
            raise StoreError("it is down", slug="store-unreachable", hint="wait")
        return self.store

    def create(self, rows):
        if any(row.id == self.poison for row in rows):
            raise StoreError("this row is not taken", slug="row-invalid", hint="none")
        if self.down:
            raise StoreError("it is down", slug="store-unreachable", hint="wait")
        self.index.create(rows)

    def __getattr__(self, name):
        return getattr(self.index, name)

    def ids(self) -> list[str]:
        return sorted(row.id for row in self.index.search(Query(limit=10_000)).rows)


@pytest.fixture
def away() -> Away:
    return Away()


@pytest.fixture
def spool(tmp_path, away):
    made = SpoolStore(tmp_path / "spool", away.open, upload_every=0.05)
    yield made
    made.close()


def poll(condition, seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_what_was_saved_arrives_by_itself_and_leaves_nothing_behind(spool, away):
    traces = [make_trace(f"t{n}", result=n, retention=n) for n in range(5)]
    spool.save(traces)
    poll(lambda: len(away.ids()) == 5)
    for trace in traces:
        assert away.store.load(away.store.find(trace.id)[0]) == trace
    poll(lambda: waiting(spool.directory).bytes == 0)


def test_saving_asks_nobody_and_waits_for_nobody(tmp_path, away):
    away.down = True
    spool = SpoolStore(tmp_path / "spool", away.open, upload_every=3600)
    spool.save([make_trace("a")])
    assert away.attempts == 0
    assert waiting(spool.directory).segments == 1
    assert not spool.flush()
    away.down = False
    assert spool.flush(20)
    assert away.ids() == ["a"]
    spool.close()


def test_a_flush_that_is_patient_waits_until_the_store_is_back(tmp_path, away):
    away.down = True
    spool = SpoolStore(tmp_path / "spool", away.open, upload_every=3600)
    spool.save([make_trace("a")])
    assert not spool.flush(0.2)
    assert not spool.flush(20, patient=False)
    timer = threading.Timer(0.3, lambda: setattr(away, "down", False))
    timer.start()
    assert spool.flush(20)
    timer.join()
    assert away.ids() == ["a"]
    spool.close()


def large_artifact() -> Artifact:
    data = bytes(range(256)) * (LARGE // 256 + 1)
    return Artifact(name="p", sha256=hashlib.sha256(data).hexdigest(), size=len(data), data=data)


def test_large_artifacts_travel_beside_their_segment(spool, away):
    trace = make_trace("a", artifacts=(large_artifact(),), retention=30)
    spool.save([trace])
    assert spool.flush(20)
    assert away.store.load(away.store.find("a")[0]) == trace
    assert waiting(spool.directory).bytes == 0


def test_a_row_that_the_index_does_not_take_is_set_aside_and_the_others_arrive(spool, away):
    away.poison = "t1"
    spool.save([make_trace(f"t{n}") for n in range(3)])
    assert spool.flush(20)
    assert away.ids() == ["t0", "t2"]
    assert [path.name for path in (spool.directory / "rejected").iterdir()] == ["t1.seg"]


def test_a_full_spool_refuses_and_takes_again_when_it_was_emptied(tmp_path, away):
    away.down = True
    spool = SpoolStore(tmp_path / "spool", away.open, upload_every=3600, max_bytes=3000)
    with refused("spool-full"):
        for n in range(100):
            spool.save([make_trace(f"t{n:03}", result=os.urandom(500))])
    kept = waiting(spool.directory)
    assert 0 < kept.bytes <= 3000
    away.down = False
    assert spool.flush(20)
    spool.save([make_trace("later")])
    assert spool.flush(20)
    assert "later" in away.ids()
    spool.close()


def frames(spool: SpoolStore) -> list[str]:
    """The ids of all frames that wait."""
    paths = sorted(spool.directory.glob("segments/*/*.seg"))
    return [frame.id for path in paths for frame in scan(path.read_bytes())]


def test_a_batch_that_fails_half_way_is_not_there_twice_when_it_is_saved_again(tmp_path, away):
    spool = SpoolStore(tmp_path / "spool", away.open, upload_every=3600)
    spool.save([make_trace("before", retention=1)])
    in_the_way = spool.directory / "segments" / "30d"
    in_the_way.write_text("")
    batch = [make_trace("a", retention=1), make_trace("b", retention=30)]
    with refused("store-io"):
        spool.save(batch)
    assert frames(spool) == ["before"]
    in_the_way.unlink()
    spool.save(batch)
    assert frames(spool) == ["before", "a", "b"]
    assert spool.flush(20)
    spool.close()


def test_a_half_written_artifact_of_a_killed_process_stops_nothing(spool, away):
    data = os.urandom(LARGE + 1)
    page = Artifact(name="p", sha256=hashlib.sha256(data).hexdigest(), size=len(data), data=data)
    spool.save([make_trace("a", artifacts=(page,))])
    (beside,) = spool.directory.glob("artifacts/*/*")
    (beside / f"{TEMPORARY}0123").write_bytes(data[:100])
    (beside / "foreign").write_bytes(b"")
    assert spool.flush(20)
    assert away.ids() == ["a"]
    assert waiting(spool.directory).bytes == 0
    assert len(list(away.blobs.keys("keep/artifacts/"))) == 1


def test_a_segment_that_cannot_be_moved_does_not_hold_up_the_others(tmp_path, away):
    spool = SpoolStore(tmp_path / "spool", away.open, upload_every=3600)
    spool.save([make_trace("stuck")])
    (stuck,) = spool.directory.glob("segments/*/*.seg")
    put = away.blobs.put

    def refuse(key, data):
        if key.endswith(stuck.name):
            raise StoreError("it is too large", slug="blob-key-invalid", hint="none")
        put(key, data)

    away.blobs.put = refuse
    assert not spool.flush(1, patient=False)
    spool.save([make_trace("other")])  # which is not merged with what was refused
    assert not spool.flush(1, patient=False)
    poll(lambda: away.ids() == ["other"])
    assert stuck.exists()
    assert "it is too large" in spool.unmoved()
    away.blobs.put = put
    assert spool.flush(20)
    assert away.ids() == ["other", "stuck"]
    assert spool.unmoved() == ""
    spool.close()


def test_a_flush_waits_for_a_segment_that_another_process_is_moving(tmp_path, away):
    spool = SpoolStore(tmp_path / "spool", away.open, upload_every=3600)
    spool.save([make_trace("a")])
    spool.roll(at_once=True)
    (path,) = spool.directory.glob("segments/*/*.seg")
    with Ownership(path) as file:
        assert file is not None
        assert not spool.flush(0.3)
    assert spool.flush(20)
    assert away.ids() == ["a"]
    spool.close()


def test_a_new_segment_that_others_take_for_one_that_was_left_is_made_anew(tmp_path, monkeypatch):
    """Before it has its lock, another process may lock it, or remove it as an empty one."""
    tries = []
    lock = fcntl.flock

    def flock(file, how):
        tries.append(file)
        if len(tries) == 1:
            raise BlockingIOError
        if len(tries) == 2:
            Path(f"/proc/self/fd/{file}").resolve().unlink()
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    segment = OpenSegment(tmp_path, sync=False)
    segment.append(b"abc")
    assert len(tries) == 3
    assert (tmp_path / segment.name).read_bytes() == b"abc"
    segment.close()


def test_a_trace_that_no_store_could_keep_is_refused_before_anything_is_written(spool):
    with refused("row-invalid"):
        spool.save([make_trace("good"), make_trace("bad/id")])
    assert waiting(spool.directory).segments == 0


PROGRAM = """
import os, signal, sys, time
from pathlib import Path
from tracediff.stores.spool import SpoolStore
from tracediff.testing import make_trace

def nowhere():
    raise SystemExit("a process that only saves connects to nothing")

spool = SpoolStore(Path(sys.argv[1]), nowhere, upload_every=3600)
spool.save([make_trace(f"{sys.argv[2]}-{n}") for n in range(3)])
print("saved", flush=True)
if sys.argv[3] == "torn":
    (segment,) = Path(sys.argv[1]).glob("segments/*/*.seg")
    with segment.open("ab") as file:
        file.write(segment.read_bytes()[:100])
sys.stdin.readline()
"""


def recorder(directory: Path, name: str, how: str = "") -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), str(directory), name, how],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "saved\n"
    return process


@pytest.mark.parametrize("how", ["", "torn"])
def test_what_a_killed_process_left_is_moved_by_another(tmp_path, away, how, caplog):
    directory = tmp_path / "spool"
    with recorder(directory, "dead", how) as dead:
        dead.send_signal(signal.SIGKILL)
        dead.wait()
    spool = SpoolStore(directory, away.open, upload_every=0.05)
    poll(lambda: away.ids() == ["dead-0", "dead-1", "dead-2"])
    poll(lambda: waiting(directory).segments == 0)
    spool.close()
    assert caplog.records == [], "what it never said it saved is no harm"


def test_what_a_living_process_writes_is_left_alone(tmp_path, away):
    directory = tmp_path / "spool"
    with recorder(directory, "living") as living:
        spool = SpoolStore(directory, away.open, upload_every=0.05)
        spool.save([make_trace("mine")])
        assert spool.flush(20)
        assert away.ids() == ["mine"]
        assert waiting(directory).segments == 1
        living.kill()
        living.wait()
    poll(lambda: len(away.ids()) == 4)
    spool.close()


def test_two_processes_that_move_at_once_move_each_trace_once(tmp_path):
    """Both upload what many dead processes left, to one place, with plain files and SQLite."""
    directory = tmp_path / "spool"
    for n in range(6):
        with recorder(directory, f"p{n}") as dead:
            dead.kill()
            dead.wait()
    program = f"""
import sys
from pathlib import Path
from tracediff.stores.files import TEMPORARY, FileBlobs
from tracediff.stores.remote import RemoteStore
from tracediff.stores.spool import SpoolStore
from tracediff.stores.sqlite_index import SqliteIndex

there = Path({str(tmp_path / "there")!r})
there.mkdir(exist_ok=True)
def open_remote():
    return RemoteStore("x:", SqliteIndex(there / "i.sqlite"), FileBlobs(there / "blobs"))
spool = SpoolStore(Path({str(directory)!r}), open_remote)
sys.exit(not spool.flush(60))
"""
    movers = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(2)]
    assert [mover.wait(60) for mover in movers] == [0, 0]
    there = tmp_path / "there"
    store = RemoteStore("x:", SqliteIndex(there / "i.sqlite"), FileBlobs(there / "blobs"))
    poll(lambda: waiting(directory).segments == 0)
    rows = store.search(Query(limit=1000)).rows
    assert len(rows) == 18
    keys = list(store.blobs.keys("keep/segments/"))
    assert len(keys) < 6, "small segments are merged"
    frames = [str(frame.id) for key in keys for frame in scan(store.blobs.get(key))]
    assert sorted(frames) == sorted(row.id for row in rows)
    assert store.check() == []
    store.close()


def test_a_child_neither_moves_nor_locks_what_is_its_parent_s(tmp_path, away):
    spool = SpoolStore(tmp_path / "spool", away.open, upload_every=3600)
    spool.save([make_trace("parent")])
    ready, told = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            own = SpoolStore(tmp_path / "spool", away.open, upload_every=3600)
            own.save([make_trace("child")])
            os.write(told, b"x")
            signal.alarm(60)
            signal.pause()
        finally:
            os._exit(1)
    try:
        assert os.read(ready, 1) == b"x"
        assert spool.flush(20)
        assert away.ids() == ["parent"]
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(ready)
        os.close(told)
    assert spool.flush(20)
    assert away.ids() == ["child", "parent"]
    spool.close()


def test_a_segment_whose_name_is_taken_by_other_bytes_is_moved_under_another(tmp_path, away):
    """As after a power cut: what was uploaded is longer than what the disk still has."""
    spool = SpoolStore(tmp_path / "spool", away.open, upload_every=3600)
    spool.save([make_trace("a", artifacts=(large_artifact(),))])
    (segment,) = spool.directory.glob("segments/*/*.seg")
    taken = f"{segment.parent.name}/segments/{segment.name}"
    put = away.blobs.put

    def once(key, data):
        if key == taken:
            raise StoreError("other bytes are there", slug="blob-exists", hint="none")
        put(key, data)

    away.blobs.put = once
    assert spool.flush(20)
    (row,) = away.store.find("a")
    assert row.location[0] != taken
    assert away.store.load(row).artifacts[0].data == large_artifact().data
    assert waiting(spool.directory).bytes == 0
    spool.close()


@pytest.mark.parametrize("what", ["imports", "waits"])
def test_a_fork_waits_longer_for_imports_than_for_anything_else(tmp_path, monkeypatch, what):
    """A child would find a module half imported for ever."""
    (tmp_path / "slow_client.py").write_text("import gate\ngate.opened()\n")
    begun, released, over = threading.Event(), threading.Event(), threading.Event()

    def opened() -> None:
        begun.set()
        released.wait(0.3 if what == "imports" else 30)

    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "gate", SimpleNamespace(opened=opened))
    monkeypatch.setattr(shipping, "FORK_DEADLINE", 0.02)

    def open_store():
        with shipping._opening:
            importlib.import_module("slow_client") if what == "imports" else opened()
            over.set()

    thread = threading.Thread(target=open_store)
    thread.start()
    begun.wait()
    shipping._before_fork()
    assert over.is_set() == (what == "imports")
    shipping._after_fork_in_parent()
    released.set()
    thread.join()
    sys.modules.pop("slow_client", None)

"""A local store in bad weather: clocks that jump, renames that fail, disks that turn read-only."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

from tracediff.model import Query
from tracediff.recording import ids
from tracediff.stores.local import LocalStore
from tracediff.testing import make_trace, refused

ROOT = Path(__file__).parents[2]


def everything(store: LocalStore) -> list[str]:
    return [row.id for row in store.search(Query(limit=10_000)).rows]


@pytest.fixture
def record(tmp_path):
    """Run a program that records into ``.tracediff``, and give what it printed."""

    def record(code: str, status: int = 0) -> list[str]:
        (tmp_path / "pyproject.toml").write_text("[tool.tracediff]\n")
        kept = {k: v for k, v in os.environ.items() if not k.startswith("TRACEDIFF_")}
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
            cwd=tmp_path, env={**kept, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
            check=False, timeout=100,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (status, "")
        return done.stdout.split()

    return record


# Clocks that jump


JUMPING = """
import os, random, signal, threading, time
import tracediff as td

rng = random.Random(1)
real, real_ns, offset = time.time, time.time_ns, 0

def jump():
    # Back and forth, by milliseconds and by years; sometimes it stands still.
    global offset
    offset = rng.choice([0, offset, rng.randrange(-3, 3), rng.randrange(-40, 40) * 365 * 86_400])

time.time = lambda: real() + offset
time.time_ns = lambda: real_ns() + offset * 10**9

@td.job("one")
def job(name):
    td.tag(name)
    with td.step("inside"):
        jump()
    return random.randbytes(300_000)  # so that segments are begun and ended meanwhile

td.configure(on_ack=lambda one: print(one, flush=True))
for n in range(60):
    jump()
    job(f"n{n:02}")
    if n % 10 == 9:
        assert td.flush(60)
threads = [threading.Thread(target=lambda: [job(f"t{n}") for _ in range(10)]) for n in range(3)]
for one in threads: one.start()
for one in threads: one.join()
assert td.flush(60)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_clock_that_jumps_gives_unique_growing_ids_and_loses_nothing(record, tmp_path):
    said = record(JUMPING, status=-9)
    assert len(said) == len(set(said)) == 90
    (tmp_path / ".tracediff" / "index.sqlite").unlink()
    store = LocalStore(tmp_path / ".tracediff")
    found = everything(store)
    assert sorted(found) == sorted(said)
    assert len(list((tmp_path / ".tracediff" / "segments").iterdir())) >= 3
    traces = {one: store.load(store.find(one)[0]) for one in found}
    years = {ids.timestamp(one) // (365 * 86_400_000) for one in found}
    assert len({trace.started_at // (365 * 86_400 * 10**9) for trace in traces.values()}) > 5, years
    # One thread's ids grow as its jobs went, whatever the clock said.
    by_name = sorted((trace.tags[0], one) for one, trace in traces.items() if trace.tags[0] > "n")
    in_order = [one for name, one in by_name if name.startswith("n")]
    assert len(in_order) == 60
    assert in_order == sorted(in_order)
    # Newest first by what the clock said; pages follow each other without a gap or a repetition.
    times = [(traces[one].started_at, one) for one in found]
    assert times == sorted(times, reverse=True)
    paged, cursor = [], None
    while page := store.search(Query(limit=7, cursor=cursor)):
        paged += [row.id for row in page.rows]
        cursor = page.cursor
        if cursor is None:
            break
    assert paged == found
    # What a span took is measured by a clock that never jumps.
    assert all(0 <= step.duration < 60 * 10**9 for one in traces.values() for step in one.steps)
    assert store.check() == []
    store.close()


def test_ids_made_while_the_clock_goes_back_stay_unique_and_sorted(monkeypatch):
    moments = iter([5_000, 5_000, 3_000, 1, 5_001, 9_000, 2, 9_000, 9_001] * 200)
    monkeypatch.setattr(ids.time, "time_ns", lambda: next(moments) * 1_000_000_000)
    made = [ids.new_id() for _ in range(1_800)]
    assert len(set(made)) == len(made)
    assert made == sorted(made)
    assert {len(one) for one in made} == {ids.LENGTH}


# Renames and links that fail, as on a network file system


FAILING = """
import errno, random

rng = random.Random(int(sys.argv[2]))
failing = True

def double(name):
    real = getattr(os, name)
    def call(*args, **kwargs):
        if not failing or rng.random() < 0.4:
            return real(*args, **kwargs)
        if rng.random() < 0.4:  # done, but the answer got lost on its way
            real(*args, **kwargs)
        raise OSError(rng.choice([errno.ESTALE, errno.EIO]), "injected", *args)
    setattr(os, name, call)

double("replace")
double("link")

def insist(act):
    global refusals
    for attempt in range(200):
        try:
            return act()
        except StoreError as error:
            assert error.slug == "store-io", error
            assert error.hint
            refusals += 1
    raise AssertionError("200 attempts")

import hashlib
refusals = 0
directory = Path(sys.argv[1])
store = insist(lambda: LocalStore(directory))
sources = {}
for n in range(40):
    insist(lambda: store.save([make_trace(f"t{n}", result=n, started_at=n)]))
    data = f"x = {n}\\n".encode()
    blob = hashlib.sha1(b"blob %d\\0" % len(data) + data).hexdigest()
    insist(lambda: store.save_source(blob, data))
    sources[blob] = data
    if n % 10 == 5:
        (directory / "index.sqlite").unlink()
    if n % 10 == 9:
        (directory / "index.sqlite").write_bytes(b"garbage" * 1000)
store.close()
store = insist(lambda: LocalStore(directory))
failing = False
found = [row.id for row in store.search(Query(limit=99)).rows]
assert found == [f"t{n}" for n in range(39, -1, -1)]
for n in range(40):
    (row,) = (row for row in store.find(f"t{n}", 99) if row.id == f"t{n}")
    assert store.load(row) == make_trace(f"t{n}", result=n, started_at=n)
for blob, data in sources.items():
    assert store.load_source(blob) == data
assert store.check() == [], store.check()
store.close()
print(refusals, *[path.name for path in directory.rglob("*.tmp-*")])
"""


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_renames_that_fail_at_random_lose_nothing_that_was_acknowledged(tmp_path, run, seed):
    refusals, *left = run(FAILING, tmp_path / "s", seed).split()
    assert int(refusals) > 20
    assert left == []


def test_a_recorder_whose_stores_renames_fail_saves_all_the_same(record, tmp_path):
    said = record(
        """
        import errno, logging, os, random
        import tracediff as td

        logging.getLogger("tracediff").disabled = True  # it tells of each refusal
        rng = random.Random(5)
        def double(name):
            real = getattr(os, name)
            def call(*args, **kwargs):
                if rng.random() < 0.5:
                    raise OSError(rng.choice([errno.ESTALE, errno.EIO]), "injected")
                return real(*args, **kwargs)
            setattr(os, name, call)
        double("replace")
        double("link")

        @td.job("one")
        def job(n): return n

        td.configure(on_ack=print)
        for n in range(30):
            job(n)
            if n % 10 == 9:
                assert any(td.flush() for _ in range(200))
                os.unlink(".tracediff/index.sqlite")
        """
    )
    assert len(said) == len(set(said)) == 30
    store = LocalStore(tmp_path / ".tracediff")
    assert sorted(everything(store)) == sorted(said)
    assert store.check() == []
    store.close()


def test_a_file_system_without_links_can_hold_a_store(tmp_path, monkeypatch):
    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(1, "Operation not permitted")  # as Linux says it of FAT and others

    monkeypatch.setattr(os, "link", refuse)
    store = LocalStore(tmp_path / "s")
    store.save([make_trace("a")])
    (tmp_path / "s" / "index.sqlite").unlink()
    store.save([make_trace("b")])
    assert everything(store) == ["b", "a"]
    assert store.check() == []
    store.close()


# A directory that turns read-only, and back


@pytest.fixture
def anyones():
    """A directory that every user can write to; pytest's own are for their owner alone."""
    with tempfile.TemporaryDirectory(prefix="tracediff-test-") as directory:
        Path(directory).chmod(0o777)
        yield Path(directory)


TURNING = """
import sqlite3  # what is imported late may not be readable for the user it is imported by
import shutil
open_store("memory:")
if os.getuid() == 0:
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
directory = Path(sys.argv[1]) / "store"
first = LocalStore(directory)
first.save([make_trace("a", started_at=1)])
first.close()

def turn(mode):
    for path in (directory, directory / "segments"):
        path.chmod(mode)
    for path in [*directory.glob("index*"), *directory.glob("segments/*")]:
        path.chmod(mode & 0o666)

def told(act):
    try:
        act()
    except StoreError as error:
        print(error.slug, bool(error.hint))

turn(0o555)
store = LocalStore(directory)  # a job may begin at just that moment, and go on for months
assert [row.id for row in store.search(Query()).rows] == ["a"]
told(lambda: store.save([make_trace("b", started_at=2)]))
told(lambda: store.delete(["a"]))
turn(0o755)
store.save([make_trace("c", started_at=3)])
assert [row.id for row in store.search(Query()).rows] == ["c", "a"]
turn(0o555)
assert [row.id for row in store.search(Query()).rows] == ["c", "a"]
turn(0o755)
store.save([make_trace("d", started_at=4)])
assert [row.id for row in store.search(Query()).rows] == ["d", "c", "a"]
assert store.check() == [], store.check()
store.close()
"""


def test_a_store_that_was_read_only_is_written_to_at_once_when_it_can_be(anyones, run):
    assert run(TURNING, anyones).splitlines() == ["store-read-only True"] * 2


@pytest.fixture
def disk(tmp_path):
    """A file system of its own, which takes root to mount."""
    directory = tmp_path / "disk"
    directory.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", directory]
    mounted = os.getuid() == 0 and not subprocess.call(command, stderr=subprocess.DEVNULL)
    if not mounted:
        pytest.skip("a file system of its own can only be mounted by root")
    yield directory
    subprocess.run(["umount", "--lazy", directory], check=True)


def remount(disk: Path, mode: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{mode}", disk], check=True)


def test_a_disk_that_is_remounted_read_only_and_back_loses_nothing(disk):
    store = LocalStore(disk / "s")
    store.save([make_trace("a", started_at=1)])
    store.close()
    remount(disk, "ro")
    store = LocalStore(disk / "s")
    assert everything(store) == ["a"]
    for _ in range(3):
        with refused("store-read-only", "store-unwritable"):
            store.save([make_trace("b", started_at=2)])
    assert store.check() == []
    remount(disk, "rw")
    store.save([make_trace("b", started_at=2)])
    assert everything(store) == ["b", "a"]
    store.close()
    store = LocalStore(disk / "s")
    assert everything(store) == ["b", "a"]
    assert store.check() == []
    store.close()

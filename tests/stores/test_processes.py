"""Several processes on one store: saving at once, forking, being killed at any moment."""

from __future__ import annotations

import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tracediff.model import Query
from tracediff.stores.local import LocalStore
from tracediff.stores.open_segment import Ownership
from tracediff.stores.sqlite_index import SqliteIndex
from tracediff.testing import make_row, make_trace, refused

WRITER = """
import random
directory, name, batches, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
store = LocalStore(Path(directory))
noise = random.Random(name)
print("ready", flush=True)
for batch in range(batches):
    ids = [f"{name}-{batch}-{n}" for n in range(3)]
    store.save([make_trace(one, result=noise.randbytes(size), tags=(name,)) for one in ids])
    print(*ids, flush=True)
"""


def everything(store: LocalStore) -> list[str]:
    return [row.id for row in store.search(Query(limit=100_000)).rows]


def test_processes_that_save_at_once_lose_and_double_nothing(tmp_path, start):
    writers = [start(WRITER, tmp_path / "s", f"p{n}", 15, 100) for n in range(4)]
    said = [writer.communicate(timeout=100) for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * 4, said
    want = [one for out, _ in said for one in out.split() if one != "ready"]
    assert len(want) == 4 * 15 * 3
    store = LocalStore(tmp_path / "s")
    assert sorted(everything(store)) == sorted(want)
    assert store.check() == []
    assert len(list((tmp_path / "s" / "segments").iterdir())) == 4
    store.close()


def test_processes_that_save_the_same_traces_keep_each_once(tmp_path, start):
    code = """
    store = LocalStore(Path(sys.argv[1]))
    sys.stdin.readline()
    for n in range(20):
        store.save([make_trace(f"same-{n}", result=n)])
    """
    writers = [start(code, tmp_path / "s", stdin=-1) for _ in range(3)]
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        _, err = writer.communicate(timeout=100)
        assert writer.returncode == 0, err
    store = LocalStore(tmp_path / "s")
    assert sorted(everything(store)) == sorted(f"same-{n}" for n in range(20))
    (tmp_path / "s" / "index.sqlite").unlink()
    assert sorted(everything(store)) == sorted(f"same-{n}" for n in range(20))
    assert store.load(store.find("same-7")[0]) == make_trace("same-7", result=7)
    assert store.check() == []
    store.close()


def test_processes_that_open_a_new_store_at_once_all_can(tmp_path, start):
    code = """
    sys.stdin.readline()
    store = LocalStore(Path(sys.argv[1]))
    store.save([make_trace(sys.argv[2])])
    """
    for attempt in range(2):
        openers = [start(code, tmp_path / f"s{attempt}", f"t{n}", stdin=-1) for n in range(4)]
        for opener in openers:
            opener.stdin.write("go\n")
            opener.stdin.flush()
        for opener in openers:
            _, err = opener.communicate(timeout=100)
            assert opener.returncode == 0, err
        store = LocalStore(tmp_path / f"s{attempt}")
        assert sorted(everything(store)) == ["t0", "t1", "t2", "t3"]
        store.close()


def kill_and_check(directory, start, attempt: int, acknowledged: dict[str, str]) -> None:
    """Kill a writer at a random moment and find all that it had said was saved."""
    name, size = f"k{attempt}", random.choice([10, 1000, 200_000, 1_000_000])
    writer = start(WRITER, directory, name, 10_000, size)
    for _ in range(random.randrange(2, 5)):
        acknowledged.update(dict.fromkeys(writer.stdout.readline().split(), name))
    time.sleep(random.random() * 0.02)  # any moment will do: it is the moment that varies
    writer.send_signal(signal.SIGKILL)
    out, err = writer.stdout.read(), writer.stderr.read()
    writer.wait()
    assert not err
    # The last line may have been cut by the kill; each other one was said after its save.
    whole = out[: out.rfind("\n") + 1]
    acknowledged.update(dict.fromkeys(whole.split(), name))
    acknowledged.pop("ready", None)
    store = LocalStore(directory)
    found = everything(store)
    assert len(found) == len(set(found))
    assert acknowledged.keys() <= set(found)
    # At most one batch was on its way.
    mine = [one for one in found if one.startswith(f"{name}-")]
    assert len(mine) <= len([one for one in acknowledged.values() if one == name]) + 3
    if attempt % 6 == 2:  # it reads all that was saved so far
        assert store.check() == []
    noise = random.Random(name)
    results = {f"{name}-{b}-{n}": noise.randbytes(size) for b in range(3) for n in range(3)}
    for one in set(mine) & results.keys():
        (row,) = (row for row in store.find(one, 10) if row.id == one)
        assert store.load(row) == make_trace(one, result=results[one], tags=(name,))
    store.close()


def test_a_killed_writer_loses_nothing_that_was_acknowledged(tmp_path, start):
    acknowledged: dict[str, str] = {}
    for attempt in range(3):
        kill_and_check(tmp_path / "s", start, attempt, acknowledged)
    assert acknowledged


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_writers_killed_again_and_again_lose_nothing_that_was_acknowledged(tmp_path, start):
    acknowledged: dict[str, str] = {}
    for attempt in range(18):
        if attempt % 5 == 4:
            (tmp_path / "s" / "index.sqlite").unlink()
        kill_and_check(tmp_path / "s", start, attempt, acknowledged)
    assert len(acknowledged) > 50


def test_a_killed_deletion_is_whole_or_not_at_all(tmp_path, start):
    code = """
    store = LocalStore(Path(sys.argv[1]))
    store.save([make_trace(f"d{n}") for n in range(60)])
    print("ready", flush=True)
    for n in range(60):
        store.delete([f"d{n}"])
        print(n, flush=True)
    time.sleep(60)
    """
    for attempt in range(2):
        deleter = start(code, tmp_path / f"s{attempt}")
        deleter.stdout.readline()
        for _ in range(random.randrange(20)):
            deleter.stdout.readline()
        deleter.kill()
        out = deleter.stdout.read()
        deleter.wait()
        store = LocalStore(tmp_path / f"s{attempt}")
        left = sorted(int(one[1:]) for one in everything(store))
        assert left == list(range(60 - len(left), 60))
        said = [int(line) for line in out.splitlines()]
        assert not said or said[-1] < left[0]
        (tmp_path / f"s{attempt}" / "index.sqlite").unlink()
        assert len(everything(store)) == len(left)
        assert store.check() == []
        store.close()


FORKING = """
import threading
store = LocalStore(Path(sys.argv[1]))
store.save([make_trace("before")])
parents = store._appender._segments["segments"].name
def child(name):
    saved = [threading.Thread(target=store.save, args=([make_trace(f"{name}-{n}")],))
             for n in range(4)]
    for one in saved: one.start()
    for one in saved: one.join()
    assert len(store.search(Query()).rows) >= 5
    assert store._appender._segments["segments"].name != parents
    store.close()
children = []
for n in range(3):
    pid = os.fork()
    if pid == 0:
        try:
            child(f"c{n}")
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    children.append(pid)
    store.save([make_trace(f"parent-{n}")])
for pid in children:
    assert os.waitpid(pid, 0)[1] == 0
store.save([make_trace("after")])
assert store._appender._segments["segments"].name == parents
print(parents, flush=True)
sys.stdin.readline()
"""


def test_forked_children_write_segments_of_their_own(tmp_path, start):
    process = start(FORKING, tmp_path / "s", stdin=-1)
    parents = process.stdout.readline().strip()
    assert parents, process.communicate()
    # The children came and went; the parent still owns its segment.
    with Ownership(tmp_path / "s" / "segments" / parents) as file:
        assert file is None
    store = LocalStore(tmp_path / "s")
    want = ["before", "after", *(f"parent-{n}" for n in range(3))]
    want += [f"c{n}-{m}" for n in range(3) for m in range(4)]
    assert sorted(everything(store)) == sorted(want)
    assert store.check() == []
    store.close()
    _, err = process.communicate("\n", timeout=100)
    assert process.returncode == 0, err
    assert not err


def test_a_child_does_not_wait_for_a_thread_that_only_its_parent_has(tmp_path, run):
    out = run(
        """
        import signal, threading
        store = LocalStore(Path(sys.argv[1]))
        store.save([make_trace("parent")])
        held = threading.Event()
        def hold():
            with store._lock:  # as a thread that is saving does
                held.set()
                go.wait()
        go = threading.Event()
        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()
        children = []
        for use in (
            store.close,
            lambda: store.save([make_trace("child")]),
            lambda: store.search(Query()),
        ):
            pid = os.fork()
            if pid == 0:
                signal.alarm(30)
                use()
                store.close()
                os._exit(0)
            children.append(os.waitpid(pid, 0)[1])
        go.set()
        thread.join()
        print(children, sorted(row.id for row in store.search(Query()).rows))
        store.close()
        """,
        tmp_path / "s",
    )
    assert out == "[0, 0, 0] ['child', 'parent']\n"


@pytest.mark.parametrize("saves", [True, False], ids=["saves", "idles"])
def test_a_child_that_lives_on_does_not_hold_its_killed_parents_segment(tmp_path, start, saves):
    parent = start(
        """
        store = LocalStore(Path(sys.argv[1]))
        store.save([make_trace("one")])
        if os.fork() == 0:
            if sys.argv[2] == "True":
                store.save([make_trace("child")])
            print(os.getpid(), flush=True)
            sys.stdin.readline()
            os._exit(0)
        # As if the kill came between the bytes and the row.
        from tracediff.stores.packing import pack
        store._appender._segments["segments"].append(pack(make_trace("unindexed")).frame)
        os.wait()
        """,
        tmp_path / "s",
        saves,
        stdin=-1,
    )
    child = int(parent.stdout.readline())
    deadline = time.monotonic() + 30
    while not any(b"unindexed" in path.read_bytes() for path in segments(tmp_path / "s")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    parent.kill()
    parent.wait()
    store = LocalStore(tmp_path / "s")
    assert sorted(everything(store)) == ["child"] * saves + ["one", "unindexed"]
    store.close()
    assert child
    parent.stdin.close()  # lets the child go
    parent.stdin = None


def segments(directory):
    return (directory / "segments").glob("*.seg")


def test_changes_that_read_first_wait_for_each_other(tmp_path):
    # One connection each, as in processes of their own. A transaction that reads before it asks
    # for the write lock fails at once when another writes in between, whatever the timeout.
    def work(number: int) -> None:
        index = SqliteIndex(tmp_path / "index.sqlite")
        for n in range(60):
            index.update(make_row(f"r{number}", duration=n))
            index.create([make_row(f"x{number}")])
            assert index.delete([f"x{number}"]) == 1
        index.close()

    index = SqliteIndex(tmp_path / "index.sqlite")
    index.create([make_row(f"r{number}") for number in range(4)])
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work, number) for number in range(4)]:
            done.result()
    assert [row.duration for row in index.find("", 99)] == [59] * 4
    index.close()


def test_a_busy_index_is_an_error_with_a_hint_and_nothing_is_doubled(tmp_path, start):
    store = LocalStore(tmp_path / "s")
    store.save([make_trace("a")])
    store.index.close()
    store.index = SqliteIndex(tmp_path / "s" / "index.sqlite", timeout=0.1)
    holder = start(
        """
        import sqlite3
        db = sqlite3.connect(sys.argv[1], isolation_level=None)
        db.execute("BEGIN IMMEDIATE")
        print("held", flush=True)
        sys.stdin.readline()
        db.execute("COMMIT")
        db.close()
        """,
        tmp_path / "s" / "index.sqlite",
        stdin=-1,
    )
    assert holder.stdout.readline() == "held\n"
    (path,) = segments(tmp_path / "s")
    size = path.stat().st_size
    for _ in range(3):
        with refused("store-busy"):
            store.save([make_trace("b")])
    assert path.stat().st_size == size
    assert everything(store) == ["a"]
    holder.communicate("\n", timeout=100)
    store.save([make_trace("b")])
    assert everything(store) == ["b", "a"]
    assert store.check() == []
    store.close()

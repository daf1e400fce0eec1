"""What a worker makes of its traces, whatever their jobs do to the process that replays them."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tracediff.check import lanes, warmed
from tracediff.check.results import Work
from tracediff.check.working import Worker
from tracediff.checked import Result
from tracediff.errors import ReplayError, StoreError
from tracediff.model import Query, Row, Tolerance, Trace
from tracediff.replay import checked_out
from tracediff.stores.local import LocalStore
from tracediff.stores.memory import MemoryBlobs, MemoryIndex
from tracediff.stores.remote import RemoteStore
from tracediff.stores.walking import every_row

MANY = 12
MEGABYTE = 1 << 20


def started_by(mark: str) -> list[int]:
    """The processes, zombies aside, whose environment has a variable of the test's own."""
    found = []
    for place in Path("/proc").iterdir():
        if not place.name.isdigit() or int(place.name) == os.getpid():
            continue
        try:
            told = (place / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if f"STARTED_BY={mark}".encode() in told:
            found.append(int(place.name))
    return found


@pytest.fixture
def nothing_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing that the test started is there at its end."""
    monkeypatch.setenv("STARTED_BY", str(tmp_path))
    yield
    deadline = time.monotonic() + 10
    while (left := started_by(str(tmp_path))) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert left == []


@pytest.fixture
def soon_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that does nothing more is ended after two seconds, not after five."""
    for module in (lanes, warmed):
        monkeypatch.setattr(module, "GRACE", 2.0)


@contextmanager
def working(project: Any, store: Any = None, then: Any = None, **limits: Any) -> Iterator[Worker]:
    work = Work(**{"timeout": 30.0, **limits})
    worker = Worker(project.config, store or project.store, work, then=then)
    try:
        yield worker
    finally:
        worker.close()


def results(project: Any, **limits: Any) -> list[Result]:
    """One of each trace, by number."""
    with working(project, **limits) as worker:
        found = {one.id: one for one in worker.run(project.rows) if one.id}
        assert set(found) == {row.id for row in project.rows}
    return [found[row.id] for row in project.rows]


def kinds(found: list[Result]) -> Counter[str]:
    return Counter(one.kind for one in found)


CRASH = "sys.setrecursionlimit(10**9)\ndef deep(_): return list(map(deep, 'x'))\ndeep(0)"
"""An overflow of the stack."""
if sys.version_info >= (3, 12):  # where Python counts calls of C code too
    CRASH = "import ctypes\nctypes.string_at(0)"

FATAL = {
    "it ends its process": ("os._exit(3)", "replay-died", "exit code 3"),
    "it ends its process as if all were well": ("os._exit(0)", "replay-died", "exit code 0"),
    "it is killed": ("os.kill(os.getpid(), signal.SIGKILL)", "replay-died", "SIGKILL"),
    "it crashes": (CRASH, "replay-died", "SIGSEGV"),
    "it kills the parent": ("os.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(60)",
                            "replay-died", "SIGKILL"),
    "it ends its group": ("os.killpg(0, signal.SIGKILL)", "replay-died", "SIGKILL"),
    "it closes all descriptors": ("os.closerange(0, 200)", "replay-died", "own files"),
    "it opens others in their place": (
        "os.closerange(3, 200)\nself = [open('/dev/null', 'w') for _ in range(30)]",
        "replay-died", "own files",
    ),
    "it writes into the replay's files": (
        """
        for number in range(3, 60):
            try:
                os.write(number, b"garbage" * 20)
            except OSError:
                pass
        """,
        "replay-died", "own files",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", FATAL)
@pytest.mark.usefixtures("nothing_left")
def test_a_job_that_ends_its_process_fails_alone(recorded: Callable, what: str) -> None:
    lines, slug, words = FATAL[what]
    project = recorded(MANY)
    project.trouble(lines)
    found = results(project)
    assert kinds(found) == {"same": MANY - 1, "failed": 1}
    assert found[5].slug == slug
    assert words in found[5].message
    assert found[5].hint


STUCK = {
    "it blocks": "time.sleep(600)",
    "it blocks without the interpreter": "import ctypes\nctypes.CDLL(None).pause()",
    "it stops itself": "os.kill(os.getpid(), signal.SIGSTOP)",
    "it blocks its signals": (
        "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 60))\nwhile True: pass"
    ),
    "it blocks in a child": "if not os.fork():\n    time.sleep(600)\nos.wait()",
}


@pytest.mark.slow
@pytest.mark.parametrize("what", STUCK)
@pytest.mark.usefixtures("nothing_left")
def test_a_job_that_never_ends_fails_by_the_time_that_it_may_take(
    recorded: Callable, what: str
) -> None:
    project = recorded(MANY)
    project.trouble(STUCK[what])
    found = results(project, timeout=1.5)
    assert kinds(found) == {"same": MANY - 1, "failed": 1}
    assert found[5].slug == "replay-timeout"
    assert "1.5 s" in found[5].message


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_left", "soon_given_up")
def test_a_job_that_stops_all_of_its_processes_fails_alone(recorded: Callable) -> None:
    project = recorded(MANY)
    project.trouble("os.killpg(0, signal.SIGSTOP)")
    found = results(project, timeout=1.5)
    assert kinds(found) == {"same": MANY - 1, "failed": 1}
    assert found[5].slug == "replay-timeout"


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_left", "soon_given_up")
def test_requests_that_a_job_takes_away_are_sent_again(recorded: Callable) -> None:
    project = recorded(MANY)
    project.trouble("""
        for number in range(3, 60):
            try:
                if os.path.samestat(os.fstat(number), os.fstat(number)) and number != 1:
                    os.set_blocking(number, False)
                    os.read(number, 100)
                    os.set_blocking(number, True)
            except OSError:
                pass
    """)
    with working(project) as worker:
        found = list(worker.run([*project.rows] * 2))
    assert Counter(one.id for one in found) == {row.id: 2 for row in project.rows}
    others = [one for one in found if one.id != project.rows[5].id]
    assert {one.kind for one in others} == {"same"}


HUNGRY = {
    "it allocates without end": "kept = []\nwhile True: kept.append(bytes(range(256)) * 40_000)",
    "its child does": (
        "if not os.fork():\n    kept = []\n"
        "    while True: kept.append(bytes(range(256)) * 40_000)\nos.wait()"
    ),
}


@pytest.mark.parametrize("what", HUNGRY)
@pytest.mark.usefixtures("nothing_left")
def test_a_job_that_takes_too_much_memory_fails_alone(recorded: Callable, what: str) -> None:
    project = recorded(MANY)
    project.trouble(HUNGRY[what])
    found = results(project, memory=200 * MEGABYTE)
    assert kinds(found) == {"same": MANY - 1, "failed": 1}
    assert found[5].slug == "replay-memory"
    assert "210 MB" in found[5].message


def test_jobs_that_leak_memory_are_replayed_in_process_after_process(
    recorded: Callable, tmp_path: Path
) -> None:
    project = recorded(MANY)
    project.write("shop/trouble.py", f"""
        import os
        kept = []
        def make(number):
            kept.append(b"x" * {40 * MEGABYTE})
            with open({str(tmp_path / "pids")!r}, "a") as file:
                print(os.getpid(), len(kept), file=file)
    """)  # fmt: skip
    assert kinds(results(project, memory=200 * MEGABYTE)) == {"same": MANY}
    runs = [line.split() for line in (tmp_path / "pids").read_text().splitlines()]
    assert len(runs) == MANY
    assert max(int(kept) for _, kept in runs) <= 3


OTHERWISE = {
    "working directory": ("os.chdir('/')", "os.getcwd()"),
    "removed directory": (
        "os.mkdir('gone')\nos.chdir('gone')\nos.rmdir('../gone')",
        "os.path.exists('.')",
    ),
    "umask": ("os.umask(0o077)", "os.umask(os.umask(0))"),
    "environment": ("os.environ['OTHER'] = 'x'", "'OTHER' in os.environ"),
    "path of modules": ("sys.path.insert(0, '/nowhere')", "'/nowhere' in sys.path"),
    "locale": (
        "import locale\nlocale.setlocale(locale.LC_ALL, 'C.UTF-8')",
        "__import__('locale').setlocale(0)",
    ),
    "handler": ("signal.signal(signal.SIGUSR1, print)", "str(signal.getsignal(10))"),
    "alarm": ("signal.alarm(600)", "signal.getitimer(signal.ITIMER_REAL)[0] > 0"),
    "decimals": (
        "import decimal\ndecimal.setcontext(decimal.Context(prec=3))",
        "__import__('decimal').getcontext().prec",
    ),
    "standard output": ("sys.stdout = open(os.devnull, 'w')", "sys.stdout.name"),
    "closed standard files": (
        "for number in range(3): os.close(number)",
        "os.path.exists('/proc/self/fd/1')",
    ),
    "recursion limit": ("sys.setrecursionlimit(5000)", "sys.getrecursionlimit()"),
    "builtins": ("import builtins\nbuiltins.open = None", "open is None"),
    "open files": (
        "sys.files = [os.open('/dev/null', 0) for _ in range(100)]",
        "len(os.listdir('/proc/self/fd')) > 80",
    ),
    "thread": (
        "threading.Thread(target=time.sleep, args=(600,), daemon=True).start()",
        "threading.active_count()",
    ),
    "child": ("if not os.fork():\n    time.sleep(600)", "0"),
    "trace function": ("sys.settrace(lambda *a: None)", "sys.gettrace() is None"),
}

PUT_BACK = ("locale", "decimals")
"""What every replay puts back by itself."""


@pytest.mark.parametrize("what", OTHERWISE)
@pytest.mark.usefixtures("nothing_left")
def test_what_a_job_leaves_other_than_it_was_meets_no_other_job(
    recorded: Callable, tmp_path: Path, what: str
) -> None:
    lines, look = OTHERWISE[what]
    project = recorded(MANY)
    project.trouble(lines)
    seen = tmp_path / "seen"
    text = (project.directory / "shop/trouble.py").read_text()
    look_first = f"    handle = os.open({str(seen)!r}, os.O_CREAT | os.O_APPEND | os.O_WRONLY)\n"
    look_first += f"    seen = f'{{number}} {{os.getpid()}} ' + str({look}) + '\\n'\n"
    look_first += "    os.write(handle, seen.encode())\n"
    look_first += "    os.close(handle)\n"
    head, middle, rest = text.partition("def make(number):\n")
    (project.directory / "shop/trouble.py").write_text(head + middle + look_first + rest)
    assert kinds(results(project)) == {"same": MANY}
    lines_seen = [line.split(" ", 2) for line in seen.read_text().splitlines()]
    assert len(lines_seen) == MANY
    assert len({state for _, _, state in lines_seen}) == 1
    pids = [pid for _, pid, _ in lines_seen]
    if what not in PUT_BACK:
        assert len(set(pids)) == 2
        assert pids.index(pids[-1]) == 6


def test_a_job_that_leaves_nothing_is_replayed_in_the_same_process(
    recorded: Callable, tmp_path: Path
) -> None:
    project = recorded(MANY)
    project.write("shop/trouble.py", f"""
        import os
        def make(number):
            with open({str(tmp_path / "pids")!r}, "a") as file:
                print(os.getpid(), file=file)
    """)  # fmt: skip
    assert kinds(results(project)) == {"same": MANY}
    assert len(set((tmp_path / "pids").read_text().split())) == 1


@pytest.mark.usefixtures("nothing_left")
def test_children_are_ended_whatever_they_do_to_escape(recorded: Callable, tmp_path: Path) -> None:
    project = recorded(MANY)
    pid = tmp_path / "pid"
    project.trouble(f"""
        if not os.fork():
            os.setsid()
            if not os.fork():
                open({str(pid)!r}, "w").write(str(os.getpid()))
                time.sleep(600)
            os._exit(0)
        os.wait()
        while not os.path.exists({str(pid)!r}) or not open({str(pid)!r}).read():
            time.sleep(0.001)
    """)
    with working(project) as worker:
        for one in worker.run(project.rows):
            assert one.kind == "same"
        assert not Path(f"/proc/{pid.read_text()}").exists()  # while the worker is still there


@pytest.mark.parametrize("raised", ["SystemExit(3)", "KeyboardInterrupt", "MemoryError"])
def test_what_a_job_raises_is_a_change_and_its_factory_a_failure(
    recorded: Callable, raised: str
) -> None:
    project = recorded(MANY)
    project.trouble(f"raise {raised}")
    found = results(project)
    assert kinds(found) == {"same": MANY - 1, "changed": 1}
    assert raised.partition("(")[0] in str(found[5].moved)


@pytest.mark.usefixtures("nothing_left")
def test_what_is_printed_never_fills_the_disk(recorded: Callable, tmp_path: Path) -> None:
    project = recorded(MANY)
    most = tmp_path / "most"
    project.trouble(f"""
        line, most = b"x" * (1 << 20), 0
        until = time.monotonic() + 20
        while time.monotonic() < until and most < 600:
            for _ in range(20):
                os.write(1, line)
                most += 1
            if os.fstat(1).st_size < most << 19:
                break
        open({str(most)!r}, "w").write(f"{{most}} {{os.fstat(1).st_size}}")
    """)
    assert kinds(results(project)) == {"same": MANY}
    written, size = map(int, most.read_text().split())
    assert size < written << 19


def test_a_trace_that_differs_only_after_another_counts_as_the_same(recorded: Callable) -> None:
    project = recorded(MANY)
    project.write("shop/trouble.py", """
        from shop import rates
        seen = []
        def make(number):
            from shop import jobs
            seen.append(number)
            jobs.RATE = 2 if len(seen) == 1 else 3
    """)  # fmt: skip
    assert kinds(results(project)) == {"same": MANY}


def test_a_change_of_code_is_confirmed_some_times_and_not_each_time(
    recorded: Callable, tmp_path: Path
) -> None:
    project = recorded(60)
    runs = tmp_path / "runs"
    project.write("shop/rates.py", "RATE = 3\n")
    project.write("shop/trouble.py", f"""
        def make(number):
            with open({str(runs)!r}, "a") as file:
                print(number, file=file)
    """)  # fmt: skip
    found = results(project)
    assert kinds(found) == {"same": 1, "changed": 59}
    assert len({one.cause for one in found if one.kind == "changed"}) == 1
    times = len(runs.read_text().split())
    assert 60 + 7 <= times <= 60 + 8 + 59 // 16 + 1
    moved = {one.field: one.change for one in found[7].moved}
    assert moved["result.total"] == 7


def test_a_change_with_no_code_behind_it_is_confirmed_each_time(
    recorded: Callable, tmp_path: Path
) -> None:
    project = recorded(40)
    runs, rate = tmp_path / "runs", tmp_path / "rate"
    rate.write_text("2")
    project.write("shop/trouble.py", f"""
        def make(number):
            from shop import jobs
            with open({str(runs)!r}, "a") as file:
                print(number, file=file)
            jobs.RATE = int(open({str(rate)!r}).read())
    """)  # fmt: skip
    rate.write_text("3")
    # The file of the code differs as well, so only the old sources can tell: without them, and
    # without a commit that has them, nobody knows of any code.
    store = LocalStore(project.directory / ".tracediff")
    try:
        worker = Worker(project.config, store, Work(timeout=30), load=lambda path, blob: None)
        try:
            found = list(worker.run(project.rows))
        finally:
            worker.close()
    finally:
        store.close()
    assert Counter(one.kind for one in found) == {"same": 1, "changed": 39}
    assert len(runs.read_text().split()) >= 2 * 39


def test_the_code_behind_a_change_names_its_cause(recorded: Callable) -> None:
    project = recorded(MANY)
    project.write("shop/rates.py", "RATE = 3\n")
    found = results(project)
    assert {one.label for one in found[1:]} == {"RATE (shop/rates.py)"}
    assert [one.kind for one in results(project, rules=(Tolerance(path="**", ignore=True),))] == [
        "same"
    ] * MANY


class Hurt(LocalStore):
    """A store with one trace that cannot be read."""

    hurt = ""
    slug = "trace-hurt"

    def load(self, row: Row) -> Trace:
        if row.id == self.hurt:
            raise StoreError("its bytes are damaged", slug=self.slug, hint="")
        return super().load(row)


@pytest.mark.usefixtures("nothing_left")
def test_a_trace_that_cannot_be_read_fails_and_a_store_that_goes_away_ends_all(
    recorded: Callable,
) -> None:
    project = recorded(MANY)
    store = Hurt(project.directory / ".tracediff")
    try:
        store.hurt = project.rows[5].id
        with working(project, store) as worker:
            found = {one.id: one for one in worker.run(project.rows)}
            assert Counter(one.slug for one in found.values()) == {"": MANY - 1, "trace-hurt": 1}
            assert found[store.hurt].kind == "failed"
            store.slug = "store-unreachable"
            with pytest.raises(StoreError) as caught:
                list(worker.run(project.rows))
            assert caught.value.slug == "store-unreachable"
            store.hurt = ""
            assert len(list(worker.run(project.rows))) == MANY  # and when it is back, all goes on
    finally:
        store.close()


def test_bytes_that_are_hurt_are_one_failure(recorded: Callable) -> None:
    project = recorded(MANY)
    key, start, length = project.rows[5].location
    with (project.directory / ".tracediff" / key).open("r+b") as file:
        file.seek(start + length - 3)
        file.write(b"xyz")
    found = results(project)
    assert kinds(found) == {"same": MANY - 1, "failed": 1}
    assert found[5].slug == "trace-hurt"


@pytest.mark.usefixtures("nothing_left")
def test_a_process_that_cannot_work_ends_all_with_a_reason(recorded: Callable) -> None:
    project = recorded(MANY)
    project.write("pyproject.toml", '[tool.tracediff]\njobs = ["shop.*"]\nnonsense = 1\n')
    with working(project) as worker, pytest.raises(ReplayError) as caught:
        list(worker.run(project.rows))
    assert "nonsense" in caught.value.message


@pytest.mark.usefixtures("nothing_left")
def test_a_worker_that_is_stopped_ends_at_once_with_its_processes(recorded: Callable) -> None:
    project = recorded(MANY)
    project.trouble("time.sleep(600)")
    with working(project, timeout=500) as worker:
        found = []
        thread = threading.Thread(target=lambda: found.extend(worker.run(project.rows)))
        thread.start()
        deadline = time.monotonic() + 60
        while len(found) < 5 and time.monotonic() < deadline:
            time.sleep(0.01)
        worker.stop()
        thread.join(30)
        assert not thread.is_alive()
    assert 5 <= len(found) < MANY


def test_against_a_revision_both_sides_are_replayed(recorded: Callable) -> None:
    project = recorded(MANY)
    jobs = (project.directory / "shop/jobs.py").read_text()
    more = '@td.input("Discount")\ndef discount(number):\n    return 1\n\n@td.job'
    asks = jobs.replace("@td.job", more).replace('"total": number', '"total": discount(1) + number')
    (project.directory / "shop/jobs.py").write_text(asks)
    from tracediff.demo import git

    git(project.directory, "commit", "--all", "--quiet", "--message", "second")
    with checked_out(project.config, "HEAD") as (then, commit):
        # Both ask for what nobody recorded: no change.
        with working(project, then=then, against=commit) as worker:
            assert kinds(list(worker.run(project.rows))) == {"same": MANY}
        (project.directory / "shop/jobs.py").write_text(jobs)
        with working(project, then=then, against=commit) as worker:
            found = list(worker.run(project.rows))
        assert kinds(found) == {"changed": MANY}
        assert {one.id for one in found} == {row.id for row in project.rows}
    with checked_out(project.config, "HEAD~1") as (then, commit):
        project.write("shop/rates.py", "RATE = 3\n")
        with working(project, then=then, against=commit) as worker:
            found = list(worker.run(project.rows))
        assert kinds(found) == {"same": 1, "changed": MANY - 1}
        assert {one.label for one in found if one.kind == "changed"} == {"RATE (shop/rates.py)"}


def test_attributes_and_the_code_that_ran_are_told_where_they_are_wanted(
    recorded: Callable,
) -> None:
    project = recorded(MANY)
    assert not any(one.attributes or one.ran for one in results(project))
    found = results(project, attributes=1.0, executed=True)
    assert kinds(found) == {"same": MANY}
    assert {dict(one.attributes)["number"] for one in found} == set(range(MANY))
    assert all(one.ran for one in found)
    files = {file for one in found for file, _, _ in one.units}
    assert {"shop/jobs.py", "shop/rates.py"} <= files
    some = sum(bool(one.attributes) for one in results(project, attributes=0.5))
    assert 0 < some < MANY
    project.write("shop/rates.py", "RATE = 3\n")
    changed = [one for one in results(project, executed=True) if one.kind == "changed"]
    assert len(changed) == MANY - 1
    assert all(one.attributes and one.ran for one in changed)


class Counting(MemoryBlobs):
    """Blobs that count how often they are read."""

    reads = 0

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        self.reads += 1
        return super().get(key, start, length)


def test_traces_of_one_segment_are_read_together(recorded: Callable) -> None:
    project = recorded(60)
    blobs = Counting()
    store = RemoteStore("test", MemoryIndex(), blobs)
    store.save([project.store.load(row) for row in project.rows])
    rows = list(every_row(store, Query()))
    blobs.reads = 0
    with working(project, store) as worker:
        assert kinds(list(worker.run(rows))) == {"same": 60}
    assert blobs.reads < 30


@pytest.mark.usefixtures("nothing_left")
def test_modules_that_end_the_process_fail_each_trace(recorded: Callable) -> None:
    project = recorded(MANY)
    project.write("shop/rates.py", "import os\nos._exit(4)\n")
    with working(project) as worker:
        found = list(worker.run(project.rows[:3]))
    assert [(one.kind, one.slug) for one in found] == [("failed", "replay-died")] * 3


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_left")
def test_modules_that_are_never_imported_to_their_end_end_the_check(
    recorded: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warmed, "IMPORT_TIME", 1.0)
    project = recorded(MANY)
    project.write("shop/rates.py", "import time\ntime.sleep(600)\n")
    with working(project, timeout=1.0) as worker, pytest.raises(ReplayError) as caught:
        list(worker.run(project.rows))
    assert caught.value.slug == "replay-timeout"

"""Live traces when processes and servers die: what was acknowledged of each is there, once.

A program logs each step that ``td.flush`` has acknowledged, in a file that is synced for each. What
the servers hold is read without tracediff (``verify_live``), then by it.
"""

from __future__ import annotations

import random
import signal
import time
from collections import defaultdict

import pytest

from tracediff import values
from tracediff.model import Query
from tracediff.stores import open_store

PROGRAM = """
    import random, threading
    name, threads, most = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    said = os.open(f"{name}.steps", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    td.configure(on_ack=ledger(name))

    @td.step("Part")
    def part(n, size):
        return os.urandom(size)

    @td.job("made/live", mode="live")
    def live(tag, dice):
        td.tag(tag)
        for n in endless():
            part(n, int(20_000 ** dice.random()))
            if td.flush(5):
                os.write(said, f"{tag} {n}\\n".encode())
                os.fsync(said)
            if n >= most:
                return
            time.sleep(dice.random() * 0.01)

    def work(thread):
        dice = random.Random(f"{name} {thread}")
        for n in endless():
            live(f"{name}-{thread}-{n}", dice)

    for thread in range(threads):
        threading.Thread(target=work, args=(thread,)).start()
"""


class Living:
    """Programs that record live jobs, and what became of these."""

    def __init__(self, production, poll) -> None:
        self.production = production
        self.poll = poll
        self.count = 0
        production.write(PROGRAM)

    def start(self, threads: int = 2, most: int = 25):
        self.count += 1
        return self.production.start("program.py", f"r{self.count}", threads, most)

    def said(self) -> dict[str, int]:
        """By the tag of each job, the last of its steps that was acknowledged."""
        found: dict[str, int] = defaultdict(int)
        for path in self.production.directory.glob("*.steps"):
            for line in path.read_text().rpartition("\n")[0].splitlines():
                tag, n = line.split()
                found[tag] = max(found[tag], int(n))
        return found

    def goes_on(self, process, more: int = 10) -> None:
        """Until some more steps were acknowledged."""
        want = sum(self.said().values()) + more

        def done() -> bool:
            assert process.poll() is None, process.communicate()
            return sum(self.said().values()) >= want

        self.poll(done)

    def kill(self, process) -> None:
        process.send_signal(signal.SIGKILL)
        process.communicate()

    def verify(self) -> dict[str, str]:
        """The states of all live traces, each with at least what was acknowledged of it."""
        self.production.upload(f"later-{self.count}")
        self.production.verify_live()
        store = open_store(self.production.url())
        try:
            rows = store.search(Query(key="made/live", limit=10_000)).rows
            states = {row.tags[0]: row.state for row in rows if row.tags}
            assert len(states) == sum(bool(row.tags) for row in rows), "a job is there twice"
            said = self.said()
            assert said.keys() <= states.keys(), "what was acknowledged is not there"
            for row in rows:
                trace = store.load(row)
                assert trace.warnings == ()
                assert trace.state == row.state
                parts = [one for one in trace.steps if one.name == "Part"]
                steps = [values.inert(one.args)["n"] for one in parts]
                assert steps == list(range(len(steps)))
                if row.tags:
                    assert len(steps) > said.get(row.tags[0], -1)
            assert store.search(Query(state="running")).rows == ()
        finally:
            store.close()
        return states


@pytest.fixture
def living(production, poll) -> Living:
    return Living(production, poll)


def test_a_killed_process_leaves_lost_traces_whose_last_parts_are_there(living):
    process = living.start(most=10_000)
    living.goes_on(process)
    living.kill(process)
    assert set(living.verify().values()) == {"lost"}


@pytest.mark.slow
@pytest.mark.in_turn
def test_processes_killed_at_random_moments_lose_nothing_of_live_traces(living):
    for _ in range(3):
        processes = [living.start(random.choice([1, 3])) for _ in range(2)]
        living.goes_on(processes[0], random.randrange(1, 60))
        time.sleep(random.uniform(0, 0.5))
        for process in processes:
            living.kill(process)
    states = living.verify()
    assert set(states.values()) <= {"lost", "success"}
    assert "lost" in states.values()


@pytest.mark.slow
@pytest.mark.in_turn
@pytest.mark.parametrize(
    ("rows", "bytes_"), [(True, False), (False, True), (True, True)], ids=["mongod", "weed", "both"]
)
def test_servers_that_are_killed_lose_nothing_of_live_traces(living, rows, bytes_):
    wanted = [(rows, living.production.mongod), (bytes_, living.production.weed)]
    servers = [server for chosen, server in wanted if chosen]
    process = living.start()
    living.goes_on(process, 60)
    try:
        for server in servers:
            server.kill()
        living.goes_on(process, 30)  # the spool takes them meanwhile
    finally:
        for server in servers:
            server.start()
    living.goes_on(process, 30)
    living.kill(process)
    assert "success" in living.verify().values()


@pytest.mark.slow
@pytest.mark.in_turn
def test_with_both_servers_down_at_the_start_nothing_of_live_traces_is_lost(living):
    servers = (living.production.mongod, living.production.weed)
    for server in servers:
        server.kill()
    try:
        process = living.start()
        living.goes_on(process, 60)
        living.kill(process)
    finally:
        for server in servers:
            server.start()
    assert set(living.verify().values()) == {"lost", "success"}


def test_a_torn_tail_costs_the_part_that_was_never_acknowledged_alone(living):
    process = living.start(threads=1, most=10_000)
    living.goes_on(process)
    living.kill(process)
    production = living.production
    torn = max(production.waiting(), key=lambda path: path.stat().st_mtime, default=None)
    if torn is not None and (data := torn.read_bytes()):
        torn.write_bytes(data + data[: min(len(data), 100)])
    assert set(living.verify().values()) == {"lost"}


FULL = """
    @td.step("Part")
    def part(n):
        return os.urandom(30_000)

    @td.job("made/live", mode="live")
    def live(tag):
        td.tag(tag)
        refused = 0
        for n in range(60):
            part(n)
            refused += not td.flush(0.2)
        return refused

    print(live("full"))
    sys.exit(not td.flush(50, upload=True))
"""


@pytest.mark.slow
@pytest.mark.in_turn
def test_a_full_spool_keeps_parts_waiting_and_loses_none(living):
    living.production.write(FULL)
    out, _ = living.production.run(TRACEDIFF_SPOOL_BYTES=str(1 << 20), TRACEDIFF_UPLOAD_EVERY="2")
    assert int(out) > 0
    assert living.verify() == {"full": "success"}


@pytest.mark.parametrize("early", [True, False])
def test_an_ignored_job_leaves_nothing_that_can_be_found(living, early):
    living.production.write(f"""
        @td.job("made/live", mode="live")
        def live():
            td.tag("ignored")
            read(100)
            assert td.flush(30, upload={not early})
            td.ignore()
            read(100)

        live()
        job("other")
        sys.exit(not td.flush(50, upload=True))
    """)
    living.production.run(TRACEDIFF_UPLOAD_EVERY="3600")
    assert living.verify() == {}
    found = living.production.verify()
    assert len(found.jobs) == 2
    if early:  # what was not uploaded yet never is
        assert all(one.kind == 0 for one in found.frames)

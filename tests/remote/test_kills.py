"""Recorders and servers that are killed at random moments lose nothing that was acknowledged.

The short forms kill a few; the long one, of ``make soak``, kills for minutes. The moments are drawn
from the seed that the head of the test run shows.
"""

from __future__ import annotations

import os
import random
import signal
import time

import pytest

ROUNDS = int(os.environ.get("KILLS") or 200) // 10

FOREVER = """
    import random, threading
    name, threads = sys.argv[1], int(sys.argv[2])
    td.configure(on_ack=ledger(name))
    def work(thread):
        dice = random.Random(f"{name} {thread}")
        for n in endless():
            job(f"{name}-{thread}-{n}", int(200_000 ** dice.random()))
            time.sleep(dice.random() * 0.02)
    for thread in range(threads):
        threading.Thread(target=work, args=(thread,)).start()
"""


class Killing:
    """Recorders that run until they are killed, and servers that come back."""

    def __init__(self, production, poll) -> None:
        self.production = production
        self.poll = poll
        self.count = 0
        self.early = 0
        production.write(FOREVER)

    def recorder(self):
        self.count += 1
        return self.production.start("program.py", f"r{self.count}", random.choice([1, 2, 3]))

    def acknowledges(self, process, more: int = 1) -> None:
        """Until recorders of this project have acknowledged some more."""
        want = len(self.production.acknowledged()) + more

        def done() -> bool:
            assert process.poll() is None, process.communicate()
            return len(self.production.acknowledged()) >= want

        self.poll(done)

    def kill(self, process) -> None:
        process.send_signal(signal.SIGKILL)
        _, err = process.communicate()
        allowed = ("tracediff keeps traces in", "to be uploaded by a later process")
        lines = [one for one in err.splitlines() if not any(said in one for said in allowed)]
        assert (process.returncode, lines) == (-signal.SIGKILL, [])

    def recorders(self, rounds: int) -> None:
        """Kill recorders, each at a moment of its own: as it starts, saves or uploads."""
        for _ in range(rounds):
            started = [self.recorder() for _ in range(random.choice([1, 2]))]
            early = random.random() < 0.15
            self.early += early
            if not early:
                self.acknowledges(started[0])
            time.sleep(random.uniform(0, 0.8))
            for process in started:
                self.kill(process)

    def servers(self, rounds: int, *, mongod: bool, weed: bool) -> None:
        """Kill servers while a recorder runs on, and start them again."""
        recorder = self.recorder()
        for _ in range(rounds):
            self.acknowledges(recorder)
            time.sleep(random.uniform(0, 0.5))
            killed = [(mongod, self.production.mongod), (weed, self.production.weed)]
            chosen = [server for wanted, server in killed if wanted]
            try:
                for server in chosen:
                    server.kill()
                self.acknowledges(recorder, 20)  # the spool takes them meanwhile
            finally:
                for server in chosen:
                    server.start()
        self.kill(recorder)

    def verify(self) -> int:
        later = f"later-{self.count}"  # another one each time that more recorders were killed
        self.production.upload(later)
        found = self.production.verify()
        assert later in found.jobs
        return len(self.production.acknowledged())


@pytest.fixture
def killing(production, poll) -> Killing:
    return Killing(production, poll)


def test_a_killed_recorder_loses_nothing_that_was_acknowledged(killing):
    process = killing.recorder()
    killing.acknowledges(process, random.randint(1, 60))
    killing.kill(process)
    assert killing.verify() > 0


@pytest.mark.slow
def test_recorders_killed_at_random_moments_lose_nothing_that_was_acknowledged(killing):
    killing.recorders(6)
    assert killing.verify() > 50


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "bytes_"), [(True, False), (False, True), (True, True)], ids=["mongod", "weed", "both"]
)
def test_killed_servers_lose_nothing_that_was_acknowledged(killing, rows, bytes_):
    killing.servers(1, mongod=rows, weed=bytes_)
    assert killing.verify() > 20


@pytest.mark.slow
def test_servers_that_are_down_when_a_recorder_starts_get_everything_when_they_are_back(
    killing, production
):
    production.mongod.kill()
    production.weed.kill()
    try:
        process = killing.recorder()
        killing.acknowledges(process, 50)
    finally:
        production.mongod.start()
        production.weed.start()
    killing.acknowledges(process, 10)
    killing.poll(lambda: len(production.stored().rows) > 50)  # without a restart of the recorder
    killing.kill(process)
    killing.verify()


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_kills_for_minutes_lose_nothing_that_was_acknowledged(killing):
    for _ in range(ROUNDS):
        killing.recorders(7)
        which = random.choice([(True, False), (False, True), (True, True)])
        killing.servers(3, mongod=which[0], weed=which[1])
        killing.verify()
    print(f"{killing.count} recorders and {3 * ROUNDS} times servers were killed")

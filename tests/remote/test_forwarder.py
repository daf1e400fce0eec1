"""One forwarder moves what many processes record; whenever it dies, nothing is lost or doubled."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable

import pytest

from tracediff.stores.forwarding import forwarding

RECORDER = """
    name, jobs = sys.argv[1], int(sys.argv[2])
    td.configure(on_ack=ledger(name))
    for n in range(jobs) if jobs else endless():
        job(f"{name}-{n}")
        time.sleep(0.02)
"""

SHORT = """
    td.configure(on_ack=ledger(sys.argv[1]))
    job(sys.argv[1])
    began = time.perf_counter()
    done = td.flush(50, upload=True)
    print(done, sorted(one for one in ("pymongo", "boto3") if one in sys.modules))
"""


@pytest.fixture
def forward(production, poll) -> Callable:
    """Start a forwarder and wait until it holds the lock of the spool."""

    def forward(*options: object, **more: str):
        process = production.start("-m", "tracediff", "forward", *options, **more)
        poll(lambda: process.poll() is not None or any(map(forwarding, production.spools)))
        return process

    return forward


def connections(production) -> int:
    """How many the server has."""
    with production.mongod.client() as client:
        return client.admin.command("serverStatus")["connections"]["current"]


def ended(process, status: int = 0) -> str:
    out, err = process.communicate(timeout=60)
    assert process.returncode == status, err
    return out


@pytest.mark.slow
def test_it_moves_for_others_which_neither_import_nor_connect(production, forward, poll):
    production.write(SHORT)
    forwarder = forward()
    before = connections(production)
    others = [production.start("program.py", f"p{n}") for n in range(8)]
    assert [ended(one) for one in others] == ["True []\n"] * 8
    assert connections(production) - before <= 8, "the forwarder's own and this test's"
    assert production.waiting() == []
    found = production.verify()
    assert len(found.rows) == 8
    assert len([key for key in found.objects if "/segments/" in key]) < 8
    forwarder.send_signal(signal.SIGTERM)
    assert ended(forwarder) == ""
    assert not any(map(forwarding, production.spools))
    out, _ = production.run("program.py", "alone")
    assert out == "True ['boto3', 'pymongo']\n"
    production.verify()


@pytest.mark.slow
def test_a_second_one_is_refused_and_names_the_first(production, forward):
    production.write(SHORT)
    first = forward()
    second = production.start("-m", "tracediff", "forward")
    _, err = second.communicate(timeout=60)
    assert second.returncode == 2
    assert f"process {first.pid} forwards" in err
    assert "forwarder-running" in err
    first.send_signal(signal.SIGINT)
    ended(first)


@pytest.mark.slow
def test_once_moves_what_was_left_or_says_what_stays_and_why(production, poll):
    production.write(RECORDER)
    store = production.url(serverSelectionTimeoutMS=1000)
    more = {"TRACEDIFF_STORE": store, "TRACEDIFF_UPLOAD_EVERY": "600"}
    recorder = production.start("program.py", "r", 0, **more)
    poll(lambda: len(production.acknowledged()) > 20)
    recorder.kill()
    recorder.communicate()
    production.mongod.kill()
    try:
        _, err = production.run("-m", "tracediff", "forward", "--once", status=1, **more)
    finally:
        production.mongod.start()
    assert f"some stays in {production.spools[0]}" in err
    assert "mongodb://" in err
    assert len(production.waiting()) == 1
    file = production.directory / "it.prom"
    production.run("-m", "tracediff", "forward", "--once", "--metrics", file, **more)
    assert production.waiting() == []
    assert "\ntracediff_forwarder_up 0\n" in file.read_text(), "none is up any longer"
    production.verify()


@pytest.mark.slow
def test_its_figures_say_that_it_has_ended(production, forward, poll):
    file = production.directory / "it.prom"
    process = forward("--metrics", file)
    poll(lambda: file.exists() and "\ntracediff_forwarder_up 1\n" in file.read_text())
    process.terminate()
    ended(process)
    assert "\ntracediff_forwarder_up 0\n" in file.read_text()
    assert "\ntracediff_store_ok 1\n" in file.read_text()


class Killed:
    """A forwarder that is killed and started again while others record."""

    def __init__(self, production, forward) -> None:
        self.production, self.forward = production, forward
        self.forwarder = forward()
        self.kills = 0

    def again(self) -> None:
        time.sleep(random.uniform(0, 0.5))
        self.forwarder.send_signal(random.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]))
        self.forwarder.communicate()
        self.kills += 1
        time.sleep(random.choice([0, 0, random.uniform(0, 0.8)]))
        self.forwarder = self.forward()


@pytest.mark.slow
def test_it_is_killed_at_random_while_many_record_and_each_trace_is_there_once(
    production, forward, poll
):
    production.write(RECORDER)
    killed = Killed(production, forward)
    recorders = [production.start("program.py", f"r{n}", 0) for n in range(2)]
    short: list = []
    for n in range(3):
        short.append(production.start("program.py", f"s{n}", 5))
        want = len(production.acknowledged()) + 20
        poll(lambda want=want: len(production.acknowledged()) >= want)
        killed.again()
        if n == 1:
            recorders[0].kill()
    for one in short:
        ended(one)
    for one in recorders:
        one.kill()
        one.communicate()
    poll(lambda: production.waiting() == [])
    killed.forwarder.send_signal(signal.SIGTERM)
    ended(killed.forwarder)
    found = production.verify()
    assert len(found.rows) > 60
    segments = [key for key in found.objects if "/segments/" in key]
    assert len(segments) < len(found.rows) / 5


@pytest.mark.slow
def test_when_it_dies_processes_move_again_by_themselves(production, forward, poll):
    production.write(RECORDER)
    forwarder = forward()
    recorder = production.start("program.py", "r", 0)
    poll(lambda: len(production.acknowledged()) > 10)
    forwarder.kill()
    forwarder.wait()
    want = set(production.acknowledged())
    poll(lambda: want <= production.stored().rows.keys(), 20)
    recorder.kill()

"""Runs of gc and erasures that are killed, refused or cut off: nothing is lost or there twice."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest

from servers.faulty_http import FaultyHttp
from tracediff.model import Query
from tracediff.stores import open_store

RECORD = """
    td.configure(on_ack=ledger("a"))
    for n in range(int(sys.argv[1])):
        job(f"j{n}", 2000)
        if n % 20 == 19:
            assert td.flush(50, upload=True)
    sys.exit(not td.flush(50, upload=True))
"""
CLEAN = """
    from tracediff.stores import open_store
    from tracediff.stores.upkeep.base import kept_of
    from tracediff.stores.upkeep.collecting import Wish, collect
    store = open_store(os.environ["TRACEDIFF_STORE"])
    kept = kept_of(store)
    print("ready", flush=True)
    told = lambda *told: time.sleep(0.003)
    print(collect(kept, Wish(grace=0.0, thorough=True, unsafe=True), told).rewritten.count)
"""


class Cleaning:
    """A store with segments in which some traces are dead, and runs that clean it up."""

    def __init__(self, production, count: int = 80) -> None:
        self.production = production
        production.write(RECORD)
        production.run("program.py", count)
        production.write(CLEAN, name="clean.py")
        store = open_store(production.url())
        rows = store.search(Query(limit=1000)).rows
        self.gone = {row.id for row in rows[::4]}
        store.delete(self.gone)
        store.close()

    def started(self, **more: str):
        process = self.production.start("clean.py", **more)
        assert process.stdout.readline() == "ready\n"
        return process

    def done(self, **more: str) -> None:
        self.production.run("clean.py", **more)

    def verify(self) -> None:
        """Every trace that is to live is there once, where its row says, and no other."""
        found = self.production.stored()
        want = set(self.production.acknowledged()) - self.gone
        assert found.rows.keys() == want
        assert sorted(frame.id for frame in found.frames) == sorted(want)
        assert {frame.id: frame.place for frame in found.frames} == found.rows

    def readable(self) -> None:
        store = open_store(self.production.url())
        want = set(self.production.acknowledged()) - self.gone
        rows = store.search(Query(limit=1000)).rows
        assert {store.load(row).id for row in rows} == want
        store.close()


@pytest.fixture
def cleaning(production) -> Cleaning:
    return Cleaning(production)


@pytest.mark.slow
@pytest.mark.in_turn
def test_runs_that_are_killed_lose_nothing_and_leave_nothing_twice(cleaning):
    dice = random.Random(int(os.environ["SEED"]))
    for _ in range(3):
        process = cleaning.started()
        time.sleep(dice.uniform(0, 0.25))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        cleaning.readable()
    cleaning.done()  # the lease of a dead process of this machine is taken over
    cleaning.verify()


@pytest.mark.slow
@pytest.mark.in_turn
def test_a_server_that_is_killed_meanwhile_costs_a_run_and_nothing_else(cleaning):
    for server in (cleaning.production.mongod, cleaning.production.weed):
        process = cleaning.started()
        time.sleep(0.05)
        server.kill()
        try:
            _, err = process.communicate(timeout=60)
        finally:
            server.start()
        assert process.returncode == 0 or "StoreError" in err
    cleaning.done()
    cleaning.verify()


@pytest.mark.slow
@pytest.mark.in_turn
@pytest.mark.parametrize("method", ["POST", "PUT"], ids=["deletes", "puts"])
def test_a_store_of_bytes_that_refuses_costs_a_run_and_nothing_else(cleaning, method):
    with FaultyHttp(cleaning.production.weed.endpoint) as proxy:
        proxy.fail(1, method=method, answer=(403, "AccessDenied"))
        where = {"TRACEDIFF_STORE": cleaning.production.url(s3=proxy.endpoint)}
        _, err = cleaning.production.run("clean.py", status=1, **where)
        assert "may not do it" in err
        assert proxy.pending == 0
    cleaning.readable()
    cleaning.done()
    cleaning.verify()


@pytest.mark.slow
@pytest.mark.in_turn
def test_an_index_that_refuses_to_move_rows_costs_a_run_and_nothing_else(cleaning):
    cleaning.production.mongod.fail("update", times=3, errorCode=13)
    try:
        _, err = cleaning.production.run("clean.py", status=1)
    finally:
        cleaning.production.mongod.fail("update", times=0)
    assert "StoreError" in err
    cleaning.readable()
    cleaning.done()
    cleaning.verify()


LATER = """
    td.configure(on_ack=ledger("b"))
    for n in range(30):
        job(f"s{n}", 2000)
    td.flush()
    os._exit(0)
"""


@pytest.mark.slow
def test_what_waits_in_the_spool_is_erased_and_the_rest_is_uploaded(production):
    production.write(LATER)
    production.run(TRACEDIFF_UPLOAD_EVERY="3600")
    assert production.waiting() != []
    out, err = production.run(
        "-m", "tracediff", "erase", "--tag", "s7", "--reason", "asked", "--yes"
    )
    assert "1 trace erased" in out, err
    waits = b"".join(path.read_bytes() for path in production.waiting())
    assert b'"s7"' not in waits
    assert b'"s8"' in waits
    production.upload()
    found = production.stored()
    assert sorted(found.jobs) == sorted([*(f"s{n}" for n in range(30) if n != 7), "later"])


@pytest.mark.slow
@pytest.mark.in_turn
def test_an_erasure_that_is_killed_is_finished_by_gc(production):
    production.write(RECORD)
    production.run("program.py", 40)
    for _ in range(2):
        process = production.start(
            "-m", "tracediff", "erase", "--tag", "j7", "--reason", "asked", "--yes"
        )
        time.sleep(random.uniform(1.0, 2.0))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    production.run("-m", "tracediff", "erase", "--tag", "j7", "--reason", "asked", "--yes")
    production.run("-m", "tracediff", "gc")  # nothing is older than its grace but the erased
    found = production.stored()
    assert "j7" not in found.jobs
    assert len(found.rows) == 39
    assert {frame.id: frame.place for frame in found.frames}.items() >= found.rows.items()

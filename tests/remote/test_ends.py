"""How recording processes end, and what is then where."""

from __future__ import annotations

import signal
import time

import pytest

from servers.processes import free_port
from servers.proxy import Proxy

EXIT = 10.0
"""Seconds that the end of a process may take when the store is down, by docs/production.md."""

SLACK = 8.0
"""Seconds that a busy machine may need to start and end Python besides."""


def test_a_process_that_ends_has_uploaded_everything(production):
    production.write("""
        td.configure(on_ack=ledger("a"))
        for n in range(300):
            job(f"j{n}")
    """)
    assert production.run() == ("", "")
    assert production.waiting() == []
    found = production.verify()
    assert set(found.jobs) == {f"j{n}" for n in range(300)}
    assert len(production.acknowledged()) == 300
    assert len([key for key in found.objects if "/segments/" in key]) <= 2


STANDING_IN = """
        from tracediff.stores import standing_in
        standing_in.needed = lambda: True
"""
"""What Python 3.12.0 to 3.12.2 needs at the end of a process, with any Python."""


def test_a_process_that_can_start_no_thread_at_its_end_has_uploaded_everything(production):
    production.write(
        STANDING_IN
        + """
        import atexit
        td.configure(on_ack=ledger("a"))
        atexit.register(lambda: print("pymongo" in sys.modules))
        for n in range(30):
            job(f"j{n}")
    """
    )
    assert production.run() == ("False\n", "")
    assert production.waiting() == []
    assert set(production.verify().jobs) == {f"j{n}" for n in range(30)}
    assert len(production.acknowledged()) == 30


WAYS = [pytest.param("", id="itself"), pytest.param(STANDING_IN, id="by another")]


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_process_that_ends_while_the_store_is_down_says_what_waits_where(production, way):
    production.write(
        way
        + """
        td.configure(on_ack=ledger("a"))
        for n in range(10):
            job(f"j{n}")
        assert td.flush(30)
    """
    )
    gone = production.url(mongo=free_port())
    begun = time.monotonic()
    _, err = production.run(TRACEDIFF_STORE=gone)
    assert time.monotonic() - begun < EXIT + SLACK
    assert "1 segment of traces waits in" in err
    assert str(production.spools[0]) in err
    assert len(production.waiting()) == 1
    assert len(production.acknowledged()) == 10
    assert production.stored().rows == {}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_process_that_ends_while_the_store_hangs_ends_within_the_deadline(production, way):
    """A half-open connection: nothing is refused, and nothing is answered."""
    production.write(
        way
        + """
        td.configure(on_ack=ledger("a"))
        for n in range(10):
            job(f"j{n}")
        assert td.flush(30)
    """
    )
    with Proxy("127.0.0.1", production.mongod.port) as proxy:
        proxy.stall()
        patient = {"serverSelectionTimeoutMS": 60_000, "connectTimeoutMS": 60_000}
        begun = time.monotonic()
        _, err = production.run(TRACEDIFF_STORE=production.url(mongo=proxy.port, **patient))
        assert EXIT <= time.monotonic() - begun < EXIT + SLACK
    assert "the store does not answer in time" in err
    assert len(production.acknowledged()) == 10


def test_jobs_that_end_after_the_recorder_was_closed_are_acknowledged_and_uploaded_later(
    production,
):
    production.write("""
        import atexit
        td.configure(on_ack=ledger("a"))
        atexit.register(job, "late")
        job("early")
    """)
    assert production.run() == ("", "")
    assert len(production.acknowledged()) == 2
    production.upload()
    assert set(production.verify().jobs) == {"early", "late", "later"}


TERMINATED = """
    import signal, threading
    {handler}
    td.configure(on_ack=ledger("a"))
    for n in range(50):
        job(f"j{{n}}")
    {flush}
    print("recorded", flush=True)
    threading.Event().wait(60)
"""


def terminated(production, handler: str, status: int) -> None:
    production.write(TERMINATED.format(handler=handler, flush="assert td.flush(30)"))
    process = production.start(TRACEDIFF_UPLOAD_EVERY="3600")
    assert process.stdout.readline() == "recorded\n"
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (status, "")


def test_a_terminated_process_loses_nothing_that_was_in_the_spool(production):
    terminated(production, "", -signal.SIGTERM)
    assert len(production.acknowledged()) == 50
    assert len(production.waiting()) == 1
    production.upload()
    assert len(production.verify().jobs) == 51


def test_a_process_that_exits_when_it_is_terminated_uploads_everything(production):
    terminated(production, "signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))", 3)
    assert production.waiting() == []
    assert len(production.verify().jobs) == 50


def test_a_process_keeps_its_own_answer_to_sigterm(production):
    production.write("""
        import signal
        before = signal.getsignal(signal.SIGTERM)
        td.configure(on_ack=ledger("a"))
        job("one")
        assert td.flush(30)
        assert signal.getsignal(signal.SIGTERM) is before is signal.SIG_DFL
    """)
    production.run()


def test_a_process_that_is_configured_twice_uploads_what_came_before_and_after(production):
    production.write("""
        td.configure(on_ack=ledger("a"))
        job("before")
        td.configure(on_ack=ledger("b"), depth="inputs")
        job("after")
        td.configure(enabled=False)
        job("never")
    """)
    assert production.run() == ("", "")
    assert production.waiting() == []
    assert set(production.verify().jobs) == {"before", "after"}
    for name in "ab":
        assert len((production.directory / f"{name}.acknowledged").read_text().split()) == 1


@pytest.mark.slow
def test_a_new_password_is_used_for_what_waits_already(production):
    """The spool of a store is the same for every password: what waits goes with the new one."""
    user = f"user_{production.name[-20:]}"
    production.mongod.add_user(user, "right", [{"role": "readWrite", "db": production.name}])
    right = production.url().replace("mongodb://", f"mongodb://{user}:right@", 1)
    right = right.replace("?", "?authSource=admin&", 1)
    production.write(f"""
        wrong = {right!r}.replace(":right@", ":wrong@")
        td.configure(store=wrong, on_ack=ledger("a"))
        job("before")
        assert not td.flush(upload=True)
        td.configure(store={right!r}, on_ack=ledger("b"))
        job("after")
        assert td.flush(30, upload=True)
    """)
    _, err = production.run()
    assert "the user or the password is wrong" in err
    assert "right" not in err.replace("the user", "")
    assert len(production.spools) == 1
    assert set(production.verify().jobs) == {"before", "after"}


@pytest.mark.slow
def test_projects_with_one_store_have_spools_of_their_own(production):
    one, two = production.directory / "one", production.directory / "two"
    for directory in (one, two):
        directory.mkdir()
    production.write("""
        os.chdir(sys.argv[1])
        td.configure(on_ack=ledger("../" + sys.argv[1]))
        for n in range(20):
            job(f"{sys.argv[1]}-{n}")
    """)
    for name in ("one", "two"):
        assert production.run("program.py", name) == ("", "")
    assert len(production.verify().jobs) == 40
    assert [len(list((where / ".tracediff/spool").glob("*"))) for where in (one, two)] == [1, 1]


@pytest.mark.slow
def test_a_clock_that_jumps_delays_nothing_and_mixes_nothing_up(production):
    """Ages are by the clock that cannot be set; ids and starts are by the one that can."""
    production.write("""
        import time_machine
        td.configure(on_ack=ledger("a"), upload_every=0.2)
        job("now")
        for name, when in (("past", 86_400 * 365), ("future", 4_000_000_000)):
            with time_machine.travel(when, tick=True):
                job(name)
                assert td.flush(30)
                time.sleep(0.5)
        job("again")
        assert td.flush(30, upload=True)
    """)
    production.run()
    assert set(production.verify().jobs) == {"now", "past", "future", "again"}


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "count", [pytest.param(12, marks=pytest.mark.slow), pytest.param(100, marks=pytest.mark.soak)]
)
def test_many_short_processes_share_a_spool(production, count):
    """Children of one that has the clients imported: that alone would take a minute."""
    production.write(f"""
        import boto3, tracediff.stores.mongo, tracediff.stores.s3
        boto3.client("s3", region_name="us-east-1").close()
        td.configure(on_ack=ledger("a"))
        running = 0
        for n in range({count}):
            if running == 6:
                assert os.wait()[1] == 0
                running -= 1
            if os.fork() == 0:
                job(f"p{{n}}")
                sys.exit(0)
            running += 1
        for _ in range(running):
            assert os.wait()[1] == 0
    """)
    _, err = production.run(seconds=280)
    assert all("to be uploaded by a later process" in line for line in err.splitlines())
    assert len(production.acknowledged()) == count
    production.upload()
    assert set(production.verify().jobs) == {*(f"p{n}" for n in range(count)), "later"}

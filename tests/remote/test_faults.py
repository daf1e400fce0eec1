"""Failures of networks, servers and disks: what was acknowledged arrives, once."""

from __future__ import annotations

import os
import subprocess

import pytest

from servers.faulty_http import FaultyHttp
from servers.proxy import Proxy

HASTY = {"serverSelectionTimeoutMS": 800, "socketTimeoutMS": 800, "connectTimeoutMS": 800}
RECORD = """
    td.configure(on_ack=ledger("a"))
    for n in range(200):
        job(f"j{n}")
        if n % 50 == 0:
            td.flush(1, upload=True)
    sys.exit(not td.flush(50, upload=True))
"""


def some_slow(failures: list[dict]) -> list:
    """The first of them in every run, the others in those that take longer."""
    return failures[:1] + [pytest.param(one, marks=pytest.mark.slow) for one in failures[1:]]


def recorded(production, **more) -> None:
    production.write(RECORD)
    production.run(**more)
    assert production.waiting() == []
    assert len(production.acknowledged()) == 200
    assert len(production.verify().jobs) == 200


@pytest.mark.parametrize(
    "failure",
    some_slow(
        [
            {"answer": (503, "SlowDown")},
            {"answer": (500, "InternalError")},
            {"answer": (503, "ServiceUnavailable")},
            {"answer": (400, "BadDigest")},
            {"flip_request": True},
            {"lost": True},
        ]
    ),
    ids=str,
)
def test_answers_of_s3_that_pass_lose_and_double_nothing(production, failure):
    with FaultyHttp(production.weed.endpoint) as proxy:
        proxy.fail(4, method="PUT", **failure)
        recorded(production, TRACEDIFF_STORE=production.url(s3=proxy.endpoint))
        assert proxy.pending == 0


@pytest.mark.parametrize(
    "failure",
    some_slow(
        [
            {"closeConnection": True},
            {"errorCode": 10107},
            {"errorCode": 8},
            {"writeConcernError": {"code": 64, "errmsg": "waiting timed out"}},
        ]
    ),
    ids=str,
)
def test_failures_of_inserts_that_pass_lose_and_double_nothing(production, failure):
    production.mongod.fail("insert", times=4, **failure)
    try:
        recorded(production)
    finally:
        production.mongod.fail("insert", times=0)


@pytest.mark.slow
def test_a_step_down_loses_and_doubles_nothing(production, poll):
    production.write(RECORD)
    process = production.start()
    poll(lambda: len(production.acknowledged()) > 20)
    production.mongod.step_down()
    _, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert len(production.verify().jobs) == 200


@pytest.mark.slow
def test_a_slow_network_is_only_slow(production):
    with Proxy("127.0.0.1", production.mongod.port, latency=0.05, rate=100_000) as proxy:
        recorded(production, TRACEDIFF_STORE=production.url(mongo=proxy.port))


@pytest.mark.slow
def test_a_half_open_connection_is_given_up_and_everything_arrives_afterwards(production, poll):
    with Proxy("127.0.0.1", production.mongod.port) as proxy:
        production.write(RECORD)
        process = production.start(TRACEDIFF_STORE=production.url(mongo=proxy.port, **HASTY))
        poll(lambda: len(production.acknowledged()) > 20)
        proxy.stall()
        poll(lambda: len(production.acknowledged()) == 200)
        proxy.resume()
        _, _ = process.communicate(timeout=60)
        assert process.returncode == 0
    assert len(production.verify().jobs) == 200


BOUNDED = """
    import logging
    from tracediff.recording import writer
    writer.MAX_BYTES = 100_000  # of memory: 64 MB take a while to fill
    told = []
    td.configure(on_ack=ledger("a"), on_loss=lambda *losses: told.append(losses))
    for n in range(60):
        job(f"j{n}", 20_000)
        td.flush(0.02)
    assert not td.flush()
    assert told[-1][0] > 0, told
    print(told[-1][0])
    os._exit(0)
"""


@pytest.mark.slow
def test_a_full_spool_and_memory_drop_and_count_and_doctor_tells(production):
    production.write(BOUNDED)
    path = production.directory / "program.py"
    path.write_text(path.read_text().replace("return len(read(size))", "return read(size)"))
    out, _ = production.run(TRACEDIFF_SPOOL_BYTES=str(1 << 20), TRACEDIFF_UPLOAD_EVERY="3600")
    dropped = int(out)
    kept = len(production.acknowledged())
    assert 0 < kept < 60
    said = [one["what"] for one in production.doctor(TRACEDIFF_SPOOL_BYTES=str(1 << 20))]
    assert any(f"dropped {dropped} traces" in one for one in said), said
    production.upload()
    assert len(production.verify().jobs) == kept + 1


@pytest.fixture
def small_disk(tmp_path):
    """A file system of a megabyte, where there may be one; None where not."""
    directory = tmp_path / "disk"
    directory.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", directory]
    mounted = os.getuid() == 0 and not subprocess.call(command, stderr=subprocess.DEVNULL)
    yield directory if mounted else None
    if mounted:
        subprocess.run(["umount", "--lazy", directory], check=True)


def test_a_full_disk_loses_nothing_that_was_acknowledged(production, small_disk):
    """Where no small disk can be had, files may not get longer than it would be."""
    production.write("""
        import resource, signal
        if sys.argv[1] == "limit":
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, resource.RLIM_INFINITY))
        td.configure(on_ack=ledger("a"))
        for n in range(40):
            job(f"j{n}", 50_000)
            td.flush(0.02)
        print(td.flush())
        os._exit(0)
    """)
    path = production.directory / "program.py"
    path.write_text(path.read_text().replace("return len(read(size))", "return read(size)"))
    spool = {"TRACEDIFF_SPOOL": str(small_disk)} if small_disk else {}
    how = "disk" if small_disk else "limit"
    out, _ = production.run("program.py", how, TRACEDIFF_UPLOAD_EVERY="3600", **spool)
    kept = len(production.acknowledged())
    if small_disk:
        assert out == "False\n"
        assert 5 < kept < 40
    production.write("job('later')\nsys.exit(not td.flush(50, upload=True))", name="later.py")
    production.run("later.py", **spool)
    assert len(production.verify().jobs) == kept + 1

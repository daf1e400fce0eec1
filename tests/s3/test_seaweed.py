"""The real server that the tests run against: it starts, dies and comes back as it must."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from servers import seaweed
from servers.processes import ServerError
from servers.seaweed import Seaweed

ROOT = Path(__file__).parents[2]

PARENT = """
import sys, time
from pathlib import Path
from servers.seaweed import Seaweed
server = Seaweed(Path(sys.argv[1]))
server.start()
print(server.pid, flush=True)
time.sleep(100)
"""


def is_alive(pid):
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def wait_until(what, seconds=10):
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_what_was_put_is_there_after_a_kill_and_a_start_at_the_same_place(own_weed):
    own_weed.start()
    endpoint = own_weed.endpoint
    client = own_weed.client()
    client.put_object(Bucket="traces-a", Key="k", Body=b"bytes")
    own_weed.kill()
    own_weed.start()
    assert own_weed.endpoint == endpoint
    assert client.get_object(Bucket="traces-a", Key="k")["Body"].read() == b"bytes"
    client.close()
    own_weed.stop()
    assert own_weed.pid is None


def test_it_dies_with_the_process_that_started_it(tmp_path):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        os.kill(parent.pid, signal.SIGKILL)
        wait_until(lambda: not is_alive(pid))
    finally:
        parent.kill()
        parent.communicate()


def test_a_missing_program_is_named_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerError, match=r"no `weed`.*make setup"):
        Seaweed(tmp_path).start()


def test_its_ports_are_free_and_so_are_those_it_takes_beside_them():
    ports = seaweed.free_ports(5)
    assert len(set(ports)) == 5
    assert all(11_000 <= port < 22_000 for port in ports)

"""What is synced before a trace is acknowledged, by the system calls of a real recording process.

Two witnesses give the same list of calls. *Wrappers* stand around ``os.write`` and ``os.fsync`` in
the process itself and see everything the package does, though not what SQLite does. Where strace is
there and may trace, it sees what reaches the kernel. It is not needed: where it is missing, the
name of the test says so and the wrappers are the only witness.
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

JOBS = 8
PROGRAM = """
import os, sys
import tracediff as td

@td.job("one")
def job(n):
    return n

ledger = os.open("ledger", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
td.configure(durability=sys.argv[1], on_ack=lambda one: os.write(ledger, f"{one}\\n".encode()))
if sys.argv[2] == "wrappers":
    calls = open("calls", "w")
    def seen(name):
        real = getattr(os, name)
        def call(file, *args):
            print(f"1 {name}({file}<{os.readlink(f'/proc/self/fd/{file}')}>", file=calls)
            return real(file, *args)
        setattr(os, name, call)
    seen("write")
    seen("fsync")
for n in range(int(sys.argv[3])):
    job(n)
    assert td.flush(60)
"""
STRACE = ["strace", "-f", "-y", "-s", "0", "-o", "calls"]
TRACED = "trace=write,pwrite64,writev,fsync,fdatasync,sync_file_range,sync,syncfs"
_CALL = re.compile(r"^\d+ +(\w+)\((?:\d+<([^>]*)>)?")


@functools.cache
def strace_works() -> bool:
    """Whether processes can be traced here: the program may be missing, or tracing forbidden."""
    if shutil.which("strace") is None:
        return False
    return not subprocess.call(["strace", "-o", "/dev/null", "true"], stderr=subprocess.DEVNULL)


WITNESSES = (
    [pytest.param("wrappers"), pytest.param("strace")]
    if strace_works()
    else [pytest.param("wrappers", id="wrappers-for-want-of-strace")]
)


@pytest.fixture
def calls(tmp_path, environment):
    """Record JOBS jobs, each flushed, and give the calls: (name, file) in their order."""

    def record(durability: str, witness: str) -> list[tuple[str, str]]:
        (tmp_path / "pyproject.toml").write_text("[tool.tracediff]\n")
        command = [sys.executable, "-c", PROGRAM, durability, witness, str(JOBS)]
        if witness == "strace":
            command = [*STRACE, "-e", TRACED, *command]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
            timeout=100,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        assert len((tmp_path / "ledger").read_text().split()) == JOBS
        found = map(_CALL.match, (tmp_path / "calls").read_text().splitlines())
        return [(one[1], Path(one[2] or "").name) for one in found if one]

    return record


def of_segments(calls: list[tuple[str, str]]) -> list[str]:
    """The calls on segments, and each acknowledgement as ``said``."""
    return [
        "said" if file == "ledger" else call
        for call, file in calls
        if file.endswith(".seg") or (file, call) == ("ledger", "write")
    ]


@pytest.mark.parametrize("witness", WITNESSES)
def test_host_durability_syncs_after_the_write_and_before_the_acknowledgement(calls, witness):
    found = of_segments(calls("host", witness))
    assert found == ["write", "fsync", "said"] * JOBS


@pytest.mark.parametrize("witness", WITNESSES)
def test_process_durability_writes_before_the_acknowledgement_and_syncs_nothing(calls, witness):
    found = calls("process", witness)
    assert of_segments(found) == ["write", "said"] * JOBS
    first, last = (found.index(("write", "ledger")), len(found) - found[::-1].index(
        ("write", "ledger")))  # fmt: skip
    # Making the index takes syncs of SQLite's own, a batch takes none.
    assert [one for one in found[first:last] if "sync" in one[0]] == []

"""Values of 200 MB: recorded, listed, shown, compared, written to a file and read back to the bit.

Memory is what the system says a process took at its highest, beyond what it took before the job
ended or, for a command, in all. The bounds are wide of what was measured, docs/soak.md has that.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.in_turn

SIZE = 200_000_000
RECORDING = 8
"""How many times its value a recording may take beyond the value itself."""

READING = 10
"""How many times the value a command may take, which reads two of them when it compares."""

VALUES = """
import random
SIZE = 200_000_000

def value(kind):
    rng = random.Random(kind)
    if kind == "bytes":
        return rng.randbytes(SIZE)
    if kind == "text":
        return "".join(rng.choices("abcdefgh \\u20ac", k=1000)) * (SIZE // 1200)
    return [{"id": n, "name": f"n{n}", "data": rng.randbytes(500), "text": "x" * 450}
            for n in range(SIZE // 1000)]
"""

RECORD = (
    VALUES
    + """
import resource, sys
import tracediff as td

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

made = value(sys.argv[1])

@td.job("big")
def job():
    return made

before = peak()
job()
assert td.flush(300)
print(peak() - before)
"""
)

READ = (
    VALUES
    + """
import sys
from pathlib import Path
from tracediff import tracefile, values
from tracediff.model import Query
from tracediff.stores import open_store

if sys.argv[2] == "store":
    store = open_store(".tracediff")
    (row,) = store.search(Query()).rows
    trace = store.load(row)
    store.close()
else:
    trace = tracefile.loads(Path("big.trace.json").read_text())
assert values.inert(trace.steps[0].result) == value(sys.argv[1])
"""
)


@pytest.fixture
def project(tmp_path) -> Path:
    (tmp_path / "pyproject.toml").write_text("[tool.tracediff]\njobs = ['jobs']\n")
    (tmp_path / "jobs.py").write_text("import tracediff as td\n@td.job('a')\ndef a(): pass\n")
    return tmp_path


@pytest.fixture
def run(project, environment):
    """Run a program of Python, or with ``-m`` a module; gives its output and its highest memory."""

    def run(*args: str) -> tuple[str, int]:
        with (project / "out").open("w+") as out:
            process = subprocess.Popen(
                [sys.executable, *args], cwd=project, env=environment, stdout=out, stderr=out
            )
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            out.seek(0)
            said = out.read()
        assert process.returncode == 0, said[-2000:]
        return said, usage.ru_maxrss * 1024

    return run


def times(amount: int) -> str:
    return f"{amount / SIZE:.1f} times the value"


def recorded(run, kind: str) -> int:
    said, _ = run("-c", RECORD, kind)
    assert int(said) < RECORDING * SIZE
    return int(said)


def read_back(run, *command: str) -> int:
    said, most = run("-m", "tracediff", *command)
    assert said
    assert most < READING * SIZE, command
    return most


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("kind", ["bytes", "rows"])
def test_a_value_of_200_mb_is_recorded_and_read_back_within_the_bound(run, kind):
    recorded(run, kind)
    assert "big()" in run("-m", "tracediff", "ls")[0]
    read_back(run, "show", "@last")
    run("-c", READ, kind, "store")


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_values_of_200_mb_of_each_kind_go_through_every_command(project, run, write_figures):
    figures = {}
    for kind in ("bytes", "text", "rows"):
        figures[f"200 MB of {kind}: recorded"] = f"{times(recorded(run, kind))} beyond it"
        run("-c", READ, kind, "store")
        for name, command in {
            "listed": ["ls"],
            "shown": ["show", "@last"],
            "compared with itself": ["compare", "@last", "@last"],
            "written to a file": ["pull", "@last", "-o", "big.trace.json"],
            "compared with the file": ["compare", "@last", "big.trace.json"],
            "checked by doctor": ["doctor"],
        }.items():
            figures[f"200 MB of {kind}: {name}"] = times(read_back(run, *command))
        run("-c", READ, kind, "file")
        (project / "big.trace.json").unlink()
        for path in sorted((project / ".tracediff").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
    write_figures("sizes", "make soak", figures)

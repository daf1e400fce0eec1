"""A project whose job forks and waits, as its child does: for tests of what ends both."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

_JOB: Final = """
import os, pathlib, time
import tracediff as td

@td.job("wait")
def wait(store_id, product_id):
    child = os.fork()
    pathlib.Path(f"{'child' if child == 0 else 'job'}.pid").write_text(str(os.getpid()))
    time.sleep(600)
"""
_SETTINGS: Final = '[tool.tracediff]\njobs = ["waiting"]\nreplay_allow = ["subprocess"]\n'
_SECONDS: Final = 60


def lay_out(directory: Path) -> None:
    """Write the project; its job is ``waiting:wait``, with the key ``wait``."""
    (directory / "waiting.py").write_text(_JOB)
    (directory / "pyproject.toml").write_text(_SETTINGS)


def begun(directory: Path) -> list[int]:
    """The processes of the job, once it waits."""
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        texts = [one.read_text() for one in directory.glob("*.pid")]
        if len(texts) == 2 and all(texts):
            return [int(one) for one in texts]
        time.sleep(0.01)
    raise AssertionError("the job did not begin")


def gone(pid: int) -> bool:
    """Whether a process ends soon."""
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:  # it is gone, and waited for
            return True
        time.sleep(0.01)
    return False

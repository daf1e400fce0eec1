"""`make demo-servers`, with fewer jobs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_every_acknowledged_trace_is_there_once_when_recorder_and_servers_are_killed(tmp_path):
    done = subprocess.run(
        [sys.executable, "scripts/demo_servers.py", "--jobs", "600", "--processes", "2",
         "--directory", str(tmp_path)],
        cwd=ROOT, text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=110,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    last = done.stdout.splitlines()[-1]
    found = re.search(r"(\d+) acknowledged, (\d+) stored.*; 0 lost, 0 not exactly once", last)
    assert found, last
    acknowledged, stored = map(int, found.groups())
    assert 400 < acknowledged <= stored <= 600

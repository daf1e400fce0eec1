"""`make demo-servers`, with fewer jobs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.in_turn  # as shop/test_story.py: what it shows is proved by test_kills.py in each run
@pytest.mark.slow
def test_every_acknowledged_trace_is_there_once_when_recorder_and_servers_are_killed(tmp_path):
    done = subprocess.run(
        [sys.executable, "scripts/demo_servers.py", "--jobs", "300", "--processes", "2",
         "--directory", str(tmp_path)],
        cwd=ROOT, text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=200,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "buckets equal what the rows say" in done.stdout
    assert "gone: looked for again and not found" in done.stdout
    last = done.stdout.splitlines()[-1]
    assert "Importing products took" in done.stdout
    assert re.search(r"● success  20  took", done.stdout)
    found = re.search(r"(\d+) acknowledged, (\d+) stored.*; 0 lost, 0 not exactly once", last)
    assert found, last
    acknowledged, stored = map(int, found.groups())
    assert 200 < acknowledged <= stored <= 300

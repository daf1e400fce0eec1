"""Programs that use a local store, as processes of their own."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PREAMBLE = """
import os, sys, time
from pathlib import Path
from tracediff.errors import StoreError
from tracediff.model import Query
from tracediff.stores import open_store
from tracediff.stores.local import LocalStore
from tracediff.testing import make_trace
"""


@pytest.fixture
def start():
    """Start a program with tracediff's names in it; what still runs at the end is killed."""
    running = []

    def start(code: str, *args: object, **options) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", PREAMBLE + textwrap.dedent(code), *map(str, args)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def run(start):
    """Run such a program to its end and return what it printed."""

    def run(code: str, *args: object, **options) -> str:
        process = start(code, *args, **options)
        out, err = process.communicate(timeout=100)
        assert process.returncode == 0, err
        assert not err
        return out

    return run

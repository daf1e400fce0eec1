"""Recording with keys: what the job's process does when it cannot encrypt."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import tracediff
from tracediff.model import Query
from tracediff.stores import open_store

ROOT = Path(tracediff.__file__).parents[1]
KEY = "c3VwZXItc2VjcmV0LWtleS1vZi0zMi1ieXRlcyEhISE="

PRELUDE = """
import sys
import tracediff as td

@td.job("shop/price", context=lambda n: {"shop": f"s{n}"})
def price(n):
    return n
"""


def run(directory: Path, program: str, keys: str, **more: str) -> subprocess.CompletedProcess[str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("TRACEDIFF_")}
    return subprocess.run(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(program)],
        cwd=directory, capture_output=True, text=True, check=False, timeout=60,
        env=kept | {"PYTHONPATH": str(ROOT), "TRACEDIFF_STORE": str(directory / "store"),
                    "TRACEDIFF_ENCRYPTION_KEYS": keys} | more,
    )  # fmt: skip


def keys_of(directory: Path, monkeypatch, keys: str) -> list[str]:
    """The ids of the jobs that are stored, read back with these keys."""
    monkeypatch.setenv("TRACEDIFF_ENCRYPTION_KEYS", keys)
    store = open_store(str(directory / "store"))
    try:
        rows = store.search(Query()).rows
        return sorted(store.load(row).context["shop"] for row in rows)
    finally:
        store.close()


def test_without_the_package_traces_wait_until_it_is_there(tmp_path, monkeypatch):
    program = """
        sys.modules["cryptography"] = None  # as where it is not installed
        price(1)
        assert not td.flush()
        price(2)
        del sys.modules["cryptography"]
        assert td.flush(20)
        """
    done = run(tmp_path, program, f"k1={KEY}")
    assert done.returncode == 0, done.stderr
    assert "cryptography is not installed" in done.stderr
    assert KEY[:12] not in done.stderr
    assert keys_of(tmp_path, monkeypatch, f"k1={KEY}") == ["s1", "s2"]


def test_a_tenant_without_a_key_holds_up_no_other(tmp_path, monkeypatch):
    program = """
        for n in (1, 2, 1):
            price(n)
        td.flush(20)
        """
    done = run(tmp_path, program, f"s1/k={KEY}", TRACEDIFF_TENANT="shop")
    assert done.returncode == 0
    assert "no encryption key is for the tenant 's2'" in done.stderr
    assert keys_of(tmp_path, monkeypatch, f"s1/k={KEY}") == ["s1", "s1"]


def test_keys_that_cannot_be_read_record_nothing_and_leave_the_job_alone(tmp_path):
    done = run(tmp_path, "print(price(1))", f"k1={KEY},oops-{KEY}")
    assert (done.returncode, done.stdout) == (0, "1\n")
    assert "TRACEDIFF_ENCRYPTION_KEYS: entry 2 has 0 bytes" in done.stderr
    assert KEY[:12] not in done.stderr
    assert not (tmp_path / "store").exists()

"""A change within the second of a recording is seen, though Python's own check would miss it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tracediff.replay import Replayed

SECOND = 1_700_000_000 * 10**9


def compiled(bytecode: Path, directory: Path) -> Path:
    """The compiled form of ``shop/jobs.py``."""
    inside = bytecode / directory.relative_to("/") / "shop"
    return next(inside.glob("jobs.*.pyc"))


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where these processes keep their bytecode."""
    return tmp_path_factory.mktemp("bytecode")


@pytest.fixture
def edited(shop: Any, prefix: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A project recorded at 2 and edited, at equal length, to 3 within the same second."""
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE")
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(prefix))
    shop.jobs("@td.job('price')\ndef price(net):\n    return net * 2\n")
    source = shop.directory / "shop" / "jobs.py"
    os.utime(source, ns=(SECOND, SECOND))
    shop.trace = shop.record("price(10)")[0]
    shop.compiled = compiled(prefix, shop.directory)
    os.utime(shop.compiled, ns=(SECOND + 400_000_000,) * 2)
    source.write_text(source.read_text().replace("net * 2", "net * 3"))
    os.utime(source, ns=(SECOND + 500_000_000,) * 2)
    return shop


def test_python_itself_would_run_the_old_code(edited: Any) -> None:
    done = edited.run("-c", "from shop.jobs import price; print(price(10))", TRACEDIFF_ENABLED="0")
    assert done.stdout == "20\n", done.stderr


def test_a_replay_runs_the_code_as_it_is(edited: Any) -> None:
    assert edited.result(edited.replay(edited.trace)) == 30
    assert edited.compiled.stat().st_mtime_ns > SECOND + 10**9
    assert edited.result(edited.replay(edited.trace)) == 30


def test_bytecode_that_is_newer_than_its_source_is_used(edited: Any) -> None:
    os.utime(edited.compiled, ns=(SECOND + 600_000_000,) * 2)
    before = edited.compiled.stat()
    done = edited.replayed(edited.trace)
    assert isinstance(done, Replayed)
    assert edited.compiled.stat().st_mtime_ns == before.st_mtime_ns

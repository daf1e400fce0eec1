"""What a check lets pass of causes that were accepted, in a project of six recorded jobs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tracediff.check.causesfile import FILE
from tracediff.cli import exits, group
from tracediff.demo import git

JOBS = """
    import tracediff as td
    from shop.rates import FEE, RATE

    @td.input("Route")
    def route(country):
        return f"via {country}"

    @td.job("shop/price")
    def price(number):
        td.tag("back" if number < 0 else "sold")
        if number == 3 and RATE > 4:
            route("KR")
        return {"total": number * RATE, "fee": FEE}

    @td.job("shop/label")
    def label(number):
        return f"no {number}"

    if __name__ == "__main__":
        for number in (1, 2, 3, -2):
            price(number)
        for number in (1, 2):
            label(number)
    """
Check = Callable[..., dict[str, Any]]


def make(directory: Path) -> None:
    """Write the project, and record its jobs."""
    files = {
        "pyproject.toml": '[tool.tracediff]\njobs = ["shop.*"]\n',
        ".gitignore": ".tracediff*/\n__pycache__/\n",
        "shop/__init__.py": "",
        "shop/rates.py": "RATE = 2\nFEE = 10\n",
        "shop/jobs.py": dedent(JOBS),
    }
    (directory / "shop").mkdir()
    for name, text in files.items():
        (directory / name).write_text(text)
    git(directory, "init", "--quiet", "--template=")
    git(directory, "add", "--all")
    git(directory, "commit", "--quiet", "--message", "first")
    subprocess.run([sys.executable, "-m", "shop.jobs"], cwd=directory, check=True, timeout=60)


@pytest.fixture
def shop(tmp_path: Path, laid_out: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Path:
    laid_out(tmp_path, "gate", make)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CI", raising=False)
    return tmp_path


@pytest.fixture
def check(shop: Path, capfd: pytest.CaptureFixture[str]) -> Check:
    """Runs ``tracediff check``, whose exit code must be the one that is given."""

    def run(code: int, *args: str) -> dict[str, Any]:
        assert exits.run(group, ["check", "--workers", "1", "--format", "json", *args]) == code
        found: dict[str, Any] = json.loads(capfd.readouterr().out)
        assert found["passed"] == (code == 0)
        return found

    return run


def accept(*args: str) -> None:
    assert exits.run(group, ["accept", *args, "--reason", "as agreed", "--format", "json"]) == 0


def rates(shop: Path, rate: int, fee: int) -> None:
    (shop / "shop/rates.py").write_text(f"RATE = {rate}\nFEE = {fee}\n")


@pytest.mark.slow
def test_a_trace_passes_when_all_its_causes_are_accepted(
    shop: Path, check: Check, capfd: pytest.CaptureFixture[str]
) -> None:
    rates(shop, 3, 11)
    found = check(1)
    causes = {one["label"].split()[0]: one["cause"] for one in found["groups"]}
    assert set(causes) == {"RATE", "FEE"}
    accept("--cause", causes["RATE"])
    capfd.readouterr()
    found = check(1)
    assert (found["changed"], found["accepted"]) == (4, 0)
    assert [one["passes"] for one in found["groups"]].count(True) == 1
    accept("--cause", causes["FEE"])
    capfd.readouterr()
    found = check(0)
    assert (found["changed"], found["accepted"], found["stale"]) == (4, 4, [])
    found = check(0, "--explain", "0")
    assert (found["explained"], found["accepted"], found["stale"]) == (0, 4, [])

    rates(shop, 2, 10)
    assert check(0, "--tag", "sold")["stale"] == []
    assert check(0, "--against", "HEAD")["stale"] == []
    found = check(0, "--key", "shop/price")
    assert {one["cause"] for one in found["stale"]} == set(causes.values())


@pytest.mark.slow
def test_a_cause_that_moves_a_field_another_way_fails_again(
    shop: Path, check: Check, capfd: pytest.CaptureFixture[str]
) -> None:
    rates(shop, 3, 10)
    check(1, "--tag", "sold")
    accept("--all-causes")
    capfd.readouterr()
    assert check(0, "--tag", "sold")["accepted"] == 3
    found = check(1)
    (one,) = found["groups"]
    assert one["drift"] == [
        "accepted to raise result.total, now also lowers it in 1 trace (by up to -2.00)"
    ]
    accept("--all-causes")
    capfd.readouterr()
    assert check(0)["groups"][0]["accepted"]["fields"] == {"result.total": "up and down"}


@pytest.mark.slow
def test_traces_that_stop_at_an_input_are_accepted_by_their_own_id(
    shop: Path, check: Check, capfd: pytest.CaptureFixture[str]
) -> None:
    rates(shop, 5, 10)
    found = check(1)
    (stop,) = [one for one in found["groups"] if "Route" in one["label"]]
    (rate,) = [one for one in found["groups"] if one is not stop]
    accept("--cause", rate["cause"])
    capfd.readouterr()
    found = check(1)
    assert [one["cause"] for one in found["groups"] if not one["passes"]] == [stop["cause"]]
    accept("--cause", stop["cause"])
    assert "told by the comparison" in capfd.readouterr().err
    found = check(0)
    assert found["accepted"] == found["changed"] == 4


@pytest.mark.slow
def test_a_file_of_causes_that_cannot_be_read_is_told_before_anything_is_replayed(
    shop: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (shop / FILE).write_text("<<<<<<< HEAD\n")
    (shop / "shop/jobs.py").write_text("open('imported', 'w')\n")
    assert exits.run(group, ["check"]) == 2
    assert "docs/errors.md#causes-unreadable" in capfd.readouterr().err
    assert not (shop / "imported").exists()

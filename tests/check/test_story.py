"""The example from its first check to a gate that lets pass what was accepted, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tracediff import demo
from tracediff.check.causesfile import FILE
from tracediff.check.lastcheck import last_check

JOBS = 40
PLANTED = {
    "pricing.weights:VOLUMETRIC_DIVISOR": "pricing/weights.py",
    "pricing.duty:DUTY_RATES": "pricing/duty.py",
    "pricing.rounding:to_cents": "pricing/rounding.py",
}
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a command of tracediff in the example, with forty recorded jobs."""
    directory = demo.build(tmp_path / "prices", jobs=JOBS).directory
    environment = {
        name: value
        for name, value in os.environ.items()
        if name != "CI" and not name.startswith("TRACEDIFF_")
    }

    def command(*args: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tracediff", *args],
            cwd=directory, env=environment | more, text=True, capture_output=True, check=False,
            timeout=300,
        )  # fmt: skip

    return command


def checked(run: Run, *args: str, code: int) -> dict[str, Any]:
    done = run("check", "--format", "json", *args, CI="true")
    assert done.returncode == code, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def exact(amount: dict[str, str]) -> Fraction:
    return Fraction(amount["exact"])


@pytest.mark.slow(50)
@pytest.mark.timeout(600)
def test_a_check_passes_what_was_accepted_by_its_cause_and_fails_for_a_fifth_change(
    run: Run, tmp_path: Path
) -> None:
    root = tmp_path / "prices"
    found = checked(run, code=1)
    assert (found["checked"], found["failed"]) == (JOBS, 0)
    assert found["same"] + found["changed"] == JOBS
    assert found["explained"] == found["changed"] > 8
    causes = {one["change"]["units"][0]: one for one in found["groups"]}
    assert {unit: one["change"]["file"] for unit, one in causes.items()} == PLANTED
    assert all(one["exact"] and one["change"]["hunk"] for one in found["groups"])

    sums: Counter[str] = Counter()
    for one in found["groups"]:
        for total in one["totals"]:
            sums[total["field"]] += exact(total["change"])
    assert sums == {one["field"]: exact(one["change"]) for one in found["totals"]}
    assert sums["result"]

    report = last_check(root).read_text("utf-8")
    (kept := tmp_path / "kept.json").write_text(report)
    first, *rest = [one["cause"] for one in found["groups"]]
    one = run("accept", "--cause", first, "--reason", "the carriers' contract")
    assert one.returncode == 0, one.stderr
    halfway = checked(run, code=1)
    assert [it["cause"] for it in halfway["groups"] if not it["passes"]] == rest
    named = [text for cause in rest for text in ("--cause", cause[:6])]
    others = run("accept", *named, "--reason", "the plan for May", "--from", str(kept))
    assert others.returncode == 0, others.stderr

    passing = checked(run, code=0)
    assert passing["accepted"] == passing["changed"] == found["changed"]
    assert [it["passes"] for it in passing["groups"]] == [True] * 3
    assert (passing["stale"], passing["broken"]) == ([], [])
    assert {it["accepted"]["reason"] for it in passing["groups"]} == {
        "the carriers' contract", "the plan for May",
    }  # fmt: skip

    weights = root / "pricing/weights.py"
    weights.write_text(weights.read_text("utf-8").replace("6000", "4000"))
    again = checked(run, code=1)
    (new,) = [it for it in again["groups"] if not it["passes"]]
    assert new["change"]["units"] == ["pricing.weights:VOLUMETRIC_DIVISOR"]
    assert new["accepted"] is None
    assert new["cause"] not in (first, *rest)
    assert [it["label"] for it in again["stale"]] == [causes[new["change"]["units"][0]]["label"]]
    assert (root / FILE).exists()

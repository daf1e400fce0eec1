"""Every property of the test suite with thousands of examples, in a run of its own.

A property is a test that Hypothesis gives its arguments. Their examples are counted by Hypothesis's
own statistics, so one that ran none, or that another run left out, shows.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
USUAL = 10_000
EXAMPLES = int(os.environ.get("EXAMPLES") or USUAL)
_COUNTS = re.compile(
    r"during generate phase.*?(\d+) passing, (\d+) failing, and (\d+) invalid test cases", re.DOTALL
)


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., str]:
    """A function that runs properties, all of which must hold, and gives what was said."""

    def statistics(examples: int, *more: str) -> str:
        command = [
            sys.executable, "-m", "pytest", "-q", "-n", "auto", *more, "--timeout=0",
            "-p", "no:cacheprovider", f"--hypothesis-seed={os.environ['SEED']}",
            "--hypothesis-show-statistics", "-m", "hypothesis and not soak",
        ]  # fmt: skip
        env = {name: value for name, value in os.environ.items() if "PYTEST_" not in name}
        env |= {"HYPOTHESIS_PROFILE": "soak", "EXAMPLES": str(examples)}
        if workers := os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
            env["PYTEST_XDIST_AUTO_NUM_WORKERS"] = workers
        said = tmp_path / "said"
        with said.open("wb") as out:
            status = subprocess.call(command, cwd=ROOT, env=env, stdout=out, stderr=out)
        text = said.read_text(errors="replace")
        assert status == 0, text
        return text

    return statistics


def counted(said: str) -> list[tuple[int, int, int]]:
    """Of each property: the examples that passed, failed and were invalid."""
    parts = re.split(r"^(tests/\S+::.*):$", said, flags=re.MULTILINE)[2::2]
    return [tuple(map(int, found.groups())) for part in parts if (found := _COUNTS.search(part))]  # type: ignore[misc]  # three groups


@pytest.mark.slow
def test_the_soak_s_profile_gives_a_property_as_many_examples_as_it_is_told(run):
    said = run(37, "tests/values/test_decoders.py::test_random_bytes", "-n0")
    assert [passed + invalid for passed, _, invalid in counted(said)] == [37]


@pytest.mark.soak
def test_every_property_holds_for_thousands_of_examples(run, write_figures):
    began = time.monotonic()
    found = counted(run(EXAMPLES, "tests"))
    assert all(passed > 0 and failed == 0 for passed, failed, _ in found)
    minutes = round((time.monotonic() - began) / 60)
    workers = os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS") or os.cpu_count()
    command = "make soak" if EXAMPLES == USUAL else f"make soak EXAMPLES={EXAMPLES}"
    figures = {
        "properties": f"{len(found)}",
        "examples": f"{sum(passed for passed, _, _ in found):,}",
        "examples of a property": f"{min(passed for passed, _, _ in found):,} to "
        f"{max(passed for passed, _, _ in found):,}",
        "properties that do not hold": "0",
        "seed": os.environ["SEED"],
        "duration": f"{minutes} minutes, processes: {workers}",
    }
    write_figures("properties", command, figures)

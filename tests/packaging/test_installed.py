"""The wheel at work, in an environment that does not have the checkout."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.slow
def test_the_demo_runs_from_the_wheel_in_an_empty_directory(start: Any, tmp_path: Path) -> None:
    done = start("tracediff", "demo", "--jobs", "3", "the example", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for place in ("pricing/duty.py", "pricing/weights.py", "pricing/rounding.py", "→ Condition"):
        assert place in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["the example"]


@pytest.mark.slow
def test_it_is_the_wheel_that_runs(start: Any, installed: Path, tmp_path: Path) -> None:
    said = start("python", "-c", "import tracediff as t; print(t.__file__)", cwd=tmp_path).stdout
    assert installed in Path(said.strip()).parents
    version = importlib.metadata.version("tracediff-calc")
    assert start("tracediff", "--version", cwd=tmp_path).stdout.split()[-1] == version


@pytest.mark.slow
@pytest.mark.parametrize("package", ["tracediff", "pytest_tracediff"])
@pytest.mark.parametrize("flags", [["-I", "-S"], ["-OO"], ["-X", "dev"], ["-b", "-E"]])
def test_importing_it_says_nothing(
    flags: list[str], package: str, start: Any, installed: Path, tmp_path: Path
) -> None:
    (site,) = installed.glob("lib/python*/site-packages")
    paths = [str(site), *(site / "dependencies.pth").read_text().splitlines()]
    script = f"import sys; sys.path += {paths}; import {package}"
    done = start("python", *flags, "-W", "error", "-c", script, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

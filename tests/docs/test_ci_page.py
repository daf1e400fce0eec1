"""The recipes for CI: their YAML holds what it must, and their commands do what the page says."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tracediff.cli import formats
from tracediff.cli.check import command

BLOCK = re.compile(r"^```yaml\n# (\S+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def recipes(page: str) -> dict[str, Any]:
    """The YAML of a page by the file it is; ``on`` is a truth in YAML 1.1, and a name to GitHub."""
    return {name: yaml.safe_load(text) for name, text in BLOCK.findall(page)}


@pytest.fixture
def github(documentation: dict[str, str]) -> Any:
    return recipes(documentation["docs/ci.md"])[".github/workflows/tracediff.yml"]


@pytest.fixture
def gitlab(documentation: dict[str, str]) -> Any:
    return recipes(documentation["docs/ci.md"])[".gitlab-ci.yml"]["tracediff"]


def checking(github: Any, gitlab: Any) -> tuple[str, str]:
    """The commands that check, of both."""
    steps = github["jobs"]["check"]["steps"]
    (first,) = (one["run"] for one in steps if "tracediff check" in one.get("run", ""))
    (second,) = (one for one in gitlab["script"] if "tracediff check" in one)
    return first, second


def reported(line: str) -> dict[str, str]:
    """The reports that a command writes, by format."""
    words = shlex.split(line)
    given = [words[at + 1] for at, word in enumerate(words) if word == "--report"]
    return dict(one.split("=", 1) for one in given)


def test_the_commands_are_right(github: Any, gitlab: Any) -> None:
    for line in checking(github, gitlab):
        assert shlex.split(line)[:2] == ["tracediff", "check"]
        command.make_context("check", shlex.split(line)[2:])


def test_the_workflow_has_all_commits_the_cache_and_secrets_of_the_environment(github: Any) -> None:
    assert github[True] == "pull_request"
    job = github["jobs"]["check"]
    used = {one["uses"].split("@")[0]: one for one in job["steps"] if "uses" in one}
    assert used["actions/checkout"]["with"]["fetch-depth"] == 0
    assert used["actions/cache"]["with"]["path"] == ".tracediff"
    assert used["actions/upload-artifact"]["if"] == "always()"
    assert "head.repo.full_name == github.repository" in job["if"]
    for one in job["steps"]:
        assert "secrets." not in one.get("run", "")
    (step,) = (one for one in job["steps"] if "env" in one)
    assert all(value.startswith("${{ secrets.") for value in step["env"].values())


def test_what_is_uploaded_is_what_is_written(github: Any, gitlab: Any) -> None:
    first, second = (reported(line) for line in checking(github, gitlab))
    (upload,) = (one["with"]["path"] for one in github["jobs"]["check"]["steps"]
                 if one.get("uses", "").startswith("actions/upload-artifact"))  # fmt: skip
    assert all(file.startswith(upload) for file in first.values())
    kept = gitlab["artifacts"]
    assert kept["when"] == "always"
    assert kept["reports"] == {"junit": second["junit"], "codequality": second["gitlab"]}
    assert all(file.startswith(kept["paths"][0]) for file in second.values())
    assert gitlab["variables"]["GIT_DEPTH"] == "0"


def test_every_format_is_told(documentation: dict[str, str]) -> None:
    table = documentation["docs/ci.md"].split("## GitHub Actions")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(formats.FORMATS)


@pytest.mark.slow
def test_the_recipes_run(github: Any, gitlab: Any, tmp_path: Path) -> None:
    programs = Path(sys.executable).parent
    subprocess.run(
        [programs / "tracediff", "demo", tmp_path / "demo", "--jobs", "12"], check=True,
        capture_output=True, timeout=100,
    )  # fmt: skip
    summary = tmp_path / "summary.md"
    environment = {
        "PATH": f"{programs}:/usr/bin:/bin", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8",
        "CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary),
    }  # fmt: skip
    said = []
    for line in checking(github, gitlab):
        done = subprocess.run(
            ["bash", "-e", "-c", line], cwd=tmp_path / "demo", env=environment, check=False,
            capture_output=True, text=True, timeout=100,
        )  # fmt: skip
        assert done.returncode == 1, done.stderr
        said.append(done.stdout)
        for file in reported(line).values():
            assert (tmp_path / "demo" / file).stat().st_size > 0
    annotations, text = said
    assert re.search(
        r"^::error file=pricing/weights\.py,line=\d+,title=", annotations, re.MULTILINE
    )
    assert text.startswith(" ✗ ")
    assert summary.read_text(encoding="utf-8").startswith("## ❌ tracediff check")
    reports = tmp_path / "demo" / "reports"
    document = json.loads((reports / "check.json").read_text(encoding="utf-8"))
    assert document["passed"] is False
    assert document["groups"]
    issues = json.loads((reports / "codequality.json").read_text(encoding="utf-8"))
    assert {one["location"]["path"] for one in issues} >= {"pricing/weights.py"}

"""One check written in several formats: to files, to stdout, and to the summary of a job."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from tracediff.checked import Checked
from tracediff.cli import formats, streams
from tracediff.cli.check import command
from tracediff.demo import git
from tracediff.errors import StoreError

Checks = Callable[[str], Checked]


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What CI itself says to its steps is not these tests' business."""
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def reports(*given: str) -> Any:
    """What the command makes of ``--report``."""
    arguments = [part for one in given for part in ("--report", one)]
    context = command.make_context("check", arguments)
    return context.params["reports"]


def test_one_run_writes_every_format(
    checked: Checks, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = reports(*(f"{name}=out/{name}.x" for name in formats.FORMATS))
    formats.write_check(checked("everything"), "text", None, more, tmp_path)
    said = capsys.readouterr().out
    written = {name: (tmp_path / "out" / f"{name}.x").read_text("utf-8") for name, _ in more}
    assert said == written["text"]
    starts = {"text": " ✗ 300", "json": "{", "junit": "<?xml", "github": "::error", "gitlab": "[",
              "html": "<!doctype html>", "markdown": "## ❌"}  # fmt: skip
    assert set(starts) == set(written) == set(formats.FORMATS)
    for name, start in starts.items():
        assert written[name].startswith(start), name
    assert json.loads(written["json"])["schema"] == "tracediff/check/1"


@pytest.mark.parametrize(
    ("given", "why"),
    [(["junit"], "is not FORMAT=FILE"), (["jnuit=x"], "is not FORMAT=FILE"),
     (["junit="], "is not FORMAT=FILE"), (["junit=."], "is a directory"),
     (["junit=x", "html=./x"], "is given twice")],
)  # fmt: skip
def test_a_report_that_cannot_be_is_refused_before_the_check(given: list[str], why: str) -> None:
    with pytest.raises(click.BadParameter) as caught:
        reports(*given)
    assert why in caught.value.message


def test_what_can_be_written_is_although_something_cannot(checked: Checks, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    more = reports("junit=file/below.xml", "html=page.html")
    with pytest.raises(StoreError) as caught:
        formats.write_check(checked("pricing"), "json", tmp_path / "a.json", more, tmp_path)
    assert caught.value.slug == "output-unwritable"
    assert (tmp_path / "a.json").exists()
    assert (tmp_path / "page.html").exists()


def test_github_gets_commands_on_stdout_and_a_summary(
    checked: Checks, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    summary = tmp_path / "summary.md"
    summary.write_text("# before\n\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    formats.write_check(checked("everything"), "github", None, (), tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 9
    assert all(line.startswith("::") for line in lines)
    assert summary.read_text().startswith("# before\n\n## ❌ tracediff check\n")
    formats.write_check(checked("everything"), "junit", tmp_path / "x.xml", (), tmp_path)
    assert summary.read_text().count("## ❌") == 1


def test_a_summary_takes_the_room_that_is_left(
    checked: Checks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    summary = tmp_path / "summary.md"
    summary.write_text("x" * 999_000)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    formats.write_check(checked("everything"), "github", None, (), tmp_path)
    assert 999_000 < summary.stat().st_size <= 1_000_000
    assert summary.read_text().endswith("has all of it.\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "no" / "such"))
    formats.write_check(checked("everything"), "github", None, (), tmp_path)
    assert "the summary cannot be written" in capsys.readouterr().err


def test_nothing_to_annotate_prints_nothing(
    checked: Checks, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    formats.write_check(checked("passing"), "github", None, (), tmp_path)
    assert capsys.readouterr().out == ""


def test_paths_are_those_of_the_repository_that_the_project_is_in(
    checked: Checks, tmp_path: Path
) -> None:
    project = tmp_path / "services" / "pricing"
    project.mkdir(parents=True)
    git(tmp_path, "init", "--quiet", "--template=")
    formats.write_check(
        checked("pricing"), "gitlab", tmp_path / "q.json", reports("github=g.txt"), project
    )
    places = [one["location"]["path"] for one in json.loads((tmp_path / "q.json").read_text())]
    assert places[0] == "services/pricing/pricing/weights.py"
    assert "file=services/pricing/pricing/duty.py," in (tmp_path / "g.txt").read_text()


def test_recorded_text_is_no_command_to_github(
    checked: Checks, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, checking: dict[str, Any],
) -> None:  # fmt: skip
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    found = checking["hostile"]("::stop-commands::x ##[add-mask]y")
    for form in formats.FORMATS:
        formats.write_check(found, form, None, (), tmp_path)
        said = capsys.readouterr().out
        for line in said.splitlines():
            if form == "github":
                assert line.startswith(("::error ", "::warning ", "::notice "))
            elif form != "markdown":
                assert "##[" not in line
                assert not line.lstrip().startswith("::")
        if form == "json":
            assert json.loads(said)["remarks"] == ["::stop-commands::x ##[add-mask]y"]


def test_only_what_is_a_command_is_changed() -> None:
    assert streams.commanding_nothing("a::b\n  ::error::x\n## [x] ##[y]", "text") == (
        "a::b\n  \\x3a:error::x\n## [x] #\\x23[y]"
    )

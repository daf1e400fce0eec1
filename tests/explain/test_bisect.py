"""The commit that changed the result is found by replay, wherever it lies."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tracediff import demo
from tracediff.errors import ReplayError


def test_the_one_commit_is_found_among_innocent_ones(priced: Any, commit: Any) -> None:
    for at in range(3):
        priced.write("shop/other.py", f"X = {at}\n")
        commit(f"before {at}")
    priced.write("shop/rates.py", "def rate():\n    return 3\n")
    guilty = commit("rate 3")
    for at in range(3):
        priced.write("shop/other.py", f"Y = {at}\n")
        commit(f"after {at}")
    head = demo.git(priced.directory, "rev-parse", "HEAD").strip()
    found = priced.project().bisect(priced.trace.id)
    assert found.commit.sha == guilty
    assert found.commit.subject == "rate 3"
    assert (found.good, found.bad) == (priced.first, head)
    assert len(found.tried) <= 5
    done = priced.cli("bisect", "@last", "--format", "json")
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["commit"] == guilty
    text = priced.cli("bisect", "@last")
    assert f"{guilty[:12]} changed the result\n  rate 3\n" in text.stdout


def test_commits_that_cannot_run_are_skipped_and_named(priced: Any, commit: Any) -> None:
    priced.write("shop/rates.py", "def rate(:\n")
    broken = commit("broken")
    priced.write("shop/rates.py", "def rate():\n    return 3\n")
    mended = commit("mended")
    found = priced.project().bisect(priced.trace.id)
    assert found.commit is None
    assert {one.sha for one in found.candidates} == {broken, mended}
    skipped = next(one for one in found.tried if one.state == "skipped")
    assert skipped.commit == broken
    assert "SyntaxError" in skipped.why
    assert found.remarks


def test_a_change_on_a_merged_branch_is_found(priced: Any, commit: Any) -> None:
    git = demo.git
    git(priced.directory, "checkout", "--quiet", "-b", "side")
    priced.write("shop/rates.py", "def rate():\n    return 3\n")
    guilty = commit("rate 3, on a branch")
    git(priced.directory, "checkout", "--quiet", "-")
    priced.write("shop/other.py", "X = 1\n")
    commit("meanwhile")
    git(priced.directory, "merge", "--quiet", "--no-ff", "--message", "merge", "side")
    assert priced.project().bisect(priced.trace.id).commit.sha == guilty


def test_nothing_changed_or_not_yet_committed(priced: Any, commit: Any) -> None:
    commit("nothing")
    priced.write("shop/rates.py", "def rate():\n    return 3\n")
    done = priced.cli("bisect", "@last")
    assert done.returncode == 0, done.stderr
    assert "still the recorded one" in done.stdout


def test_run_gives_the_exit_codes_of_git_bisect_run(priced: Any, commit: Any) -> None:
    assert priced.cli("bisect", "@last", "--run").returncode == 0
    priced.write("shop/rates.py", "def rate():\n    return 3\n")
    assert priced.cli("bisect", "@last", "--run").returncode == 1
    priced.write("shop/rates.py", "def rate(:\n")
    done = priced.cli("bisect", "@last", "--run")
    assert done.returncode == 125
    assert "SyntaxError" in done.stderr


def test_a_result_that_differs_every_time_is_refused(shop: Any, commit: Any) -> None:
    shop.jobs("import os\n@td.job('price')\ndef price():\n    return os.urandom(8)\n")
    commit("random")
    trace = shop.record("price()")[0]
    with pytest.raises(ReplayError, match="is not the recorded one") as caught:
        shop.project().bisect(trace.id)
    assert caught.value.slug == "bisect-range"


def test_old_code_that_imports_no_more_says_what_failed(priced: Any, commit: Any) -> None:
    priced.write("shop/rates.py", "import gone_library\ndef rate():\n    return 3\n")
    commit("another library")
    with pytest.raises(ReplayError, match="gone_library"):
        priced.project().bisect(priced.trace.id)


def test_a_shallow_clone_says_so(priced: Any, commit: Any, tmp_path: Any) -> None:
    priced.write("shop/rates.py", "def rate():\n    return 3\n")
    commit("rate 3")
    clone = priced.copy(tmp_path / "clone")
    subprocess.run(["rm", "-rf", clone.directory / ".git"], check=True)
    url = f"file://{priced.directory}"
    demo.git(
        tmp_path, "clone", "--quiet", "--depth=1", "--bare", url, str(clone.directory / ".git")
    )
    demo.git(clone.directory, "config", "core.bare", "false")
    with pytest.raises(ReplayError) as caught:
        clone.project().bisect(priced.trace.id)
    assert "shallow" in caught.value.hint

"""A replay on the code as it was at a git revision, with the work tree left as it is."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tracediff.demo import git
from tracediff.errors import ReplayError
from tracediff.replay.revisions import laid_out

JOB = """
    from shop.rates import RATE

    @td.job("price")
    def price(net):
        return net * RATE
    """


def tree(directory: Path) -> dict[str, bytes]:
    """Every file of the repository's own data, but for what git writes when it is only asked."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in (directory / ".git").rglob("*")
        if path.is_file() and path.name != "index"
    }


@pytest.fixture
def versions(shop: Any) -> Any:
    """A project whose rate is 2, 3 and, not committed, 5; recorded at 2."""
    shop.jobs(JOB)
    shop.write("shop/rates.py", "RATE = 2\n")
    shop.write(".gitignore", ".tracediff/\n__pycache__/\n")
    git(shop.directory, "init", "--quiet", "--template=")
    for rate in (2, 3):
        shop.write("shop/rates.py", f"RATE = {rate}\n")
        git(shop.directory, "add", "--all")
        git(shop.directory, "commit", "--quiet", "--message", f"rate {rate}")
        git(shop.directory, "tag", f"rate-{rate}")
        if rate == 2:
            shop.trace = shop.record("price(10)")[0]
    shop.write("shop/rates.py", "RATE = 5\n")
    return shop


def test_the_code_of_the_revision_runs(versions: Any) -> None:
    before = tree(versions.directory)
    assert versions.result(versions.replay(versions.trace)) == 50
    for revision, result in (("rate-2", 20), ("rate-3", 30), ("HEAD", 30), ("HEAD~1", 20)):
        new = versions.replay(versions.trace, against=revision)
        assert versions.result(new) == result
        assert new.code.commit == git(versions.directory, "rev-parse", f"{revision}^{{}}").strip()
        assert new.steps[0].source.file == "shop/jobs.py"
    assert tree(versions.directory) == before
    assert (versions.directory / "shop/rates.py").read_text() == "RATE = 5\n"


def test_the_command_says_which_code_that_was(versions: Any) -> None:
    same = versions.cli("compare", "@last", "--against", "rate-2")
    assert same.returncode == 0, same.stderr
    other = versions.cli("compare", "@last", "--against", "rate-3")
    assert other.returncode == 1, other.stderr
    assert "20 → 30" in other.stdout
    assert git(versions.directory, "rev-parse", "rate-3").strip()[:7] in other.stdout
    assert "- RATE = 2" in other.stdout
    assert "+ RATE = 3" in other.stdout


def test_a_project_below_the_repository_finds_its_place(versions: Any, tmp_path: Path) -> None:
    above = tmp_path / "repository"
    above.mkdir()
    versions.directory.rename(above / "inner")
    subprocess.run(["rm", "-rf", above / "inner/.git"], check=True)
    git(above, "init", "--quiet", "--template=")
    git(above, "add", "--all")
    git(above, "commit", "--quiet", "--message", "rate 5")
    versions.directory = above / "inner"
    versions.write("shop/rates.py", "RATE = 7\n")
    assert versions.result(versions.replay(versions.trace, against="HEAD")) == 50


def test_nothing_is_left_behind(
    versions: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    versions.replay(versions.trace, against="rate-2")
    assert list((tmp_path / "scratch").iterdir()) == []


def test_scratch_space_inside_the_work_tree_is_no_part_of_it(
    versions: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions.write(".gitignore", ".tracediff/\n__pycache__/\nscratch/\n")
    versions.write("scratch/kept.txt", "")
    monkeypatch.setattr("tempfile.tempdir", str(versions.directory / "scratch"))
    done = versions.replayed(versions.trace, against="rate-2")
    assert versions.result(done.trace) == 20
    assert "shop/rates.py" in done.opened
    assert done.strayed == ()
    with laid_out(versions.project().config, "rate-2") as found:
        assert found.ignored.names == {"scratch/kept.txt"}


@pytest.mark.parametrize("revision", ["nope", "--help", "", "rate-2:shop/rates.py", "HEAD~9"])
def test_what_is_no_commit_is_refused(versions: Any, revision: str) -> None:
    with pytest.raises(ReplayError) as caught:
        versions.replay(versions.trace, against=revision)
    assert caught.value.slug == "revision-unknown"
    assert caught.value.hint


def test_a_revision_from_before_the_settings_is_refused(versions: Any) -> None:
    git(versions.directory, "rm", "--quiet", "--cached", "pyproject.toml")
    git(versions.directory, "commit", "--quiet", "--message", "without settings")
    with pytest.raises(ReplayError) as caught:
        versions.replay(versions.trace, against="HEAD")
    assert caught.value.slug == "revision-without-settings"


def test_without_git_or_a_repository_it_says_so(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.jobs(JOB)
    shop.write("shop/rates.py", "RATE = 2\n")
    trace = shop.record("price(10)")[0]
    with pytest.raises(ReplayError, match="not a git repository"):
        shop.replay(trace, against="HEAD")
    monkeypatch.setenv("PATH", str(shop.directory / "no-programs"))
    with pytest.raises(ReplayError, match="there is no git to ask"):
        shop.replay(trace, against="HEAD")


def test_two_other_sides_are_one_too_many(versions: Any) -> None:
    done = versions.cli("compare", "@last", "@last", "--against", "HEAD")
    assert done.returncode == 2
    assert "--against" in done.stderr

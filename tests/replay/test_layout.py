"""A commit is laid out as a checkout would write it, and the repository stays as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracediff.config import load_config
from tracediff.demo import git
from tracediff.replay import ignored
from tracediff.replay.revisions import laid_out


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository that holds a project, not committed yet."""
    made = tmp_path / "repository"
    made.mkdir()
    git(made, "init", "--quiet", "--template=")
    (made / "pyproject.toml").write_text("[tool.tracediff]\n")
    return made


def commit(repository: Path) -> str:
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "one")
    return git(repository, "rev-parse", "HEAD").strip()


def test_attributes_of_exports_do_not_count_and_those_of_checkouts_do(repository: Path) -> None:
    (repository / ".gitattributes").write_text(
        "tests/ export-ignore\nversion.py export-subst\nscript text eol=crlf\n"
    )
    (repository / "tests").mkdir()
    (repository / "tests/rates.py").write_text("RATE = 1\n")
    (repository / "version.py").write_text("V = '$Format:%h$'\n")
    (repository / "script").write_text("one\n")
    with laid_out(load_config(repository), commit(repository)) as found:
        assert (found.directory / "tests/rates.py").read_text() == "RATE = 1\n"
        assert (found.directory / "version.py").read_text() == "V = '$Format:%h$'\n"
        assert (found.directory / "script").read_bytes() == b"one\r\n"
        assert found.remarks == ()


def test_no_hook_runs_and_nothing_is_entered_anywhere(repository: Path) -> None:
    first = commit(repository)
    hooks = repository / ".git/hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("post-index-change", "post-checkout"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {repository}/ran\n")
        (hooks / name).chmod(0o755)
    git(repository, "config", "core.fsmonitor", f"touch {repository}/ran;")
    git(repository, "config", "core.splitIndex", "true")
    before = sorted((repository / ".git").rglob("*"))
    with laid_out(load_config(repository), first):
        assert not (repository / "ran").exists()
        assert sorted((repository / ".git").rglob("*")) == before


def test_submodules_come_along_where_the_work_tree_has_them(
    repository: Path, tmp_path: Path
) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    git(inner, "init", "--quiet", "--template=")
    (inner / "rates.py").write_text("RATE = 1\n")
    commit(inner)
    add = ("-c", "protocol.file.allow=always", "submodule", "--quiet", "add")
    for name in ("here", "gone"):
        git(repository, *add, str(inner), f"lib/{name}")
    first = commit(repository)
    (repository / "lib/here/rates.py").write_text("RATE = 2\n")
    git(repository, "submodule", "--quiet", "deinit", "--force", "lib/gone")
    with laid_out(load_config(repository), first) as found:
        assert (found.directory / "lib/here/rates.py").read_text() == "RATE = 1\n"
        assert found.remarks == ("the submodule lib/gone is left out: it is not checked out",)


def test_files_that_lfs_did_not_fetch_are_named(repository: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    (repository / "data.csv").write_text(pointer)
    first = commit(repository)
    (repository / ".gitattributes").write_text("*.csv filter=lfs\n")
    second = commit(repository)
    for sha, count in ((first, 0), (second, 1)):
        with laid_out(load_config(repository), sha) as found:
            assert len(found.remarks) == count
    assert "data.csv" in found.remarks[0]


def test_what_git_ignores_is_bounded_and_never_goes_over_or_out(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / "kept.py").write_text("old\n")
    (repository / "out").symlink_to(tmp_path)
    first = commit(repository)
    git(repository, "rm", "--quiet", "--cached", "kept.py", "out")
    (repository / "out").unlink()
    (repository / ".gitignore").write_text("*\n")
    names = (
        *("kept.py", "made.py", "large.bin", "z.txt", "out/x.py", "c/.my_cache/a", ".env"),
        *("venv3/pyvenv.cfg", "venv3/x.py", "other/.git/x", "other/x.py", "traces/x"),
    )
    for name in names:
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text("new\n")
    (repository / "large.bin").write_bytes(bytes(100))
    monkeypatch.setenv("TRACEDIFF_STORE", "traces")
    monkeypatch.setattr(ignored, "MAX_BYTES", 50)
    with laid_out(load_config(repository), first) as found:
        assert found.ignored.names == {"made.py", "z.txt", ".gitignore"}
        assert found.ignored.left == 1
        assert (found.directory / "kept.py").read_text() == "old\n"
    assert not (tmp_path / "x.py").exists()

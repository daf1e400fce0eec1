"""Which code a trace ran: what is loaded, where it is from, and the commit it belongs to."""

from __future__ import annotations

import compileall
import hashlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tracediff.recording.codeversion import CodeVersion, blob_id, git_commit

Git = Callable[..., str]

JOB = """
@td.job("job")
def job(*args): return {body}
"""


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Git:
    """A function that runs git in ``tmp_path/project``, a repository without commits."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    directory = tmp_path / "project"
    directory.mkdir(exist_ok=True)

    def run(*arguments: str, cwd: Path = directory) -> str:
        who = ["-c", "user.name=n", "-c", "user.email=n@example.org", "-c", "init.defaultBranch=m"]
        return subprocess.run(
            ["git", *who, *arguments], cwd=cwd, check=True, capture_output=True, text=True
        ).stdout.strip()

    run("init", "-q")
    return run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The directory of the repository."""
    return tmp_path / "project"


def commit(git: Git, root: Path, name: str = "a.py", text: str = "A = 1\n") -> str:
    """Commit one file and return the commit's id."""
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)
    git("add", "-A")
    git("commit", "-qm", "one")
    return git("rev-parse", "HEAD")


# -- the commit


@pytest.mark.parametrize(
    "data", [b"", b"A = 1\n", b"a\r\nb\r\n", bytes(range(256)), "é\n".encode() * 5000]
)
def test_blob_ids_are_those_of_git(git: Git, root: Path, data: bytes):
    (root / "file").write_bytes(data)
    assert blob_id(data) == git("hash-object", "--no-filters", "file")


def test_a_clean_work_tree_is_at_its_commit(git: Git, root: Path):
    head = commit(git, root)
    assert git_commit(root) == (head, False)


def test_a_repository_without_commits_has_none(git: Git, root: Path):
    (root / "a.py").write_text("A = 1\n")
    git("add", "-A")
    assert git_commit(root) == (None, None)


@pytest.mark.parametrize(
    ("change", "dirty"),
    [
        (lambda git, root: (root / "a.py").write_text("A = 2\n"), True),
        (lambda git, root: (root / "a.py").unlink(), True),
        (lambda git, root: ((root / "a.py").write_text("A = 2\n"), git("add", "a.py")), True),
        (lambda git, root: git("mv", "a.py", "b.py"), True),
        (lambda git, root: (root / "new.py").write_text("B = 2\n"), False),
        (lambda git, root: ((root / "new.py").write_text(""), git("add", "new.py")), True),
        (lambda git, root: os.utime(root / "a.py", (1, 1)), False),
        (lambda git, root: git("checkout", "-q", "--detach"), False),
        (lambda git, root: git("checkout", "-qb", "other/branch"), False),
    ],
    ids=[
        "modified", "deleted", "staged", "renamed", "untracked", "added", "touched", "detached",
        "branch",
    ],
)  # fmt: skip
def test_a_tracked_file_that_differs_makes_it_dirty(git: Git, root: Path, change: Any, dirty: bool):
    head = commit(git, root)
    change(git, root)
    assert git_commit(root) == (head, dirty)


def test_only_what_is_below_the_project_makes_it_dirty(git: Git, root: Path):
    commit(git, root, "other/b.py")
    head = commit(git, root, "app/a.py")
    (root / "other/b.py").write_text("B = 2\n")
    assert git_commit(root / "app") == (head, False)
    (root / "app/a.py").write_text("A = 2\n")
    assert git_commit(root / "app") == (head, True)


def test_outside_of_a_repository_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_commit(tmp_path) == (None, None)
    assert git_commit(tmp_path / "missing") == (None, None)


def test_without_git_nothing_is_known(git: Git, root: Path, monkeypatch: pytest.MonkeyPatch):
    commit(git, root)
    monkeypatch.setenv("PATH", str(root))
    assert git_commit(root) == (None, None)


def test_a_git_that_fails_or_hangs_hurts_nothing(root: Path, git: Git, monkeypatch: Any):
    (root / "bin").mkdir()
    stand_in = root / "bin/git"
    monkeypatch.setenv("PATH", f"{root / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr("tracediff.recording.codeversion.GIT_TIMEOUT", 0.2)
    for script in ("exit 128", "printf '\\377'", "exec sleep 60", "printf '# branch.oid'"):
        stand_in.write_text(f"#!/bin/sh\n{script}\n")
        stand_in.chmod(0o755)
        assert git_commit(root) == (None, None)


def test_variables_of_a_hook_do_not_lead_to_another_repository(
    git: Git, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    head = commit(git, root)
    other = tmp_path / "other"
    other.mkdir()
    git("init", "-q", cwd=other)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git/index"))
    assert git_commit(root) == (head, False)


def test_looking_does_not_touch_the_repository(git: Git, root: Path):
    commit(git, root)
    os.utime(root / "a.py", (1, 1))  # a look would refresh the index
    before = hashlib.sha256((root / ".git/index").read_bytes()).digest()
    git_commit(root)
    assert hashlib.sha256((root / ".git/index").read_bytes()).digest() == before


@pytest.mark.parametrize(
    ("given", "known"),
    [
        ("1a2b3c", ("1a2b3c", False)),
        ("1a2b3c+dirty", ("1a2b3c", True)),
        ("v1.2+local", ("v1.2+local", False)),
    ],
)
def test_the_environment_says_which_commit_it_is(
    git: Git, root: Path, monkeypatch: pytest.MonkeyPatch, given: str, known: tuple[str, bool]
):
    head = commit(git, root)
    monkeypatch.setenv("TRACEDIFF_CODE_VERSION", given)
    code = CodeVersion(root).current()
    assert (code.commit, code.dirty) == known
    monkeypatch.setenv("TRACEDIFF_CODE_VERSION", "")
    code = CodeVersion(root).current()
    assert (code.commit, code.dirty) == (head, False)


# -- the loaded files


def blobs(program: Any, *names: str) -> dict[str, str]:
    """The names with the blob ids of the files as they are."""
    return {name: blob_id((program.directory / name).read_bytes()) for name in names}


def test_the_loaded_files_of_the_project_are_named_from_its_directory(program):
    program.write("from pkg import used\nimport below.deep.part\n" + JOB.format(body="1") + "job()")
    for name in ("pkg/__init__.py", "pkg/used.py", "pkg/unused.py", "below/deep/part.py"):
        program.write("", name)  # below/ is a namespace package: it has no file
    program.run()
    [trace] = program.traces()
    assert trace.code.files == blobs(
        program, "below/deep/part.py", "pkg/__init__.py", "pkg/used.py", "program.py"
    )


def test_what_is_installed_below_the_project_is_left_out(program):
    program.write("""
        import sys
        sys.path[:0] = [".venv/lib/python3/site-packages", "env/lib/site-packages", "vendored"]
        import one, two, three

        @td.job("job")
        def job(): return 1
        job()
    """)
    for place in (".venv/lib/python3/site-packages/one", "env/lib/site-packages/two",
                  "vendored/three"):  # fmt: skip
        program.write("", f"{place}.py")
    program.run()
    [trace] = program.traces()
    assert trace.code.files == blobs(program, "program.py", "vendored/three.py")


def test_what_has_no_source_file_is_left_out(program):
    program.write("""
        import sys
        sys.path.insert(0, "packed.zip")
        import zipped, compiled

        @td.job("job")
        def job(): return zipped.ONE + compiled.TWO + zipped.step(1)
        job()
    """)
    text = "import tracediff as td\nONE = 1\nstep = td.step('zipped')(lambda n: n)\n"
    with zipfile.ZipFile(program.directory / "packed.zip", "w") as archive:
        archive.writestr("zipped.py", text)
    program.write("TWO = 2", "compiled.py")
    assert compileall.compile_file(program.directory / "compiled.py", quiet=1, legacy=True)
    (program.directory / "compiled.py").unlink()
    program.run()
    [trace] = program.traces()
    assert trace.code.files == blobs(program, "program.py")
    assert not trace.warnings
    source = trace.steps[1].source
    assert source is not None
    assert source.file == "packed.zip/zipped.py"


def test_the_distributions_are_those_that_are_loaded(program):
    import importlib.metadata

    program.write("import xxhash\n" + JOB.format(body="1") + "job()")
    program.run()
    [trace] = program.traces()
    installed = importlib.metadata.version
    assert trace.code.distributions["xxhash"] == installed("xxhash")
    assert trace.code.distributions["ormsgpack"] == installed("ormsgpack")
    assert "pytest" not in trace.code.distributions
    assert trace.code.python == ".".join(map(str, sys.version_info[:3]))


# -- files that change while the process runs


EDITED = """
import importlib, pathlib, sys, time
import rates, work

rates_file = pathlib.Path("rates.py")

def edit(text):
    rates_file.write_text(text)
    time.sleep(0.01)

{what}
"""


def edited(program: Any, what: str) -> list[dict[str, str]]:
    """The blob ids that traces of ``work.job`` name, of a process that does so."""
    program.write("RATE = 1\n", "rates.py")
    program.write("import rates\n" + JOB.format(body="rates.RATE"), "work.py")
    program.write(EDITED.format(what=what))
    before = dict(blobs(program, "rates.py", "work.py"))
    program.run()
    found = []
    for trace in program.traces():
        files = dict(trace.code.files)
        assert files["work.py"] == before["work.py"]
        found.append({"rates": files["rates.py"], "result": trace.steps[0].result.data})
    return found


def rate(program: Any, text: str) -> str:
    return blob_id(f"import tracediff as td\n{text}".encode())


@pytest.mark.parametrize(
    "what",
    [
        "edit('RATE = 2'); work.job()",
        "work.job(); edit('RATE = 2'); import colorsys; work.job()",
        "td.flush(20); edit('RATE = 2'); import colorsys; work.job(); td.flush(20); work.job()",
        "rates_file.unlink(); work.job()",
    ],
    ids=["before the first job", "between two jobs", "with modules imported later", "removed"],
)
def test_a_file_that_is_edited_after_its_import_is_recorded_as_it_was_loaded(program, what: str):
    for one in edited(program, what):
        assert one["rates"] == rate(program, "RATE = 1\n")


@pytest.mark.parametrize(
    "again",
    ["importlib.reload(rates)", "del sys.modules['rates']; work.rates = __import__('rates')"],
    ids=["reload", "import anew"],
)
def test_a_module_that_is_loaded_again_is_recorded_as_it_is_now(program, again: str):
    edit = "work.job(); td.flush(20); edit('RATE = 22222')"
    first, second = edited(program, f"{edit}; {again}; work.job()")
    assert first["rates"] == rate(program, "RATE = 1\n")
    assert second["rates"] == blob_id(b"RATE = 22222")
    assert first["result"] != second["result"]


def test_a_forked_child_names_what_its_parent_had_loaded(program):
    program.write("RATE = 1\n", "rates.py")
    before = blobs(program, "rates.py")
    program.write("""
        import os, pathlib, rates

        @td.job("job")
        def job(): return rates.RATE

        job()
        pathlib.Path("rates.py").write_text("RATE = 2")
        child = os.fork()
        if child:
            os.waitpid(child, 0)
        else:
            job()
            td.flush(20)
            os._exit(0)
    """)
    program.run()
    traces = program.traces()
    assert len(traces) == 2
    assert [trace.code.files["rates.py"] for trace in traces] == [before["rates.py"]] * 2


def test_sources_that_are_kept_are_those_that_ran(tmp_path: Path, monkeypatch: Any):
    """A file that was edited since is not kept under the loaded one's id."""
    monkeypatch.syspath_prepend(str(tmp_path))
    name = f"kept_{tmp_path.name.replace('-', '_')}"
    for each in (name, f"{name}_too"):
        (tmp_path / f"{each}.py").write_text(f"NAME = {each!r}\n")
        __import__(each)
    code = CodeVersion(tmp_path)
    files = dict(code.current().files)
    assert set(files) == {f"{name}.py", f"{name}_too.py"}
    (tmp_path / f"{name}.py").write_text("NAME = 0\n")
    assert code.current().files == files
    assert dict(code.files()) == {files[f"{name}_too.py"]: f"NAME = '{name}_too'\n".encode()}

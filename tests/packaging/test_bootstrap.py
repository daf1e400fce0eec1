"""The script that makes the environment says what it lacks and touches only what is its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from servers import chromium
from servers.processes import ServerError

ROOT = Path(__file__).resolve().parents[2]

BROWSER = "chromium fonts-dejavu-core"

NEEDED = ("sh", "cat", "cksum", "dirname", "grep", "id", "rm")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What the script reads, in a directory of its own."""
    (tmp_path / "scripts").mkdir()
    for name in ("pyproject.toml", "constraints.txt", "scripts/bootstrap.sh"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def bootstrap(
    checkout: Path, *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(checkout), **variables}
    return subprocess.run(
        ["sh", str(checkout / "scripts" / "bootstrap.sh"), *arguments],
        cwd="/",
        env=environment,
        text=True,
        capture_output=True,
        check=False,
    )


def test_a_python_that_is_none_is_refused_by_name(checkout: Path) -> None:
    done = bootstrap(checkout, PYTHON="/bin/false")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "bootstrap: PYTHON=/bin/false is not Python 3.11 or later\n"
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize("arguments", [(), ("demo",)])
def test_what_the_machine_lacks_is_told_with_the_command_that_brings_it(
    arguments: tuple[str, ...], checkout: Path, tmp_path: Path
) -> None:
    postgres = list(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    servers = "redis-server" if postgres else "redis-server postgresql"
    lacking = "git" if arguments else f"git {servers} {BROWSER}"
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in NEEDED:
        (programs / name).symlink_to(shutil.which(name) or name)
    bare = bootstrap(checkout, *arguments, PATH=str(programs))
    assert bare.returncode == 2
    assert "no Python 3.11 or later found" in bare.stderr
    (programs / "python3").symlink_to(sys.executable)
    without_git = bootstrap(checkout, *arguments, PATH=str(programs))
    assert without_git.returncode == 2
    assert f"this machine lacks: {lacking}\n" in without_git.stderr
    assert f"apt-get install -y {lacking}\n" in without_git.stderr
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize("name", chromium.NAMES)
def test_a_browser_is_missed_where_there_is_none_by_any_of_its_names(
    name: str, checkout: Path, tmp_path: Path
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for one in NEEDED:
        (programs / one).symlink_to(shutil.which(one) or one)
    (programs / "python3").symlink_to(sys.executable)
    for one in (name, "redis-server", "postgres"):
        (programs / one).symlink_to("/bin/true")
    assert "this machine lacks: git\n" in bootstrap(checkout, PATH=str(programs)).stderr
    (programs / "git").symlink_to("/bin/true")
    (programs / name).unlink()
    without = bootstrap(checkout, PATH=str(programs))
    assert without.returncode == 2
    assert f"  apt-get update && apt-get install -y {BROWSER}\n" in without.stderr
    assert not (checkout / ".venv").exists()


def test_the_tests_miss_a_browser_with_the_same_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ServerError, match=f"apt-get update && apt-get install -y {BROWSER}"):
        chromium.program()


def test_a_directory_that_is_no_environment_is_left_alone(checkout: Path) -> None:
    (checkout / "mine").mkdir()
    (checkout / "mine" / "letter.txt").write_text("dear")
    done = bootstrap(checkout, VENV="mine")
    assert done.returncode == 2
    assert "mine exists and is no virtual environment" in done.stderr
    assert (checkout / "mine" / "letter.txt").read_text() == "dear"


def test_an_unknown_argument_is_refused(checkout: Path) -> None:
    done = bootstrap(checkout, "everything")
    assert (done.returncode, done.stderr) == (2, "usage: scripts/bootstrap.sh [demo]\n")


def environment(checkout: Path) -> Path:
    """An environment as far as the script looks at one; where its pip is."""
    programs = checkout / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "python").symlink_to(sys.executable)
    (programs / "pip").write_text(f"#!{programs}/python\n")
    (checkout / ".venv" / "pyvenv.cfg").write_text("")
    return programs / "pip"


def begins(checkout: Path, **variables: str) -> str:
    """The first that the script says; it is ended there, before it installs anything."""
    with subprocess.Popen(
        ["sh", str(checkout / "scripts" / "bootstrap.sh")],
        env={"PATH": os.environ["PATH"], "HOME": str(checkout), "PIP_NO_INDEX": "1", **variables},
        text=True,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as script:
        assert script.stderr is not None
        try:
            return script.stderr.readline()
        finally:
            os.killpg(script.pid, signal.SIGKILL)


def test_an_environment_that_works_is_kept(checkout: Path) -> None:
    environment(checkout)
    assert begins(checkout).startswith("bootstrap: installing the project")
    assert begins(checkout, PYTHON=sys.executable).startswith("bootstrap: installing the project")


def test_an_environment_that_was_moved_is_made_anew(checkout: Path) -> None:
    pip = environment(checkout)
    pip.write_text("#!/elsewhere/.venv/bin/python\n")
    assert begins(checkout).startswith("bootstrap: making .venv with Python 3")


def test_an_environment_whose_making_was_interrupted_is_made_anew(checkout: Path) -> None:
    environment(checkout).unlink()
    assert begins(checkout).startswith("bootstrap: making .venv with Python 3")


def test_an_environment_of_another_python_than_the_one_asked_for_is_made_anew(
    checkout: Path,
) -> None:
    program = environment(checkout).with_name("python")
    program.unlink()
    program.write_text("#!/bin/sh\n[ $1 = -V ] && echo Python 3.99.0 || exit 0\n")
    program.chmod(0o755)
    assert begins(checkout).startswith("bootstrap: installing the project")
    making = begins(checkout, PYTHON=sys.executable)
    assert making.startswith("bootstrap: making .venv with Python 3.")
    assert "3.99" not in making

"""The distributions, built from a copy of the checkout, and a fresh environment with the wheel."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

OWN = shutil.ignore_patterns(
    *(".git", ".venv", ".*_cache", ".hypothesis", ".tracediff", "*.sqlite"),
    *("build", "dist", "*.egg-info", "__pycache__"),
)
"""What is no file of the project."""

WITHOUT_NETWORK = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}


def environment(**more: str) -> dict[str, str]:
    """This process's environment, less what points Python at the checkout or at its own venv."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "PIP_", "VIRTUAL_ENV", "TRACEDIFF_", "GIT_"))
    }
    return {**kept, **WITHOUT_NETWORK, **more}


def run(*command: object, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """How a program ended."""
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment(**more),
        text=True,
        capture_output=True,
        check=False,
    )


@dataclass(frozen=True, kw_only=True)
class Built:
    """A checkout with the traces of work in it, its own files, and what was built from it."""

    checkout: Path
    files: frozenset[str]
    wheel: Path
    sdist: Path

    def below(self, *paths: str) -> set[str]:
        """The project's own files below some paths."""
        return {name for name in self.files if name.startswith(paths)}


def wheel_files(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def build(checkout: Path, *targets: str) -> None:
    """Build distributions as pip would, with the build tools that are installed."""
    done = run(sys.executable, "-m", "hatchling", "build", *targets, cwd=checkout)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Both distributions of a checkout in which somebody has worked."""
    checkout = tmp_path_factory.mktemp("packaging") / "checkout"
    shutil.copytree(ROOT, checkout, ignore=OWN)
    files = {path.relative_to(checkout).as_posix() for path in checkout.rglob("*")}
    files = frozenset(name for name in files if (checkout / name).is_file())
    dirty(checkout)
    build(checkout)
    (wheel,) = (checkout / "dist").glob("*.whl")
    (sdist,) = (checkout / "dist").glob("*.tar.gz")
    return Built(checkout=checkout, files=files, wheel=wheel, sdist=sdist)


def dirty(checkout: Path) -> None:
    """Leave what running the example by hand and the tests leave."""
    example = checkout / "fixtures" / "pricing" / "v1"
    for file in (
        example / "pricing" / "__pycache__" / "job.cpython-311.pyc",
        example / ".tracediff" / "index.sqlite",
        example / "catalogue.sqlite",
        checkout / "tracediff" / "__pycache__" / "api.cpython-311.pyc",
        checkout / "pytest_plugin" / "pytest_tracediff" / "__pycache__" / "plugin.cpython-311.pyc",
        checkout / "tests" / "packaging" / "__pycache__" / "conftest.cpython-311.pyc",
        checkout / ".pytest_cache" / "README.md",
    ):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(str(checkout))


@pytest.fixture(scope="session")
def wheel(built: Built) -> dict[str, bytes]:
    """The wheel's files by name."""
    return wheel_files(built.wheel)


@pytest.fixture(scope="session")
def sdist(built: Built) -> dict[str, bytes]:
    """The files of the source distribution by their path in the checkout."""
    found = {}
    with tarfile.open(built.sdist) as archive:
        for member in archive:
            content = archive.extractfile(member)  # None of a directory
            if content is not None:
                found[member.name.partition("/")[2]] = content.read()
    return found


@pytest.fixture(scope="session")
def wheel_of_sdist(built: Built, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of the wheel as somebody builds it who has only the source distribution."""
    place = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(built.sdist) as archive:
        archive.extractall(place, filter="data")
    (source,) = place.iterdir()
    build(source, "-t", "wheel")
    (found,) = (source / "dist").glob("*.whl")
    return wheel_files(found)


@pytest.fixture(scope="session")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment that the wheel is installed in; its dependencies are this one's."""
    place = tmp_path_factory.mktemp("a fresh one") / "venv"
    venv.create(place, with_pip=False, symlinks=True)
    python = place / "bin" / "python"
    done = run(
        *(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps"),
        built.wheel,
        cwd=place,
    )
    assert done.returncode == 0, done.stderr
    # A directory in a .pth file is searched last, and its own .pth files are not read: the
    # checkout, which is installed there in place, stays out of reach.
    (site,) = place.glob("lib/python*/site-packages")
    dependencies = {sysconfig.get_path(kind) for kind in ("purelib", "platlib")}
    (site / "dependencies.pth").write_text("\n".join(dependencies))
    return place


@pytest.fixture(scope="session")
def start(installed: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """A function that runs a program of the fresh environment."""

    def started(program: str, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
        return run(installed / "bin" / program, *arguments, cwd=cwd, COLUMNS="100")

    return started

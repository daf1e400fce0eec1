"""Small real projects, one module a shape of program: recorded together, each replayed twice.

All shapes of a project are recorded by one process. A trace is replayed in the real worker on the
project as it was, and on a copy where one constant is another.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tracediff import values
from tracediff.api import open_project
from tracediff.digests import outcome_digest, tree_digest
from tracediff.model import Query, Trace

ROOT = Path(__file__).parents[2]
SETTINGS = '[tool.tracediff]\njobs = ["shop.*"]\n'

RATES = """
import tracediff as td

RATE = 20


@td.step("Tax")
def tax(net):
    return net * RATE


@td.input("Net")
def net(n):
    return n * 10
"""
"""What every shape uses: an input that a replay serves, a step whose constant is changed."""

HEAD = "import tracediff as td\nfrom shop.rates import net, tax\n\n"


@dataclass
class Project:
    """A directory whose package is ``shop``."""

    directory: Path
    edits: int = 0

    def write(self, name: str, text: str) -> None:
        """Write a file; each gets a later time, so that no stale bytecode hides a change."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        self.edits += 1
        os.utime(path, (1_700_000_000 + self.edits, 1_700_000_000 + self.edits))

    def change(self, name: str, old: str, new: str) -> None:
        """Replace a text that occurs once."""
        text = (self.directory / name).read_text()
        assert text.count(old) == 1, f"{old!r} occurs {text.count(old)} times"
        self.write(name, text.replace(old, new))

    def changed(self, directory: Path, name: str = "shop/rates.py") -> Project:
        """A copy of the project in which the rate is another."""
        shutil.copytree(self.directory, directory)
        other = Project(directory, self.edits)
        other.change(name, "RATE = 20", "RATE = 21")
        return other

    def run(self, *args: str, status: int = 0, **more: str) -> subprocess.CompletedProcess[str]:
        """Run Python in the project to its end."""
        done = subprocess.run(
            [sys.executable, *args],
            cwd=self.directory,
            env={**os.environ, **more},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == status, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def traces(self) -> list[Trace]:
        """All traces, oldest first."""
        project = open_project(start=self.directory)
        with contextlib.closing(project.store):
            return [project.resolve(row.id) for row in project.search(Query(limit=500)).rows][::-1]

    def replay(self, trace: Trace) -> Trace:
        """Run a trace's job again in the worker."""
        return open_project(start=self.directory).replay(trace).trace


@dataclass(frozen=True)
class Shapes:
    """Recorded shapes, with the project they ran in and a copy where the rate is another."""

    project: Project
    other: Project
    recorded: Mapping[str, list[Trace]]

    def trace(self, key: str) -> Trace:
        """The one trace of a job."""
        [found] = self.recorded[key]
        return found

    def unchanged(self, key: str) -> Trace:
        """The trace of a job, whose replay on unchanged code has been seen to be its equal."""
        trace = self.trace(key)
        new = self.project.replay(trace)
        assert new.replay is not None
        assert (new.replay.misses, new.replay.unused, new.replay.moved) == ((), (), ())
        assert new.warnings == trace.warnings
        assert tree_digest(new) == tree_digest(trace)
        assert outcome_digest(new) == outcome_digest(trace)
        return trace

    def first(self, key: str) -> tuple[str, ...]:
        """The names that lead to the first step that differs where the rate is another."""
        from tracediff.compare import compare

        trace = self.trace(key)
        found = compare(trace, self.other.replay(trace))
        assert found.different
        assert found.first is not None
        assert found.first.old is not None
        assert found.first.aspects == ("result",)
        return path(trace, found.first.old)


def path(trace: Trace, index: int) -> tuple[str, ...]:
    """The names from below the job to a step."""
    names: list[str] = []
    while index > 0:
        names.append(trace.steps[index].name)
        index = trace.steps[index].parent
    return tuple(reversed(names))


def drawn(trace: Trace) -> list[str]:
    """The steps of a trace, indented, without the job."""
    return ["  " * (len(path(trace, at)) - 1) + trace.steps[at].name
            for at in range(1, len(trace.steps))]  # fmt: skip


@pytest.fixture(scope="session")
def surroundings() -> Iterator[None]:
    """The many processes use the bytecode that is there and leave none in the projects.

    Bytecode in a place of its own would have each library compiled again, and that by every later
    process of the session that inherits the place and may not write there.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONDONTWRITEBYTECODE", "1")
        patch.setenv("PYTHONPATH", str(ROOT))
        yield


@pytest.fixture(scope="session")
def new_project(
    surroundings: None, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], Project]:
    """A function that makes a project with the rates and nothing else."""

    def make() -> Project:
        made = Project(tmp_path_factory.mktemp("shapes") / "project")
        made.write("pyproject.toml", SETTINGS)
        made.write("shop/__init__.py", "")
        made.write("shop/rates.py", RATES)
        return made

    return make


@pytest.fixture(scope="session")
def recorded(new_project: Callable[[], Project]) -> Callable[[Mapping[str, str]], Shapes]:
    """A function that records modules, by name; each has a function ``main``."""

    def record(modules: Mapping[str, str]) -> Shapes:
        project = new_project()
        for name, text in modules.items():
            project.write(f"shop/{name}.py", HEAD + textwrap.dedent(text))
        imports = "\n".join(f"import shop.{name}; shop.{name}.main()" for name in modules)
        project.run("-W", "error", "-c", imports)
        found: dict[str, list[Trace]] = {}
        for trace in project.traces():
            found.setdefault(trace.key, []).append(trace)
        other = project.changed(project.directory.parent / "other")
        return Shapes(project, other, found)

    return record


@pytest.fixture(scope="session")
def tree() -> Callable[[Trace], list[str]]:
    """A function that draws the steps of a trace, indented, without the job."""
    return drawn


@pytest.fixture(scope="session")
def result() -> Callable[..., Any]:
    """A function that gives what a step returned, the job's by default."""

    def read(trace: Trace, index: int = 0) -> Any:
        step = trace.steps[index]
        assert step.error is None, step.error
        assert step.result is not None
        return values.inert(step.result)

    return read

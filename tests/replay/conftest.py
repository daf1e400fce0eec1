"""Small real projects: recorded in a process of their own, changed, replayed in the worker."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import zstandard

from servers.http_service import HttpService
from servers.postgres import Postgres
from tracediff import values
from tracediff.api import Project, open_project
from tracediff.model import Query, Step, Trace
from tracediff.replay import Replayed

ROOT = Path(__file__).parents[2]
SETTINGS = '[tool.tracediff]\njobs = ["shop.*"]\n'


@dataclass
class Shop:
    """A project whose package is ``shop``; its first module is ``shop.jobs``."""

    directory: Path
    edits: int = 0
    seen: set[str] = field(default_factory=set)

    def write(self, name: str, text: str) -> None:
        """Write a file; each gets a later time, so that no stale bytecode hides a change."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        self.edits += 1
        os.utime(path, (1_700_000_000 + self.edits, 1_700_000_000 + self.edits))

    def copy(self, directory: Path) -> Shop:
        """The project as it is now, in another directory."""
        shutil.copytree(self.directory, directory)
        return Shop(directory=directory, edits=self.edits, seen=set(self.seen))

    def jobs(self, text: str) -> None:
        """Write ``shop/jobs.py``, which may use ``td``."""
        self.write("shop/jobs.py", "import tracediff as td\n" + textwrap.dedent(text))

    def settings(self, text: str) -> None:
        """Add lines to ``[tool.tracediff]``."""
        self.write("pyproject.toml", SETTINGS + textwrap.dedent(text))

    def change(self, old: str, new: str, name: str = "shop/jobs.py") -> None:
        """Replace a text that occurs once."""
        text = (self.directory / name).read_text()
        assert text.count(old) == 1, f"{old!r} occurs {text.count(old)} times"
        self.write(name, text.replace(old, new))

    def run(self, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run Python in the project."""
        return subprocess.run(
            [sys.executable, *args],
            cwd=self.directory,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def record(self, code: str, **environment: str) -> list[Trace]:
        """Run calls of the jobs and return the traces that this made, oldest first."""
        done = self.run("-c", f"from shop.jobs import *\n{textwrap.dedent(code)}", **environment)
        assert done.returncode == 0, done.stderr
        return self.recorded()

    def recorded(self) -> list[Trace]:
        """The traces that are new since they were last asked for, oldest first."""
        project = self.project()
        with contextlib.closing(project.store):
            new = [row.id for row in project.search(Query()).rows if row.id not in self.seen]
            self.seen.update(new)
            return [project.resolve(one) for one in reversed(new)]

    def project(self) -> Project:
        """The project as tracediff sees it."""
        return open_project(start=self.directory)

    def replayed(self, trace: Trace, **options: Any) -> Replayed:
        """Run the trace's job again in the worker."""
        return self.project().replay(trace, **options)

    def replay(self, trace: Trace, **options: Any) -> Trace:
        """As ``replayed``, only the new trace."""
        return self.replayed(trace, **options).trace

    @staticmethod
    def result(trace: Trace) -> Any:
        """What the job returned, as an inert value; fails where it raised."""
        assert trace.steps[0].error is None, trace.steps[0].error
        return values.inert(trace.steps[0].result)

    @staticmethod
    def results(trace: Trace, name: str) -> list[Any]:
        """What the steps of this name returned, as inert values."""
        return [values.inert(step.result) for step in trace.steps if step.name == name]

    @staticmethod
    def below(trace: Trace, name: str) -> list[Step]:
        """The steps that the only one of this name made itself."""
        (above,) = [at for at, step in enumerate(trace.steps) if step.name == name]
        return [step for step in trace.steps if step.parent == above]

    def stored(self) -> bytes:
        """All that the local store holds, decompressed too; not the program's own text."""
        found = []
        for path in (self.directory / ".tracediff").rglob("*"):
            if not path.is_file() or "sources" in path.parts:
                continue
            data = path.read_bytes()
            found += [data, *decompressed(data)]
            if path.suffix == ".sqlite":
                with contextlib.closing(sqlite3.connect(path)) as database:
                    found += [line.encode() for line in database.iterdump()]
        return b"\n".join(found)

    def cli(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run the command ``tracediff`` in the project."""
        return self.run("-m", "tracediff", *args)


def decompressed(data: bytes) -> Iterator[bytes]:
    """What is in the compressed frames that lie anywhere in some bytes."""
    at = -1
    while (at := data.find(zstandard.FRAME_HEADER, at + 1)) >= 0:
        with contextlib.suppress(zstandard.ZstdError):  # only looks like the head of a frame
            yield zstandard.ZstdDecompressor().decompressobj().decompress(data[at:])


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
def new_shop(surroundings: None, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Shop]:
    """A function that makes an empty project, for a fixture that several tests share."""

    def make() -> Shop:
        made = Shop(directory=tmp_path_factory.mktemp("shared") / "project")
        made.write("pyproject.toml", SETTINGS)
        made.write("shop/__init__.py", "")
        return made

    return make


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A server of PostgreSQL, for the tests of a process; each makes a database of its own."""
    with Postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
def shop(new_shop: Callable[[], Shop]) -> Shop:
    """An empty project of this test's own."""
    return new_shop()


@pytest.fixture(scope="session")
def service() -> Iterator[HttpService]:
    """An HTTP service that this process's tests share."""
    with HttpService() as running:
        yield running


def ordered(trace: Trace, by_value: bool) -> list[Step]:
    """The steps of a trace; by what they are called with where a scheduler decided their order."""
    if not by_value:
        return list(trace.steps)
    return sorted(trace.steps, key=lambda step: (step.name, str(step.args), str(step.result)))


@pytest.fixture(scope="session")
def repeats() -> Callable[[Shop, Trace], Trace]:
    """A function that replays a trace, and fails where a step of it is another one."""

    def check(shop: Shop, trace: Trace) -> Trace:
        new = shop.replay(trace)
        assert not new.replay.misses, new.replay.misses
        assert not new.replay.unused, [trace.steps[one].name for one in new.replay.unused]
        order = bool([step for step in trace.steps if step.concurrent])
        for old, again in zip(ordered(trace, order), ordered(new, order), strict=True):
            assert (again.kind, again.name) == (old.kind, old.name)
            assert (again.error is None) == (old.error is None), again.error
            if old.error is not None:
                found = (again.error.type, again.error.message)
                assert found == (old.error.type, old.error.message)
            for one, other in ((old.args, again.args), (old.result, again.result)):
                if one != other:
                    assert values.inert(other) == values.inert(one)
                assert one == other
        return new

    return check


@pytest.fixture(scope="session")
def repeats_unasked(
    repeats: Callable[[Shop, Trace], Trace], service: HttpService
) -> Callable[[Shop, Trace], Any]:
    """A function that replays a trace, which asks the service nothing; what its job gave."""

    def check(shop: Shop, trace: Trace) -> Any:
        asked = len(service.asked)
        repeats(shop, trace)
        assert len(service.asked) == asked
        assert not trace.warnings
        return shop.result(trace)

    return check

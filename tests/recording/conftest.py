"""Jobs recorded in this process into a store in memory, and small programs in one of their own."""

from __future__ import annotations

import importlib
import itertools
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import tracediff as td
from tracediff import digests, values
from tracediff.model import Part, Query, Row, Step, Trace
from tracediff.recording import autotracing, session
from tracediff.stores import open_store
from tracediff.stores.base import Store

ROOT = Path(__file__).parents[2]
_numbers = itertools.count()
_modules = (f"traced_{number}" for number in itertools.count())


@dataclass
class Recording:
    """Recording switched on; gives back what was recorded."""

    url: str

    def configure(self, **settings: Any) -> None:
        """Switch recording on with other settings."""
        td.configure(**{"store": self.url, **settings})

    def store(self) -> Store:
        """The store that is recorded to."""
        return open_store(self.url)

    def traces(self) -> list[Trace]:
        """All traces, oldest first."""
        assert td.flush(30)
        store = self.store()
        return [store.load(row) for row in store.search(Query(limit=1000)).rows][::-1]

    def run(self, function: Callable[[], Any]) -> Trace:
        """The trace of a function run as a job; what it raises is in there."""
        before = len(self.traces())
        try:
            td.job("run")(function)()
        except Exception as error:  # noqa: BLE001 - compared with the trace below
            raised: Exception | None = error
        else:
            raised = None
        found = self.traces()
        assert len(found) == before + 1
        assert (raised is None) == (found[-1].steps[0].error is None)
        return found[-1]


@dataclass
class Program:
    """A project directory with a program to run in it."""

    directory: Path

    def write(self, text: str, name: str = "program.py") -> None:
        """Write a file of the project; ``td`` is imported."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        head = "import tracediff as td\n" if name.endswith(".py") else ""
        path.write_text(head + textwrap.dedent(text))

    def command(self, *args: str) -> list[str]:
        """How the program is started."""
        return [sys.executable, "-W", "error", "program.py", *args]

    def environment(self, **more: str) -> dict[str, str]:
        """This process's environment, with the package importable and its settings left out."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("TRACEDIFF_", "COV_"))}
        return {**kept, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **more}

    def run(self, *args: str, status: int = 0, **more: str) -> subprocess.CompletedProcess[str]:
        """Run the program to its end."""
        done = subprocess.run(
            self.command(*args),
            cwd=self.directory,
            env=self.environment(**more),
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == status, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def traces(self) -> list[Trace]:
        """All traces in the project's store, oldest first."""
        store = open_store(str(self.directory / ".tracediff"))
        try:
            return [store.load(row) for row in store.search(Query(limit=1000)).rows][::-1]
        finally:
            store.close()


@pytest.fixture
def recording() -> Iterator[Recording]:
    """Recording into a store in memory of this test's own."""
    made = Recording(f"memory:recording-tests-{next(_numbers)}")
    made.configure()
    yield made
    td.configure(enabled=False)
    session._process.recorder, session._process.ready = None, False


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """An empty project that records into ``.tracediff``."""
    directory = tmp_path / "project"
    directory.mkdir()
    (directory / "pyproject.toml").write_text("[tool.tracediff]\njobs = ['*']\n")
    return Program(directory)


@pytest.fixture
def tree() -> Callable[[Trace], list[str]]:
    """A function that draws the steps of a trace, indented, without the job."""

    def draw(trace: Trace) -> list[str]:
        depths: list[int] = []
        for step in trace.steps:
            depths.append(depths[step.parent] + 1 if step.parent >= 0 else -1)
        return [
            "  " * depth + step.name
            for depth, step in zip(depths[1:], trace.steps[1:], strict=True)
        ]

    return draw


@pytest.fixture
def args() -> Callable[[Step], Any]:
    """A function that gives a step's arguments."""

    def read(step: Step) -> Any:
        assert step.args is not None
        return values.inert(step.args)

    return read


@pytest.fixture
def result() -> Callable[[Step], Any]:
    """A function that gives a step's result."""

    def read(step: Step) -> Any:
        assert step.result is not None
        return values.inert(step.result)

    return read


@pytest.fixture
def fresh_names() -> Iterator[str]:
    """Names of modules that no other test has."""
    return _modules


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """A function that writes a module, with a name of its own, and imports it."""
    monkeypatch.syspath_prepend(tmp_path)
    made: list[str] = []

    def write(text: str, name: str | None = None) -> Any:
        chosen = name or next(_modules)
        made.append(chosen)
        (tmp_path / f"{chosen}.py").write_text(textwrap.dedent(text))
        importlib.invalidate_caches()
        found = importlib.import_module(chosen)
        autotracing.is_on()  # as the next job would
        return found

    yield write
    for name in made:
        sys.modules.pop(name, None)


@pytest.fixture
def traced(recording: Any) -> Iterator[Callable[..., None]]:
    """A function that switches autotrace on, at depth full."""
    limit = sys.getrecursionlimit()

    def switch(*patterns: str, **settings: Any) -> None:
        recording.configure(
            autotrace=list(patterns or ["traced_*"]), **{"depth": "full", **settings}
        )

    yield switch
    autotracing._process.named = ()
    autotracing.switch(())
    sys.setrecursionlimit(limit)


class Watched:
    """The store that is recorded to, with a look at the parts of live traces as they come."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.parts: list[Part] = []
        self.ignored: list[str] = []
        self.refuse: Callable[[Sequence[Part]], Exception | None] = lambda parts: None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def save_parts(self, parts: Sequence[Part]) -> None:
        """Keep them, unless one is to be refused."""
        error = self.refuse(parts)
        if error is not None:
            raise error
        self.inner.save_parts(parts)
        self.parts.extend(parts)

    def load_parts(self, row: Row, first: int = 0) -> list[Part]:
        """Those from one on."""
        found: list[Part] = self.inner.load_parts(row, first)
        return found

    def ignore(self, ids: Iterable[str]) -> None:
        """Take them back."""
        ids = list(ids)
        self.ignored += ids
        self.inner.ignore(ids)

    def trace(self) -> Trace:
        """The only trace, as it is now; a live one that has ended has the row of a whole one."""
        [row] = self.inner.search(Query()).rows
        found: Trace = self.inner.load(row)
        numbers = [part.number for part in self.parts]
        assert (numbers, row.parts) == (list(range(row.parts)), len(numbers))
        whole = digests.row(found, row.location)
        if found.state == "running":
            assert (row.steps, row.tags, row.meta) == (whole.steps, whole.tags, whole.meta)
        else:
            assert row == replace(whole, parts=row.parts)
        return found


@pytest.fixture
def watched(recording: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Watched]:
    """A function that switches recording on, to a store that shows the parts it gets."""

    def configure(**settings: Any) -> Watched:
        recording.configure(**settings)
        made = Watched(recording.store())
        saving = session._process.recorder.writer._saving
        monkeypatch.setattr(saving, "open_store", lambda: made)
        return made

    return configure

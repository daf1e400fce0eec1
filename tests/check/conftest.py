"""A project with recorded jobs, one of which gets up to something when it is replayed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

from servers.cluster import Cluster, command_of
from tracediff.config import Config, load_config
from tracediff.demo import git
from tracediff.model import Query, Row
from tracediff.stores.local import LocalStore
from tracediff.stores.walking import every_row

FILES = {
    "pyproject.toml": '[tool.tracediff]\njobs = ["shop.*"]\n',
    ".gitignore": ".tracediff/\n__pycache__/\n",
    "shop/__init__.py": "",
    "shop/trouble.py": "def make(number):\n    pass\n",
    "shop/rates.py": "RATE = 2\n",
    "shop/jobs.py": """
        import tracediff as td
        from shop import trouble
        from shop.rates import RATE

        @td.input("Weight")
        def weight(number):
            return number % 5

        @td.job("shop/price")
        def price(number):
            trouble.make(number)
            return {"total": number * RATE + weight(number), "name": f"product {number}"}

        if __name__ == "__main__":
            for number in range(COUNT):
                price(number)
        """,
}


@dataclass(frozen=True)
class Recorded:
    """The project, and what was recorded in it: number n is that of the n-th row."""

    directory: Path
    config: Config
    store: LocalStore
    rows: list[Row]

    def write(self, name: str, text: str) -> None:
        (self.directory / name).write_text(dedent(text))

    def trouble(self, text: str) -> None:
        """Let the replay of number 5 run some lines, the others none."""
        head = "import os, signal, sys, threading, time\n\ndef make(number):\n    if number == 5:\n"
        body = "".join(f"        {line}\n" for line in dedent(text).strip().splitlines())
        (self.directory / "shop/trouble.py").write_text(head + body)


def record(directory: Path, count: int) -> None:
    for name, text in FILES.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text).replace("COUNT", str(count)))
    git(directory, "init", "--quiet", "--template=")
    git(directory, "add", "--all")
    git(directory, "commit", "--quiet", "--message", "first")
    subprocess.run([sys.executable, "-m", "shop.jobs"], cwd=directory, check=True, timeout=60)


@pytest.fixture(scope="session")
def laid_out(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., None]:
    """A function that lays out a project: who asks first has it made, the others get a copy."""
    made: dict[object, Path] = {}

    def lay_out(directory: Path, name: object, make: Callable[[Path], object]) -> None:
        if name not in made:
            made[name] = tmp_path_factory.mktemp("made") / "project"
            made[name].mkdir()
            make(made[name])
        shutil.copytree(made[name], directory, dirs_exist_ok=True)

    return lay_out


@pytest.fixture
def recorded(tmp_path: Path, laid_out: Callable[..., None]):
    """The project with so many traces, in a directory of its own."""
    opened = []

    def recorded(count: int) -> Recorded:
        directory = tmp_path / "project"
        laid_out(directory, ("recorded", count), lambda place: record(place, count))
        store = LocalStore(directory / ".tracediff")
        opened.append(store)
        rows = sorted(every_row(store, Query()), key=lambda row: row.started_at)
        return Recorded(directory, load_config(directory), store, rows)

    yield recorded
    for store in opened:
        store.close()


JOBS = """
    import os, time
    import tracediff as td
    from shop.rates import FEE, RATE

    @td.input("Weight")
    def weight(number):
        return number % 5

    @td.job("shop/price")
    def price(number):
        DANGER
        return {"total": number * RATE + (FEE if weight(number) > 3 else 0)}

    if __name__ == "__main__":
        for number in range(COUNT):
            price(number)
    """


class Stall:
    """A project in git with recorded jobs, and the processes that replay them."""

    def __init__(self, directory: Path, count: int) -> None:
        self.directory, self._count = directory, count

    def make(self) -> None:
        """Write it, and record its jobs."""
        directory = self.directory
        self.write("pyproject.toml", '[tool.tracediff]\njobs = ["shop.*"]\nreplay_timeout = 20\n')
        self.write(".gitignore", ".tracediff/\n__pycache__/\n")
        self.write("shop/__init__.py", "")
        self.write("shop/rates.py", "RATE = 2\nFEE = 10\n")
        self.endanger("pass")
        git(directory, "init", "--quiet", "--template=")
        git(directory, "add", "--all")
        git(directory, "commit", "--quiet", "--message", "first")
        subprocess.run([sys.executable, "-m", "shop.jobs"], cwd=directory, check=True, timeout=60)

    def write(self, name: str, text: str) -> None:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))

    def endanger(self, what: str) -> None:
        """Let every replay do this first."""
        self.write("shop/jobs.py", JOBS.replace("DANGER", what).replace("COUNT", str(self._count)))

    def processes(self) -> list[int]:
        """What replays its jobs now."""
        found = []
        for one in Path("/proc").glob("[0-9]*"):
            try:
                mine = (one / "cwd").readlink() == self.directory
            except OSError:
                continue
            if mine and b"-m\0tracediff." in command_of(int(one.name)):
                found.append(int(one.name))
        return found


@pytest.fixture
def stall(tmp_path: Path, laid_out: Callable[..., None]) -> Stall:
    """A project with forty recorded jobs."""
    laid_out(tmp_path / "stall", "stall", lambda place: Stall(place, 40).make())
    return Stall(tmp_path / "stall", 40)


@pytest.fixture(scope="module")
def shared_cluster(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Cluster]:
    """Two workers that nobody kills, whose own directory has no project.

    They take a tenth of a processor while they wait: they end with the module.
    """
    directory = tmp_path_factory.mktemp("cluster")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    with Cluster(directory) as cluster:
        for _ in range(2):
            cluster.add_worker(elsewhere)
        yield cluster


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A scheduler of the test's own, where one death is enough to be suspected."""
    with Cluster(tmp_path / "cluster", allowed_failures=0) as cluster:
        yield cluster

"""A project with recorded jobs, one of which gets up to something when it is replayed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

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
def templates(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    made: dict[int, Path] = {}

    def template(count: int) -> Path:
        if count not in made:
            made[count] = tmp_path_factory.mktemp("recorded") / "project"
            made[count].mkdir()
            record(made[count], count)
        return made[count]

    return template


@pytest.fixture
def recorded(tmp_path: Path, templates: Callable[[int], Path]):
    """The project with so many traces, in a directory of its own."""
    opened = []

    def recorded(count: int) -> Recorded:
        directory = tmp_path / "project"
        shutil.copytree(templates(count), directory)
        store = LocalStore(directory / ".tracediff")
        opened.append(store)
        rows = sorted(every_row(store, Query()), key=lambda row: row.started_at)
        return Recorded(directory, load_config(directory), store, rows)

    yield recorded
    for store in opened:
        store.close()

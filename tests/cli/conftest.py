"""A project of ten lines, recorded in a process of its own, and the command run in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import tracediff

CHECKOUT = str(Path(tracediff.__file__).resolve().parents[1])

PRICES = """\
import tracediff as td


@td.step("VAT rate")
def vat_rate(country):
    return 19


@td.job("price/one")
def price(net, country="DE"):
    return net * (100 + vat_rate(country)) // 100
"""

ORDERS = """\
import tracediff as td


@td.input("Stock")
def stock(item):
    return {"apple": 3}[item]


@td.job("order/total")
def total(item, note="Äpfel → 3 €"):
    td.tag(f"item:{item}")
    with td.step("Count"):
        found = stock(item)
    with td.step("Round"), td.step("Guard"):
        td.note(note)
    return found
"""

SETTINGS = '[tool.tracediff]\njobs = ["prices", "orders"]\n'

RECORDING = """\
import contextlib, orders, prices
for net in (100, 200, 300):
    prices.price(net)
orders.total("apple")
with contextlib.suppress(KeyError):
    orders.total("pear")
"""


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


def environment(**changes: str | None) -> dict[str, str]:
    kept = {
        name: text
        for name, text in os.environ.items()
        if not name.startswith(("TRACEDIFF_", "PYTEST_", "COV_"))
        and name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TERM", "PYTHONIOENCODING")
    }
    kept |= {"PYTHONPATH": CHECKOUT, "PYTHONDONTWRITEBYTECODE": "1"}
    for name, text in changes.items():
        kept.pop(name, None)
        if text is not None:
            kept[name] = text
    return kept


class Project:
    """A directory that commands run in."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def environment(self, **changes: str | None) -> dict[str, str]:
        """The environment that commands run in, for tests that start them themselves."""
        return environment(**changes)

    def write(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def change(self, name: str, old: str, new: str) -> None:
        text = (self.directory / name).read_text(encoding="utf-8")
        assert old in text
        self.write(name, text.replace(old, new))

    def command(self, *args: str) -> list[str]:
        return [sys.executable, "-W", "error", "-m", "tracediff", *map(str, args)]

    def python(self, code: str, **env: str | None) -> Done:
        return self._run([sys.executable, "-W", "error", "-c", code], env)

    def run(self, *args: Any, cwd: Path | None = None, **env: str | None) -> Done:
        return self._run(self.command(*args), env, cwd)

    def _run(self, command: list[str], env: dict[str, str | None], cwd: Path | None = None) -> Done:
        done = subprocess.run(
            command,
            cwd=cwd or self.directory,
            env=environment(**env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=60,
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    def refused(self, *args: Any, slug: str, words: tuple[str, ...] = (), **env: str | None) -> str:
        """Run a command that must be refused, for people and for machines; what it said."""
        text, machine = self.batch(args, (*args, "--format", "json"), **env)
        assert (text.code, text.out) == (2, ""), text
        assert text.err.startswith("error: "), text.err
        assert "\n  hint: " in text.err, text.err
        assert text.err.endswith(f"docs/errors.md#{slug}\n"), text.err
        assert "Traceback" not in text.err
        for word in words:
            assert word in text.err, (word, text.err)
        assert (machine.code, machine.out) == (2, ""), machine
        said = json.loads(machine.err)
        assert sorted(said) == ["error", "hint", "slug"]
        assert said["slug"] == slug
        assert said["hint"]
        return text.err

    def batch(self, *commands: Sequence[Any], **env: str | None) -> list[Done]:
        """Run several commands in one process, where that changes nothing but the time it takes."""
        done = self.python(
            "import sys\n"
            "from tracediff.cli import exits, group\n"
            f"for args in {[list(map(str, args)) for args in commands]!r}:\n"
            "    code = exits.run(group, args)\n"
            "    sys.stdout.write(f'\\0{code}\\0')\n"
            "    sys.stderr.write('\\0')\n",
            **env,
        )
        assert done.code == 0, done
        outs, errs = done.out.split("\0"), done.err.split("\0")
        return [Done(int(outs[at * 2 + 1]), outs[at * 2], errs[at]) for at in range(len(commands))]

    def ids(self, *args: str) -> list[str]:
        """The ids that ``ls`` shows, newest first."""
        done = self.run("ls", *args, "--format", "json")
        return [row["id"] for row in done.document["traces"]]


@pytest.fixture(scope="session")
def recorded() -> Iterator[Path]:
    """A project with five traces, to be copied."""
    with tempfile.TemporaryDirectory(prefix="tracediff-cli-") as directory:
        project = Project(Path(directory) / "project")
        project.write("pyproject.toml", SETTINGS)
        project.write("prices.py", PRICES)
        project.write("orders.py", ORDERS)
        done = project.python(RECORDING)
        assert (done.code, done.err) == (0, "")
        yield project.directory


@pytest.fixture
def project(recorded: Path, tmp_path: Path) -> Project:
    """The project of ten lines with three traces of price/one and two of order/total."""
    shutil.copytree(recorded, tmp_path / "project")
    return Project(tmp_path / "project")


@pytest.fixture
def empty(tmp_path: Path) -> Project:
    """A project of which nothing was recorded yet."""
    made = Project(tmp_path / "empty")
    made.write("pyproject.toml", SETTINGS)
    made.write("prices.py", PRICES)
    made.write("orders.py", ORDERS)
    return made

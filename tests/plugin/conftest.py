"""A project of a few lines with pinned traces, and pytest with the plugin run in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]

SETTINGS = """\
[tool.tracediff]
jobs = ["shop"]

[tool.pytest.ini_options]
testpaths = ["tests"]
pythonpath = ["."]
addopts = "--strict-markers"
"""

SHOP = """\
from decimal import Decimal

import tracediff as td


@td.input("Fetching the rate")
def rate(country):
    return {"DE": Decimal("0.19"), "SK": Decimal("0.23")}[country]


@td.output("Saving")
def save(amount):
    raise RuntimeError("an output that ran for real")


@td.step("VAT")
def vat(net, country):
    return (net * rate(country)).quantize(Decimal("0.01"))


@td.step("Weight")
def weight(net):
    return float(net) * 0.1


@td.job("shop/total")
def total(net, country="DE"):
    weight(net)
    return Decimal(net) + vat(Decimal(net), country)
"""

RECORDING = "import shop\nfor net in (100, 250, 333):\n    shop.total(net)\n"
CHANGE = ('Decimal("0.01")', 'Decimal("0.1")')
LINE = SHOP.splitlines().index('@td.step("VAT")') + 1


@dataclass(frozen=True)
class Done:
    """How a program ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    def counts(self, **wanted: int) -> None:
        """Check how many tests passed, failed and so on."""
        last = next((one for one in reversed(self.out.splitlines()) if " in " in one), "")
        found = dict.fromkeys(("passed", "failed", "error", "errors", "skipped", "deselected"), 0)
        words = last.replace("=", " ").replace(",", " ").split()
        for number, word in pairwise(words):
            if word in found and number.isdigit():
                found[word] = int(number)
        assert {name: n for name, n in found.items() if n} == wanted, self.out + self.err


class Suite:
    """A project's directory."""

    def __init__(self, directory: Path, metadata: Path) -> None:
        self.directory = directory
        self.metadata = metadata

    @property
    def traces(self) -> list[Path]:
        """The pinned traces, oldest first."""
        found = (self.directory / "tests" / "traces").glob("*.trace.json")
        return sorted(found, key=lambda path: path.name.rpartition("-")[2])

    def write(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def change(self, name: str, old: str, new: str) -> None:
        text = (self.directory / name).read_text(encoding="utf-8")
        assert old in text
        self.write(name, text.replace(old, new))

    def break_it(self) -> None:
        """Change the calculation."""
        self.change("shop.py", *CHANGE)

    def ini(self, *lines: str) -> None:
        """Add to pytest's settings."""
        text = (self.directory / "pyproject.toml").read_text(encoding="utf-8")
        self.write("pyproject.toml", text + "".join(f"{line}\n" for line in lines))

    def environment(self, **changes: str | None) -> dict[str, str]:
        kept = {
            name: text
            for name, text in os.environ.items()
            if not name.startswith(("TRACEDIFF_", "PYTEST_", "COV_", "GITHUB_", "GIT_"))
            and name
            not in (
                "CI",
                "PYTHONDONTWRITEBYTECODE",
                "BUILD_NUMBER",
                "NO_COLOR",
                "FORCE_COLOR",
                "COLUMNS",
                "TERM",
            )
        }
        paths = [self.metadata, CHECKOUT, CHECKOUT / "pytest_plugin"]
        kept |= {
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            # Compiled once for all of the runs, and not among the project's files.
            "PYTHONPYCACHEPREFIX": str(self.metadata / "compiled"),
            "COLUMNS": "110",
        }
        for name, text in changes.items():
            kept.pop(name, None)
            if text is not None:
                kept[name] = text
        return kept

    def command(self, *args: Any, plugins: tuple[str, ...] = ("tracediff",)) -> list[str]:
        chosen = [part for name in plugins for part in ("-p", name)]
        more = ["-p", "xdist"] if any(str(one).startswith("-n") for one in args) else []
        return [sys.executable, "-W", "error", "-m", "pytest", *chosen, *more, *map(str, args)]

    def pytest(self, *args: Any, plugins: tuple[str, ...] = ("tracediff",), **env: Any) -> Done:
        """Run pytest in the project, with the plugin."""
        return self.run(self.command(*args, plugins=plugins), **env)

    def tracediff(self, *args: Any, **env: Any) -> Done:
        return self.run([sys.executable, "-W", "error", "-m", "tracediff", *map(str, args)], **env)

    def run(self, command: list[str], **env: Any) -> Done:
        done = subprocess.run(
            command,
            cwd=self.directory,
            env=self.environment(**env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=100,
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    def cases(self, name: str = "junit.xml") -> list[ET.Element]:
        """The tests of a JUnit file."""
        return list(ET.parse(self.directory / name).iter("testcase"))

    def files(self) -> dict[str, bytes]:
        """Every file but those of pytest's own cache."""
        return {
            path.relative_to(self.directory).as_posix(): path.read_bytes()
            for path in sorted(self.directory.rglob("*"))
            if path.is_file() and ".pytest_cache" not in path.parts
        }


def properties(case: ET.Element) -> dict[str, str]:
    return {one.attrib["name"]: one.attrib["value"] for one in case.iter("property")}


@pytest.fixture(scope="session")
def metadata(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What an installed distribution tells pytest of the plugin, whatever is installed here."""
    with tempfile.TemporaryDirectory(prefix="tracediff-metadata-") as directory:
        info = Path(directory) / "tracediff_under_test-0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: tracediff-under-test\nVersion: 0\n"
        )
        (info / "entry_points.txt").write_text("[pytest11]\ntracediff = pytest_tracediff.plugin\n")
        if "PYTEST_XDIST_WORKER" in os.environ:  # what one process has compiled the others have
            compiled = tmp_path_factory.getbasetemp().parent / "compiled"
            compiled.mkdir(exist_ok=True)
            (Path(directory) / "compiled").symlink_to(compiled)
        yield Path(directory)


@pytest.fixture(scope="session")
def recorded(metadata: Path) -> Iterator[Path]:
    """A project with three pinned traces, to be copied."""
    with tempfile.TemporaryDirectory(prefix="tracediff-plugin-") as directory:
        made = Suite(Path(directory) / "project", metadata)
        made.write("pyproject.toml", SETTINGS)
        made.write("shop.py", SHOP)
        assert made.run([sys.executable, "-c", RECORDING]).err == ""
        refs = [f"shop/total@{{{nth}}}" for nth in range(3)]
        assert made.tracediff("pull", *refs, "-o", "tests/traces").code == 0
        yield made.directory


@pytest.fixture
def suite(recorded: Path, metadata: Path, tmp_path: Path) -> Suite:
    """The project with three pinned traces of shop/total and no test of its own."""
    shutil.copytree(recorded, tmp_path / "project")
    return Suite(tmp_path / "project", metadata)


@pytest.fixture
def source_line() -> int:
    """The line of shop.py where the step begins that ``break_it`` changes."""
    return LINE


@pytest.fixture(name="properties")
def properties_fixture() -> Any:
    """A function that gives the properties of a test in a JUnit file."""
    return properties

"""The calculators: projects laid out in a directory, with their jobs recorded."""

from __future__ import annotations

import os
import py_compile
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.explain_accuracy.libraries import libraries
from tracediff.api import open_project
from tracediff.demo import commit, python_environment
from tracediff.model import Query, Trace

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "fixtures" / "accuracy"
IGNORED = shutil.ignore_patterns("__pycache__", ".tracediff", "*.sqlite", "py.typed")


@dataclass(frozen=True, kw_only=True)
class Calculator:
    """A project of ours and the package it calculates with; ``library`` is None for the example.

    ``job`` is the package that holds the job; ``code`` are the packages where changes are planted.
    """

    name: str
    what: str
    job: str
    library: str | None = None
    code: tuple[str, ...] = ()


CALCULATORS = {
    "prices": Calculator(
        name="prices", what="the pricing example, in decimals", job="offer", code=("pricing",)
    ),
    "sun": Calculator(
        name="sun", what="astral, in floats", job="almanac", library="astral", code=("astral",)
    ),
    "luach": Calculator(
        name="luach",
        what="pyluach, in whole numbers",
        job="dayplan",
        library="pyluach",
        code=("pyluach",),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Laid:
    """A calculator that was laid out in ``tree``, with its recorded traces."""

    calculator: Calculator
    tree: Path
    traces: tuple[Trace, ...]

    def sources(self) -> dict[str, str]:
        """The text of each file that a change may touch, by its path in the tree."""
        found = {}
        packages = (*self.calculator.code, self.calculator.job, "fees", "vendor")
        for package in packages:
            for path in sorted((self.tree / package).rglob("*")):
                if path.suffix in {".py", ".json"} and path.name not in {"run.py", "catalogue.py"}:
                    name = path.relative_to(self.tree).as_posix()
                    found[name] = path.read_text(encoding="utf-8")
        return found


def lay_out(name: str, directory: Path) -> Laid:
    """Lay a calculator out in a directory that does not exist yet, and record its jobs."""
    calculator = CALCULATORS[name]
    tree = directory / name
    shutil.copytree(FIXTURES / name, tree, ignore=IGNORED)
    shutil.copytree(FIXTURES / "shared", tree, ignore=IGNORED, dirs_exist_ok=True)
    if calculator.library is None:
        example = ROOT / "fixtures" / "pricing" / "v1" / "pricing"
        shutil.copytree(example, tree / "pricing", ignore=IGNORED)
        _run(tree, "pricing.catalogue")
    else:
        shutil.copytree(libraries() / calculator.library, tree / calculator.library, ignore=IGNORED)
    (tree / ".gitignore").write_text("__pycache__/\n.tracediff/\n*.sqlite\n", encoding="utf-8")
    commit(tree, "Work it out")
    _run(tree, f"{calculator.job}.run")
    traces = _recorded(tree)
    shutil.rmtree(tree / ".tracediff")
    (tree / "catalogue.sqlite").unlink(missing_ok=True)
    _compile(tree)
    return Laid(calculator=calculator, tree=tree, traces=traces)


def _recorded(tree: Path) -> tuple[Trace, ...]:
    with open_project(start=tree) as project:
        page = project.search(Query(key="accuracy", limit=100))
        traces = [project.resolve(row.id) for row in page.rows]
    return tuple(reversed([trace for trace in traces if trace.state != "error"]))


def _run(tree: Path, module: str) -> None:
    environment = {**python_environment(os.environ), "PYTHONDONTWRITEBYTECODE": "1"}
    path = [str(tree / "vendor"), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(part for part in path if part)
    done = subprocess.run(
        [sys.executable, "-m", module],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{module} failed in {tree}: {done.stderr}")


def _compile(tree: Path) -> None:
    """Compile for many runs; by the hash of the source, since changes come by the millisecond."""
    for path in tree.rglob("*.py"):
        mode = py_compile.PycInvalidationMode.CHECKED_HASH
        py_compile.compile(str(path), doraise=True, invalidation_mode=mode)

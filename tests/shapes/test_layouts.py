"""Where a job's code may stand: notebooks, packages of every layout, one module under two names."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tracediff.api import open_project
from tracediff.compare import compare
from tracediff.digests import tree_digest
from tracediff.errors import ReplayError

ROOT = Path(__file__).parents[2]

NOTEBOOK = '''
"""What a kernel does: cells of a module ``__main__`` that has neither file nor spec."""
import linecache
import sys
import types

user = types.ModuleType("__main__")
sys.modules["__main__"] = user


def run(number, cell):
    name = f"<ipython-input-{number}-0a1b2c3d>"
    linecache.cache[name] = len(cell), None, cell.splitlines(True), name
    exec(compile(cell, name, "exec"), user.__dict__)


run(1, """
import tracediff as td
from dataclasses import dataclass
from shop.rates import tax
from shop.priced import priced

@dataclass
class Line:
    n: int

@td.step("Cell step")
def cell_step(line):
    with td.step("Cell block"):
        return tax(line.n)

@td.job("notebook/cell")
def cell_job(line):
    return Line(cell_step(line))
""")
run(2, "found = cell_job(Line(2))")
run(3, "assert found == Line(40)")
run(4, "priced(3)")
run(5, """
@td.job("notebook/cell")
def cell_job(line):
    return Line(cell_step(line) + 1)
""")
run(6, "cell_job(Line(2))")
run(7, "td.flush(20)")
'''

PRICED = """
import tracediff as td
from shop.rates import net, tax

@td.job("shop/priced")
def priced(n):
    return tax(net(n))
"""

RATE = "RATE = 20\n"


def first_of(project: Any, trace: Any) -> str:
    """The name of the first step that differs in a replay on the project as it is now."""
    found = compare(trace, project.replay(trace))
    assert found.different
    assert found.first is not None
    assert found.first.old is not None
    return str(trace.steps[found.first.old].name)


def test_a_notebook_s_jobs_are_recorded_and_those_of_modules_are_replayed(
    new_project: Callable[[], Any], result: Any, tmp_path: Path
):
    project = new_project()
    project.write("shop/priced.py", PRICED)
    project.write("kernel.py", NOTEBOOK)
    project.run("-W", "error", "kernel.py", PYTHONPATH=f"{ROOT}")
    cell, priced, changed = project.traces()
    assert (cell.job, priced.job) == ("__main__:cell_job", "shop.priced:priced")
    assert [step.name for step in cell.steps] == ["notebook/cell", "Cell step", "Cell block", "Tax"]
    assert [step.source.file for step in cell.steps[:2]] == ["<ipython-input-1-0a1b2c3d>"] * 2
    assert sorted(cell.code.files) == ["shop/__init__.py", "shop/priced.py", "shop/rates.py"]
    assert compare(cell, changed).different
    for command in ("show", "compare"):
        shown = project.run(
            "-m", "tracediff", command, cell.id, *([changed.id] if command == "compare" else []),
            status=int(command == "compare"),
        )  # fmt: skip
        assert "notebook" in shown.stdout
    with pytest.raises(ReplayError) as refused:
        project.replay(cell)
    assert refused.value.slug == "job-not-allowed"
    assert "notebook" in refused.value.message
    assert "module" in (refused.value.hint or "")
    assert tree_digest(project.replay(priced)) == tree_digest(priced)
    assert first_of(project.changed(tmp_path / "other"), priced) == "Tax"


def test_a_notebook_s_job_that_moved_into_a_module_is_replayed(new_project: Callable[[], Any]):
    project = new_project()
    project.run(
        "-c", "import tracediff as td\nfrom shop.rates import tax\n"
        "job = td.job('shop/moved')(lambda n: tax(n))\njob(2)",
    )  # fmt: skip
    [trace] = project.traces()
    project.write(
        "shop/moved.py",
        "import tracediff as td\nfrom shop.rates import tax\n"
        "@td.job('shop/moved')\ndef moved(n): return tax(n)\n",
    )
    assert tree_digest(project.replay(trace)) == tree_digest(trace)


@pytest.mark.parametrize("how", ["script", "package"])
def test_a_program_s_own_jobs_are_replayed(new_project: Any, tmp_path: Path, how: str):
    project = new_project()
    name = {"script": "run.py", "package": "shop/__main__.py"}[how]
    start = {"script": ["run.py"], "package": ["-m", "shop"]}[how]
    project.write("pyproject.toml", '[tool.tracediff]\njobs = ["shop.*", "run"]\n')
    project.write(
        name,
        """
        import enum
        import sys
        import tracediff as td
        from shop.rates import net, tax

        class Size(enum.Enum):
            SMALL = 1

        @td.input("Sized")
        def sized(n):
            return Size(n)

        class Work:
            @td.job("shop/own")
            @classmethod
            def job(cls, size):
                return tax(net(sized(size.value).value))

        if __name__ == "__main__":
            Work.job(Size.SMALL)
            sys.exit(3)
        """,
    )
    project.run(*start, status=3, PYTHONPATH=f"{ROOT}")
    [trace] = project.traces()
    assert trace.job == {"script": "run:Work.job", "package": "shop.__main__:Work.job"}[how]
    assert tree_digest(project.replay(trace)) == tree_digest(trace)
    assert first_of(project.changed(tmp_path / "other"), trace) == "Tax"


def test_a_namespace_package_s_jobs_are_replayed(new_project: Any, tmp_path: Path):
    project = new_project()
    project.write("pyproject.toml", '[tool.tracediff]\njobs = ["company.*", "shop.*"]\n')
    project.write("company/pricing/deep/jobs.py", PRICED.replace("shop/priced", "company/priced"))
    project.run("-c", "from company.pricing.deep.jobs import priced; priced(1)")
    [trace] = project.traces()
    assert trace.job == "company.pricing.deep.jobs:priced"
    assert tree_digest(project.replay(trace)) == tree_digest(trace)
    assert first_of(project.changed(tmp_path / "other"), trace) == "Tax"


def test_a_module_under_two_names_is_one_job(new_project: Any, tmp_path: Path):
    project = new_project()
    project.write("shop/priced.py", PRICED)
    project.run(
        "-c",
        "import sys; sys.path.insert(0, 'shop'); import shop.priced, priced\n"
        "shop.priced.priced(1); priced.priced(1)",
    )
    one, other = project.traces()
    assert (one.job, other.job) == ("shop.priced:priced", "priced:priced")
    assert one.code.files == other.code.files
    assert tree_digest(one) == tree_digest(other)
    changed = project.changed(tmp_path / "other")
    for trace in (one, other):
        assert tree_digest(project.replay(trace)) == tree_digest(trace)
        assert first_of(changed, trace) == "Tax"


@pytest.mark.slow
def test_an_editable_src_layout_runs_the_work_tree_and_a_revision_that_revision(
    new_project: Any, tmp_path: Path
):
    """Its environment leads to ``src`` by a .pth file, as an editable install does."""
    project = new_project()
    directory = project.directory
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True, timeout=60
    )
    python = tmp_path / "env/bin/python"
    [site] = (tmp_path / "env/lib").glob("python*/site-packages")
    lines = [ROOT, sysconfig.get_paths()["purelib"], directory / "src"]
    (site / "editable.pth").write_text("".join(f"{line}\n" for line in lines))
    project.write("pyproject.toml", f'[tool.tracediff]\njobs = ["goods.*"]\npython = "{python}"\n')
    project.write("src/goods/__init__.py", "")
    project.write("src/goods/rates.py", (directory / "shop/rates.py").read_text())
    project.write("src/goods/jobs.py", PRICED.replace("shop", "goods"))
    project.write(".gitignore", ".tracediff\n")

    def git(*arguments: str) -> None:
        who = ["-c", "user.name=n", "-c", "user.email=n@example.org"]
        subprocess.run(["git", *who, *arguments], cwd=directory, check=True, capture_output=True)

    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "one")
    call = "from goods.jobs import priced; priced(1)"
    subprocess.run([python, "-c", call], cwd=directory, check=True, timeout=60)
    [trace] = project.traces()
    assert max(trace.code.files) == "src/goods/rates.py"
    assert tree_digest(project.replay(trace)) == tree_digest(trace)
    project.change("src/goods/rates.py", "RATE = 20", "RATE = 21")
    assert first_of(project, trace) == "Tax"
    git("commit", "-qam", "two")
    then = open_project(start=directory).replay(trace, against="HEAD~1").trace
    assert tree_digest(then) == tree_digest(trace)

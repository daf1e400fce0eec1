"""A real Jupyter kernel: its cells' jobs are recorded, and saved however the kernel ends."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager

from tracediff import values
from tracediff.digests import tree_digest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
DEFINED = """
import tracediff as td
from dataclasses import dataclass
from shop.rates import tax
from shop.priced import priced

@dataclass
class Line:
    n: int

def factor():
    return 1

@td.input("Cell input")
def cell_input(n):
    return n + 1

@td.step("Cell step")
def cell_step(n):
    with td.step("Cell block"):
        return tax(n) * factor()

@td.job("notebook/cell")
def cell_job(line):
    return Line(cell_step(cell_input(line.n)))
""".lstrip()  # as IPython does
FAILS = """
@td.job("notebook/fails")
def fails(n):
    td.note("Before")
    raise ValueError(f"no rate for {n}")
fails(3)
"""
WAITS = """
import pathlib, time
@td.job("notebook/waits")
def waits(n):
    td.note("Waiting")
    pathlib.Path("waiting").touch()
    time.sleep(60)
waits(1)
"""
PRICED = """
import tracediff as td
from shop.rates import net, tax

@td.job("shop/priced")
def priced(n):
    return tax(net(n))
"""


class Kernel:
    """A kernel in a project's directory, and a client that waits for each cell."""

    def __init__(self, project: Any, manager: KernelManager) -> None:
        self.manager = manager
        self.client = manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)
        self.project = project

    def run(self, cell: str) -> tuple[str, str]:
        """Run a cell: its status, and the text of its result or the name of its exception."""
        shown: list[str] = []

        def seen(message: Any) -> None:
            if message["msg_type"] == "execute_result":
                shown.append(message["content"]["data"]["text/plain"])

        reply = self.client.execute_interactive(
            cell, timeout=60, stop_on_error=False, output_hook=seen
        )["content"]
        return reply["status"], reply.get("ename") or "".join(shown)


@pytest.fixture
def kernel(new_project: Callable[[], Any], tmp_path: Path) -> Iterator[Kernel]:
    """A kernel that has defined and called a job; nothing of the user's own Jupyter is read."""
    project = new_project()
    project.write("shop/priced.py", PRICED)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    own = KernelSpec(argv=argv, display_name="", language="python")
    manager = KernelManager(connection_file=str(tmp_path / "kernel.json"))
    manager._kernel_spec = own  # else it would have to be installed where Jupyter looks
    homes = dict.fromkeys(["IPYTHONDIR", "JUPYTER_CONFIG_DIR", "HOME"], str(tmp_path))
    manager.start_kernel(cwd=str(project.directory), env={**os.environ, **homes})
    with contextlib.ExitStack() as stack:
        stack.callback(manager.cleanup_resources)
        stack.callback(manager.shutdown_kernel, now=True)
        started = Kernel(project, manager)
        stack.callback(started.client.stop_channels)
        assert started.run(DEFINED)[0] == "ok"
        assert started.run("cell_job(Line(2))") == ("ok", "Line(n=60)")
        yield started


def by_key(project: Any) -> dict[str, list[Any]]:
    """The traces of each job, oldest first."""
    found: dict[str, list[Any]] = {}
    for trace in project.traces():
        found.setdefault(trace.key, []).append(trace)
    return found


def cli(project: Any, *args: str, status: int = 0) -> Any:
    return project.run("-m", "tracediff", *args, status=status)


def test_cells_are_recorded_shown_and_compared_and_those_of_modules_replayed(kernel: Kernel):
    project = kernel.project
    assert kernel.run("def factor():\n    return 2") == ("ok", "")
    assert kernel.run("cell_job(Line(2))") == ("ok", "Line(n=120)")
    redefined = DEFINED.partition("def cell_step")[2].partition("@td.job")[0]
    redefined = '@td.step("Cell step")\ndef cell_step' + redefined.replace("tax(n)", "tax(n + 1)")
    assert kernel.run(redefined)[0] == "ok"
    assert kernel.run("cell_job(Line(2))") == ("ok", "Line(n=160)")
    assert kernel.run(FAILS) == ("error", "ValueError")
    assert kernel.run("priced(3)") == ("ok", "600")
    assert kernel.run("td.flush(20)") == ("ok", "True")

    found = by_key(project)  # while the kernel still runs
    first, helper, step = found["notebook/cell"]
    [failed], [priced] = found["notebook/fails"], found["shop/priced"]
    names = ["notebook/cell", "Cell input", "Cell step", "Cell block", "Tax"]
    assert [one.name for one in first.steps] == names
    cells = [one.source.file for one in first.steps[:4]]
    assert cells[0].startswith("<notebook cell ")
    assert cells == cells[:1] * 4
    lines = DEFINED.splitlines()
    assert lines[first.steps[1].source.line - 1] == '@td.input("Cell input")'
    assert lines[first.steps[3].source.line - 1] == '    with td.step("Cell block"):'
    assert step.steps[2].source.file != cells[2]
    assert failed.steps[0].error.message == "no rate for 3"

    listed = cli(project, "ls").stdout
    assert listed.count("notebook/cell(line=Line(") == 3
    shown = cli(project, "show", first.id, "--step", "Cell step").stdout
    assert f"{cells[2]}:{first.steps[2].source.line}" in shown
    assert "no rate for 3" in cli(project, "show", failed.id).stdout
    for other in (helper, step):  # what a cell redefined is no hidden input
        told = cli(project, "compare", first.id, other.id, status=1).stdout
        assert "Cell step" in told
        assert "hidden input" not in told
    for command in ("replay", "compare"):
        refused = cli(project, command, first.id, status=2).stderr
        assert "was defined in a notebook or at a prompt: no module holds it" in refused
        assert "move it into a module" in refused
    cli(project, "compare", priced.id)
    assert tree_digest(project.replay(priced)) == tree_digest(priced)


def test_two_kernels_name_a_cell_alike(kernel: Kernel):
    kernel.manager.restart_kernel()
    kernel.client.wait_for_ready(timeout=60)
    assert kernel.run(DEFINED)[0] == "ok"
    assert kernel.run("cell_job(Line(2))") == ("ok", "Line(n=60)")
    kernel.manager.shutdown_kernel()
    one, other = by_key(kernel.project)["notebook/cell"]
    assert [step.source for step in one.steps] == [step.source for step in other.steps]
    assert tree_digest(one) == tree_digest(other)


def test_a_job_that_is_interrupted_is_an_error_and_a_shutdown_saves_what_is_left(kernel: Kernel):
    project = kernel.project
    asked = kernel.client.execute(WAITS, stop_on_error=False)
    deadline = time.monotonic() + 60
    while not (project.directory / "waiting").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    kernel.manager.interrupt_kernel()
    while (reply := kernel.client.get_shell_msg(timeout=60))["parent_header"]["msg_id"] != asked:
        pass
    assert reply["content"]["ename"] == "KeyboardInterrupt"
    assert kernel.run("priced(4)") == ("ok", "800")
    kernel.manager.shutdown_kernel()  # nobody has flushed
    found = by_key(project)
    assert {key: len(traces) for key, traces in found.items()} == {
        "notebook/cell": 1, "notebook/waits": 1, "shop/priced": 1}  # fmt: skip
    [waits], [priced] = found["notebook/waits"], found["shop/priced"]
    assert waits.state == "error"
    assert waits.steps[0].error.type == "builtins:KeyboardInterrupt"
    assert [step.name for step in waits.steps] == ["notebook/waits", "Waiting"]
    assert values.inert(priced.steps[0].result) == 800

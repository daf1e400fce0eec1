"""A real Jupyter kernel: its cells' jobs are recorded, and saved however the kernel ends."""

from __future__ import annotations

import contextlib
import os
import re
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

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
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
        self.said = ""

        def seen(message: Any) -> None:
            if message["msg_type"] == "execute_result":
                shown.append(message["content"]["data"]["text/plain"])
            elif message["msg_type"] == "stream":
                self.said += _COLOUR.sub("", message["content"]["text"])
            elif message["msg_type"] == "error":
                self.said += _COLOUR.sub("", "\n".join(message["content"]["traceback"]))

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


def test_a_cell_is_a_job_that_is_compared_with_its_last_run(kernel: Kernel):
    project = kernel.project
    assert kernel.run("%load_ext tracediff.notebook\nnet, token = 100, 'verysecret1'")[0] == "ok"
    cell = "%%tracediff prices/cell --tag draft\nshare = {}\nunused = token\ntax(net) * share"
    assert kernel.run(cell.format(2)) == ("ok", "4000")
    assert "recorded prices/cell as " in kernel.said
    assert kernel.run(cell.format(3)) == ("ok", "6000")
    assert "✗ different   result  4000 → 6000" in kernel.said, kernel.said
    first, second = by_key(project)["prices/cell"]
    assert values.inert(first.steps[0].args)["net"] == 100
    assert values.inert(first.steps[0].args).keys() == {"token", "net"}
    assert "verysecret1" not in str(values.inert(first.steps[0].args))
    assert [step.name for step in first.steps if step.kind == "step"] == ["Tax"]
    assert first.tags == ("draft",)
    assert b"share = 2" in first.artifacts[0].data
    shown = kernel.run(f"%tracediff show {second.id}")
    assert shown[0] == "ok"
    assert "prices › cell" in kernel.said


def test_a_cell_without_a_value_gives_what_it_sets(kernel: Kernel):
    kernel.run("%load_ext tracediff.notebook")
    told = kernel.run("%%tracediff prices/set --show\na = 1\nb, (c, d) = a + 1, (3, 4)\nd += 1\n"
                      "def f():\n    inner = 1\nx = [y for y in [1]]")  # fmt: skip
    assert told == ("ok", "")
    assert "prices › set" in kernel.said
    kernel.run("%%tracediff prices/set\na += 1\nfor d in [d]:\n    pass")
    trace, again = by_key(kernel.project)["prices/set"]
    assert values.inert(trace.steps[0].args) == {}
    assert values.inert(again.steps[0].args) == {"a": 1, "d": 5}
    assert values.inert(trace.steps[0].result) == {"a": 1, "b": 2, "c": 3, "d": 5, "x": [1]}


def test_a_cell_that_fails_is_an_error_shown_once_and_stops_what_follows(kernel: Kernel):
    kernel.run("%load_ext tracediff.notebook")
    status, _ = kernel.run("%%tracediff prices/fails\n1 / 0")
    assert status == "error"
    assert kernel.said.count("ZeroDivisionError: division by zero") == 1, kernel.said
    assert kernel.run("%%tracediff prices/syntax\n1 +")[0] == "error"
    assert kernel.said.count("SyntaxError") == 1, kernel.said
    assert kernel.run("%%tracediff prices/none --depht full\n1") == ("error", "UsageError")
    assert "unrecognized arguments: --depht" in kernel.said
    assert kernel.run("%tracediff 'ls")[0] == "error"
    assert kernel.run("td.flush(20)") == ("ok", "True")
    found = by_key(kernel.project)
    assert found["prices/fails"][0].steps[0].error.type.endswith("ZeroDivisionError")
    assert "prices/none" not in found
    assert kernel.run("%tracediff compare nothing")[0] == "ok"
    assert "nothing" in kernel.said
    assert "Traceback" not in kernel.said


def test_a_cell_that_awaits_says_what_to_do(kernel: Kernel):
    kernel.run("%load_ext tracediff.notebook\nimport asyncio")
    awaits = kernel.run("%%tracediff prices/awaits\nawait asyncio.sleep(0, 41) + 1")
    assert awaits == ("error", "UsageError")
    assert "mark a coroutine with @tracediff.job" in kernel.said
    assert "prices/awaits" not in by_key(kernel.project)


def test_the_cells_of_the_documentation(kernel: Kernel):
    page = (ROOT / "docs" / "integrations.md").read_text(encoding="utf-8")
    section = page.partition("\n### Notebooks\n")[2].partition("\n### ")[0]
    setting, cell = re.findall(r"^```text\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    assert kernel.run(setting) == ("ok", "")
    assert kernel.run(cell) == ("ok", "119.0")
    assert kernel.run("rate = 7") == ("ok", "")
    assert kernel.run(cell) == ("ok", "107.0")
    assert "✗ different   result  119.0 → 107.0" in kernel.said
    assert by_key(kernel.project)["prices/gross"][0].tags == ("draft",)

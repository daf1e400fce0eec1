"""Notebooks: ``%load_ext tracediff.notebook``, then ``%%tracediff KEY`` records a cell as a job.

The job's arguments are the variables that the cell reads, its result is the value of its last
expression, or the variables that it sets. ``%tracediff ls`` and the like run the command line.
"""

from __future__ import annotations

import argparse
import ast
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from inspect import Parameter, Signature, isclass, isroutine
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from IPython.core.error import UsageError
from IPython.core.interactiveshell import ExecutionResult
from IPython.core.magic import Magics, line_cell_magic, magics_class

import tracediff
from tracediff.config import load_config
from tracediff.errors import TracediffError
from tracediff.model import DEPTHS
from tracediff.recording import session
from tracediff.recording.jobs import Job
from tracediff.recording.marks import Mark
from tracediff.recording.runs import Run

WIDTH = "100"
"""Characters of a line that the command line writes below a cell."""

_NESTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.ListComp,
           ast.SetComp, ast.DictComp, ast.GeneratorExp)  # fmt: skip


class CellError(Exception):
    """A cell failed: IPython has shown why, and is not to run what comes after it."""

    def _render_traceback_(self) -> list[str]:
        """Nothing to be shown a second time; IPython asks for it by this name."""
        return []


def _raise(outcome: ExecutionResult) -> None:
    """Let a cell that failed fail."""
    raised = outcome.error_before_exec or outcome.error_in_exec
    if raised is not None:
        raise CellError(f"{type(raised).__name__}: {raised}") from raised


class _Words(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"%%tracediff: {message}; {self.format_usage().strip()}")


def _words() -> argparse.ArgumentParser:
    words = _Words(prog="%%tracediff", add_help=False, allow_abbrev=False)
    words.add_argument("key", nargs="?", default="notebook/cell")
    words.add_argument("--tag", action="append", default=[])
    words.add_argument("--depth", choices=DEPTHS)
    words.add_argument("--show", action="store_true")
    words.add_argument("--no-compare", action="store_true")
    return words


@magics_class
class TracediffMagics(Magics):
    """The magic ``tracediff``, of a line and of a cell."""

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self._shell = shell
        self._before: dict[str, str] = {}

    @line_cell_magic
    def tracediff(self, line: str, cell: str | None = None) -> None:
        """Record a cell as a job, or run a command: ``%%tracediff KEY``, ``%tracediff compare …``.

        Args:
            line: Before a cell ``KEY [--tag T]… [--depth inputs|steps|full] [--show]
                [--no-compare]``, else the words of a command.
            cell: The cell.
        """
        try:
            words = shlex.split(line)
        except ValueError as error:
            raise UsageError(f"%tracediff: {error} in {line!r}") from None
        if cell is None:
            self._command(words)
            return
        chosen = _words().parse_args(words)
        plain = self._transformed(cell)
        if self._shell.should_run_async(cell, transformed_cell=plain):
            raise UsageError(
                "%%tracediff: a cell with `await` outside of a function cannot be a job: "
                "mark a coroutine with @tracediff.job and await that"
            )
        self._switch_on()
        run = self._record(cell, _Variables(_parsed(plain)), chosen)
        if run is None:
            print(f"tracediff: {chosen.key} is not recorded: the settings leave it out")  # noqa: T201 - a cell's output
            return
        self._tell(run, chosen)

    def _switch_on(self) -> None:
        """Record where no settings say whether to: who writes the magic wants it."""
        try:
            config = load_config()
        except TracediffError as error:  # the cell runs all the same
            print(f"tracediff records nothing: {error.message}; {error.hint}")  # noqa: T201 - as above
            return
        if config.file is None and not config.enabled and session.recorder() is None:
            directory = Path.cwd() / ".tracediff"
            tracediff.configure(store=str(directory))
            print(f"tracediff: no settings here; traces are kept in {directory}")  # noqa: T201 - as above

    def _transformed(self, cell: str) -> str:
        """A cell as Python; nothing where IPython will say what is wrong with it."""
        try:
            return str(self._shell.transform_cell(cell))
        except Exception:  # noqa: BLE001 - any transformer may be registered, and raise anything
            return ""

    def _record(self, cell: str, found: _Variables, chosen: argparse.Namespace) -> Run | None:
        """Run a cell as a job; None where it ran unrecorded."""
        space = self._shell.user_ns
        read = {
            name: space[name]
            for name in found.read
            if name in space and not name.startswith("_") and _is_data(space[name])
        }
        begun = session.begin(_job(chosen, tuple(read)), (), read)
        if begun is None:
            _raise(self._shell.run_cell(cell))
            return None
        begun.buffer.tag(chosen.tag)
        tracediff.artifact("cell.py", begun.buffer.scrub(cell).encode("utf-8", "surrogatepass"))
        try:
            outcome = self._shell.run_cell(cell)
        except BaseException as error:  # IPython shows those of the cell itself
            begun.failed(error)
            raise
        raised = outcome.error_before_exec or outcome.error_in_exec
        if raised is not None:
            begun.failed(raised)
            _raise(outcome)
        if outcome.result is not None:
            begun.succeeded(outcome.result)
        else:
            begun.succeeded({name: space.get(name) for name in found.set})
        return begun

    def _tell(self, run: Run, chosen: argparse.Namespace) -> None:
        """What was recorded, and how it differs from the cell's last run."""
        if not tracediff.flush(20):
            print("tracediff: the trace could not be saved; `%tracediff doctor` says why")  # noqa: T201 - as above
            return
        if chosen.show:
            self._command(["show", run.id])
        before = self._before.get(chosen.key)
        self._before[chosen.key] = run.id
        if before is not None and not chosen.no_compare:
            self._command(["compare", before, run.id])
        elif not chosen.show:
            print(f"tracediff: recorded {chosen.key} as {run.id}: %tracediff show {run.id}")  # noqa: T201 - as above

    def _command(self, words: Sequence[str]) -> None:
        """Run the command line in a process of its own; what it writes stands below the cell."""
        tracediff.flush(20)
        store = _configured_store()
        variables = {"COLUMNS": WIDTH, "FORCE_COLOR": "1"} | os.environ | store
        done = subprocess.run(  # noqa: PLW1510 - its exit code is part of what it tells
            [sys.executable, "-m", "tracediff", *words],
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
        )
        sys.stdout.write(done.stdout)
        sys.stderr.write(done.stderr)


def _configured_store() -> dict[str, str]:
    """The store that this process was told to use, for the commands it starts."""
    recorder = session.recorder()
    if recorder is None or recorder.config.file is not None or "TRACEDIFF_STORE" in os.environ:
        return {}
    return {"TRACEDIFF_STORE": recorder.config.store}


def _job(chosen: argparse.Namespace, names: tuple[str, ...]) -> Job:
    """The job of a cell, whose parameters are the variables that it reads."""

    def cell(**_: Any) -> None:
        """Stands for the cell, whose code is text."""

    cell.__module__, cell.__qualname__ = "__main__", "cell"
    parameters = [Parameter(name, Parameter.KEYWORD_ONLY) for name in names]
    cell.__signature__ = Signature(parameters)  # type: ignore[attr-defined]  # what inspect reads
    mark = Mark("job", chosen.key, cell, drop=0)
    return Job(key=chosen.key, unit=mark.source.unit, function=cell, mark=mark, depth=chosen.depth)


def _parsed(code: str) -> ast.Module:
    """The cell's syntax tree; an empty one where IPython will say what is wrong with it."""
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module([], [])


def _is_data(value: object) -> bool:
    """Whether a variable is neither a module, a function nor a class."""
    return not (isinstance(value, ModuleType) or isclass(value) or isroutine(value))


class _Variables(ast.NodeVisitor):
    """The variables that a cell reads before it sets them, and those that it sets, in order."""

    def __init__(self, tree: ast.Module) -> None:
        self.read: dict[str, None] = {}
        self.set: dict[str, None] = {}
        self._nested = 0
        self.visit(tree)

    def visit_Name(self, node: ast.Name) -> None:
        """A variable is named."""
        if isinstance(node.ctx, ast.Load):
            if node.id not in self.set:
                self.read[node.id] = None
        elif not self._nested:
            self.set[node.id] = None

    def visit_Assign(self, node: ast.Assign) -> None:
        """The value comes before the variable."""
        for one in (node.value, *node.targets):
            self.visit(one)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        """A variable that is changed is read."""
        self.visit(node.value)
        if isinstance(node.target, ast.Name):
            self.visit(ast.Name(node.target.id, ast.Load()))
        self.visit(node.target)

    def visit_For(self, node: ast.For) -> None:
        """What is gone through comes before the variable."""
        for one in (node.iter, node.target, *node.body, *node.orelse):
            self.visit(one)

    def generic_visit(self, node: ast.AST) -> None:
        """Functions, classes and comprehensions have variables of their own."""
        nested = isinstance(node, _NESTED)
        self._nested += nested
        super().generic_visit(node)
        self._nested -= nested


def load_ipython_extension(shell: Any) -> None:
    """Make the magic known: ``%load_ext tracediff.notebook``."""
    shell.register_magics(TracediffMagics)

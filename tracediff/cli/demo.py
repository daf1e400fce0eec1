"""``tracediff demo``."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tracediff import demo as example
from tracediff.api import open_project
from tracediff.cli import options
from tracediff.cli.progress import phases
from tracediff.reports.text.canvas import DIM, NAME, span
from tracediff.reports.text.comparison import comparison_lines
from tracediff.reports.wording import many

if TYPE_CHECKING:
    from rich.text import Text

SUGGESTED = {
    "tracediff explain @last": "which change did how much of it, and whose it was",
    "tracediff check": "what the changes do to all prices, and how much of it is whose",
    "tracediff compare @last --against HEAD~4": "on the code that was recorded: the same",
    "tracediff compare @last --all": "every step and note that differs",
    "tracediff show @last": "what was recorded, inputs and notes too",
    "tracediff ls --limit 5": "the newest traces; compare any of them by its id",
    "git log --patch HEAD~4..": "the four changes",
    "sed -i s/6000/4000/ pricing/weights.py": "a change of your own; compare again",
}
"""What to try next and what it shows, one line of a shell each."""


@click.command("demo")
@click.argument("directory", required=False, type=click.Path(path_type=Path))
@click.option("--jobs", type=click.IntRange(1, 5000), default=example.JOBS, show_default=True)
def command(directory: Path | None, jobs: int) -> None:
    """Lay out the example: record prices, switch to changed code, compare. It stays there.

    DIRECTORY is made, or is empty; without one the example is in a temporary directory.
    """
    with bar() as progress:
        laid = example.build(directory, jobs=jobs, progress=progress)
    options.emit_lines(heading(laid), None)
    with phases("comparing") as phase:
        comparison = open_project(start=laid.directory).compare("@last", progress=phase)
    options.emit_lines(comparison_lines(comparison, options.look()), None)
    options.emit_lines(suggestions(laid), None)


@contextlib.contextmanager
def bar() -> Iterator[example.Progress | None]:
    """A bar on stderr, where that is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console  # nothing else here draws a bar
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as drawn:
        task = drawn.add_task("committing five versions", total=None)
        yield lambda what, done, of: drawn.update(task, description=what, completed=done, total=of)


def heading(laid: example.Demo) -> Iterator[Text]:
    """What is where, and what was done."""
    yield span("The example: a price calculation, as a marketplace runs it, in a git repository.")
    yield span()
    yield span(("  in       ", DIM), str(laid.directory))
    yield span(("  commit   ", DIM), (laid.old[:7], NAME), f"  {many(laid.jobs, 'job')} recorded")
    for name, sha in laid.changes.items():
        what = example.CHANGES[name]
        yield span(("  commit   ", DIM), (sha[:7], NAME), f"  {name:<12} ", (what, DIM))
    yield span("           the last one is checked out")
    yield span()
    yield span("The newest recorded job, run again on the changed code with its recorded inputs:")
    yield span()
    yield span(("$ ", DIM), "tracediff compare @last")


def suggestions(laid: example.Demo) -> Iterator[Text]:
    """What to type next, as a shell takes it."""
    yield span()
    yield span("Try next:")
    yield span(f"  cd {shlex.quote(str(laid.directory))}")
    if (setting := reachable()) is not None:
        yield span(f"  {setting}")
    for line, what in SUGGESTED.items():
        yield span(f"  {line:<42}", (f"# {what}", DIM))


def reachable() -> str | None:
    """The line that makes a shell find this very program; None where it does already."""
    script = Path(sys.executable).with_name("tracediff")
    if not script.is_file():
        return f'tracediff() {{ {shlex.quote(sys.executable)} -m tracediff "$@"; }}'
    found = shutil.which("tracediff")
    if found is not None and Path(found).samefile(script):
        return None
    return f'export PATH={shlex.quote(str(script.parent))}:"$PATH"'

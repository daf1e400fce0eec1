"""``tracediff demo``."""

from __future__ import annotations

import shlex
import sys
import tempfile
from pathlib import Path

import click

from tracediff import demo as example
from tracediff.api import open_project
from tracediff.cli import options
from tracediff.cli.progress import phases
from tracediff.reports.text.comparison import comparison_lines


@click.command("demo")
@click.argument("directory", required=False, type=click.Path(path_type=Path))
@click.option("--jobs", type=click.IntRange(1, 5000), default=example.JOBS, show_default=True)
def command(directory: Path | None, jobs: int) -> None:
    """Lay out the example: record prices, switch to changed code, compare. It stays there."""
    where = directory or Path(tempfile.mkdtemp(prefix="tracediff-demo-"))
    with phases() as progress:
        laid = example.build(where, jobs=jobs, progress=lambda *said: progress(str(said[0])))
    say = sys.stdout.write
    say(f"In {laid.directory}, a git repository:\n")
    say(f"  {laid.old[:7]}  the price calculation; {laid.jobs} jobs were recorded on it\n")
    say(f"  {laid.new[:7]}  four changes: {', '.join(laid.changes)}; checked out now\n\n")
    say("$ tracediff compare @last\n")
    comparison = open_project(start=laid.directory).compare("@last")
    options.emit_lines(comparison_lines(comparison, options.look()), None)
    say("\nTry next:\n")
    say(f"  cd {shlex.quote(str(laid.directory))}\n")
    say(
        "  tracediff ls --limit 5\n"
        "  tracediff show @last\n"
        "  tracediff compare @last --format json\n"
    )

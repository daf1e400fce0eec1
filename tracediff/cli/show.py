"""``tracediff show``."""

from __future__ import annotations

from pathlib import Path

import click

from tracediff import tracefile
from tracediff.api import open_project
from tracediff.cli import options
from tracediff.reports.paths import find_step
from tracediff.reports.text.trace import step_lines, trace_lines


@click.command("show")
@click.argument("ref")
@click.option("--step", metavar="PATH", help="One step: its number, or names joined by /.")
@options.store
@options.form
@options.output
def command(ref: str, step: str | None, store: str | None, form: str, output: Path | None) -> None:
    """Show a trace as it happened, or one of its steps in full."""
    trace = open_project(store=store).resolve(ref)
    if form == "json":
        options.emit(tracefile.dumps(trace), output)
    elif step is not None:
        options.emit_lines(step_lines(trace, find_step(trace, step), options.look()), output)
    else:
        options.emit_lines(trace_lines(trace, options.look()), output)

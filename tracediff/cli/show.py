"""``tracediff show``."""

from __future__ import annotations

from pathlib import Path

import click

from tracediff import tracefile
from tracediff.api import open_project
from tracediff.cli import options
from tracediff.cli.progress import phases
from tracediff.reports.paths import find_step


@click.command("show")
@click.argument("ref")
@click.option("--step", metavar="PATH", help="One step: its number, or names joined by /.")
@options.store
@options.form
@options.output
def command(ref: str, step: str | None, store: str | None, form: str, output: Path | None) -> None:
    """Show a trace as it happened, or one of its steps in full.

    As JSON a whole trace has the form of a trace file, which every command takes as a REF.
    """
    with open_project(store=store) as project, phases("reading"):
        trace = project.resolve(ref)
    index = None if step is None else find_step(trace, step)
    if form == "json":
        if index is None:
            options.emit(tracefile.dumps(trace), output, "json")
            return
        from tracediff.reports.json import step_document  # the text needs none of it

        options.emit_json(step_document(trace, index), output)
        return
    from tracediff.reports.text.trace import step_lines, trace_lines  # as above

    lines = trace_lines(trace, options.look()) if index is None \
        else step_lines(trace, index, options.look())  # fmt: skip
    options.emit_lines(lines, output)

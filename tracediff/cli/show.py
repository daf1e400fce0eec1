"""``tracediff show``."""

from __future__ import annotations

import time
from pathlib import Path

import click

from tracediff import tracefile
from tracediff.api import open_project
from tracediff.cli import exits, options
from tracediff.cli.progress import phases
from tracediff.references import read_found
from tracediff.reports.paths import find_step


@click.command("show")
@click.argument("ref")
@click.option("--step", metavar="PATH", help="One step: its number, or names joined by /.")
@click.option("--follow", is_flag=True, help="Go on while its job runs; KEY@last may wait for one.")
@options.store
@options.form_or_page
@options.output
def command(
    ref: str, step: str | None, follow: bool, store: str | None, form: str, output: Path | None
) -> int:
    """Show a trace as it happened, or one of its steps in full.

    As JSON a whole trace has the form of a trace file, which every command takes as a REF.

    With --follow what its job does is shown as it is recorded, until it ends: exit code 1 when it
    failed or was lost.
    """
    if follow:
        if form == "html" or step is not None or output is not None:
            raise click.UsageError("--follow takes neither --format html nor --step nor -o.")
        from tracediff.cli.following import follow as followed  # what has ended needs none of it

        with open_project(store=store) as project:
            return followed(project, ref, form)
    _show(ref, step, store, form, output)
    return exits.SAME


def _show(ref: str, step: str | None, store: str | None, form: str, output: Path | None) -> None:
    if form == "html" and step is not None:
        raise click.UsageError("--format html is a page of all steps: leave --step out.")
    with open_project(store=store) as project, phases("reading"):
        found = project.find(ref)
        trace = read_found(ref, found)
    index = None if step is None else find_step(trace, step)
    if form == "html":
        from tracediff.reports.pages.onetrace import trace_html  # the others need no templates

        options.emit(trace_html(trace, now=time.time_ns()), output)
        return
    if form == "json":
        if index is None:
            options.emit(tracefile.dumps(trace), output, "json")
            return
        from tracediff.reports.json import step_document  # as above

        options.emit_json(step_document(trace, index), output)
        return
    from tracediff.reports.text.trace import step_lines, trace_lines  # as above

    look, parts = options.look(project.config), found[1].parts if found is not None else 0
    lines = trace_lines(trace, look, parts=parts) if index is None \
        else step_lines(trace, index, look)  # fmt: skip
    options.emit_lines(lines, output)

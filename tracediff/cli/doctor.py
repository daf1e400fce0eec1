"""``tracediff doctor``."""

from __future__ import annotations

from pathlib import Path

import click

from tracediff.api import Project, open_project
from tracediff.cli import exits, options
from tracediff.cli.progress import counted, phases
from tracediff.reports.clean import clean


@click.command("doctor")
@click.option(
    "--replayability",
    "key",
    metavar="KEY",
    help="Which of the last traces of this key replay exactly, and what mends the others.",
)
@click.option("--last", type=click.IntRange(1, 10_000), metavar="N",
              help="How many of them; 20.")  # fmt: skip
@options.store
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "prometheus"]),
    default="text",
    show_default=True,
    help="For people, for machines, or for Prometheus.",
)
@options.output
def command(
    key: str | None, last: int | None, store: str | None, form: str, output: Path | None
) -> int:
    """Check the settings, the store and what a replay needs. Exits 1 when something is wrong.

    With --replayability KEY: replay the last traces of a job, say which of them replay exactly, why
    others do not, and which line of configuration or code mends it. Exits 1 when some do not.
    """
    if key is None:
        if last is not None:
            raise click.UsageError("--last says how many traces --replayability looks at.")
        with open_project(store=store) as project, phases("reading every trace back"):
            return _everything(project, form, output)
    if form == "prometheus":
        raise click.UsageError("--replayability has no figures for Prometheus.")
    with open_project(store=store) as project, counted() as progress:
        found = project.replayability(key, last=last, progress=progress)
    if form == "json":
        from tracediff.reports.replayability import replayability_document  # as below

        options.emit_json(replayability_document(found), output)
    else:
        from tracediff.reports.text.replayability import replayability_lines  # JSON needs no canvas

        options.emit_lines(replayability_lines(found, options.look()), output)
    return exits.DIFFERENT if found.inexact else exits.SAME


def _everything(project: Project, form: str, output: Path | None) -> int:
    findings = project.doctor()
    if form == "prometheus":
        from tracediff.reports.prometheus import exposition  # the other formats do without

        options.emit(exposition(project.figures(findings)).rstrip("\n"), output)
        return exits.SAME
    if form == "json":
        found = [{"ok": one.ok, "what": one.what, "hint": one.hint} for one in findings]
        options.emit_json({"schema": "tracediff/doctor/1", "findings": found}, output)
    else:
        lines = []
        for one in findings:
            lines.append(f"{'✓' if one.ok else '✗'} {clean(one.what)}")
            if one.hint and not one.ok:
                lines.append(f"    {clean(one.hint)}")
        options.emit("\n".join(lines), output)
    return exits.SAME if all(one.ok for one in findings) else exits.DIFFERENT

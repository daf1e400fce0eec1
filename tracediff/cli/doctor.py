"""``tracediff doctor``."""

from __future__ import annotations

from pathlib import Path

import click

from tracediff.api import open_project
from tracediff.cli import exits, options
from tracediff.cli.progress import phases
from tracediff.reports.clean import clean


@click.command("doctor")
@options.store
@options.form
@options.output
def command(store: str | None, form: str, output: Path | None) -> int:
    """Check the settings, the store and what a replay needs. Exits 1 when something is wrong."""
    with open_project(store=store) as project, phases("reading every trace back"):
        findings = project.doctor()
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

"""``tracediff doctor``."""

from __future__ import annotations

import click

from tracediff.api import open_project
from tracediff.cli import exits, options


@click.command("doctor")
@options.store
@options.form
def command(store: str | None, form: str) -> int:
    """Check the settings, the store and what a replay needs. Exits 1 when something is wrong."""
    findings = open_project(store=store).doctor()
    if form == "json":
        found = [{"ok": one.ok, "what": one.what, "hint": one.hint} for one in findings]
        options.emit_json({"schema": "tracediff/doctor/1", "findings": found}, None)
    else:
        lines = []
        for one in findings:
            lines.append(f"{'✓' if one.ok else '✗'} {one.what}")
            if one.hint and not one.ok:
                lines.append(f"    {one.hint}")
        options.emit("\n".join(lines), None)
    return exits.SAME if all(one.ok for one in findings) else exits.DIFFERENT

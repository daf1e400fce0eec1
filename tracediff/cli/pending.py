"""``tracediff pending``."""

from __future__ import annotations

from pathlib import Path

import click

from tracediff.api import open_project
from tracediff.cli import options, waiting


@click.command("pending")
@waiting.source
@options.form
def command(directory: Path | None, form: str) -> None:
    """List the results of tests that wait for a decision, by cause."""
    from dataclasses import asdict

    from tracediff.expectations.pending import grouped

    with open_project() as project:
        found = waiting.results(project.config.root, directory).all()
    if form == "json":
        document = {"schema": "tracediff/waiting/1", "results": [asdict(one) for one in found]}
        options.emit_json(document, None)
        return
    if not found:
        options.note("nothing waits")
        return
    options.emit("\n".join(waiting.listed(grouped(found))), None)

"""``tracediff export``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from tracediff.api import open_project
from tracediff.cli import options
from tracediff.cli.progress import phases


@click.command("export")
@click.argument("refs", nargs=-1, required=True)
@click.option(
    "--to", "form", type=click.Choice(["otel"]), required=True, help="What they are written as."
)
@options.store
@options.output
def command(refs: tuple[str, ...], form: str, store: str | None, output: Path | None) -> None:
    """Write traces as spans of OpenTelemetry, one request in OTLP/JSON.

    A trace that was recorded within a span is a part of that span's trace.
    """
    from tracediff.foreign.tospans import request  # --help does without

    with open_project(store=store) as project, phases("reading"):
        traces = [project.recorded(reference) for reference in refs]
    options.emit(json.dumps(request(traces), ensure_ascii=True), output, "json")

"""``tracediff ls``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from tracediff.api import open_project
from tracediff.cli import options
from tracediff.model import Query


@click.command("ls")
@click.argument("key", required=False)
@options.search
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@click.option("--cursor", help="Where the page before ended.")
@options.store
@options.form
@options.output
def command(
    key: str | None,
    query: Query,
    limit: int,
    cursor: str | None,
    store: str | None,
    form: str,
    output: Path | None,
) -> None:
    """List traces, newest first; KEY is a job's key or the first parts of one."""
    query = replace(query, key=key, limit=limit, cursor=cursor)
    with open_project(store=store) as project:
        page = project.search(query)
    if form == "json":
        from tracediff.reports.json import page_document  # the text needs none of it

        options.emit_json(page_document(page), output)
        return
    if not page.rows:
        options.note(_nothing(query, project.config.enabled))
        return
    from tracediff.reports.text.trace import page_lines  # as above

    options.emit_lines(page_lines(page, options.look(project.config)), output)


def _nothing(query: Query, enabled: bool) -> str:
    if replace(query, limit=1) != Query(limit=1):
        return "no traces match"
    if enabled:
        return "no traces yet; call a job to record one"
    return "no traces: recording is off without [tool.tracediff] in a pyproject.toml"

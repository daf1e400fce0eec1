"""``tracediff init``."""

from __future__ import annotations

import sys

import click

from tracediff.api import open_project
from tracediff.cli import options
from tracediff.errors import UsageError


@click.command("init")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@options.store
@options.form
def command(yes: bool, store: str | None, form: str) -> None:
    """Show what the store needs, ask, and make it."""
    project = open_project(store=store)
    plan = project.init(dry_run=True)
    if form == "text":
        options.emit("\n".join(f"will {one}" for one in plan) or "nothing is needed", None)
    if plan and not yes:
        if form == "json" or not sys.stdin.isatty():
            raise UsageError(
                "there is nobody to ask, so nothing was made", slug="usage", hint="--yes makes it"
            )
        click.confirm("go on?", abort=True, err=True)
    if plan:
        project.init()
    if form == "json":
        options.emit_json({"schema": "tracediff/init/1", "made": plan}, None)
    elif plan:
        options.emit("done", None)

"""``tracediff init``."""

from __future__ import annotations

import sys

import click

from tracediff.api import open_project
from tracediff.cli import options


@click.command("init")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@options.store
def command(yes: bool, store: str | None) -> None:
    """Show what the store needs, ask, and make it."""
    project = open_project(store=store)
    plan = project.init(dry_run=True)
    if not plan:
        options.emit("the store has what it needs", None)
        return
    options.emit("\n".join(f"will {one}" for one in plan), None)
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("nobody to ask: nothing was made; --yes makes it")
        click.confirm("go on?", abort=True)
    project.init()
    options.emit("done", None)

"""``tracediff accept``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from tracediff.api import open_project
from tracediff.cli import options, waiting


@click.command("accept")
@click.argument("names", nargs=-1, metavar="[NAME]…")
@click.option("--all", "every", is_flag=True, help="All results that wait.")
@click.option("--reason", required=True, help="Why they are right; it is kept with who and when.")
@waiting.source
@options.form
def command(
    names: tuple[str, ...], every: bool, reason: str, directory: Path | None, form: str
) -> int:
    """Make results of tests the new expectations, without running the tests again.

    NAME is a cause, an id, a file or a test, as `tracediff pending` shows them. What was accepted
    is entered in tracediff-accepted.json. Exits 1 when one could not be accepted.
    """
    from tracediff.expectations.accepting import accept, refuse_in_ci
    from tracediff.expectations.pending import choose

    refuse_in_ci("accepting", os.environ)
    if not names and not every:
        raise click.UsageError("name causes or results, or --all; `tracediff pending` lists them.")
    if names and every:
        raise click.UsageError("names and --all exclude each other: give one of them.")
    if not reason.strip():
        raise click.UsageError("--reason says nothing.")
    with open_project() as project:
        results = waiting.results(project.config.root, directory)
        found = results.all()
        chosen = found if every else choose(found, names)
        if not chosen:
            options.note("nothing waits")
            return 0
        return waiting.say(accept(project.config.root, results, chosen, reason.strip()), form)

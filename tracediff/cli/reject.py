"""``tracediff reject``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from tracediff.api import open_project
from tracediff.cli import options, waiting


@click.command("reject")
@click.argument("names", nargs=-1, metavar="[NAME]…")
@click.option("--all", "every", is_flag=True, help="All results that wait.")
@waiting.source
@options.form
def command(names: tuple[str, ...], every: bool, directory: Path | None, form: str) -> None:
    """Forget results of tests; what is expected stays as it is.

    NAME is a cause, an id, a file or a test, as `tracediff pending` shows them.
    """
    from tracediff.expectations.accepting import refuse_in_ci
    from tracediff.expectations.pending import choose

    refuse_in_ci("rejecting", os.environ)
    if bool(names) == every:
        raise click.UsageError("name causes or results, or --all; `tracediff pending` lists them.")
    with open_project() as project:
        results = waiting.results(project.config.root, directory)
        found = results.all()
        chosen = found if every else choose(found, names)
        results.drop([one.id for one in chosen])
    if form == "json":
        document: dict[str, Any] = {"schema": "tracediff/reject/1"}
        options.emit_json(document | {"rejected": [one.file for one in chosen]}, None)
    else:
        options.emit("\n".join(f"rejected {one.file}" for one in chosen) or "nothing waits", None)

"""``tracediff pull``."""

from __future__ import annotations

from pathlib import Path

import click

from tracediff.api import open_project
from tracediff.cli import options


@click.command("pull")
@click.argument("refs", nargs=-1, required=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A directory, or a file.")
@options.store
@options.form
def command(refs: tuple[str, ...], output: Path | None, store: str | None, form: str) -> None:
    """Write traces as readable files."""
    paths = open_project(store=store).pull(refs, output)
    if form == "json":
        options.emit_json({"schema": "tracediff/pull/1", "files": list(map(str, paths))}, None)
    else:
        options.emit("\n".join(map(str, paths)), None)

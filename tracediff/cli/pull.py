"""``tracediff pull``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tracediff.api import open_project
from tracediff.cli import options
from tracediff.cli.progress import phases


@click.command("pull")
@click.argument("refs", nargs=-1, required=True)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path),
    help="A directory, or for one trace a .json file.",
)  # fmt: skip
@click.option("--bundle", is_flag=True, help="A directory with the sources that ran as well.")
@options.store
@options.form
def command(
    refs: tuple[str, ...], output: Path | None, bundle: bool, store: str | None, form: str
) -> None:
    """Write traces as readable files, which every command takes as a REF.

    A bundle is a directory with the trace files and, by git blob id, the sources that ran.
    """
    document: dict[str, Any] = {"schema": "tracediff/pull/1"}
    with open_project(store=store) as project, phases("pulling"):
        if bundle:
            made = project.bundle(refs, output)
            files = list(map(str, made.files))
            document |= {"files": files, "directory": str(made.directory)}
            document |= {"sources": made.sources, "missing": made.missing}
            if made.missing:
                options.note(f"{made.missing} of the sources that ran are not kept in the store")
        else:
            files = list(map(str, project.pull(refs, output)))
            document |= {"files": files}
    if form == "json":
        options.emit_json(document, None)
    else:
        options.emit("\n".join(files), None)

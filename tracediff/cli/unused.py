"""``tracediff unused``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from tracediff.api import open_project
from tracediff.cli import options


@click.command("unused")
@click.argument("records", nargs=-1, type=click.Path(path_type=Path), metavar="[RECORD]…")
@click.option("--merge", is_flag=True, help="The records are the shards of one whole run.")
@click.option("--delete", is_flag=True, help="Delete the files that are listed.")
@options.form
def command(records: tuple[Path, ...], merge: bool, delete: bool, form: str) -> int:
    """List the pinned traces that the last test run did not use, and those whose job is gone.

    RECORD is a usage.json, or a directory with one, as --tracediff-artifacts keeps it; the last run
    here by default. Only tests that all ran and passed are judged by; with --merge, the records
    together are. Exits 1 when there are any.
    """
    from tracediff.expectations.accepting import refuse_in_ci
    from tracediff.expectations.pending import DIRECTORY
    from tracediff.expectations.usage import merged, read_usage, still_there

    if merge and not records:
        raise click.UsageError("--merge needs the records of the shards.")
    if len(records) > 1 and not merge:
        raise click.UsageError("several records are merged: give --merge.")
    if delete:
        refuse_in_ci("deleting", os.environ)
    with open_project() as project:
        root = project.config.root
        usage = merged(read_usage(one) for one in records or (root / DIRECTORY,))
        unused = still_there(root, usage.unused(whole=merge))
        stale = [one for one in usage.stale if still_there(root, [one[0]])]
        if delete:
            for name in unused:
                (root / name).unlink()
    if form == "json":
        document: dict[str, Any] = {"schema": "tracediff/unused/1", "unused": unused}
        stale_documents = [{"file": file, "why": why} for file, why in stale]
        options.emit_json(document | {"stale": stale_documents, "deleted": delete}, None)
    else:
        word = "deleted" if delete else "unused"
        lines = [f"{word}  {one}" for one in unused]
        lines += [f"stale   {file}  {why}" for file, why in stale]
        options.emit("\n".join(lines), None) if lines else options.note("every trace is used")
    return 1 if (unused and not delete) or stale else 0

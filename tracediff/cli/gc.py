"""``tracediff gc``."""

from __future__ import annotations

from pathlib import Path

import click

from tracediff.api import open_project
from tracediff.cli import options
from tracediff.cli.progress import counted


def _seconds(context: click.Context, option: click.Parameter, given: str) -> float:
    from tracediff.filters import seconds  # --help does without

    try:
        return seconds(given)
    except ValueError as error:
        raise click.BadParameter(str(error), context, option) from None


@click.command("gc")
@click.option("--dry-run", is_flag=True, help="Only say what would be freed.")
@click.option(
    "--grace", default="1d", show_default=True, callback=_seconds, metavar="TIME",
    help="How old bytes without a row must be: 30m, 6h, 1d.",
)  # fmt: skip
@click.option(
    "--all", "thorough", is_flag=True, help="Write segments anew, however little is freed."
)
@click.option(
    "--rekey", is_flag=True, help="Encrypt anew what is not encrypted by the key that writes now."
)
@click.option(
    "--force", is_flag=True, help="Take a grace below 7h: nobody records, and nothing waits."
)
@options.store
@options.form
@options.output
def command(
    dry_run: bool, grace: float, thorough: bool, rekey: bool, force: bool, store: str | None,
    form: str, output: Path | None,
) -> None:  # fmt: skip
    """Free what nobody needs: expired and deleted traces, and what crashes left behind.

    It may run beside recorders and readers, and may be interrupted: the next run goes on.
    """
    from tracediff.cli.collected import gc_document, gc_lines  # --help does without

    with open_project(store=store) as project, counted() as progress:
        found = project.gc(
            grace=grace, dry_run=dry_run, thorough=thorough, rekey=rekey, unsafe=force,
            progress=progress,
        )  # fmt: skip
    if form == "json":
        options.emit_json(gc_document(found), output)
    else:
        options.emit("\n".join(gc_lines(found)), output)

"""``tracediff dictionary``."""

from __future__ import annotations

import click

from tracediff.api import open_project
from tracediff.cli import options
from tracediff.cli.progress import phases
from tracediff.model import Query


@click.command("dictionary")
@click.option("--key", help="Of this job alone, or of those below the first parts of a key.")
@click.option(
    "--last", type=click.IntRange(10, 10_000), default=500, show_default=True,
    help="How many of the newest traces it is made of.",
)  # fmt: skip
@options.store
@options.form
def command(key: str | None, last: int, store: str | None, form: str) -> None:
    """Make a compression dictionary of stored traces; new traces are compressed with it.

    Traces of one job resemble each other; a dictionary holds what they have in common, so that
    each takes less room. Those that are stored already stay as they are, and so do older
    dictionaries.
    """
    with open_project(store=store) as project, phases("reading traces"):
        made = project.train(Query(key=key, limit=last))
    if form == "json":
        document = {"schema": "tracediff/dictionary/1", "id": made.id, "bytes": made.bytes}
        document |= {"before": made.before, "after": made.after}
        options.emit_json(document, None)
    else:
        share = 100 * made.after / made.before
        options.emit(
            f"dictionary {made.id} of {made.bytes:,} bytes: a trace takes {made.after:,} bytes "
            f"instead of {made.before:,}, {share:.0f} %",
            None,
        )

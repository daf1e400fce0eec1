"""``tracediff redaction``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from tracediff.api import open_project
from tracediff.cli import options
from tracediff.cli.progress import counted
from tracediff.model import Query


@click.command("redaction")
@click.argument("key", required=False)
@click.option("--last", type=click.IntRange(1, 1_000_000), default=100, show_default=True,
              metavar="N", help="How many of the newest traces.")  # fmt: skip
@click.option("--rule", "rules", multiple=True, metavar="PATTERN",
              help="A rule beside those of the setting `redact`; may be repeated.")  # fmt: skip
@options.search
@options.store
@options.form
@options.output
def command(
    key: str | None,
    last: int,
    rules: tuple[str, ...],
    query: Query,
    store: str | None,
    form: str,
    output: Path | None,
) -> None:
    """Show what redaction rules would take out of recorded traces. Nothing is changed.

    The built-in rules, those of the setting `redact` and each --rule are tried on the newest traces
    that match; KEY is a job's key or the first parts of one. What is sealed already is counted, and
    what looks secret and would stay is listed, with a rule that takes it where there is one. No
    secret is shown: its length, and its first character at most.
    """
    with open_project(store=store) as project, counted() as progress:
        trial = project.try_rules(replace(query, key=key), rules, last=last, progress=progress)
    if form == "json":
        from tracediff.reports.redaction import redaction_document  # the text needs none of it

        options.emit_json(redaction_document(trial), output)
        return
    from tracediff.reports.text.redaction import redaction_lines  # JSON needs no canvas

    options.emit_lines(redaction_lines(trial, options.look()), output)

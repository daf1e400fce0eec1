"""``tracediff compare``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from tracediff.api import OnMiss, open_project
from tracediff.cli import exits, options
from tracediff.cli.progress import phases


@click.command("compare")
@click.argument("ref")
@click.argument("ref2", required=False)
@click.option("--against", metavar="REV", help="Replay on the code as it was at a git revision.")
@click.option("--deep", is_flag=True, help="Replay both sides, every function of the job a step.")
@click.option("--strict-steps", is_flag=True, help="Let any differing step decide the verdict.")
@click.option("--all", "every", is_flag=True, help="Show every step and note that differs.")
@options.on_miss
@options.tolerances
@options.store
@options.form
@options.output
def command(
    ref: str,
    ref2: str | None,
    against: str | None,
    deep: bool,
    strict_steps: bool,
    every: bool,
    on_miss: OnMiss,
    rel_tol: float | None,
    abs_tol: float | None,
    ignore: tuple[str, ...],
    store: str | None,
    form: str,
    output: Path | None,
) -> int:
    """Compare a trace with its replay on the code as it is now, or with another trace.

    REF is an id or the start of one, @last, KEY@last, KEY@{3}, NAME:REF or a .trace.json file.
    Exits 0 when result, error, state and outputs are the same, 1 when they differ.
    """
    if ref2 is not None and against is not None:
        raise click.UsageError("REF2 and --against each name the other side: give one of them.")
    if ref2 is not None and deep:
        raise click.UsageError("--deep replays both sides; REF2 is one that is not replayed.")
    with open_project(store=store) as project, phases() as progress:
        comparison = project.compare(
            ref,
            ref2,
            strict_steps=strict_steps,
            tolerances=options.given_tolerances(rel_tol, abs_tol, ignore),
            on_miss=on_miss,
            against=against,
            deep=deep,
            progress=progress,
        )
    if form == "json":
        from tracediff.reports.json import comparison_document  # the text needs none of it

        options.emit_json(comparison_document(comparison), output)
    else:
        from tracediff.reports.text.comparison import comparison_lines  # as above

        look = options.look()
        if every:
            look = replace(look, limit=len(comparison.pairs))
        options.emit_lines(comparison_lines(comparison, look), output)
    return exits.DIFFERENT if comparison.different else exits.SAME

"""``tracediff check``."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import click

from tracediff.api import open_project
from tracediff.check.checking import Gates
from tracediff.check.selecting import Selection
from tracediff.cli import exits, options
from tracediff.cli.progress import counted
from tracediff.model import Query, Tolerance


@click.command("check")
@click.option("--key", help="A job's key or the first parts of one.")
@options.search
@click.option("--last", type=click.IntRange(1), metavar="N", help="The newest N that match.")
@click.option("--sample", type=click.IntRange(1), metavar="N", help="N of them, rare paths too.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the sample.")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes; one a processor.")
@click.option(
    "--max-changed", type=click.IntRange(0), default=0, show_default=True,
    help="How many traces may differ.",
)  # fmt: skip
@click.option("--max-total", metavar="X", help="How far the sum of a field may move.")
@click.option(
    "--explain",
    type=click.IntRange(0),
    default=20,
    show_default=True,
    metavar="N",
    help="How many of those that changed are explained, of each cause some.",
)
@options.tolerances
@options.store
@options.form
@options.output
def command(
    key: str | None,
    query: Query,
    last: int | None,
    sample: int | None,
    seed: int,
    workers: int | None,
    max_changed: int,
    max_total: str | None,
    explain: int,
    tolerances: tuple[Tolerance, ...],
    store: str | None,
    form: str,
    output: Path | None,
) -> int:
    """Replay many recorded jobs on the code as it is now, and say what changes in all.

    What changed is grouped by its cause, with the sums of all numbers that moved. Exits 0 when no
    gate is broken, 1 when one is. Without --last and --sample all traces that match are replayed.
    """
    if last is not None and sample is not None:
        raise click.UsageError("--last and --sample each say which traces: give one of them.")
    with open_project(store=store) as project, counted() as progress:
        found = project.check(
            Selection(query=replace(query, key=key), last=last, sample=sample, seed=seed),
            gates=Gates(max_changed=max_changed, max_total=_amount(max_total)),
            workers=workers,
            tolerances=tolerances,
            explain=explain,
            progress=progress,
        )
    if form == "json":
        from tracediff.reports.check import check_document  # the text needs none of it

        options.emit_json(check_document(found), output)
    else:
        from tracediff.reports.text.check import check_lines  # as above

        options.emit_lines(check_lines(found, options.look()), output)
    return exits.DIFFERENT if found.broken else exits.SAME


def _amount(text: str | None) -> Fraction | None:
    if text is None:
        return None
    try:
        amount = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise click.BadParameter(f"{text!r} is no number", param_hint="--max-total") from None
    if amount < 0:
        raise click.BadParameter(f"{text} is below 0", param_hint="--max-total")
    return amount

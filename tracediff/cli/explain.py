"""``tracediff explain``."""

from __future__ import annotations

from pathlib import Path

import click

from tracediff.api import open_project
from tracediff.cli import exits, options
from tracediff.cli.progress import phases
from tracediff.explained import Explanation
from tracediff.model import Tolerance


@click.command("explain")
@click.argument("ref")
@click.argument("ref2", required=False)
@click.option("--against", metavar="REV", help="Explain the code as it was at a git revision.")
@click.option(
    "--refresh-inputs", is_flag=True, help="Read the inputs anew, and tell data from code."
)
@click.option("--field", metavar="PATH", help="What to draw, such as result.total or error.")
@click.option("--all", "every", is_flag=True, help="Show every cause, field and innocent unit.")
@options.tolerances
@options.store
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "html", "svg"]),
    default="text",
    show_default=True,
    help="For people, for machines, a page in one file, or the waterfall as a picture.",
)
@options.output
def command(
    ref: str,
    ref2: str | None,
    against: str | None,
    refresh_inputs: bool,
    field: str | None,
    every: bool,
    tolerances: tuple[Tolerance, ...],
    store: str | None,
    form: str,
    output: Path | None,
) -> int:
    """Say why a trace's result is another on the code as it is now, or in another trace.

    Mixtures of the old and the new code are run on the recorded inputs; so each piece of code that
    changed gets its exact share of the change, with its lines and the commit that brought them.
    Exits 0 when result, error, state and outputs are the same, 1 when they differ.
    """
    if ref2 is not None and against is not None:
        raise click.UsageError("REF2 and --against each name the other side: give one of them.")
    with open_project(store=store) as project, phases() as progress:
        found = project.explain(
            ref,
            ref2,
            against=against,
            refresh_inputs=refresh_inputs,
            field=field,
            tolerances=tolerances,
            progress=progress,
        )
    write(found, form, output, every=every)
    return exits.DIFFERENT if found.comparison.different else exits.SAME


def write(found: Explanation, form: str, output: Path | None, *, every: bool = False) -> None:
    """Write an explanation in one of the formats, to a file or to stdout."""
    if form == "json":
        from tracediff.reports.explanation import explanation_document  # the others need none of it

        options.emit_json(explanation_document(found), output)
    elif form == "html":
        from tracediff.reports.pages.oneexplanation import explanation_html  # as above

        options.emit(explanation_html(found), output)
    elif form == "svg":
        from tracediff.reports.svg import waterfall_svg  # as above

        options.emit(waterfall_svg(found), output)
    else:
        from tracediff.reports.text.explanation import explanation_lines  # as above

        options.emit_lines(explanation_lines(found, options.look(), every=every), output)

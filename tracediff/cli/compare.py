"""``tracediff compare``."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tracediff.api import OnMiss, open_project
from tracediff.cli import exits, options
from tracediff.cli.progress import phases
from tracediff.model import Tolerance

if TYPE_CHECKING:
    from tracediff.explain.noise import Certified
    from tracediff.model import Comparison


@click.command("compare")
@click.argument("ref")
@click.argument("ref2", required=False)
@click.option("--against", metavar="REV", help="Replay on the code as it was at a git revision.")
@click.option("--deep", is_flag=True, help="Replay both sides, every function of the job a step.")
@click.option("--certify", is_flag=True, help="Leave out what the recorded code gives otherwise.")
@click.option("--strict-steps", is_flag=True, help="Let any differing step decide the verdict.")
@click.option("--all", "every", is_flag=True, help="Show every step and note that differs.")
@options.on_miss
@options.tolerances
@options.store
@options.form_or_page
@options.output
def command(
    ref: str,
    ref2: str | None,
    against: str | None,
    deep: bool,
    certify: bool,
    strict_steps: bool,
    every: bool,
    on_miss: OnMiss,
    tolerances: tuple[Tolerance, ...],
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
    if ref2 is not None and certify:
        raise click.UsageError("--certify is for a replay; REF2 is one that is not replayed.")
    with open_project(store=store) as project, phases() as progress:
        asked: dict[str, Any] = {
            "strict_steps": strict_steps,
            "tolerances": tolerances,
            "on_miss": on_miss,
            "against": against,
            "deep": deep,
            "progress": progress,
        }
        certified = project.compare_certified(ref, **asked) if certify else None
        comparison = certified.comparison if certified else project.compare(ref, ref2, **asked)
    if form == "html":
        rules = (*project.config.tolerances, *tolerances)
        options.emit(_page(comparison, certified, rules), output)
    else:
        _show(comparison, certified, every, form, output)
    return exits.DIFFERENT if comparison.different else exits.SAME


def _page(comparison: Comparison, certified: Certified | None, rules: tuple[Tolerance, ...]) -> str:
    from tracediff.expectations.limits import used_in_words  # the others need none of it
    from tracediff.reports.pages.onecomparison import comparison_html  # as above

    return comparison_html(
        comparison,
        now=time.time_ns(),
        accepted=used_in_words(comparison, rules),
        certificate=certified.certificate if certified else None,
        noise=certified.noise if certified else (),
    )


def _show(
    comparison: Comparison, certified: Certified | None, every: bool, form: str, output: Path | None
) -> None:
    if form == "json":
        from tracediff.reports.json import comparison_document  # the text needs none of it

        if certified is None:
            document = comparison_document(comparison)
        else:
            from tracediff.reports.explanation import certificate_document  # as above

            said = certificate_document(certified.certificate)
            document = comparison_document(comparison, certificate=said, noise=certified.noise)
        options.emit_json(document, output)
    else:
        from tracediff.reports.text.comparison import comparison_lines  # as above

        look = options.look()
        if every:
            look = replace(look, limit=len(comparison.pairs))
        lines = comparison_lines(comparison, look)
        if certified is not None:
            from tracediff.reports.text.noise import noise_lines  # as above

            left_out = noise_lines(comparison, certified.certificate, certified.noise, look)
            lines = chain(lines, left_out)
        options.emit_lines(lines, output)

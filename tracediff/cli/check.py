"""``tracediff check``."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import click
from click.core import ParameterSource

from tracediff.api import open_project
from tracediff.check.selecting import Selection
from tracediff.check.tallying import Gates
from tracediff.checks import Wanted
from tracediff.cli import exits, formats, options
from tracediff.cli.progress import counted
from tracediff.model import Query, Tolerance


@click.command("check")
@click.option("--key", help="A job's key or the first parts of one.")
@options.search
@click.option("--last", type=click.IntRange(1), metavar="N", help="The newest N that match.")
@click.option("--sample", type=click.IntRange(1), metavar="N", help="N of them, rare paths too.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the sample.")
@click.option("--against", metavar="REV", help="Replay this revision too, and compare with that.")
@click.option("--affected", is_flag=True, help="Only traces that run something that changed.")
@click.option("--engine", default="local", show_default=True, metavar="ENGINE",
              help="local, or a cluster: dask://HOST:PORT.")  # fmt: skip
@click.option("--workers", type=click.IntRange(1, 256), help="Processes; one a processor.")
@click.option("--timeout", type=click.FloatRange(0, min_open=True), metavar="SECONDS",
              help="That one replay may take; 60, or replay_timeout.")  # fmt: skip
@click.option("--memory", metavar="SIZE", help="That one worker may take, as 2G.")
@click.option("--resume", is_flag=True, help="Go on with the check that was interrupted.")
@click.option(
    "--max-changed", type=click.IntRange(0), default=0, show_default=True,
    help="How many traces may differ.",
)  # fmt: skip
@click.option("--max-total", metavar="X", help="How far the sum of a field may move.")
@click.option(
    "--explain",
    default="1000",
    show_default=True,
    metavar="N|all",
    help="How many of those that changed are explained, of each cause some.",
)
@options.tolerances
@options.store
@formats.form
@formats.reports
@options.output
@click.pass_context
def command(
    context: click.Context,
    key: str | None,
    query: Query,
    last: int | None,
    sample: int | None,
    seed: int,
    against: str | None,
    affected: bool,
    engine: str,
    workers: int | None,
    timeout: float | None,
    memory: str | None,
    resume: bool,
    max_changed: int,
    max_total: str | None,
    explain: str,
    tolerances: tuple[Tolerance, ...],
    store: str | None,
    form: str,
    reports: formats.Reports,
    output: Path | None,
) -> int:
    """Replay many recorded jobs on the code as it is now, and say what changes in all.

    What changed is told by its causes, with their exact shares of the sums that moved. Exits 0 when
    no gate is broken, 1 when one is. Without --last and --sample all traces that match are
    replayed.
    """
    if last is not None and sample is not None:
        raise click.UsageError("--last and --sample each say which traces: give one of them.")
    if affected and against is not None:
        raise click.UsageError(
            "--affected is told by the recordings, which --against does not use."
        )
    if resume:
        _alone(context)
    wanted = Wanted(
        selection=Selection(query=replace(query, key=key), last=last, sample=sample, seed=seed),
        gates=Gates(max_changed=max_changed, max_total=_amount(max_total)),
        tolerances=tolerances,
        explain=_most(explain),
        against=against,
        affected=affected,
        store=store,
        engine=engine,
        workers=workers,
        timeout=timeout,
        memory=_bytes(memory),
    )
    with open_project(store=store) as project, counted() as progress:
        run = project.resume_check if resume else project.check
        try:
            found = run(wanted, progress=progress)
        except KeyboardInterrupt:
            options.note("interrupted; `tracediff check --resume` goes on where it stopped")
            raise
    formats.write_check(found, form, output, reports, project.config.root)
    return exits.DIFFERENT if found.broken else exits.SAME


_OF_A_RUN = frozenset(
    "resume engine workers max_changed max_total form output reports store".split()
)
"""What may be given again when a check is resumed; the rest is as it was begun."""


def _alone(context: click.Context) -> None:
    for parameter in context.command.params:
        name = parameter.name or ""
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if given and name not in _OF_A_RUN:
            raise click.UsageError(
                f"--resume goes on as the check was begun: {parameter.opts[0]} is for a new one."
            )


def _most(text: str) -> int | None:
    if text == "all":
        return None
    if not text.isdecimal():
        raise click.BadParameter(f"{text!r} is neither a number nor all", param_hint="--explain")
    return int(text)


def _bytes(text: str | None) -> int | None:
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]{1,15})([KMGT]?)B?", text.upper())
    if found is None or not int(found[1]):
        raise click.BadParameter(f"{text!r} is no size, as 800M or 2G", param_hint="--memory")
    return int(found[1] + "000" * " KMGT".index(found[2] or " "))


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

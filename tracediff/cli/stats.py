"""``tracediff stats``."""

from __future__ import annotations

from pathlib import Path

import click

from tracediff.api import Project, open_project
from tracediff.cli import exits, options
from tracediff.cli.progress import phases
from tracediff.statistics.places import Resolution


@click.command("stats")
@click.argument("key", required=False)
@click.option("--since", metavar="TIME", help="2h, 3d or an ISO date; from the first trace on.")
@click.option("--until", metavar="TIME", help="As --since; not included.")
@click.option("--by", type=click.Choice(["minute", "hour", "day"]), help="How long its parts are.")
@click.option("--tags", type=click.IntRange(0, 100), default=10, show_default=True,
              help="How many of the most frequent tags.")  # fmt: skip
@click.option("--verify", is_flag=True, help="Count all traces, and compare: 1 if they differ.")
@click.option("--rebuild", is_flag=True, help="Count all traces, and make the statistics say so.")
@options.store
@options.form
@options.output
def command(
    key: str | None,
    since: str | None,
    until: str | None,
    by: Resolution | None,
    tags: int,
    verify: bool,
    rebuild: bool,
    store: str | None,
    form: str,
    output: Path | None,
) -> int:
    """Say what the traces of KEY are like: how many, their states, how long they took, their tags.

    KEY is a job's key or the first parts of one, four at most. Nothing is counted: the store keeps
    statistics of all traces that ended, also of those that have expired since. The range is
    widened to whole minutes, before 7 days ago to hours, and before 400 days ago to days.
    """
    if verify or rebuild:
        if key or since or until or by or (verify and rebuild):
            raise click.UsageError("--verify and --rebuild stand alone: they are of all traces.")
        with open_project(store=store) as project, phases("counting traces"):
            return (_verified if verify else _rebuilt)(project, form, output)
    first, end = options.moment(since), options.moment(until, "--until")
    if first is not None and end is not None and first >= end:
        raise click.BadParameter("it is not after --since", param_hint="--until")
    with open_project(store=store) as project:
        found = project.statistics(key or "", since=first, until=end, by=by)
    if not found.complete:
        options.note(
            "these are not of all traces; `tracediff stats --rebuild` counts the older ones"
        )
    if form == "json":
        from tracediff.reports.statistics import summary_document  # as below

        options.emit_json(summary_document(found, tags), output)
    elif not found.total and not found.running:
        options.note("no traces match" if key or since or until else "no traces yet")
    else:
        from tracediff.reports.text.statistics import summary_lines  # JSON needs no canvas

        options.emit_lines(summary_lines(found, options.look(), tags=tags), output)
    return exits.SAME


def _verified(project: Project, form: str, output: Path | None) -> int:
    checked = list(project.verify_statistics())
    if form == "json":
        from tracediff.reports.statistics import check_document  # as below

        options.emit_json(check_document(checked), output)
    else:
        from tracediff.reports.text.statistics import check_lines  # JSON needs no canvas

        options.emit_lines(check_lines(checked, options.look()), output)
    return exits.DIFFERENT if any(one.equal is False for one in checked) else exits.SAME


def _rebuilt(project: Project, form: str, output: Path | None) -> int:
    done = project.rebuild_statistics()
    if form == "json":
        from tracediff.reports.statistics import rebuilt_document  # as below

        options.emit_json(rebuilt_document(done), output)
    else:
        from tracediff.reports.text.statistics import rebuilt_lines  # JSON needs no canvas

        options.emit_lines(rebuilt_lines(done, options.look()), output)
    return exits.SAME

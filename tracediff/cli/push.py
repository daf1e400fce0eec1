"""``tracediff push``."""

from __future__ import annotations

import click

from tracediff.api import open_project
from tracediff.cli import exits, options
from tracediff.cli.progress import phases
from tracediff.errors import UsageError
from tracediff.model import STATES, Query, State


@click.command("push")
@click.argument("refs", nargs=-1)
@click.option("--to", required=True, metavar="NAME|URL", help="The store they are copied to.")
@click.option("--all", "everything", is_flag=True, help="All traces that match, without REFs.")
@click.option("--key", help="With --all: a job's key or the first parts of one.")
@click.option("--tag", "tags", multiple=True, help="With --all: any of these tags.")
@click.option("--state", type=click.Choice(STATES), help="With --all.")
@click.option("--since", metavar="TIME", help="With --all: 2h, 3d or an ISO date.")
@click.option("--until", metavar="TIME", help="With --all: as --since; not included.")
@options.store
@options.form
def command(
    refs: tuple[str, ...],
    to: str,
    everything: bool,
    key: str | None,
    tags: tuple[str, ...],
    state: State | None,
    since: str | None,
    until: str | None,
    store: str | None,
    form: str,
) -> int:
    """Copy traces to another store, with the sources they ran where both keep them.

    What is there already is left as it is: a push that was interrupted can be repeated.
    """
    query = Query(
        key=key,
        tags=tags,
        state=state,
        since=options.moment(since),
        until=options.moment(until, "--until"),
    )
    if everything == bool(refs) or (refs and query != Query()):
        raise UsageError(
            "it is not said which traces to push",
            slug="usage",
            hint="name REFs, or give --all, which --key, --tag, --state, --since, --until narrow",
        )
    with open_project(store=store) as project, phases("pushing") as say:
        done = project.push(
            query if everything else refs,
            to,
            progress=lambda so_far: say(f"pushing: {so_far.copied:,} copied"),
        )
    if form == "json":
        counts = {"copied": done.copied, "known": done.known, "unreadable": done.unreadable}
        document = {"schema": "tracediff/push/1", **counts, "problems": list(done.problems)}
        options.emit_json(document, None)
    else:
        options.emit(f"{done.copied:,} copied, {done.known:,} there already", None)
        for problem in done.problems:
            options.note(problem)
        if done.unreadable:
            options.note(f"{done.unreadable:,} traces could not be read and were left out")
    return exits.DIFFERENT if done.unreadable else exits.SAME

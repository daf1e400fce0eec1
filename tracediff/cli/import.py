"""``tracediff import``."""  # noqa: N999 - the command is called by a word of Python

from __future__ import annotations

from typing import Any

import click

from tracediff.api import open_project
from tracediff.cli import exits, options
from tracediff.cli.progress import counted


@click.command("import")
@click.argument("sources", nargs=-1, required=True, metavar="FILE|DIR|URL|-...")
@click.option(
    "--from",
    "tool",
    type=click.Choice(["otel", "trifle"]),
    help="Take only what this tool writes; both are told apart by themselves.",
)
@click.option("--key", help="The key of all these traces.")
@click.option("--skip-bad", is_flag=True, help="Import the rest where something cannot be read.")
@options.store
@options.form
def command(
    sources: tuple[str, ...],
    tool: str | None,
    key: str | None,
    skip_bad: bool,
    store: str | None,
    form: str,
) -> int:
    """Import traces of other tools: OpenTelemetry's JSON and Trifle::Traces' payloads.

    They can be listed, shown and compared with each other, not replayed. What is there already is
    left as it is, and nothing is imported where something cannot be read.
    """
    from tracediff.foreign.importing import Wish  # --help does without

    wish = Wish(places=sources, tool=tool, key=key, skip_bad=skip_bad)
    with open_project(store=store) as project, counted() as progress:
        done = project.import_traces(wish, progress)
    if form == "json":
        document: dict[str, Any] = {"schema": "tracediff/import/1", "imported": done.imported}
        document |= {"known": done.known, "ids": list(done.ids), "twice": done.twice}
        document |= {"other_signals": done.others, "bad": done.bad}
        options.emit_json(document | {"problems": list(done.problems)}, None)
    else:
        options.emit(f"{done.imported:,} imported, {done.known:,} there already", None)
        if done.twice:
            options.note(f"{done.twice:,} spans or parts were there more than once")
        if done.others:
            options.note(f"{done.others:,} requests of logs or metrics were left out")
        for problem in done.problems:
            options.note(problem)
        if done.bad > len(done.problems):
            options.note(f"{done.bad:,} places could not be read in all")
    return exits.DIFFERENT if done.bad else exits.SAME

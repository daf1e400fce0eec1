"""``tracediff bisect``."""

from __future__ import annotations

from pathlib import Path

import click

from tracediff.api import Project, open_project
from tracediff.cli import exits, options
from tracediff.cli.progress import phases
from tracediff.errors import TracediffError
from tracediff.model import Tolerance

SKIP = 125
"""What ``git bisect run`` takes for a commit that cannot be tried."""


@click.command("bisect")
@click.argument("ref")
@click.option("--good", metavar="REV", help="A commit with the recorded result.")
@click.option("--bad", metavar="REV", default="HEAD", help="A commit with another. [default: HEAD]")
@click.option("--run", "once", is_flag=True, help="Try the work tree only, for `git bisect run`.")
@options.tolerances
@options.store
@options.form
@options.output
def command(
    ref: str,
    good: str | None,
    bad: str,
    once: bool,
    tolerances: tuple[Tolerance, ...],
    store: str | None,
    form: str,
    output: Path | None,
) -> int:
    """Find the commit that changed a trace's result, by replaying it at one after the other.

    Begins at the recorded commit and ends at HEAD; the work tree stays as it is. Exits 1 when a
    commit was found and 0 when nothing changed the result. With --run it replays on the code of
    the work tree and exits 0 (same), 1 (different) or 125 (cannot run).
    """
    if once:
        return _once(ref, store, tolerances)
    with open_project(store=store) as project, phases() as progress:
        found = project.bisect(ref, good=good, bad=bad, tolerances=tolerances, progress=progress)
    if form == "json":
        from tracediff.explain.telling import bisection_document  # the text needs none of it

        options.emit_json(bisection_document(found), output)
    else:
        from tracediff.explain.telling import bisection_text  # as above

        options.emit(bisection_text(found), output)
    return exits.DIFFERENT if found.candidates else exits.SAME


def _once(ref: str, store: str | None, rules: tuple[Tolerance, ...]) -> int:
    try:
        project: Project = open_project(store=store)
        with project:
            different = project.compare(ref, tolerances=rules).different
    except TracediffError as error:
        options.note(f"skipped: {error.message}")
        return SKIP
    return exits.DIFFERENT if different else exits.SAME

"""``tracediff accept``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from tracediff.api import open_project
from tracediff.cli import causes, options, waiting
from tracediff.errors import ExpectationError


@click.command("accept")
@click.argument("names", nargs=-1, metavar="[NAME]…")
@click.option("--all", "every", is_flag=True, help="All results that wait.")
@click.option(
    "--cause", "named", multiple=True, metavar="ID", help="A cause of a check; may be repeated."
)
@click.option("--all-causes", is_flag=True, help="All causes of a check.")
@click.option("--reason", help="Why they are right; it is kept with who and when.")
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="What CI kept, instead of what is here: a directory of results, or a check's JSON report.",
)
@click.option("--list", "listing", is_flag=True, help="Show the causes that are accepted.")
@click.option(
    "--drop", multiple=True, metavar="ID", help="Accept a cause no longer; may be repeated."
)
@options.form
def command(
    names: tuple[str, ...],
    every: bool,
    named: tuple[str, ...],
    all_causes: bool,
    reason: str | None,
    source: Path | None,
    listing: bool,
    drop: tuple[str, ...],
    form: str,
) -> int:
    """Accept results of tests, or causes of a check, without running anything again.

    NAME is a cause, an id, a file or a test, as `tracediff pending` shows them: its result becomes
    the new expectation, and is entered in tracediff-accepted.json. Exits 1 when one could not be
    accepted.

    With --cause, what a change of code or data does to the traces of `tracediff check` passes from
    now on, and is entered in tracediff-causes.json.
    """
    what = _one_of(
        {
            _LIST: listing,
            _DROP: bool(drop),
            _CAUSES: bool(named) or all_causes,
            _RESULTS: bool(names) or every,
        }
    )
    if (names and every) or (named and all_causes):
        both = "names and --all" if names and every else "--cause and --all-causes"
        raise click.UsageError(f"{both} exclude each other: give one of them.")
    said = _reason(what, reason, source)
    with open_project() as project:
        root = project.config.root
        if what == _RESULTS:
            return _results(root, names, said, source, form)
        if what == _LIST:
            return causes.show(root, form)
        if what == _DROP:
            return causes.drop(root, drop, form)
        return causes.accept(root, named, said, source, form)


_LIST, _DROP, _CAUSES, _RESULTS = "--list", "--drop", "--cause or --all-causes", "names or --all"


def _one_of(wanted: dict[str, bool]) -> str:
    given = [name for name, there in wanted.items() if there]
    if len(given) > 1:
        raise click.UsageError(f"{given[0]} and {given[1]} exclude each other: give one of them.")
    if not given:
        raise click.UsageError(
            "name results, or --all; `tracediff pending` lists them. Of a check, name --cause, or "
            "--all-causes."
        )
    return given[0]


def _reason(what: str, reason: str | None, source: Path | None) -> str:
    """The reason, which what accepts needs and nothing else takes."""
    if what in (_LIST, _DROP):
        for option, given in (("--reason", reason), ("--from", source)):
            if given is not None:
                raise click.UsageError(f"{option} is for accepting, not for {what}.")
    elif reason is None:
        raise click.UsageError("--reason is missing: say why it is right.")
    elif not reason.strip():
        raise click.UsageError("--reason says nothing.")
    return (reason or "").strip()


def _results(
    root: Path, names: tuple[str, ...], reason: str, directory: Path | None, form: str
) -> int:
    from tracediff.expectations.accepting import accept, refuse_in_ci
    from tracediff.expectations.pending import choose

    refuse_in_ci("accepting", os.environ)
    results = waiting.results(root, directory)
    found = results.all()
    try:
        chosen = choose(found, names) if names else found
    except ExpectationError as error:
        error.hint = f"{error.hint}; a cause of a check goes behind --cause"
        raise
    if not chosen:
        options.note("nothing waits")
        return 0
    return waiting.say(accept(root, results, chosen, reason), form)

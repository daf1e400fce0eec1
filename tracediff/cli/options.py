"""Options that several commands share, and how a result is written."""

from __future__ import annotations

import functools
import json
import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tracediff import filters
from tracediff.cli import streams
from tracediff.model import STATES, Query, State, Tolerance
from tracediff.pulling import write_file

if TYPE_CHECKING:
    from rich.text import Text

    from tracediff.config import Config
    from tracediff.reports.text.canvas import Look

R = TypeVar("R")

store = click.option("--store", metavar="NAME|URL", help="Another store than the configured one.")
output = click.option("-o", "--output", type=click.Path(path_type=Path), help="Write to this file.")
form = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="For people or for machines.",
)
form_or_page = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "html"]),
    default="text",
    show_default=True,
    help="For people, for machines, or a page in one file.",
)
on_miss = click.option(
    "--on-miss",
    type=click.Choice(["fail", "nearest", "stub", "live"]),
    default="fail",
    show_default=True,
    help="What to do about an input that was not recorded.",
)


def _bound(context: click.Context, option: click.Parameter, number: float | None) -> float | None:
    if number is not None and not (math.isfinite(number) and number >= 0):
        raise click.BadParameter(f"{number} is no number from 0 upwards", context, option)
    return number


def tolerances(function: Callable[..., R]) -> Callable[..., R]:
    """--rel-tol, --abs-tol and --ignore, which the command gets as its ``tolerances``."""

    @functools.wraps(function)
    def command(
        *, rel_tol: float | None, abs_tol: float | None, ignore: tuple[str, ...], **given: Any
    ) -> R:
        rules = [Tolerance(rel=rel_tol, abs=abs_tol)] if (rel_tol, abs_tol) != (None, None) else []
        rules += [Tolerance(path=path, ignore=True) for path in ignore]
        return function(tolerances=tuple(rules), **given)

    for option in (
        click.option("--ignore", multiple=True, metavar="PATH", help="Leave this place out."),
        click.option(
            "--abs-tol", type=float, callback=_bound, help="Accept differences up to this much."
        ),
        click.option(
            "--rel-tol", type=float, callback=_bound, help="Accept differences up to this share."
        ),
    ):
        command = option(command)
    return command


def search(function: Callable[..., R]) -> Callable[..., R]:
    """--tag, --state, --since, --until and --context, which the command gets as its ``query``."""

    @functools.wraps(function)
    def command(
        *,
        tags: tuple[str, ...],
        state: State | None,
        since: str | None,
        until: str | None,
        fields: tuple[str, ...],
        **given: Any,
    ) -> R:
        query = Query(
            tags=tags,
            state=state,
            since=moment(since),
            until=moment(until, "--until"),
            context=context(fields),
        )
        return function(query=query, **given)

    for option in (
        click.option(
            "--context",
            "fields",
            multiple=True,
            metavar="NAME=VALUE",
            help="A context field: true, false, a number or a text; may be repeated.",
        ),
        click.option("--until", metavar="TIME", help="As --since; not included."),
        click.option("--since", metavar="TIME", help="2h, 3d or an ISO date."),
        click.option("--state", type=click.Choice(STATES)),
        click.option("--tag", "tags", multiple=True, help="Any of these tags; may be repeated."),
    ):
        command = option(command)
    return command


def look(config: Config | None = None) -> Look:
    """How this terminal wants its text; NO_COLOR wins over FORCE_COLOR.

    Args:
        config: The project's settings, which say how often its running jobs are heard of.
    """
    from tracediff.reports import living  # JSON needs no words
    from tracediff.reports.text.canvas import Look  # JSON needs no colours

    environment = os.environ
    colour = sys.stdout.isatty() and environment.get("TERM") != "dumb"
    if environment.get("FORCE_COLOR", "0") not in ("", "0"):
        colour = True
    if environment.get("NO_COLOR"):
        colour = False
    width = shutil.get_terminal_size((100, 40)).columns
    quiet = living.QUIET if config is None else living.quiet_after(config.bumps)
    wide = max(60, min(width, 160))
    return Look(width=wide, colour=colour, now=time.time_ns(), quiet=quiet)


def emit(text: str, output: Path | None, kind: streams.Kind = "text") -> None:
    """Write a result to a file or to stdout."""
    ended = text if text.endswith("\n") else text + "\n"
    if output is not None:
        write_file(output, streams.encodable(ended, "utf-8", kind))
    else:
        streams.write(ended, kind)


def emit_json(document: Any, output: Path | None) -> None:
    """Write a JSON document."""
    emit(json.dumps(document, ensure_ascii=False, indent=1), output, "json")


def emit_lines(lines: Iterable[Text], output: Path | None) -> None:
    """Write a report."""
    from tracediff.reports.text.canvas import Look, paint  # JSON needs no canvas

    chosen = look()
    if output is not None:
        chosen = Look(width=chosen.width, colour=False, now=chosen.now)
    emit(paint(lines, chosen), output)


def note(text: str) -> None:
    """Say something that is no part of the result."""
    sys.stderr.write(f"{text}\n")


def context(fields: Iterable[str]) -> dict[str, str | int | float | bool]:
    """The context fields that "NAME=VALUE" texts ask for; a quoted value is a text."""
    try:
        return filters.context_fields(fields)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--context") from None


def moment(text: str | None, option: str = "--since") -> int | None:
    """Nanoseconds since the epoch of "2h", "3d" (ago) or an ISO date."""
    if text is None:
        return None
    try:
        return filters.moment(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from None

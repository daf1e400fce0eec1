"""Options that several commands share, and how a result is written."""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from tracediff.api import write_file
from tracediff.model import Tolerance
from tracediff.reports.text.canvas import Look, Text, paint

F = TypeVar("F", bound=Callable[..., Any])

store = click.option("--store", metavar="NAME|URL", help="Another store than the configured one.")
output = click.option("-o", "--output", type=click.Path(path_type=Path), help="Write to this file.")
form = click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)
on_miss = click.option(
    "--on-miss",
    type=click.Choice(["fail", "nearest", "stub", "live"]),
    default="fail",
    show_default=True,
    help="What to do about an input that was not recorded.",
)


def tolerances(function: F) -> F:
    """--rel-tol, --abs-tol and --ignore, as ``given_tolerances`` reads them."""
    bound = click.FloatRange(min=0)
    for option in (
        click.option("--ignore", multiple=True, metavar="PATH", help="Leave this place out."),
        click.option("--abs-tol", type=bound, help="Accept differences up to this much."),
        click.option("--rel-tol", type=bound, help="Accept differences up to this share."),
    ):
        function = option(function)
    return function


def given_tolerances(
    rel: float | None, absolute: float | None, ignore: Iterable[str]
) -> list[Tolerance]:
    """The tolerances of the command line."""
    rules = [Tolerance(rel=rel, abs=absolute)] if (rel, absolute) != (None, None) else []
    return rules + [Tolerance(path=path, ignore=True) for path in ignore]


def look(*, wide: bool = False) -> Look:
    """How this terminal wants its text."""
    import os  # only the environment is asked

    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    if os.environ.get("FORCE_COLOR"):
        colour = True
    width = shutil.get_terminal_size((100, 40)).columns
    return Look(width=max(60, min(width, 160)), colour=colour, now=time.time_ns())


def emit(text: str, output: Path | None) -> None:
    """Write a result to a file or to stdout."""
    if output is not None:
        write_file(output, text if text.endswith("\n") else text + "\n")
    else:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")


def emit_json(document: Any, output: Path | None) -> None:
    """Write a JSON document."""
    emit(json.dumps(document, ensure_ascii=False, indent=1), output)


def emit_lines(lines: Iterable[Text], output: Path | None) -> None:
    """Write a report."""
    chosen = look()
    if output is not None:
        chosen = Look(width=chosen.width, colour=False, now=chosen.now)
    emit(paint(lines, chosen), output)


def moment(text: str | None) -> int | None:
    """Nanoseconds since the epoch of "2h", "3d" (ago) or an ISO date."""
    if text is None:
        return None
    ago = re.fullmatch(r"(\d{1,6})([smhdw])", text)
    if ago is not None:
        seconds = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}[ago[2]]
        return time.time_ns() - int(ago[1]) * seconds * 1_000_000_000
    try:
        return int(datetime.fromisoformat(text).astimezone().timestamp() * 1e9)
    except (ValueError, OverflowError, OSError):
        raise click.BadParameter(
            f"{text!r} is no time; write 2h, 3d or 2026-11-24", param_hint="--since"
        ) from None

"""What ``review``, ``accept``, ``reject`` and ``pending`` share: the results that wait."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tracediff.cli import options
from tracediff.expectations.pending import DIRECTORY, Results
from tracediff.reports.clean import clean

if TYPE_CHECKING:
    from tracediff.expectations.accepting import Accepted
    from tracediff.expectations.pending import Pending

source = click.option(
    "--from",
    "directory",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="What CI kept of a run, instead of this project's own results.",
)
LIMIT = 20


def results(root: Path, directory: Path | None) -> Results:
    """The results of this project, or those in a directory that was named.

    Raises:
        ExpectationError: ``expectation-unreadable``.
    """
    from tracediff.expectations.files import unreadable

    if directory is not None and not (directory / "pending").is_dir():
        nested = directory / DIRECTORY
        if not (nested / "pending").is_dir():
            raise unreadable(directory, "it holds no results of tests (a directory `pending`)")
        directory = nested
    return Results(root / DIRECTORY if directory is None else directory)


def listed(groups: Sequence[tuple[str, str, Sequence[Pending]]], limit: int = LIMIT) -> list[str]:
    """Lines that show results by cause."""
    lines: list[str] = []
    for cause, label, some in groups:
        lines.append(f"{cause:8}  {clean(label)}  ({counted(len(some))})")
        for one in some[:limit]:
            blocked = "  cannot be accepted" if one.obstacle is not None else ""
            lines.append(f"  {one.id}  {clean(one.file)}  {clean(one.summary)}{blocked}")
        if len(some) > limit:
            lines.append(f"  … and {len(some) - limit} more")
    return lines


def counted(count: int) -> str:
    """How many results."""
    return f"{count:,} result{'' if count == 1 else 's'}"


def say(accepted: Accepted, form: str) -> int:
    """Say what was accepted and what was not; the exit code."""
    if form == "json":
        document: dict[str, Any] = {
            "schema": "tracediff/accept/1",
            "accepted": [one.file for one in accepted.done],
            "refused": [{"file": one.file, "why": why} for one, why in accepted.refused],
        }
        options.emit_json(document, None)
    else:
        for one in accepted.done:
            options.emit(f"accepted {clean(one.file)}  {clean(one.summary)}", None)
        for one, why in accepted.refused:
            sys.stderr.write(f"refused {clean(one.file)}: {clean(why)}\n")
    return 1 if accepted.refused else 0

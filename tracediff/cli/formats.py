"""The formats of a check's report: which there are, and how one run writes several of them."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from tracediff.checked import Checked
from tracediff.cli import options, streams
from tracediff.errors import StoreError

FORMATS: Final = ("text", "json", "junit", "github", "gitlab", "html", "markdown")
Reports = tuple[tuple[str, Path], ...]

form = click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="For people, for machines, or for a system that runs checks.",
)


def _reports(context: click.Context, option: click.Parameter, given: Sequence[str]) -> Reports:
    found: list[tuple[str, Path]] = []
    for one in given:
        name, equals, file = one.partition("=")
        if name not in FORMATS or not equals or not file:
            known = ", ".join(FORMATS)
            raise click.BadParameter(f"{one!r} is not FORMAT=FILE, of {known}", context, option)
        path = Path(file)
        if path.is_dir():
            raise click.BadParameter(f"{file!r} is a directory", context, option)
        if any(path == other for _, other in found):
            raise click.BadParameter(f"{file!r} is given twice", context, option)
        found.append((name, path))
    return tuple(found)


reports = click.option(
    "--report",
    "reports",
    multiple=True,
    callback=_reports,
    metavar="FORMAT=FILE",
    help="Write it in this format too; may be repeated.",
)


def write_check(found: Checked, form: str, output: Path | None, more: Reports, root: Path) -> None:
    """Write what a check found, in one format to a file or stdout, and in others to files.

    With the format ``github`` the summary of the job is written as well, to the file that GitHub
    names in ``GITHUB_STEP_SUMMARY``. What can be written is, also where something else cannot.

    Args:
        found: The check.
        form: The format of the result.
        output: Where that goes; stdout for None.
        more: Other formats, and the files they go to.
        root: The project's directory.

    Raises:
        StoreError: ``output-unwritable``.
    """
    wrong: StoreError | None = None
    for name, path in ((form, output), *more):
        try:
            _write(found, name, path, root)
        except StoreError as error:
            wrong = wrong or error
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if form == "github" and summary:
        _summarize(found, Path(summary))
    if wrong is not None:
        raise wrong


def _write(found: Checked, form: str, path: Path | None, root: Path) -> None:
    if form == "text":
        from tracediff.reports.text.check import check_lines  # the others need no rich

        options.emit_lines(check_lines(found, options.look()), path)
        return
    text = _text(found, form, root)
    kinds: dict[str, streams.Kind] = {"json": "json", "gitlab": "json", "github": "commands"}
    if text or path is not None:
        options.emit(text, path, kinds.get(form, "text"))


def _text(found: Checked, form: str, root: Path) -> str:
    """The report in a format that has no layout; each imports what it needs alone."""
    if form == "junit":
        from tracediff.reports.junit import junit_xml

        return junit_xml(found)
    if form == "html":
        from tracediff.reports.pages.checkview import check_html

        return check_html(found)
    if form == "markdown":
        from tracediff.reports.markdown import check_markdown

        return check_markdown(found)
    if form == "github":
        from tracediff.reports.github import workflow_commands

        return "\n".join(workflow_commands(found, _below(root)))
    if form == "gitlab":
        from tracediff.reports.gitlab import code_quality

        return _json(code_quality(found, _below(root)))
    from tracediff.reports.check import check_document

    return _json(check_document(found))


def _json(document: object) -> str:
    return json.dumps(document, ensure_ascii=False, indent=1)


def _below(root: Path) -> str:
    """The project's directory within its repository, with a slash behind it; "" outside of one."""
    from tracediff.replay.layout import git  # most formats need none of it

    try:
        return git(root, "rev-parse", "--show-prefix").rstrip("\n")
    except OSError:  # no git, or no repository: nothing is below one
        return ""


def _summarize(found: Checked, path: Path) -> None:
    """Add the summary to what the step has written already, within the limit of both together."""
    from tracediff.reports.markdown import LIMIT, check_markdown

    try:
        room = LIMIT - (path.stat().st_size if path.exists() else 0)
        text = streams.encodable(check_markdown(found, room), "utf-8")
        with path.open("a", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        options.note(f"the summary cannot be written to {path}: {error.strerror or error}")

"""``tracediff erase``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tracediff.api import open_project
from tracediff.cli import exits, options
from tracediff.cli.progress import counted
from tracediff.errors import UsageError

if TYPE_CHECKING:
    from tracediff.stores.upkeep.erasing import Demand, Selection
    from tracediff.stores.upkeep.receipts import Receipt


@click.command("erase")
@click.option("--tag", "tags", multiple=True, help="Everything with this tag; may be repeated.")
@click.option("--context", "fields", multiple=True, metavar="NAME=VALUE",
              help="Everything with this context field; may be repeated.")  # fmt: skip
@click.option("--id", "ids", multiple=True, metavar="REF", help="This trace; may be repeated.")
@click.option("--reason", help="Why; it stands in the receipt.")
@click.option("--by", metavar="WHO", help="Who erases; it stands in the receipt.")
@click.option("--clear", is_flag=True, help="Repeat in the receipt what was asked for.")
@click.option("--wait", type=click.IntRange(0, 3600), default=60, show_default=True,
              help="Seconds to wait for processes that write what is to be erased.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Only show what would be erased.")
@click.option("--yes", is_flag=True, help="Erase without asking.")
@click.option("--verify", "receipt", metavar="RECEIPT", help="Look whether it is gone still.")
@options.store
@options.form
@options.output
def command(
    tags: tuple[str, ...], fields: tuple[str, ...], ids: tuple[str, ...], reason: str | None,
    by: str | None, clear: bool, wait: int, dry_run: bool, yes: bool, receipt: str | None,
    store: str | None, form: str, output: Path | None,
) -> int:  # fmt: skip
    """Erase everything that carries one of the tags or context values, or is one of the traces.

    Shows what that is and asks. Rows, bytes, artifacts, what waits in this machine's spool, kept
    checks and counts of tags go at once. A receipt says what was done and what is out of reach.
    Exits 1 when something is left.
    """
    if receipt is not None:
        return _verify(receipt, store, form, output)
    if not (tags or fields or ids):
        raise UsageError("it is not said what to erase", slug="usage",
                         hint="name it with --tag, --context or --id")  # fmt: skip
    if not reason and not dry_run:
        raise UsageError("there is no reason", slug="usage",
                         hint="give one with --reason; it stands in the receipt")  # fmt: skip
    with open_project(store=store) as project, counted() as progress:
        known = tuple(project.resolve(one).id for one in ids)
        demand = _demand(tags, fields, known, reason, by, clear, wait)
        with project.erasure(demand, progress) as erasure:
            selection = erasure.selected()
            if dry_run:
                _show(selection, form, output)
                return exits.SAME
            if form == "text":
                _show(selection, form, None)
            if not (selection.traces or selection.spooled or yes):
                if form == "json":
                    _show(selection, form, output)
                return exits.SAME
            if not yes:
                _ask(form)
            done = erasure.done(selection.bytes)
    _written(done, form, output)
    return exits.SAME if done.verified else exits.DIFFERENT


def _demand(
    tags: tuple[str, ...], fields: tuple[str, ...], ids: tuple[str, ...], reason: str | None,
    by: str | None, clear: bool, wait: int,
) -> Demand:  # fmt: skip
    from tracediff.filters import typed  # --help does without
    from tracediff.model import Query
    from tracediff.stores.upkeep.erasing import Demand

    context = [options.context([one]) for one in fields]
    said = [f"tag={one}" for one in tags]
    said += [f"context {name}={typed(value)}" for one in context for name, value in one.items()]
    said += [f"id={one}" for one in ids]
    return Demand(
        queries=(*(Query(tags=(one,)) for one in tags), *(Query(context=one) for one in context)),
        ids=ids, said=tuple(said), reason=reason or "", by=by, clear=clear, wait=float(wait),
    )  # fmt: skip


def _ask(form: str) -> None:
    if form == "json" or not sys.stdin.isatty():
        raise UsageError("there is nobody to ask, so nothing was erased", slug="usage",
                         hint="--yes erases it")  # fmt: skip
    click.confirm("erase it for good?", abort=True, err=True)


def _show(found: Selection, form: str, output: Path | None) -> None:
    from tracediff.reports.clean import clean  # --help does without
    from tracediff.reports.excerpt import bytes_of
    from tracediff.reports.wording import many

    if form == "json":
        document = {"schema": "tracediff/erase/1", "traces": found.traces, "bytes": found.bytes}
        document |= {"segments": found.segments, "spooled": found.spooled}
        options.emit_json(document, output)
        return
    if not (found.traces or found.spooled):
        options.emit("no traces match; with --yes a receipt says so", output)
        return
    lines = [
        (
            f"{many(found.traces, 'trace')}, {bytes_of(found.bytes)} in "
            f"{many(found.segments, 'segment')} to be written anew"
        )
    ]
    if found.spooled:
        lines.append(f"{found.spooled} of them wait in this machine's spool")
    lines += [f"  {one.id}  {clean(one.key)}" for one in found.newest]
    if found.traces > len(found.newest):
        lines.append(f"  … and {found.traces - len(found.newest):,} more")
    options.emit("\n".join(lines), output)


def _written(done: Receipt, form: str, output: Path | None) -> None:
    if output is not None:
        options.emit(json.dumps(done.document(), ensure_ascii=False, indent=1), output, "json")
    if form == "json":
        if output is None:
            options.emit_json(done.document(), None)
        return
    options.emit("\n".join(_lines(done)), None)


def _lines(done: Receipt) -> list[str]:
    from tracediff.reports.wording import many  # --help does without

    segments = many(len(done.segments), "segment")
    lines = [
        f"{many(done.traces, 'trace')} erased; {segments} written anew or removed",
        f"the receipt is {done.id}",
        "gone: looked for again and not found" if done.verified else "NOT all of it is gone:",
    ]
    lines += [f"  {one}" for one in done.remaining]
    lines += ["out of reach:", *(f"  {one}" for one in done.unreached)]
    return lines


def _verify(receipt: str, store: str | None, form: str, output: Path | None) -> int:
    with open_project(store=store) as project, counted() as progress:
        found, there = project.verify_receipt(receipt, progress)
    if form == "json":
        document = {"schema": "tracediff/verified/1", "id": found.id, "verified": not there}
        options.emit_json(document | {"remaining": there}, output)
    else:
        said = "nothing of it is there" if not there else "some of it is there:"
        lines = [f"receipt {found.id} of {found.when}: {said}", *(f"  {one}" for one in there)]
        options.emit("\n".join(lines), output)
    return exits.DIFFERENT if there else exits.SAME

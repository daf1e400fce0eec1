"""The side of ``tracediff accept`` that is about causes of a check."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tracediff.cli import options
from tracediff.reports.clean import clean
from tracediff.reports.wording import many

if TYPE_CHECKING:
    from tracediff.check.accepting import Entry

_MOST_FIELDS = 4


def accept(root: Path, named: Sequence[str], reason: str, source: Path | None, form: str) -> int:
    """Accept causes that a check found.

    Args:
        root: The project's directory.
        named: Their ids, or the starts of them; without any all are meant.
        reason: Why they are right.
        source: The check's JSON report; the project's last check where it is None.
        form: How what was accepted is written.
    """
    from tracediff.check.accepting import chosen, within
    from tracediff.check.causesfile import FILE, accept_causes, read_causes
    from tracediff.check.lastcheck import causes_of, last_check
    from tracediff.expectations.accepting import refuse_in_ci

    refuse_in_ci("accepting", os.environ, "tracediff accept --cause ID --from REPORT")
    found = causes_of(last_check(root) if source is None else source)
    if named:
        whose = "the last check" if source is None else str(source)
        seen = chosen(named, found, whose, "`tracediff check` shows its causes with their ids")
    else:
        there = {one.cause: one for one in read_causes(root)}
        seen = [one for one in found if one.cause not in there or not within(one, there[one.cause])]
    if not seen:
        said = "every cause is accepted already" if found else "no trace changed in that check"
        options.note(said)
        _write((), form)
        return 0
    entered = accept_causes(root, seen, reason)
    _write(entered.done, form)
    for line in _remarks(entered.done, entered.replaced):
        options.note(line)
    options.note(f"entered in {FILE}: commit it with the change")
    return 0


def _write(entries: Sequence[Entry], form: str) -> None:
    from tracediff.check.causesfile import document

    if form == "json":
        options.emit_json(document(entries), None)
    for one in entries if form == "text" else ():
        head = f"accepted {one.cause}  {clean(one.label)}"
        options.emit(f"{head}  in {many(one.traces, 'trace')}{_moved(one)}", None)


def _moved(one: Entry) -> str:
    from tracediff.reports.amounts import summed

    said = []
    largest = sorted(
        one.fields, key=lambda name: (not name.startswith("result"), -abs(one.totals.get(name, 0)))
    )  # of what was printed and what it came from, the result is what people look for
    for name in largest[:_MOST_FIELDS]:
        amount = f" ({summed(one.totals[name])})" if name in one.totals else ""
        said.append(f"{clean(name)} {one.fields[name]}{amount}")
    if len(largest) > _MOST_FIELDS:
        said.append(many(len(largest) - _MOST_FIELDS, "more field"))
    return f": {', '.join(said)}" if said else ""


def _remarks(done: Iterable[Entry], replaced: Iterable[Entry]) -> Iterator[str]:
    from tracediff.check.accepting import narrowed

    before = {one.cause: one for one in replaced}
    for one in done:
        if not one.exact:
            yield (
                f"{one.cause} is told by the comparison, since its traces were not explained: "
                "it may cover more than one change"
            )
        lost = narrowed(before[one.cause], one) if one.cause in before else ()
        if lost:
            yield (
                f"{one.cause} was accepted before, and no longer covers what this check has not: "
                f"{clean(', '.join(lost[:_MOST_FIELDS]))}"
            )


def drop(root: Path, named: Sequence[str], form: str) -> int:
    """Accept causes no longer.

    Args:
        root: The project's directory.
        named: Their ids, or the starts of them.
        form: How what was dropped is written.
    """
    from tracediff.check.accepting import chosen
    from tracediff.check.causesfile import FILE, document, drop_causes, read_causes
    from tracediff.expectations.accepting import refuse_in_ci

    refuse_in_ci("dropping what was accepted", os.environ, "tracediff accept --drop ID")
    dropped = chosen(named, read_causes(root), FILE, "`tracediff accept --list` shows them")
    drop_causes(root, dropped)
    if form == "json":
        options.emit_json(document(dropped), None)
    else:
        for one in dropped:
            options.emit(f"dropped {one.cause}  {clean(one.label)}", None)
    return 0


def show(root: Path, form: str) -> int:
    """Show what is accepted.

    Args:
        root: The project's directory.
        form: How it is written.
    """
    from tracediff.check.causesfile import document, read_causes

    entries = read_causes(root)
    if form == "json":
        options.emit_json(document(entries), None)
    elif not entries:
        options.note("no cause is accepted")
    else:
        options.emit("\n".join(line for one in entries for line in _shown(one)), None)
    return 0


def _shown(one: Entry) -> Iterator[str]:
    yield f"{one.cause}  {clean(one.label)}"
    yield f"    why    {clean(one.reason)}"
    commit = f", at {clean(one.commit[:10])}" if one.commit else ""
    dirty = " with uncommitted changes" if one.commit and one.dirty else ""
    yield f"    who    {clean(one.who)}, {clean(one.when)}{commit}{dirty}"
    yield f"    covers {_moved(one).removeprefix(': ')}"
    keys = ", ".join(f"{clean(key)} ({count:,})" for key, count in one.keys.items())
    yield f"    seen   in {many(one.traces, 'trace')}: {keys}"

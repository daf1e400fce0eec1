"""The block about one cause: its share, its code, who brought it, and what it did on the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.cells import cell_len
from rich.text import Text

from tracediff.explained import Blame, Cause, Passed
from tracediff.reports import attributed, excerpt, waterfall
from tracediff.reports.attributed import LONGEST
from tracediff.reports.clean import clean
from tracediff.reports.text.canvas import (
    BOLD,
    DIM,
    NAME,
    NEW,
    OLD,
    WARN,
    apart,
    ending,
    fit,
    rule,
    span,
    wrapped,
)
from tracediff.reports.wording import many

_HUNKS_SHOWN: Final = 3
_LINES_SHOWN: Final = 10
_COMMITS_SHOWN: Final = 3
_UNITS_SHOWN: Final = 6
_ENDS_SHOWN: Final = 3
_LEAD: Final = 12
_MARKS = {"-": OLD, "+": NEW}


def cause_block(cause: Cause, number: int, share: str, job: str, width: int) -> Iterator[Text]:
    """Yield the lines about one cause.

    Args:
        cause: What to tell.
        number: Its number in the waterfall, from 1.
        share: Its share as it is written, and what part of the change that is.
        job: What a step without a path, the job itself, is called.
        width: The width of the page.
    """
    place = span((ending(waterfall.place(cause), width // 2), NAME))
    head = span((f"{number}  ", DIM), (share, BOLD), "  ")
    title = head.append_text(_name(cause, width - place.cell_len - head.cell_len - 10))
    yield rule(title, width, place if place.cell_len else None)
    for block in (
        _merged(cause, width),
        _commits(attributed.commits(cause), width),
        _hunks(cause, width),
        _variable(cause, width),
        _travelled(cause.travelled, job, width),
        _kept(cause.kept, width),
    ):
        yield from block


def _name(cause: Cause, room: int) -> Text:
    """The first unit's name and kind; its module, which the file tells, if there is room."""
    if not cause.units:
        return span()
    first, others = cause.units[0], len(cause.units) - 1
    more = f" and {many(others, 'more unit')}" if others else f"  {first.kind}"
    whole, bare = clean(first.name[:LONGEST]), waterfall.bare(first)
    tried = [(whole, more), (bare, more), (whole, ""), (bare, "")]
    for name, behind in tried[:2] if others else tried:
        if cell_len(name) + len(behind) <= room:
            return span((name, BOLD), (behind, DIM))
    return span((bare, BOLD), (more if others else "", DIM))


def _line(head: str, text: Text, width: int) -> Text:
    line = span((f"   {head:<{_LEAD}}", DIM)).append_text(text)
    line.truncate(width, overflow="ellipsis")
    return line


def _merged(cause: Cause, width: int) -> Iterator[Text]:
    """Why several units are one, and which they are."""
    if len(cause.units) < 2:
        return
    yield _line("merged", span((clean((cause.merged or attributed.MERGED)[:LONGEST]), WARN)), width)
    for unit in cause.units[:_UNITS_SHOWN]:
        place = span((ending(waterfall.spot(unit), width // 3), NAME))
        left = span(" " * (_LEAD + 3), clean(unit.name[:LONGEST]), (f"  {unit.kind}", DIM))
        yield apart(left, span("  ").append_text(place) if place.cell_len else place, width)
    if len(cause.units) > _UNITS_SHOWN:
        yield _more(len(cause.units) - _UNITS_SHOWN, "more unit", width)


def _more(count: int, noun: str, width: int) -> Text:
    return _line("", span((f"… {many(count, noun)}", DIM)), width)


def _commits(found: Sequence[Blame], width: int) -> Iterator[Text]:
    for at, one in enumerate(found[:_COMMITS_SHOWN]):
        head = "" if at else "commit" if len(found) == 1 else "commits"
        if one.sha is None:
            yield _line(head, span(("not committed yet", WARN)), width)
            continue
        day = f", {one.date:%Y-%m-%d}" if one.date else ""
        who = f"{excerpt.cut(clean(one.author[:LONGEST]), 40)}{day}"
        text = span((clean(one.sha[:7]), NAME), f"  {clean(one.subject[:LONGEST])}")
        yield apart(_line(head, text, width), span((f"  {who}", DIM)) if who else span(), width)
    if len(found) > _COMMITS_SHOWN:
        yield _more(len(found) - _COMMITS_SHOWN, "more commit", width)


def _hunks(cause: Cause, width: int) -> Iterator[Text]:
    for hunk in cause.hunks[:_HUNKS_SHOWN]:
        if len(cause.hunks) > 1 or hunk.old_path != hunk.path:
            yield _line("", span((attributed.where(hunk), DIM)), width)
        for line in hunk.lines[:_LINES_SHOWN]:
            mark, rest = line[:1], clean(line[1:LONGEST].expandtabs(4))
            yield _line("", span((f"{mark} {rest}", _MARKS.get(mark, DIM))), width)
        if len(hunk.lines) > _LINES_SHOWN:
            yield _more(len(hunk.lines) - _LINES_SHOWN, "more line", width)
    if len(cause.hunks) > _HUNKS_SHOWN:
        yield _more(len(cause.hunks) - _HUNKS_SHOWN, "more hunk", width)


def _variable(cause: Cause, width: int) -> Iterator[Text]:
    """The first local variable that differs, where that is, and the line that set it."""
    found = cause.variable
    if found is None:
        return
    old, new = _values(found.old, found.new, (width - _LEAD - 30) // 2)
    text = span((clean(found.name[:60]), BOLD), ": ", (old, OLD), " → ", (new, f"{BOLD} {NEW}"))
    source = found.new_source or found.old_source
    spot = (
        span()
        if source is None
        else span((f"  {ending(attributed.spot(source), width // 2)}", NAME))
    )
    yield apart(_line("variable", text, width), spot, width)
    code = attributed.code_of(cause, found)
    if code:
        yield _line("", span((code.strip(), DIM)), width)


def _values(old: str | None, new: str | None, room: int) -> tuple[str, str]:
    texts = ["—" if one is None else clean(one[: 10 * LONGEST]) for one in (old, new)]
    return excerpt.pair(texts[0], texts[1], max(room, 8))


def _travelled(steps: Sequence[Passed], job: str, width: int) -> Iterator[Text]:
    """Where a cause entered and which steps it changed on its way, the middle of many folded."""
    shown = list(steps)
    if len(steps) > 2 * _ENDS_SHOWN + 1:
        shown = [*steps[:_ENDS_SHOWN], *steps[-_ENDS_SHOWN:]]
    values = [_values(one.old, one.new, (width - _LEAD) // 5) for one in shown]
    left, right = (max((cell_len(two[at]) for two in values), default=0) for at in (0, 1))
    for at, (one, (old, new)) in enumerate(zip(shown, values, strict=True)):
        if len(shown) < len(steps) and at == _ENDS_SHOWN:
            yield _more(len(steps) - len(shown), "more step", width)
        head = "" if at > 1 else "then" if at else "entered at"
        sides = span("  ").append_text(fit(span((old, OLD)), left, right=True))
        sides.append(" → ").append_text(fit(span((new, NEW)), right))
        room = max(width - _LEAD - 3 - sides.cell_len, 10)
        yield apart(_line(head, span(_path(one.path, job, room)), width), sides, width)


def _path(path: Sequence[str], job: str, room: int) -> str:
    """The names from the job down to a step, the first of them left out where they are too long."""
    names = [clean(name[:LONGEST]) for name in path] or [clean(job[:LONGEST])]
    text = " › ".join(names)
    while len(names) > 1 and cell_len(text) > room:
        names = names[1:]
        text = f"… › {' › '.join(names)}"
    return text


def _kept(kept: Sequence[str], width: int) -> Iterator[Text]:
    """The added and removed definitions that come and go with the cause."""
    names = [clean(name[:LONGEST]) for name in kept[:_UNITS_SHOWN]]
    if len(kept) > _UNITS_SHOWN:
        names.append(f"{len(kept) - _UNITS_SHOWN:,} more")
    for at, line in enumerate(wrapped(names, width - _LEAD - 3)):
        yield _line("" if at else "with it", span(line), width)

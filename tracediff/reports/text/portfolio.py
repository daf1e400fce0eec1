"""The causes of a check: what each moved in all, how that is spread, its lines, what marks it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len
from rich.text import Text

from tracediff.checked import Checked, Group, Total
from tracediff.reports import sums, verdict
from tracediff.reports.clean import clean
from tracediff.reports.text.canvas import (
    BAD,
    BOLD,
    DIM,
    GOOD,
    NAME,
    NEW,
    OLD,
    WARN,
    Look,
    apart,
    ending,
    rule,
    span,
    wrapped,
)
from tracediff.reports.wording import many

_LEAD: Final = 11
_LINES: Final = 12
_FIELDS: Final = 4
_MARKS: Final = 3
_SHORTEST_BAR: Final = 6
_LONGEST_BAR: Final = 48
_STYLES: Final = {"-": OLD, "+": NEW}
_GLYPHS: Final = {"✓": GOOD, "!": WARN, "✗": BAD}


@dataclass(frozen=True, slots=True)
class Columns:
    """The widths that all causes of a check share, so that their bars can be compared."""

    amount: int
    part: int
    traces: int

    def bar(self, width: int) -> int:
        """How much room a bar has."""
        taken = _LEAD + self.amount + self.part + self.traces + 6
        return min(width - taken, _LONGEST_BAR)


def columns(found: Checked, causes: Iterable[verdict.Told]) -> Columns:
    """Return the columns that suit some causes."""
    shown = list(causes)
    return Columns(
        max((cell_len(one.amount) for one in shown), default=0),
        max((cell_len(one.part) for one in shown), default=0),
        max((len(_traces(found, one)) for one in shown), default=0),
    )


def cause_block(found: Checked, told: verdict.Told, shared: Columns, look: Look) -> Iterator[Text]:
    """Yield all that is said of one cause; of an accepted one that is little.

    Args:
        found: The check it is of.
        told: The cause.
        shared: The columns of all causes.
        look: How to draw.
    """
    group, width = told.group, look.columns
    place = ending(told.place, width // 3)
    end = span((f"{place}  " if place else "", NAME), (clean(group.cause[:20]), DIM))
    title = span((f"{told.number}  ", BOLD), (told.title, BOLD))
    if group.passes:
        title.append("  accepted", GOOD)
    yield rule(title, width, end)
    yield _amount(found, told, shared, width)
    if told.main is not None and told.main.count > 1:
        yield _spread(told.main, width)
    if not group.passes:
        yield from _what(group, width)
    yield from _elsewhere(found, group, width)
    yield from _jobs(group, width)
    if not group.passes:
        for at, one in enumerate(group.marks[:_MARKS]):
            yield from _lines("" if at else "marks", "", [verdict.mark(one)], width)
        shown = verdict.such_as(group, found.main)
        yield from _lines("such as", "", [shown] if shown else [], width)
        yield _line("look", span(verdict.explain_command(group)), width)
    yield from _acceptance(group, width)


def _line(head: str, text: Text, width: int) -> Text:
    style = _GLYPHS.get(head, DIM)
    line = span((f"   {head:<{_LEAD - 3}}", style)).append_text(text)
    line.truncate(width, overflow="ellipsis")
    return line


def _lines(head: str, style: str, sentences: Iterable[str], width: int) -> Iterator[Text]:
    """Sentences behind a heading, on as many lines as they take."""
    for sentence in sentences:
        for line in wrapped(sentence.split(), width - _LEAD, " "):
            yield _line(head, span((line, style)), width)
            head = ""


def _traces(found: Checked, told: verdict.Told) -> str:
    return f"{told.group.count:,} of {many(found.changed, 'changed trace')}"


def _amount(found: Checked, told: verdict.Told, shared: Columns, width: int) -> Text:
    """Its part of the sum with a bar; only how many traces it has where it moved no such number."""
    traces = _traces(found, told)
    if not told.amount:
        where = f"  nothing of {clean(found.main[:60])}" if found.main else ""
        return apart(_line("moves", span((where.strip(), DIM)), width), span(f"  {traces}"), width)
    style, block = (OLD, "▒") if told.amount.startswith("-") else (NEW, "█")
    text = span((f"{told.amount:>{shared.amount}}", BOLD), f"  {told.part:>{shared.part}}  ")
    room = shared.bar(width)
    if room >= _SHORTEST_BAR and told.length:
        text.append(block * max(round(told.length * room), 1), style=style)
    return apart(_line("moves", text, width), span(f"  {traces}"), width)


def _spread(main: Total, width: int) -> Text:
    """Which way, and the distribution between its ends."""
    least, middle, most = verdict.spread(main)
    text = span(f"{verdict.direction(main)}   ", (least, DIM), " ")
    text.append(sums.sparkline(main.bins), style=NAME).append(" ").append(most, style=DIM)
    if middle and least != most:
        text.append(f"   median ≈{middle}", style=DIM)
    return _line("", text, width)


def _what(group: Group, width: int) -> Iterator[Text]:
    """What kind of change it is, its commit, and its lines."""
    change = group.change
    if change is None:
        yield from _lines("", WARN, [verdict.kind(group)], width)
        return
    text = span(verdict.kind(group))
    if change.commit:
        text.append("  commit ", style=DIM).append(clean(change.commit[:12]), style=NAME)
    yield _line("change", text, width)
    for line in change.hunk[:_LINES]:
        style = _STYLES.get(line[:1], DIM)
        lead = f"{line[:1]} " if line[:1] in _STYLES else ""
        body = clean(line[1 if lead else 0 : verdict.LONGEST].expandtabs(4))
        yield _line("", span((f"{lead}{body}", style)), width)
    if len(change.hunk) > _LINES:
        yield _line("", span((f"… {many(len(change.hunk) - _LINES, 'more line')}", DIM)), width)


def _elsewhere(found: Checked, group: Group, width: int) -> Iterator[Text]:
    """The other fields it moves, those that moved most first."""
    others = list(verdict.elsewhere(found, group))
    if not others:
        return
    shown = others[:_FIELDS]
    amounts = max(cell_len(amount) for _, amount in shown)
    for at, (field, amount) in enumerate(shown):
        name = ending(field, max(width - _LEAD - amounts - 2, 8))
        text = span((f"{amount:>{amounts}}", ""), (f"  {name}", NAME))
        yield _line("" if at else "also", text, width)
    if len(others) > len(shown):
        yield _line("", span((f"… {many(len(others) - len(shown), 'more field')}", DIM)), width)


def _jobs(group: Group, width: int) -> Iterator[Text]:
    """Its traces by job, where there is more than one."""
    if len(group.keys) < 2:
        return
    told = [f"{clean(key[:80])} {count:,}" for key, count in [*group.keys.items()][:_FIELDS]]
    if len(group.keys) > _FIELDS:
        told.append(f"{len(group.keys) - _FIELDS:,} more")
    for at, line in enumerate(wrapped(told, width - _LEAD)):
        yield _line("" if at else "jobs", span(line), width)


def _acceptance(group: Group, width: int) -> Iterator[Text]:
    if group.accepted is None:
        return
    said = f"accepted: {verdict.accepted(group.accepted)}"
    if group.passes:
        yield from _lines("✓", "", [said], width)
        return
    yield from _lines("!", "", [said, "and now beyond that:"], width)
    for one in group.drift[:_FIELDS]:
        yield from _lines("✗", "", [clean(one[: verdict.LONGEST])], width)
    if len(group.drift) > _FIELDS:
        yield _line("", span((f"… {len(group.drift) - _FIELDS:,} more", DIM)), width)


def sum_lines(found: Checked, told: verdict.Story, look: Look) -> Iterator[Text]:
    """Yield the proof that nothing is left over: the causes' parts, and what they make."""
    if not told.adds_up:
        yield span(("  ! ", WARN), "the causes do not add up to what moved in all")
    elif told.sum:
        name = clean(found.main[: verdict.LONGEST])
        for at, line in enumerate(wrapped(told.sum.split(" "), look.columns - 4, " ")):
            text = span(("   " if at else " ✓ ", GOOD), line)
            if not at:
                text = apart(text, span((f"  {ending(name, 40)}", DIM)), look.columns)
            text.truncate(look.columns, overflow="ellipsis")
            yield text

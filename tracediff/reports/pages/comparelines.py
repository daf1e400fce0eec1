"""What the lines of a comparison say: both halves of each, with what differs in them marked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from tracediff.model import Comparison, Divergence, FieldChange, Step
from tracediff.reports import excerpt
from tracediff.reports.clean import clean
from tracediff.reports.markup import Markup
from tracediff.reports.pages.aligned import LABELS, TURNS, Aligned, Row
from tracediff.reports.pages.comparelayout import Layout, Part
from tracediff.reports.pages.marked import ROOM, Marked, marked, plain
from tracediff.reports.pages.packed import Details
from tracediff.reports.pages.templating import render
from tracediff.reports.text import entries
from tracediff.reports.text.canvas import KIND_GLYPHS
from tracediff.reports.wording import many

_OUTCOME: Final = 400
_CALL: Final = 80
_NAME: Final = 300
_INDENTS: Final = 24
_SHORT: Final = 16
_CELL: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Half:
    """One side of a line: the step's number in its trace, what it is, and what came of it."""

    number: int | None
    name: Marked
    glyph: str = ""
    spoken: str = ""
    call: str = ""
    outcome: Marked = ()
    raised: bool = False
    bad: str = ""

    @property
    def short(self) -> bool:
        """Whether what came of it is shown whole, however narrow the page is."""
        return sum(len(text) for text, _ in self.outcome) <= _SHORT


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field that differs; with no sides, a remark."""

    title: str
    detail: str = ""
    old: Marked = ()
    new: Marked = ()
    delta: str = ""
    percent: str = ""
    within: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line as a page shows it.

    ``kind`` is that of the step, or ``head``, ``field``, ``fold``. ``pair`` is the number that its
    details are asked for by. ``link`` is the line of the counterpart of a moved step.
    """

    number: int
    level: int
    indent: int
    kind: str
    pair: int | None = None
    title: str = ""
    mark: str = ""
    old: Half | None = None
    new: Half | None = None
    same: bool = False
    within: bool = False
    detail: str = ""
    delta: str = ""
    percent: str = ""
    label: str = ""
    link: int | None = None
    link_says: str = ""


def rows(
    found: Layout, span: Iterable[int], address: str | None, held: Details | None = None
) -> Markup:
    """Return some lines as markup.

    Args:
        found: The page's lines.
        span: Their numbers.
        address: Where the details of pairs are to be had, None in a file.
        held: The details that a file holds.
    """
    lines = [line(found, number) for number in span]
    return Markup(render("comparelines.html", lines=lines, address=address, held=held))


def line(found: Layout, number: int) -> Line:
    """Return what one line says."""
    entry = found.entries[number]
    level = found.shape.depths[number] + 1
    if isinstance(entry, Row):
        return Line(number=number, level=level, indent=_indent(found, entry.first), kind="fold",
                    title=_folded(found.aligned, entry))  # fmt: skip
    if isinstance(entry, Part):
        return _part(found, number, entry)
    return _pair(found, number, entry)


def _indent(found: Layout, at: int) -> int:
    return min(found.aligned.depth[at], _INDENTS)


def _folded(found: Aligned, row: Row) -> str:
    """What a fold holds: what is equal, and steps in one that came or went as a whole."""
    steps = found.steps[row.last + 1] - found.steps[row.first]
    if not steps:
        return many(row.last - row.first + 1, "note")
    alone = sum(
        found.steps[at + 1] > found.steps[at]
        for at in range(row.first, row.last + 1)
        if found.old[at] is None or found.new[at] is None
    )
    if alone == steps:
        return f"{many(steps, 'step')} inside"
    equal = many(steps - alone, "unchanged step")
    return f"{equal}, {alone:,} on one side only" if alone else equal


def _part(found: Layout, number: int, part: Part) -> Line:
    if isinstance(part.change, int):
        said = Field(title=entries.left_out(part.change, 0).title)
    else:
        said = change_field(part.change, _CELL)
    title = plain(said.title)
    return Line(
        number=number, level=found.shape.depths[number] + 1, indent=_indent(found, part.at) + 1,
        kind="field", pair=part.at, title=said.title, detail=said.detail, delta=said.delta,
        percent=said.percent, within=said.within,
        old=Half(number=None, name=title, outcome=said.old) if said.old else None,
        new=Half(number=None, name=title, outcome=said.new) if said.new else None,
    )  # fmt: skip


def _pair(found: Layout, number: int, at: int) -> Line:
    shown = found.aligned
    comparison, divergence, left = shown.comparison, shown.divergence[at], at in shown.left
    old, new = shown.old[at], shown.new[at]
    before = comparison.old.steps[old] if old is not None else None
    after = comparison.new.steps[new] if new is not None else None
    said = entries.Entry()
    if divergence is not None and not left:
        said = entries.describe(comparison, old, new, divergence, 0)
    sides = _outcomes(before, after, said)
    names = marked(_name(before), _name(after), _NAME)
    step, link = shown.step(at), shown.link.get(at)
    facets = shown.facets[at]
    return Line(
        number=number, level=found.shape.depths[number] + 1, indent=_indent(found, at),
        kind="head" if step.head else step.kind, pair=at,
        mark=_mark(divergence, said, left=left),
        old=_half(old, before, names[0], sides[0]), new=_half(new, after, names[1], sides[1]),
        same=divergence is None and old is not None and new is not None,
        within=divergence is not None and divergence.within,
        detail=_moved(shown, at) if left else _turned(comparison, divergence),
        delta=said.delta, percent=said.percent,
        label=next((one for one in facets if one in LABELS), ""),
        link=None if link is None else found.line[link],
        link_says="now here" if left else "was here",
    )  # fmt: skip


def _mark(divergence: Divergence | None, said: entries.Entry, *, left: bool) -> str:
    if divergence is None:
        return ""
    if left:
        return "«"
    return "≈" if divergence.within else said.mark.strip() or "~"


def _turned(comparison: Comparison, divergence: Divergence | None) -> str:
    if divergence is None or not set(TURNS).intersection((divergence.kind, *divergence.also)):
        return ""
    said = entries.turns(comparison, divergence)
    return ", ".join(one for one in said if one not in KIND_GLYPHS)


def _moved(found: Aligned, at: int) -> str:
    inside = found.end[found.link[at]] - found.link[at] - 1
    return f"moved, with {many(inside, 'line')} in it" if inside else "moved"


def change_field(change: FieldChange, room: int = ROOM) -> Field:
    """Return how one change of a field is shown, each side in about ``room`` characters."""
    said = entries.one_field(change, 0)
    old, new = marked(said.old or "", said.new or "", room)
    return Field(title=excerpt.cut(said.title, _NAME), detail=said.detail, old=old, new=new,
                 delta=said.delta, percent=said.percent, within=change.within)  # fmt: skip


def _outcomes(
    before: Step | None, after: Step | None, said: entries.Entry
) -> tuple[Marked, Marked]:
    if said.old is not None and said.new is not None:
        return marked(said.old, said.new, _CELL)
    if before is None or after is None:
        return plain(_outcome(before), _CELL), plain(_outcome(after), _CELL)
    if before.error == after.error and before.result == after.result:
        both = plain(_outcome(after), _CELL)
        return both, both
    return marked(_outcome(before), _outcome(after), _CELL)


def _outcome(step: Step | None) -> str:
    if step is None or step.kind == "note":
        return ""
    return excerpt.outcome(step, _OUTCOME)


def _name(step: Step | None) -> str:
    return clean(step.name[:_NAME]) if step is not None else ""


def _half(number: int | None, step: Step | None, name: Marked, outcome: Marked) -> Half | None:
    if step is None:
        return None
    if all(differs for _, differs in name):
        name = plain(_name(step), _NAME)  # the other side has none, or nothing of it
    return Half(
        number=number, name=name,
        glyph=KIND_GLYPHS.get(step.kind, "") if step.kind != "note" else "",
        spoken=step.kind if step.kind not in ("step", "job") else "",
        call=_call(step), outcome=outcome, raised=step.error is not None,
        bad=step.state if step.state != "success" else "",
    )  # fmt: skip


def _call(step: Step) -> str:
    if step.kind == "note":
        return ""
    return excerpt.short_value(step.key, _CALL) or excerpt.arguments(step.args, _CALL)


def named(found: Layout, wanted: str) -> Iterator[int]:
    """Yield the lines of the steps that a folded text is in a name of."""
    for at, line in enumerate(found.line):
        old, new = found.aligned.old[at], found.aligned.new[at]
        name = found.aligned.step(at).name
        if wanted in name.casefold():
            yield line
        elif old is not None and new is not None:
            before = found.aligned.comparison.old.steps[old].name
            if before is not name and wanted in before.casefold():
                yield line


def texts(found: Layout, number: int) -> Iterator[str]:
    """Yield what a search looks through of a line."""
    said = line(found, number)
    yield said.title
    yield said.label
    yield said.detail
    for half in (said.old, said.new):
        if half is not None:
            yield "".join(text for text, _ in half.name)
            yield half.call
            yield "".join(text for text, _ in half.outcome)

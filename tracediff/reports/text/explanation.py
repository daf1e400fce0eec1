"""The report of one explanation: the change, the waterfall, a block a cause, and what is left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.text import Text

from tracediff.explained import Certificate, Effect, Explanation
from tracediff.reports import amounts, attributed, excerpt, waterfall, wording
from tracediff.reports.attributed import LONGEST
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
from tracediff.reports.text.comparison import sides, verdict
from tracediff.reports.text.effects import effects_table, together
from tracediff.reports.text.evidence import cause_block
from tracediff.reports.text.waterfall import waterfall_lines
from tracediff.reports.waterfall import MOST, Waterfall
from tracediff.reports.wording import many

_NAMED: Final = 5
_TOLD: Final = 3
_REMARKS_SHOWN: Final = 10


def explanation_lines(found: Explanation, look: Look, *, every: bool = False) -> Iterator[Text]:
    """Yield the report.

    Args:
        found: The explanation.
        look: How to draw.
        every: Show all causes, fields and innocent units, however many there are.
    """
    heads = sides(found.comparison)
    main = waterfall.main_effect(found)
    yield from _header(found, look)
    yield span()
    if main is None:
        yield from verdict(found.comparison, look, heads)
        yield from certificate_lines(found.certificate, look)
        yield from _without(found, look)
    else:
        yield from _headline(found, main, look, heads)
        yield from certificate_lines(found.certificate, look)
        yield from _picture(found, main, look, heads, every=every)
    yield from _ending(found, main, look, every=every)


def _header(found: Explanation, look: Look) -> Iterator[Text]:
    old = found.old
    yield rule(span((clean(old.key), BOLD)), look.columns, span((clean(old.id), DIM)), "━")
    call = excerpt.arguments(old.steps[0].args, look.columns - 4) if old.steps else ""
    if call or old.meta:
        yield _cut(span("   ", call or clean(old.meta[:LONGEST])), look)


def _cut(line: Text, look: Look) -> Text:
    line.truncate(look.columns, overflow="ellipsis")
    return line


def _headline(
    found: Explanation, main: Effect, look: Look, heads: tuple[str, str]
) -> Iterator[Text]:
    mark = (" ✗ different ", BAD) if found.comparison.different else (" ✓ same ", GOOD)
    line = span(mark, "  ", waterfall.field(main))
    old, new = waterfall.ends(found, main)
    if len(old) + len(new) > look.columns - 50:
        yield _cut(line, look)
        head = max(map(len, heads))
        left, right = excerpt.pair(old, new, look.columns - head - 8)
        yield _cut(span((f"     {heads[0]:<{head}}  ", DIM), (left, OLD)), look)
        yield _cut(span((f"     {heads[1]:<{head}}  ", DIM), (right, f"{BOLD} {NEW}")), look)
        return
    line.append("  ").append(old, style=OLD).append(" → ").append(new, style=f"{BOLD} {NEW}")
    delta = waterfall.change(main)
    if delta:
        percent = wording.percent(amounts.number(main.old), main.change)
        line.append(f"   {delta}  {percent}", style=BOLD)
    yield _cut(line, look)


def certificate_lines(said: Certificate, look: Look) -> Iterator[Text]:
    """How far the recorded code reproduces the recording: what a difference can be trusted for."""
    mark = (" ✓ ", GOOD) if said.whole else (" ! ", WARN)
    yield _cut(span(mark, clean(str(said)[:LONGEST])), look)
    what, paths = attributed.unreproduced(said)
    yield from _words(f"   {what}", paths, look, _NAMED)
    for remark in said.remarks[:_REMARKS_SHOWN]:
        yield from _prose("   ", "", remark, look)


def _prose(head: str, style: str, text: str, look: Look) -> Iterator[Text]:
    """A sentence of somebody else's behind a heading, on as many lines as it takes."""
    words = clean(text[:LONGEST]).split(" ")
    for at, line in enumerate(wrapped(words, look.columns - len(head), " ")):
        yield _cut(span((" " * len(head) if at else head, style), line), look)


def _words(head: str, words: Sequence[str], look: Look, most: int | None) -> Iterator[Text]:
    """The first of some words behind a heading, on as many lines as they take."""
    if not words:
        return
    shown = list(words if most is None else words[:most])
    if len(shown) < len(words):
        shown.append(f"{len(words) - len(shown):,} more")
    for at, line in enumerate(wrapped(shown, look.columns - len(head))):
        yield _cut(span((" " * len(head) if at else head, DIM), line), look)


def _picture(
    found: Explanation, main: Effect, look: Look, heads: tuple[str, str], *, every: bool
) -> Iterator[Text]:
    drawn = waterfall.waterfall(found, main, heads, len(found.causes) + 1 if every else MOST)
    if len(drawn.bars) > 2:
        yield span()
        yield from waterfall_lines(drawn, look, "shares")
        yield from _sum(drawn, main, look)
        yield from _data(found, main, look)
    shown = [bar.cause for bar in drawn.bars if bar.cause is not None]
    elsewhere = [at for at in range(len(found.causes)) if not main.shares[at]]
    blocks = [*shown, *elsewhere][: None if every else MOST]
    job = found.new.steps[0].name if found.new.steps else found.new.key
    for at in blocks:
        yield span()
        share = _share(main, at, drawn)
        yield from cause_block(found.causes[at], at + 1, share, job, look.columns)
    if len(blocks) < len(found.causes):
        yield span()
        left = many(len(found.causes) - len(blocks), "more cause")
        yield span((f"  … {left}; --all shows them, --format json has them", DIM))
    others = [one for one in found.effects if one is not main]
    for block in (
        effects_table(found, others, look, len(others) if every else None),
        together(found, main),
    ):
        lines = list(block)
        if lines:
            yield span()
            yield from (_cut(line, look) for line in lines)


def _share(main: Effect, at: int, drawn: Waterfall) -> str:
    amount, margin, percent = attributed.share(main, at, drawn)
    return " ".join(filter(None, (amount, margin, percent and f"({percent})")))


def _sum(drawn: Waterfall, main: Effect, look: Look) -> Iterator[Text]:
    """The proof that nothing is left over: the shares as they stand above, and what they make."""
    found = attributed.proof(drawn, main)
    if not found.holds:
        yield span(("  ! ", WARN), attributed.DOES_NOT_ADD_UP)
        return
    lines = wrapped([*found.parts, found.whole], look.columns - 5, " ")
    for at, line in enumerate(lines):
        yield _cut(span(("   " if at else " ✓ ", GOOD), (line, DIM)), look)


def _data(found: Explanation, main: Effect, look: Look) -> Iterator[Text]:
    parts = attributed.data_and_code(found, main)
    if parts is not None:
        data, code = parts
        yield _cut(
            span(("   of that ", DIM), data, (" by data, ", DIM), code, (" by code", DIM)), look
        )


def _without(found: Explanation, look: Look) -> Iterator[Text]:
    """What is said where there is no attribution: why, and where to look instead."""
    if found.refused is not None:
        yield span()
        yield from _prose("  no attribution: ", f"{BOLD} {WARN}", found.refused, look)
        yield from _first(found, look)
    elif found.noise:
        yield span((f"   {attributed.NOISE}", DIM))
    elif not found.comparison.different:
        yield span((f"   {attributed.NO_CHANGE}", DIM))


def _first(found: Explanation, look: Look) -> Iterator[Text]:
    known = attributed.first(found)
    if known is None:
        return
    before, after, place = known
    step = after or before
    name = step.name if step else ""
    room = (look.columns - 40) // 4
    texts = [excerpt.outcome(one, room) or "—" if one else "—" for one in (before, after)]
    yield apart(
        span(("  first divergence: ", DIM), (clean(name[:LONGEST]), BOLD), ": ",
             (texts[0], OLD), " → ", (texts[1], NEW)),
        span((f"  {ending(place, look.columns // 2)}", NAME)) if place else span(),
        look.columns,
    )  # fmt: skip


def _ending(found: Explanation, main: Effect | None, look: Look, *, every: bool) -> Iterator[Text]:
    for block in (_rest(found, main, look, every=every), _last(found, main, look)):
        lines = list(block)
        if lines:
            yield span()
            yield from lines


def _rest(found: Explanation, main: Effect | None, look: Look, *, every: bool) -> Iterator[Text]:
    """What did nothing, how it was found out, and what stays open."""
    most = None if every else _NAMED
    if found.innocent:
        yield span(("  innocent  ", DIM), attributed.innocent(found))
        yield from _words("            ", list(attributed.innocents(found)), look, most)
    if found.idle:
        yield span(("  idle      ", DIM), attributed.idle(found))
    if main is not None:
        yield from _prose("  method    ", DIM, attributed.method(found), look)
    yield from _words("  noise     ", [clean(one[:LONGEST]) for one in found.noise], look, most)
    remarks = attributed.remarks(found)
    for remark in remarks[: None if every else _REMARKS_SHOWN]:
        yield from _prose("  ! ", WARN, remark, look)
    if not every and len(remarks) > _REMARKS_SHOWN:
        yield span((f"    … {many(len(remarks) - _REMARKS_SHOWN, 'more remark')}", DIM))


def _last(found: Explanation, main: Effect | None, look: Look) -> Iterator[Text]:
    """The answer again, where a reader's eye is after a long report, and what to type next."""
    if main is not None:
        yield _cut(span(("  ✗ ", BAD)).append_text(_told(found, main, look.columns - 4)), look)
    if found.comparison.different:
        reference = clean(found.old.id[:100])
        yield apart(span(("  next  ", DIM), f"tracediff compare {reference}"),
                    span(("  every step that differs", DIM)), look.columns)  # fmt: skip
        if main is None:
            yield apart(span(("  next  ", DIM), f"tracediff bisect {reference}"),
                        span(("  the commit that changed it", DIM)), look.columns)  # fmt: skip


def _told(found: Explanation, main: Effect, room: int) -> Text:
    """The change, and as many of its causes as there is room for, at least the first."""
    before, after = waterfall.ends(found, main, 24)
    head = " ".join(filter(None, (f"{before} → {after}", waterfall.change(main))))
    guilty = [at for at, share in enumerate(main.shares) if share]
    names = waterfall.short_names([found.causes[at] for at in guilty[:_TOLD]])
    parts = [f"{name} {waterfall.shown(main, at)}" for name, at in zip(names, guilty, strict=False)]
    line = span(head)
    for count in range(len(parts), 0, -1):
        line = span(head)
        for at, part in enumerate(parts[:count]):
            line.append(", " if at else ", by ", style=DIM).append(part)
        if count < len(guilty):
            line.append(f" and {len(guilty) - count:,} more", style=DIM)
        if line.cell_len <= room:
            break
    return line

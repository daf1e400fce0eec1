"""The report of ``doctor --replayability``: the answer, a block a reason, and what to paste.

The first lines hold the answer; the reasons follow by how many traces each concerns; the last block
is all that is to be written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.text import Text

from tracediff.replayable import Place, Reason, Remedy, Replayability
from tracediff.reports.clean import clean
from tracediff.reports.excerpt import cut
from tracediff.reports.text.canvas import (
    BAD,
    BOLD,
    DIM,
    GOOD,
    NAME,
    NEW,
    WARN,
    Look,
    apart,
    prose,
    rule,
    span,
)
from tracediff.reports.wording import many

_REASONS: Final = 20
_PLACES: Final = 4
_SUBJECTS: Final = 3
_CAUTIONS: Final = 4
_BEHIND: Final = 8
_LONG: Final = 400


def replayability_lines(found: Replayability, look: Look) -> Iterator[Text]:
    """Yield the report.

    Args:
        found: What was found.
        look: How to draw.
    """
    fatal = [one for one in found.reasons if one.fatal]
    yield from _head(found, fatal, look)
    for at, reason in enumerate(fatal[:_REASONS], 1):
        yield span()
        yield from _reason(reason, at, look)
    if len(fatal) > _REASONS:
        yield span()
        yield span(
            (f"   … {many(len(fatal) - _REASONS, 'more reason')}; --format json has all", DIM)
        )
    others = [one for one in found.reasons if not one.fatal]
    yield from _behind([one for one in others if one.kind == "behind"], look)
    yield from _cautions([one for one in others if one.kind != "behind"], look)
    yield from _to_write(found, look)


def _head(found: Replayability, fatal: Sequence[Reason], look: Look) -> Iterator[Text]:
    exact, wrong = len(found.exact), len(found.inexact)
    glyph, style = ("✗", BAD) if wrong else ("✓", GOOD)
    said = f"{clean(found.key)}: {exact} of {many(found.checked, 'trace')} "
    said += "replays exactly" if exact == 1 and found.checked == 1 else "replay exactly"
    took = span((f"{found.seconds:,.1f} s", DIM))
    yield apart(span((f" {glyph} ", style), (said, BOLD)), took, look.columns)
    if found.steps:
        told = f"{found.reproduced:,} of {many(found.steps, 'step')} reproduced"
        yield span((f"   {told}", DIM))
    if fatal:
        first = fatal[0]
        most = many(len(first.traces), "trace")
        yield from prose(
            "   ",
            "",
            f"{many(len(fatal), 'reason')}; the first concerns {most}"
            + (f", and alone mends {first.mends:,}" if first.mends and len(fatal) > 1 else ""),
            look,
        )


def _reason(reason: Reason, number: int, look: Look) -> Iterator[Text]:
    counts = many(len(reason.traces), "trace")
    if reason.steps:
        counts += f", {many(reason.steps, 'step')}"
    yield rule(
        span((f"{number}  ", DIM), (_title(reason), BOLD)), look.columns, span((counts, WARN))
    )
    yield from prose("   ", "", _sentence(reason), look)
    for place in reason.places[:_PLACES]:
        yield _place_line(place, look)
    if len(reason.places) > _PLACES:
        yield span((f"   … and {many(len(reason.places) - _PLACES, 'more place')}", DIM))
    if reason.example:
        yield from prose("   seen  ", DIM, clean(reason.example[:_LONG]), look)
    if reason.proof:
        yield from prose("   proof ", DIM, clean(reason.proof), look)
    for at, remedy in enumerate(reason.remedies):
        yield from _remedy(remedy, "mend" if at == 0 else "or", look)
    if reason.traces:
        yield span(("   e.g.  ", DIM), f"tracediff compare {clean(reason.traces[0])}")


def _title(reason: Reason) -> str:
    return _TITLES.get(reason.kind, clean(reason.kind.replace("-", " ")))


def _sentence(reason: Reason) -> str:
    subjects = [clean(one[:_LONG]) for one in reason.subjects]
    named = [one for one in subjects if one not in reason.said]
    shown = ", ".join(named[:_SUBJECTS])
    more = f" and {len(named) - _SUBJECTS} more" if len(named) > _SUBJECTS else ""
    return f"{clean(reason.said)}: {shown}{more}" if shown else clean(reason.said)


def _place_line(place: Place, look: Look) -> Text:
    unit = clean(place.unit.rpartition(":")[2])
    line = span("   ", (f"{clean(place.file)}:{place.line}", NAME), (f" in {unit}", DIM))
    text = clean(place.text)
    room = look.columns - line.cell_len - 3
    if text and room > 20:
        line.append(f"   {cut(text, room)}", style="")
    line.truncate(look.columns, overflow="ellipsis")
    return line


def _remedy(remedy: Remedy, word: str, look: Look) -> Iterator[Text]:
    said = clean(remedy.said)
    if remedy.place is not None and remedy.lines:
        said += f" ({clean(remedy.place.file)}:{_number(remedy)})"
    yield from prose(f"   {word:<5} ", GOOD, said, look)
    for line in remedy.lines:
        shown = span("           ", (clean(line), NEW))
        shown.truncate(look.columns, overflow="ellipsis")
        yield shown
    if remedy.done:
        yield from prose("         ", DIM, "the settings have it already: the traces were "
                          "recorded before, and those from now on carry it"
                          if remedy.settings else "traces from now on carry it", look)  # fmt: skip
    if remedy.proof:
        yield from prose("         ", DIM, clean(remedy.proof), look)


def _number(remedy: Remedy) -> int:
    """The line a remedy is for: a decorator goes above the first of a function."""
    place = remedy.place
    if place is None:
        return 0
    return place.first or place.line if remedy.change == "decorator" else place.line


def _behind(reasons: Sequence[Reason], look: Look) -> Iterator[Text]:
    """What a replay that stopped did not come to."""
    if not reasons:
        return
    yield span()
    yield rule(span(("behind what stops it, perhaps", BOLD)), look.columns)
    for reason in reasons[:_BEHIND]:
        line = reason.remedies[0].lines[0] if reason.remedies and reason.remedies[0].lines else ""
        where = reason.places[0] if reason.places else None
        place = f"{clean(where.file)}:{where.line}" if where is not None else ""
        left = span("   ", (place, NAME), f"  {clean(reason.said)}")
        yield apart(left, span((clean(line), NEW)), look.columns)
    if len(reasons) > _BEHIND:
        yield span((f"   … {many(len(reasons) - _BEHIND, 'more')}; --format json has all", DIM))


def _cautions(reasons: Sequence[Reason], look: Look) -> Iterator[Text]:
    """What exact replays read all the same."""
    if not reasons:
        return
    yield span()
    title = "exact here, perhaps not on another machine"
    yield rule(span((title, BOLD)), look.columns)
    for reason in reasons[:_CAUTIONS]:
        head = f"{_sentence(reason)} ({many(len(reason.traces), 'trace')})"
        yield from prose(" ! ", WARN, head, look)
        for place in reason.places[:1]:
            yield _place_line(place, look)
        for remedy in reason.remedies[:1]:
            yield from _remedy(remedy, "mend", look)
    if len(reasons) > _CAUTIONS:
        yield span((f"   … {many(len(reasons) - _CAUTIONS, 'more')}; --format json has all", DIM))


def _to_write(found: Replayability, look: Look) -> Iterator[Text]:
    """All that is to be written, to be pasted."""
    firsts = [one.remedies[0] for one in found.reasons if one.remedies]
    edits = [one for one in firsts if one.lines and one.place is not None and not one.settings]
    edits = list({(one.place, one.lines): one for one in edits}.values())
    if not found.settings and not edits:
        return
    yield span()
    yield rule(span(("to write", BOLD)), look.columns)
    if found.settings:
        yield span(("   # pyproject.toml", DIM))
        yield span("   [tool.tracediff]")
        for line in found.settings:
            yield span("   ", (clean(line), NEW))
    for at, edit in enumerate(edits[:_REASONS]):
        place = edit.place
        if place is None:
            continue
        if at or found.settings:
            yield span()
        where = "above" if edit.change == "decorator" else "at"
        yield span((f"   # {clean(place.file)}, {where} line {_number(edit)}", DIM))
        for text in edit.lines:
            shown = span("   ", (clean(text), NEW))
            shown.truncate(look.columns, overflow="ellipsis")
            yield shown
    yield span()
    said = "then record again: traces from then on carry it, those of today stay as they are"
    yield from prose("   ", DIM, said, look)


_TITLES: Final = {
    "network": "the network",
    "program": "another program",
    "driver": "a database driver",
    "database": "a database file",
    "file": "files outside of the project",
    "file-written": "files that are written",
    "variable": "variables of the environment",
    "random": "chance",
    "numpy": "chance of numpy",
    "uuid": "ids made up",
    "secrets": "chance of the system",
    "unseeded": "a generator without a seed",
    "clock": "the clock",
    "host": "this machine",
    "status": "files that are there or not",
    "directory": "directories outside of the project",
    "global": "state between jobs",
    "cache": "a cache around an input",
    "thread": "a thread without its context",
    "hash-order": "the order of a set",
    "recorded-before": "recorded before it was an input",
    "sealed-secret": "a secret is used",
    "opaque-result": "an input's result without an exact form",
    "opaque-argument": "an argument without an exact form",
    "code-missing": "the recorded code is missing",
    "unknown-input": "an input that nothing notices",
    "replay-timeout": "too slow",
}

"""The report of ``redaction``: what would be taken out, what is sealed, what looks secret."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.text import Text

from tracediff.reports.clean import clean
from tracediff.reports.redaction import Found, Place, Trial, Verdict
from tracediff.reports.text.canvas import (
    BAD,
    BOLD,
    DIM,
    GOOD,
    NAME,
    WARN,
    Look,
    apart,
    fit,
    prose,
    rule,
    span,
)
from tracediff.reports.wording import many

_PLACES: Final = 6
_RULES: Final = 30
_HEADINGS: Final[dict[Verdict, tuple[str, str, str]]] = {
    "taken": ("✂", BAD, "would be taken out"),
    "sealed": ("●", GOOD, "taken out when it was recorded"),
    "suspected": ("?", WARN, "looks secret, and stays"),
}
_ORIGINS: Final = {"redact": "setting redact", "--rule": "--rule", "built in": "built in"}


def redaction_lines(trial: Trial, look: Look) -> Iterator[Text]:
    """Yield the report.

    Args:
        trial: What was found.
        look: How to draw.
    """
    yield from _head(trial, look)
    for verdict in _HEADINGS:
        found = [one for one in trial.found if one.verdict == verdict]
        if found:
            yield from _section(verdict, found, look)
    for pattern in trial.idle:
        yield span()
        yield from prose(" ○ ", DIM, f"{clean(pattern)} finds nothing more in these traces", look)
    if trial.left_out:
        yield span()
        said = f"{many(trial.left_out, 'more find')} in places that are not listed"
        yield from prose(" … ", DIM, said, look)
    for reason in trial.unreadable:
        yield span()
        yield from prose(" ✗ ", BAD, clean(reason), look)


def _head(trial: Trial, look: Look) -> Iterator[Text]:
    taken = [one for one in trial.found if one.verdict == "taken"]
    if not trial.traces:
        said = "none of these traces can be read" if trial.unreadable else "no traces match"
        yield span((" ○ ", DIM), (said, BOLD))
        return
    count = sum(one.count for one in taken)
    said = f"{many(count, 'place')} would be taken out" if count else "nothing more is taken out"
    glyph, style = ("✂", BAD) if count else ("✓", GOOD)
    read = f"{many(trial.traces, 'trace')}, {many(trial.steps, 'step')}"
    yield apart(span((f" {glyph} ", style), (said, BOLD)), span((read, DIM)), look.columns)


def _section(verdict: Verdict, found: Sequence[Found], look: Look) -> Iterator[Text]:
    glyph, style, title = _HEADINGS[verdict]
    yield span()
    yield rule(span((f"{glyph} ", style), (title, BOLD)), look.columns)
    for one in found[:_RULES]:
        yield from _rule(one, style, look)
    if len(found) > _RULES:
        yield span((f"   … {many(len(found) - _RULES, 'more rule')}; --format json has all", DIM))


def _rule(found: Found, style: str, look: Look) -> Iterator[Text]:
    origin = _ORIGINS.get(found.origin, "")
    name = span("   ", (clean(found.rule), style), "  ", (origin, DIM))
    yield apart(name, span((_counts(found.count, found.traces), BOLD)), look.columns)
    alone = len(found.places) == 1
    for place in found.places[:_PLACES]:
        yield _place(place, alone, look)
    if len(found.places) > _PLACES:
        yield span((f"     … and {many(len(found.places) - _PLACES, 'more place')}", DIM))
    if found.remedy is not None:
        yield span(("     to take it: ", DIM), (f'redact = ["{clean(found.remedy)}"]', NAME))


def _place(place: Place, alone: bool, look: Look) -> Text:
    where = span("     ", (clean(place.step), NAME), (" › ", DIM), clean(place.field))
    example = "" if place.example == "sealed" else clean(place.example)
    counts = "" if alone else f"{place.count:,}"
    number = fit(span((counts, DIM)), 9, right=True)
    right = span((example, DIM), "  ").append_text(number)
    return apart(where, right, look.columns)


def _counts(count: int, traces: int) -> str:
    return f"{many(count, 'place')} in {many(traces, 'trace')}"

"""The differences that were kept out of a comparison, and the certificate that says why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from tracediff.explained import Certificate
from tracediff.model import Comparison, Divergence
from tracediff.reports import excerpt
from tracediff.reports.clean import clean
from tracediff.reports.paths import path
from tracediff.reports.text.canvas import DIM, Look, span
from tracediff.reports.text.explanation import certificate_lines
from tracediff.reports.wording import many

_SHOWN = 10


def noise_lines(
    comparison: Comparison, certificate: Certificate, noise: Sequence[Divergence], look: Look
) -> Iterator[Text]:
    """Yield the certificate, and each step with what of it differs without a change."""
    yield span()
    yield from certificate_lines(certificate, look)
    if not noise:
        return
    said = many(len(noise), "step differs", "steps differ")
    yield span((f"   {said} without a change of the code, and did not count:", DIM))
    for one in noise[:_SHOWN]:
        yield span(excerpt.cut(f"     {noise_said(comparison, one)}", look.columns))
    if len(noise) > _SHOWN:
        yield span((f"     … and {len(noise) - _SHOWN:,} more", DIM))


def noise_said(comparison: Comparison, one: Divergence) -> str:
    """Return where a difference that did not count is, and what it is."""
    steps = comparison.new.steps if one.new is not None else comparison.old.steps
    index = one.new if one.new is not None else (one.old or 0)
    where = clean(path(steps, index)) or "the job itself"
    for aspect, changes in one.changes.items():
        for each in changes[:1]:
            field = ".".join([aspect, *map(str, each.path)])
            return f"{where}: {clean(field)}  {excerpt.short(each.old)} → {excerpt.short(each.new)}"
    return f"{where}: {', '.join(one.aspects) or one.kind}"

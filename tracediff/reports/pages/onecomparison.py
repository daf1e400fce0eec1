"""A comparison as a page in one file: all its lines, and both sides of as many as there is room."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import Any, Final

from tracediff.explained import Certificate
from tracediff.model import Comparison, Divergence, Tolerance
from tracediff.reports import excerpt
from tracediff.reports.clean import clean
from tracediff.reports.pages import comparelines, comparemap, packed, pieces, valuetree
from tracediff.reports.pages.aligned import Aligned, aligned
from tracediff.reports.pages.comparelayout import Layout, is_change, layout
from tracediff.reports.pages.comparepair import PairView, numbers, pair_view
from tracediff.reports.pages.compareview import compare_view
from tracediff.reports.pages.explainview import certificate_view
from tracediff.reports.pages.onefile import one_file
from tracediff.reports.pages.templating import render
from tracediff.reports.text.comparison import sides
from tracediff.reports.text.noise import noise_said
from tracediff.reports.wording import many

_NOISE: Final = 50
_WIDEST: Final = 400


def comparison_html(
    comparison: Comparison,
    *,
    now: int,
    accepted: Sequence[tuple[Tolerance, str]] = (),
    certificate: Certificate | None = None,
    noise: Sequence[Divergence] = (),
) -> str:
    """Return a comparison as a page in one file.

    Args:
        comparison: Both traces, and what differs.
        now: The time that ages are counted from, in nanoseconds since the epoch.
        accepted: The tolerances it was made with, and how much drift each accepted, in words.
        certificate: How far the recorded code reproduces the recording, if that was asked.
        noise: What differs without a change of the code, and was left out.
    """
    found = layout(aligned(comparison))
    said = [excerpt.cut(noise_said(comparison, one), _WIDEST) for one in noise[:_NOISE]]
    if len(noise) > _NOISE:
        said.append(f"… and {len(noise) - _NOISE:,} more")
    differs = many(len(noise), "step differs", "steps differ")
    return one_file(
        "compare.html",
        view=compare_view(found, now=now, accepted=accepted),
        linked=False,
        start=None,
        certificate=None if certificate is None else certificate_view(certificate),
        noise=said,
        noise_says=f"{differs} without a change of the code, and did not count:",
        **compared(found),
    )


def compared(found: Layout) -> dict[str, Any]:
    """Return what a page in one file gives its templates for the lines of a comparison."""
    shown = found.aligned
    heads = sides(shown.comparison)
    command = _shows(shown)

    def made(at: int) -> str:
        view = pair_view(shown, at, heads)
        return render("comparepair.html", pair=view, whole="" if _complete(view) else command(at))

    held = packed.details(_ranks(shown), made, command)
    total = found.shape.total
    lines, islands = packed.filled(
        [
            pieces.Piece(first=span.start, count=len(span), **pieces.known(found.shape, span))
            for span in pieces.spans(total)
        ],
        lambda span: comparelines.rows(found, span, None, held),
        f"Steps of {shown.comparison.old.key}, both sides",
    )
    return {
        "lines": lines,
        "counts": found.counts,
        "levels": max(found.shape.depths, default=0) + 1,
        "minimap": comparemap.minimap(found),
        "left": held.left,
        "islands": (*islands, *held.islands),
    }


def _ranks(found: Aligned) -> tuple[list[int], list[int], list[int]]:
    """What differs and what that is in, then what else differs, then all others."""
    first: set[int] = set()
    above: list[int] = []
    for at, depth in enumerate(found.depth):
        while above and found.depth[above[-1]] >= depth:
            above.pop()
        if is_change(found, at):
            first.update(above)
            first.add(at)
        above.append(at)
    rest = [at for at in range(len(found)) if at not in first]
    return (
        sorted(first),
        [at for at in rest if found.divergence[at] is not None],
        [at for at in rest if found.divergence[at] is None],
    )


def _shows(found: Aligned) -> Callable[[int], str]:
    """What shows a step of a pair; where steps were left out, its trace has them by other numbers.

    A replay is not stored: of what only it has, the comparison is made again.
    """
    old, new = found.comparison.old, found.comparison.new
    stored = [clean(one.id) if one.replay is None else "" for one in (old, new)]
    of = old.replay.of if old.replay else old.id

    def command(at: int) -> str:
        for name, number in zip(stored, numbers(found, at), strict=True):
            if name and number is not None:
                step = "" if found.comparison.remarks else f" --step {number}"
                return f"tracediff show {shlex.quote(name)}{step}"
        return f"tracediff compare {shlex.quote(clean(of))} --all"

    return command


def _complete(view: PairView) -> bool:
    values = [one for part in view.parts for one in (part.old, part.new) if one is not None]
    return all(valuetree.complete(one.node) for one in values)

"""A comparison from above: where in its lines something differs, and why, as a picture."""

from __future__ import annotations

from typing import Final

from tracediff.reports.markup import Markup, element
from tracediff.reports.pages.comparelayout import Layout, named
from tracediff.reports.pages.minimap import LEAST

_WIDTH: Final = 44
_ROWS: Final = 400
_HEIGHT: Final = 800
_LANES: Final[tuple[tuple[str, ...], ...]] = (
    ("origin", "mixed", "hidden input"),
    ("added", "removed", "moved", "renamed", "reordered"),
    ("propagated", "absorbed", "unproven", "clock", "within tolerance"),
)


def minimap(found: Layout) -> Markup | None:
    """Return the picture: causes at the left, what came, went or moved, and effects at the right.

    Each lane has at most 400 marks, however many lines there are; a short list needs none.
    """
    total = len(found.entries)
    if total < LEAST:
        return None
    rows = min(_ROWS, total)
    wide = (_WIDTH - 4) // len(_LANES)
    marks = []
    for lane, facets in enumerate(_LANES):
        taken: set[int] = set()
        for facet in facets:
            at = {line * rows // total for line in found.shape.labels.get(named(facet), ())}
            marks += [(lane, row, facet) for row in sorted(at - taken)]
            taken |= at
    high = _HEIGHT / rows
    drawn = [
        element("rect", {
            "class": f"of-{named(facet)}", "x": 2 + lane * wide, "y": f"{row * high:.1f}",
            "width": wide - 2, "height": f"{max(high, 3):.1f}",
        })
        for lane, row, facet in marks
    ]  # fmt: skip
    view = element("rect", {"class": "view", "x": 0, "y": 0, "width": _WIDTH, "height": 10})
    box = f"0 0 {_WIDTH} {_HEIGHT}"
    given = {"viewBox": box, "preserveAspectRatio": "none", "aria-hidden": "true"}
    picture = element("svg", given, drawn, view)
    return element("div", {"class": "minimap"}, picture)

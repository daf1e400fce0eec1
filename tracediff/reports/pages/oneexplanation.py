"""An explanation as a page in one file, with all steps of both sides below it."""

from __future__ import annotations

from tracediff.explained import Explanation
from tracediff.reports.pages.aligned import aligned
from tracediff.reports.pages.comparelayout import layout
from tracediff.reports.pages.explainview import explain_view
from tracediff.reports.pages.onecomparison import compared
from tracediff.reports.pages.onefile import one_file


def explanation_html(found: Explanation) -> str:
    """Return an explanation as a page in one file."""
    lines = layout(aligned(found.comparison))

    def link(index: int) -> str | None:
        at = lines.aligned.line_of(None, index)
        return None if at is None else f"#line-{lines.line[at]}"

    view = explain_view(found, link=link)
    return one_file("explain.html", view=view, linked=False, **compared(lines))

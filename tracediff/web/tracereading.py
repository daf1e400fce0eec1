"""What the routes of a trace keep of the last traces that were looked at."""

from __future__ import annotations

import functools
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request

from tracediff.model import Trace
from tracediff.reports import excerpt
from tracediff.reports.markup import Markup
from tracediff.reports.pages import linesearch, stepview, traceview
from tracediff.web.kept import BUDGET, Kept, Turns, weight
from tracediff.web.site import Site

_TRACES: Final = 8
_PIECES: Final = 16  # of at most some hundred KB; the values in a line cost more than its markup
_VALUES: Final = 8
_VALUES_BUDGET: Final = 16 << 20
"""Encoded bytes; what they become in memory is several times as much."""
_WORTH_KEEPING: Final = 32 * 1024
_LONGEST_NUMBER: Final = 12


class _Read:
    """A trace and what was worked out for its pages: they are kept, and let go, together."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.pieces: Kept[int, Markup] = Kept(_PIECES)
        self.values: Kept[tuple[int, str], object] = Kept(_VALUES, _VALUES_BUDGET)

    @functools.cached_property
    def layout(self) -> traceview.Layout:
        return traceview.layout(self.trace)

    @functools.cached_property
    def texts(self) -> linesearch.LineTexts:
        return linesearch.LineTexts(self.trace)


class Reading:
    """Reads traces for their pages, and keeps what was worked out for them.

    A trace is kept as long as it is the same one: one that still runs is read anew each time.
    """

    def __init__(self, site: Site) -> None:
        self.site = site
        self._kept: Kept[str, _Read] = Kept(_TRACES, BUDGET)
        self._turns = Turns()

    def _read(self, trace: Trace) -> _Read:
        found = self._kept.get(trace.id)
        if found is None or found.trace is not trace:
            found = _Read(trace)
            self._kept.put(trace.id, found, weight(trace))
        return found

    def trace(self, request: Request) -> Trace:
        """The trace that a request's address names."""
        return self.site.trace(request.path_params["id"])

    def layout(self, trace: Trace) -> traceview.Layout:
        """How its lines nest."""
        with self._turns.of(trace.id):
            return self._read(trace).layout

    def rows(self, trace: Trace, span: range) -> Markup:
        """The markup of one piece of its lines."""
        read = self._read(trace)
        found = read.pieces.get(span.start)
        if found is None:
            found = traceview.rows(trace, self.layout(trace), span)
            read.pieces.put(span.start, found)
        return found

    def texts(self, trace: Trace) -> linesearch.LineTexts:
        """The texts of its lines."""
        return self._read(trace).texts

    def step(self, request: Request, trace: Trace) -> int:
        """The number of the step that a request's address names."""
        found = number(request.path_params["step"])
        if found >= len(trace.steps):
            raise HTTPException(404, f"this trace has {len(trace.steps) - 1:,} lines")
        return found

    def value(self, trace: Trace, at: int, aspect: stepview.AspectName) -> object:
        """The inert form of one of its values; large ones are kept for the next level."""
        value = stepview.value_of(trace.steps[at], aspect)
        if value is None:
            raise HTTPException(404, "this step has no such value")
        if len(value.data) <= _WORTH_KEEPING:
            return excerpt.seen(value)
        read = self._read(trace)
        found = read.values.get((at, aspect))
        if found is None:
            found = excerpt.seen(value)
            read.values.put((at, aspect), found, len(value.data))
        return found


def number(text: str) -> int:
    """Read a number of a request.

    Raises:
        HTTPException: It is none.
    """
    if not (text.isascii() and text.isdecimal() and len(text) < _LONGEST_NUMBER):
        raise HTTPException(400, "this is not a number")
    return int(text)

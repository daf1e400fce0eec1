"""``/trace/ID``: one trace; its lines in pieces, its steps, values and artifacts one at a time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tracediff.model import UNFINISHED, Query, Row, Trace
from tracediff.reports import excerpt
from tracediff.reports.pages import (
    artifactview,
    linesearch,
    pieces,
    stepview,
    tracefront,
    traceview,
)
from tracediff.web import artifacts, tracevalues
from tracediff.web.site import Site
from tracediff.web.tracereading import Reading, number

_INLINE: Final = 2
_SECONDS: Final = 1.5
_LONGEST_SEARCH: Final = 200
_BEFORE: Final = 100
_ROWS: Final = 400
"""Lines that are sent with what has grown; the others are asked for where they are looked at."""
_KEY: Final = 200


def routes(site: Site) -> list[BaseRoute]:
    """The routes of a trace."""
    reading = Reading(site)
    page = _TracePage(reading)
    return [
        Route("/trace/{id}", page.shown),
        Route("/trace/{id}/lines", page.lines),
        Route("/trace/{id}/growth", page.growth),
        Route("/trace/{id}/find", page.found),
        Route("/trace/{id}/step/{step}", page.step),
        *tracevalues.routes(reading),
        *artifacts.routes(reading),
    ]


class _TracePage:
    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._site = reading.site

    def shown(self, request: Request) -> Response:
        """The page, with the pieces around the line that is asked for."""
        row = self._site.row(request.path_params["id"])
        trace = self._reading.trace(request)
        found = self._reading.layout(trace)
        first = pieces.span_of(number(request.query_params.get("from", "0")), found.shape.total)
        return self._site.page(
            request,
            "trace.html",
            linked=True,
            live=trace.state == "running",
            parts=row.parts,
            lines=self._lines(trace, first.start),
            map=found.minimap,
            **self._before(trace, row.parts, found),
        )

    def _before(
        self, trace: Trace, parts: int, found: traceview.Layout, *, beside: bool = True
    ) -> dict[str, Any]:
        """What stands before the lines; what lies ``beside`` the trace is looked for."""
        previous, quiet = self._previous(trace) if beside else None, self._site.quiet
        return {
            "front": tracefront.front(trace, time.time_ns(), previous, parts=parts, quiet=quiet),
            "artifacts": [
                artifactview.listed(at, one)
                for at, one in enumerate(trace.artifacts[: artifactview.LISTED])
            ],
            "more_artifacts": max(len(trace.artifacts) - artifactview.LISTED, 0),
            "found": found,
        }

    def growth(self, request: Request) -> Response:
        """What came of a live trace since so many parts and lines of it were shown."""
        parts = number(request.query_params.get("parts", "0"))
        shown = number(request.query_params.get("lines", "0"))
        watched = self._site.watch(request.path_params["id"], parts)
        trace, known = watched.trace, watched.parts
        found = self._reading.layout(trace)
        again = watched.lines is None or shown > len(trace.steps)
        lines = () if watched.lines is None else watched.lines
        grown = known != parts or trace.state != "running"
        return self._site.fragment(
            "tracegrowth.html",
            linked=True,
            parts=known,
            took=trace.duration // 10**6,
            total=len(trace.steps),
            again=again,
            grown=grown and not again,
            lines=self._grown(trace, found, sorted({*lines, *range(shown, len(trace.steps))})),
            rows=traceview.rows(trace, found, sorted(lines)[:_ROWS]),
            **self._before(trace, known, found, beside=grown),
        )

    def _grown(self, trace: Trace, found: traceview.Layout, lines: Sequence[int]) -> pieces.Lines:
        """The pieces that hold some lines, with nothing in them."""
        touched = {one // pieces.SIZE for one in lines}
        return pieces.Lines(
            label=f"Lines of {excerpt.cut(trace.key, _KEY)}",
            total=len(trace.steps),
            pieces=tuple(found.pieces[one] for one in sorted(touched)),
        )

    def _previous(self, trace: Trace) -> Row | None:
        """The trace of this very key before this one, of the same arguments if there is one."""
        query = Query(key=trace.key, until=trace.started_at, limit=_BEFORE)
        found = self._site.project.search(query).rows
        rows = [row for row in found if row.key == trace.key and row.state not in UNFINISHED]
        alike = [row for row in rows if row.meta == trace.meta]
        return next(iter(alike or rows), None)

    def lines(self, request: Request) -> Response:
        """One piece of the lines."""
        trace = self._reading.trace(request)
        asked = number(request.query_params.get("from", "0"))
        return HTMLResponse(self._reading.rows(trace, pieces.span_of(asked, len(trace.steps))))

    def found(self, request: Request) -> Response:
        """The numbers of the lines that hold a text."""
        wanted = request.query_params.get("q", "").strip()[:_LONGEST_SEARCH]
        trace = self._reading.trace(request)
        found = linesearch.Found(())
        if wanted:
            found = self._reading.texts(trace).find(wanted, _SECONDS)
        return JSONResponse({"lines": found.lines, "said": found.said, "more": found.more})

    def step(self, request: Request) -> Response:
        """One step in full."""
        trace = self._reading.trace(request)
        at = self._reading.step(request, trace)
        view = stepview.step_view(
            trace,
            at,
            lambda aspect: self._reading.value(trace, at, aspect),
            tracevalues.value_address(trace.id, at),
            tracevalues.find_address(trace.id, at),
        )
        return self._site.fragment("tracestep.html", view=view)

    def _lines(self, trace: Trace, first: int) -> pieces.Lines:
        inline = range(first, first + _INLINE * pieces.SIZE)
        rows = self._reading.rows
        return pieces.Lines(
            label=f"Lines of {excerpt.cut(trace.key, _KEY)}",
            total=len(trace.steps),
            find=f"/trace/{trace.id}/find",
            pieces=tuple(
                replace(one, body=rows(trace, range(one.first, one.first + one.count)))
                if one.first in inline
                else one
                for one in self._reading.layout(trace).pieces
            ),
        )

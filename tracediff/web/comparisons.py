"""``/compare/OLD/NEW``: two traces side by side; ``/compare/ID``: a trace and its replay.

Two stored traces are compared when somebody looks; no code runs. A replay is a run
(``web.runs``), whose comparison goes by the name ``ID/run-NAME``: its parts stay those of one run
when another one is started.
"""

from __future__ import annotations

import functools
import json
import threading
import time
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tracediff.expectations.limits import used_in_words
from tracediff.model import UNFINISHED, Query, Row
from tracediff.reports import excerpt
from tracediff.reports.markup import Markup
from tracediff.reports.pages import comparelines, pieces, stepview, valuetree
from tracediff.reports.pages.aligned import Aligned, aligned
from tracediff.reports.pages.comparelayout import Layout, layout
from tracediff.reports.pages.comparemap import minimap
from tracediff.reports.pages.comparepair import numbers, pair_view
from tracediff.reports.pages.compareview import compare_view
from tracediff.reports.text.comparison import sides
from tracediff.web import runs
from tracediff.web.kept import BUDGET, Kept, Turns, weight
from tracediff.web.running import Run, Say, Subject
from tracediff.web.site import Site
from tracediff.web.tracereading import number

_RUN: Final = "run-"
_INLINE: Final = 2
_PIECES: Final = 64
_DRAWINGS: Final = 8
_AT_ONCE: Final = 2
_PATIENCE: Final = 5.0
_SECONDS: Final = 0.5
_HITS: Final = 10_000
_LONGEST: Final = 200
_OTHERS: Final = 9
_KEY: Final = 200


_OPTIONS: Final = {"on-miss": ("nearest", "stub"), "deep": ("1",)}
"""How a trace is replayed, where it is not as always; ``live`` is for who sits at the machine."""


def routes(site: Site) -> list[BaseRoute]:
    """The routes of comparisons."""
    drawn = _Drawn(site)
    two, replayed = _ComparePage(site, drawn), _ReplayPage(site, drawn)
    return [
        Route("/compare/{old}", replayed.shown),
        Route("/compare/{old}/run", replayed.started, methods=["POST"]),
        Route("/compare/{old}/{new}", two.shown),
        Route("/compare/{old}/{new}/lines", two.lines),
        Route("/compare/{old}/{new}/find", two.find),
        Route("/compare/{old}/{new}/pair/{at}", two.pair),
        Route("/compare/{old}/{new}/pair/{at}/{side}/{aspect}", two.value),
    ]


class _Drawing:
    """A comparison and what was drawn of it: they are kept, and let go, together."""

    def __init__(self, found: Layout, address: str) -> None:
        self.found = found
        self.address = address
        self.pieces: Kept[int, Markup] = Kept(_PIECES)

    @functools.cached_property
    def frame(self) -> tuple[pieces.Lines, Markup | None]:
        """The lines with none of them filled, and the picture of all."""
        return _lines(self.found, self.address), minimap(self.found)


class _Drawn:
    """The pages of comparisons, whose lines are the same markup each time they are asked for."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._drawings: Kept[str, _Drawing] = Kept(_DRAWINGS, BUDGET)

    def page(self, request: Request, found: Layout, address: str, **given: Any) -> Response:
        """Answer with the page of a comparison.

        Args:
            request: What is answered; its ``from`` is a line whose piece is in the page.
            found: The comparison.
            address: Where its parts are to be had.
            given: What else the template uses.
        """
        tolerances = self._site.project.config.tolerances
        accepted = used_in_words(found.aligned.comparison, tolerances)
        lines, picture = self._drawing(found, address).frame
        first = pieces.span_of(_number(request), found.shape.total).start
        inline = range(first, first + _INLINE * pieces.SIZE)
        filled = tuple(
            replace(one, body=self.rows(found, one.first, address)) if one.first in inline else one
            for one in lines.pieces
        )
        return self._site.page(
            request,
            "compare.html",
            view=compare_view(found, now=time.time_ns(), accepted=accepted),
            linked=True,
            why=_explained(found),
            lines=replace(lines, pieces=filled),
            counts=found.counts,
            levels=max(found.shape.depths, default=0) + 1,
            minimap=picture,
            islands=(),
            **{"start": None, "stale": False, "ways": (), **given},
        )

    def rows(self, found: Layout, line: int, address: str) -> Markup:
        """The markup of the piece that holds a line."""
        span = pieces.span_of(line, found.shape.total)
        kept = self._drawing(found, address).pieces
        rows = kept.get(span.start)
        if rows is None:
            rows = comparelines.rows(found, span, address)
            kept.put(span.start, rows)
        return rows

    def _drawing(self, found: Layout, address: str) -> _Drawing:
        drawing = self._drawings.get(address)
        if drawing is None or drawing.found is not found:
            drawing = _Drawing(found, address)
            comparison = found.aligned.comparison
            both = weight(comparison.old) + weight(comparison.new)
            self._drawings.put(address, drawing, both)
        return drawing


class _ReplayPage:
    """A trace against its replay on the code as it is now."""

    def __init__(self, site: Site, drawn: _Drawn) -> None:
        self._site = site
        self._drawn = drawn

    def shown(self, request: Request) -> Response:
        """The comparison, how far it is, or what starts it."""
        row = self._site.finished_row(request.path_params["old"])
        subject = _subject(row, request)
        run, start = self._site.runs.latest(subject), _start(row, subject)
        if run is None:
            near = self._site.project.search(Query(key=row.key, limit=_OTHERS)).rows
            others = [one for one in near if one.id != row.id and one.state not in UNFINISHED]
            others.sort(key=lambda one: one.meta != row.meta)  # those of the same arguments first
            return self._site.page(request, "comparestart.html", run=None, start=start, row=row,
                                   others=others)  # fmt: skip
        if run.standing != "done":
            return runs.shown(self._site, request, run, start)
        found: Layout = run.result
        return self._drawn.page(
            request, found, f"/compare/{row.id}/{_RUN}{run.name}", start=start,
            stale=run.code != runs.state(self._site), ways=_ways(row, subject, found),
            around=_around(row),
        )  # fmt: skip

    def started(self, request: Request) -> Response:
        """Replay it, and lead to the page that shows how far that is."""
        site, row = self._site, self._site.finished_row(request.path_params["old"])
        subject = _subject(row, request)
        chosen: dict[str, Any] = dict(subject.options)

        def work(say: Say) -> Layout:
            comparison = site.project.compare(
                site.trace(row.id),
                on_miss=chosen.get("on-miss", "fail"),
                deep="deep" in chosen,
                progress=say,
            )
            return layout(aligned(comparison))

        return runs.begin(site, subject, f"/compare/{row.id}{_asked(subject)}", work)


def _subject(row: Row, request: Request) -> Subject:
    given = request.query_params
    options = tuple(
        (name, given[name]) for name, known in _OPTIONS.items() if given.get(name) in known
    )
    return Subject(kind="compare", id=row.id, options=options)


def _asked(subject: Subject) -> str:
    """The options as the query of an address."""
    chosen = "&".join(f"{name}={value}" for name, value in subject.options)
    return f"?{chosen}" if chosen else ""


def _start(row: Row, subject: Subject) -> runs.Start:
    chosen = "".join(
        " --deep" if name == "deep" else f" --{name} {value}" for name, value in subject.options
    )
    return runs.Start(
        title=f"Compare {runs.called(row)} with its replay",
        command=f"tracediff compare {row.id}{chosen}",
        action=f"/compare/{row.id}/run{_asked(subject)}",
        label="Replay and compare",
        back=_around(row),
        key=runs.key_of(row),
        told=(
            "The job runs once, on the code as it is now and with its recorded inputs.",
            "It reads and writes nothing outside.",
        ),
    )


def _around(row: Row) -> tuple[tuple[str, str], ...]:
    """The pages around a comparison with a replay."""
    return ((f"/trace/{row.id}", "Trace"), ("", "Compare"), (f"/explain/{row.id}", "Explain"))


def _ways(row: Row, subject: Subject, found: Layout) -> tuple[tuple[str, str], ...]:
    """Addresses of the other ways to replay it, with what their buttons say."""
    chosen, replay = dict(subject.options), found.aligned.comparison.new.replay
    ways = [("Replay again", chosen)]
    if "deep" not in chosen:
        ways.append(("Every function a step", {**chosen, "deep": "1"}))
    if "on-miss" not in chosen and replay is not None and replay.misses:
        ways.append(("Answer misses with the nearest recording", {**chosen, "on-miss": "nearest"}))
    return tuple(
        (f"/compare/{row.id}/run{_asked(replace(subject, options=tuple(some.items())))}", says)
        for says, some in ways
    )


class _ComparePage:
    """Two stored traces, and the parts of any comparison."""

    def __init__(self, site: Site, drawn: _Drawn) -> None:
        self._site = site
        self._drawn = drawn
        self._turns = Turns()
        self._room = threading.BoundedSemaphore(_AT_ONCE)

    def _found(self, request: Request) -> Layout:
        """The comparison that a request names; one that many ask for is made once."""
        old, new = request.path_params["old"], request.path_params["new"]
        if new.startswith(_RUN):
            return _of_run(self._site.runs.get(new.removeprefix(_RUN)), old)
        name = f"{old}/{new}"
        found = self._site.comparisons.get(name)
        if found is not None:
            return found
        with self._turns.of(name):
            return self._site.comparisons.get(name) or self._made(name, old, new)

    def _made(self, name: str, old: str, new: str) -> Layout:
        if not self._room.acquire(timeout=_PATIENCE):
            # Who waits holds a thread, and other pages need those too.
            raise HTTPException(503, "this server compares as much as it may; ask again in a while")
        try:
            traces = self._site.trace(old), self._site.trace(new)
            found = layout(aligned(self._site.project.compare(*traces)))
        finally:
            self._room.release()
        self._site.comparisons.put(name, found, sum(map(weight, traces)))
        return found

    def shown(self, request: Request) -> Response:
        """The page of a comparison."""
        return self._drawn.page(request, self._found(request), _place(request))

    def lines(self, request: Request) -> Response:
        """One piece of the lines."""
        found = self._found(request)
        return HTMLResponse(self._drawn.rows(found, _number(request), _place(request)))

    def pair(self, request: Request) -> Response:
        """One pair in full."""
        found, at = self._pair(request)
        base, comparison = _place(request), found.comparison
        stored = None if comparison.new.replay else (
            len(self._site.trace(comparison.old.id).steps),
            len(self._site.trace(comparison.new.id).steps),
        )  # fmt: skip

        def address(side: str) -> stepview.ValueAddress:
            return _value_address(f"{base}/pair/{at}/{side}")

        view = pair_view(found, at, sides(comparison), address=address, stored=stored)
        return self._site.fragment("comparepair.html", pair=view)

    def value(self, request: Request) -> Response:
        """One level of a value of a pair."""
        found, at = self._pair(request)
        side, asked = request.path_params["side"], request.path_params["aspect"]
        aspect = next((known for known in stepview.ASPECTS if known == asked), None)
        old, new = numbers(found, at)
        step = (
            found.comparison.old.steps[old] if side == "old" and old is not None
            else found.comparison.new.steps[new] if side == "new" and new is not None else None
        )  # fmt: skip
        value = stepview.value_of(step, aspect) if step is not None and aspect is not None else None
        if value is None or aspect is None:
            raise HTTPException(404, "this step has no such value")
        try:
            path = valuetree.read_path(request.query_params.get("path", "[]"))
            inner = valuetree.descend(excerpt.seen(value), path)
        except valuetree.PathError as error:
            raise HTTPException(400, f"{error}") from error
        address = _value_address(f"{_place(request)}/pair/{at}/{side}")
        level = valuetree.level(inner, path, _number(request), lambda *to: address(aspect, *to))
        return self._site.fragment("tracevalue.html", level=level)

    def _pair(self, request: Request) -> tuple[Aligned, int]:
        found, at = self._found(request).aligned, number(request.path_params["at"])
        if at >= len(found):
            raise HTTPException(404, "there is no such line")
        return found, at

    def find(self, request: Request) -> Response:
        """The lines that hold a text: by all names, and by what half a second is enough for."""
        found = self._found(request)
        wanted = request.query_params.get("q", "")[:_LONGEST].casefold()
        if not wanted:
            return JSONResponse({"lines": [], "said": ""})
        hits, said = set(comparelines.named(found, wanted)), ""
        until = time.monotonic() + _SECONDS
        for line in range(found.shape.total):
            if len(hits) >= _HITS or (line % 50 == 0 and time.monotonic() > until):
                said = f"values searched up to line {line:,} of {found.shape.total:,}"
                break
            if any(wanted in one.casefold() for one in comparelines.texts(found, line)):
                hits.add(line)
        return JSONResponse({"lines": sorted(hits)[:_HITS], "said": said})


def _of_run(run: Run | None, id: str) -> Layout:
    if run is None or run.standing != "done" or run.subject.kind != "compare":
        raise HTTPException(404, "this comparison is not kept any more: replay the trace again")
    if run.subject.id != id:
        raise HTTPException(404, "this is no comparison of that trace")
    found: Layout = run.result
    return found


def _lines(found: Layout, address: str) -> pieces.Lines:
    total = found.shape.total
    return pieces.Lines(
        label=f"Steps of {excerpt.cut(found.aligned.comparison.old.key, _KEY)}, both sides",
        total=total,
        find=f"{address}/find",
        pieces=tuple(
            pieces.Piece(
                first=span.start,
                count=len(span),
                source=f"{address}/lines?from={span.start}",
                body=None,
                plain=f"{address}?from={span.start}",
                **pieces.known(found.shape, span),
            )
            for span in pieces.spans(total)
        ),
    )


def _explained(found: Layout) -> str:
    """The address of the page that says why the results differ; nothing where they do not."""
    comparison = found.aligned.comparison
    if not comparison.different:
        return ""
    other = "" if comparison.new.replay is not None else f"?other={comparison.new.id}"
    return f"/explain/{comparison.old.id}{other}"


def _value_address(base: str) -> stepview.ValueAddress:
    def address(aspect: str, path: valuetree.Path, start: int) -> str:
        place = quote(json.dumps(path, separators=(",", ":")), safe="[],")
        return f"{base}/{aspect}?path={place}{f'&from={start}' if start else ''}"

    return address


def _place(request: Request) -> str:
    return f"/compare/{request.path_params['old']}/{request.path_params['new']}"


def _number(request: Request) -> int:
    return number(request.query_params.get("from", "0"))

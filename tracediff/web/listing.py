"""``/``: the traces, newest first, with what a range of them is like; its parts below ``/list``."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from tracediff.errors import StoreError
from tracediff.model import UNFINISHED, Page, Query, Row
from tracediff.reports import excerpt
from tracediff.reports.pages import listcharts, listview
from tracediff.stores.base import Counting
from tracediff.surveying import Survey, survey
from tracediff.web import completing
from tracediff.web.asking import Reading, integer, read
from tracediff.web.kept import Kept
from tracediff.web.refusals import refused
from tracediff.web.site import Site

_FRESH: Final = 8.0
"""Seconds for which pictures and samples are shown again instead of made again."""

_SURVEYS: Final = 2
_PATIENCE: Final = 20.0
_LATE: Final = 60 * 10**9
"""Nanoseconds by which a row may come later than younger ones: its host wrote it later."""

_NEW: Final = 200
_WATCHED: Final = 50
_BEFORE: Final = 100
_TYPED: Final = 300
_ONLY: Final = 1.0

T = TypeVar("T")


def routes(site: Site) -> list[BaseRoute]:
    """The routes of the list."""
    page = _List(site)
    return [
        Route("/", page.shown),
        Route("/list/new", page.new),
        Route("/list/overview", page.overview),
        Route("/list/complete", page.complete),
        Route("/list/before/{id}", page.before),
    ]


class _Fresh(Kept[listview.Asked, tuple[float, T]]):
    """What was found for a search, made again after some seconds: "1h" is another time then."""

    def of(self, asked: listview.Asked, make: Callable[[], T]) -> T:
        found = self.get(asked)
        if found is None or time.monotonic() - found[0] > _FRESH:
            found = (time.monotonic(), make())
            self.put(asked, found)
        return found[1]


class _List:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._surveys: _Fresh[Survey] = _Fresh(32)
        self._samples: _Fresh[tuple[Row, ...]] = _Fresh(32)
        self._turns = threading.BoundedSemaphore(_SURVEYS)

    def shown(self, request: Request) -> Response:
        """The page."""
        reading = read(request.query_params)
        typed = request.query_params.get("q", "").strip()[:_TYPED]
        if reading.problems:
            return self._page(request, reading, typed=typed, status=400)
        try:
            if typed:
                return self._typed(request, reading, typed)
            found = self._search(reading.query)
        except StoreError as error:
            shown = refused(error)
            return self._page(request, reading, typed=typed, status=shown.status, trouble=shown)
        return self._page(request, reading, found)

    def _typed(self, request: Request, reading: Reading, typed: str) -> Response:
        """Lead to what was typed into the box and sent."""
        store = self._site.project.store
        address = completing.chosen(typed, reading.asked, store.search, store.find)
        if address:
            return RedirectResponse(address, 303)
        wrong = replace(reading, problems={"q": f"nothing is called {excerpt.cut(typed, 80)!r}; "
                                           "write a KEY or a part of one, #TAG, NAME=VALUE or an "
                                           "id"})  # fmt: skip
        return self._page(request, wrong, typed=typed, status=400)

    def _page(
        self,
        request: Request,
        reading: Reading,
        page: Page | None = None,
        *,
        typed: str = "",
        status: int = 200,
        **given: Any,
    ) -> Response:
        asked, query = reading.asked, reading.query
        rows = page.rows if page else ()
        searched = page is not None
        more = {"at": str(reading.at)}
        later = asked.address(cursor=page.cursor, **more) if page and page.cursor else ""
        return self._site.page(
            request,
            "list.html",
            status=status,
            asked=asked,
            controls=listview.controls(asked),
            problems=reading.problems,
            typed=typed,
            entries=listview.entries(rows, asked, time.time_ns(), self._site.quiet),
            more=False,
            first=reading.first,
            later=later,
            newest=asked.address(),
            overview=asked.address("/list/overview") if rows and reading.first else "",
            live=self._live(reading, rows) if searched else "",
            enabled=self._site.project.config.enabled,
            drops=self._drops(query, asked) if searched and not rows and asked.filtered else (),
            **({"trouble": None, "searched": searched} | given),
        )

    def _live(self, reading: Reading, rows: Sequence[Row]) -> str:
        """Where new rows come from; nowhere on a page that none can come to."""
        if not reading.first or (reading.query.until or reading.at + 1) <= reading.at:
            return ""
        return reading.asked.address("/list/new")

    def _drops(self, query: Query, asked: listview.Asked) -> tuple[listview.Link, ...]:
        """The filters without which there would be traces."""
        until = time.monotonic() + _ONLY
        found = []
        for name, other in asked.without():
            if time.monotonic() > until:
                break
            if self._search(_less(query, asked, other)).rows:
                found.append(listview.Link(excerpt.cut(name, 80), other.address()))
        return tuple(found)

    def new(self, request: Request) -> Response:
        """Rows that came since, and those of the given ids as they are now."""
        reading = self._read(request)
        newest = integer(request.query_params.get("newest", ""))
        since = [one for one in (reading.query.since, newest and newest - _LATE) if one is not None]
        query = replace(reading.query, since=max(since, default=None), limit=_NEW, cursor=None)
        page = self._search(query)
        rows = {row.id: row for row in page.rows}
        for one in request.query_params.getlist("id")[:_WATCHED]:
            if one not in rows and one.isascii() and one.isalnum():
                rows |= {row.id: row for row in self._site.project.store.find(one) if row.id == one}
        shown = sorted(rows.values(), key=lambda row: (row.started_at, row.id), reverse=True)
        found = listview.entries(shown, reading.asked, time.time_ns(), self._site.quiet)
        return self._site.fragment(
            "listrows.html", entries=found, asked=reading.asked, more=page.cursor is not None
        )

    def overview(self, request: Request) -> Response:
        """The pictures."""
        reading = self._read(request)
        asked, query = reading.asked, reading.query
        found = self._surveys.of(asked, lambda: self._survey(query, reading.at))
        return self._site.fragment("listoverview.html", view=_overview(found, asked), asked=asked)

    def _survey(self, query: Query, now: int) -> Survey:
        if not self._turns.acquire(timeout=_PATIENCE):
            raise HTTPException(503, "others look at too much at once", {"Retry-After": "5"})
        try:
            store = self._site.project.store
            counting = store if isinstance(store, Counting) else None
            return survey(self._search, query, now, counting=counting)
        finally:
            self._turns.release()

    def complete(self, request: Request) -> Response:
        """What the search box offers."""
        reading = self._read(request)
        typed = request.query_params.get("q", "")[:_TYPED]
        store = self._site.project.store
        query = replace(reading.query, limit=completing.SAMPLE, cursor=None)
        asked = reading.asked
        sample = self._samples.of(asked, lambda: self._search(query).rows)
        offers = completing.offers(typed, asked, sample, store.search, store.find)
        return self._site.fragment("listoptions.html", offers=offers, sample=len(sample))

    def before(self, request: Request) -> Response:
        """Lead to the comparison with the trace before, of the same arguments if there is one."""
        row = self._site.finished_row(request.path_params["id"])
        query = Query(key=row.key, until=row.started_at, limit=_BEFORE)
        found = self._search(query).rows
        rows = [one for one in found if one.key == row.key and one.state not in UNFINISHED]
        same = [one for one in rows if one.meta == row.meta]
        if not rows:
            raise HTTPException(404, "this is the first trace of its key")
        return RedirectResponse(f"/compare/{(same or rows)[0].id}/{row.id}", 303)

    def _read(self, request: Request) -> Reading:
        """The search of a part's address: pages make those right."""
        reading = read(request.query_params)
        if reading.problems:
            raise HTTPException(400, "; ".join(reading.problems.values()))
        return reading

    def _search(self, query: Query) -> Page:
        return self._site.project.store.search(query)


def _less(query: Query, asked: listview.Asked, other: listview.Asked) -> Query:
    """A query without what another search leaves out; for one row."""
    names = {one.partition("=")[0] for one in other.context}
    timed = other.since == asked.since and other.until == asked.until
    return replace(
        query, key=other.key or None, tags=other.tags, limit=1,
        state=query.state if other.state else None,
        context={name: value for name, value in query.context.items() if name in names},
        since=query.since if timed else None, until=query.until if timed else None,
        cursor=None,
    )  # fmt: skip


def _overview(found: Survey, asked: listview.Asked) -> listcharts.Overview:
    if not found.buckets:
        said = "No trace is in this range" if found.complete else "This took too long"
        return listcharts.Overview(said=said)
    exact = found.exact
    counts = {state: found.of(state) for state in listcharts.ORDER}
    total = listview.about(found.total, exact=exact)
    if exact:
        said = f"{total} traces, " + ("counted as they ended" if found.counted else "all read")
    else:
        said = f"≈, estimated from {found.read:,} of about {total.removeprefix('≈ ')}"
    if not found.complete:
        said += "; older ones were not read: it took too long"
    return listcharts.Overview(
        said=said,
        states=listcharts.states(counts, asked, exact=exact),
        times=listcharts.times(found.buckets, asked, exact=exact),
        durations=listcharts.durations(found.durations, exact=exact),
        tags=listcharts.tags(found.tags, asked, exact=exact),
    )

"""What every page's routes share: the project, who may do what, and how a page is answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from starlette.datastructures import ImmutableMultiDict
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from tracediff.api import Project
from tracediff.config import mask
from tracediff.errors import StoreError
from tracediff.model import UNFINISHED, Row, Trace
from tracediff.references import check_finished
from tracediff.reports import living
from tracediff.reports.pages.assets import version
from tracediff.reports.pages.comparelayout import Layout
from tracediff.reports.pages.templating import SERVED, render
from tracediff.stores.following import Growing
from tracediff.traceform import unreadable
from tracediff.web.access import Visitor
from tracediff.web.kept import BUDGET, Kept, Turns, weight
from tracediff.web.running import Runs

_ID: Final = frozenset("0123456789abcdefghijklmnopqrstuvwxyz")
_TRACES: Final = 8
_COMPARISONS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Chrome:
    """What a page's frame shows: where it is, whose store it reads, the token of its writes.

    Who is not ``signed_in`` learns nothing of the project and its store.
    """

    at: str
    project: str
    store: str
    csrf: str
    signed_in: bool

    def asset(self, name: str) -> str:
        """The address of a style or script; another one when it changes."""
        return f"/static/{version(name)}/{name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A trace that was looked at again.

    ``parts`` are known of it now. ``lines`` are new or have changed since, in order; None when any
    may be another.
    """

    parts: int
    trace: Trace
    lines: tuple[int, ...] | None


class Site:
    """A project with its pages. Its routes may run at the same time, in several threads.

    Args:
        project: The project.
        writable: Whether pages may run code and accept causes.

    Attributes:
        comparisons: The last comparisons that were looked at; see ``web.comparisons``.
    """

    def __init__(self, project: Project, *, writable: bool = True) -> None:
        self.project = project
        self.writable = writable
        self.comparisons: Kept[str, Layout] = Kept(_COMPARISONS, BUDGET)
        self.runs = Runs()
        self.quiet = living.quiet_after(project.config.bumps)
        self._traces: Kept[str, Trace] = Kept(_TRACES, BUDGET)
        self._growing: Kept[str, Growing] = Kept(_TRACES, BUDGET)
        self._turns = Turns()

    def close(self) -> None:
        """End what runs in the background."""
        self.runs.close()

    def page(
        self,
        request: Request,
        template: str,
        *,
        at: str = "traces",
        status: int = 200,
        **given: Any,
    ) -> Response:
        """Answer with a whole page.

        Args:
            request: What is answered.
            template: The file name of the page's template.
            at: The entry of the navigation that is current.
            status: The HTTP status.
            given: What the template uses.
        """
        signed_in = getattr(request.state, "visitor", None) is not None
        frame = Chrome(
            at=at,
            project=self.project.config.root.name if signed_in else "",
            store=self._store_name() if signed_in else "",
            csrf=getattr(request.state, "csrf", ""),
            signed_in=signed_in,
        )
        text = render(template, layout=SERVED, site=frame, writable=self.writable, **given)
        return HTMLResponse(text, status)

    def _store_name(self) -> str:
        """The store's address without its secrets; one in the project begins with its name."""
        url, root = mask(self.project.store.url), self.project.config.root
        return url.removeprefix(f"{root.parent}/") if url.startswith(f"{root}/") else url

    def fragment(self, template: str, *, status: int = 200, **given: Any) -> Response:
        """Answer with a part of a page, for a page that is there already."""
        return HTMLResponse(render(template, **given), status)

    def who(self, request: Request) -> str | None:
        """What a trusted proxy calls who asks; None for who signed in with the token."""
        visitor: Visitor | None = getattr(request.state, "visitor", None)
        return visitor.name if visitor is not None else None

    def form(self, request: Request) -> ImmutableMultiDict[str, str]:
        """The fields of the form that this request sends, which were read already."""
        found: ImmutableMultiDict[str, str] = getattr(request.state, "form", ImmutableMultiDict())
        return found

    def row(self, id: str) -> Row:
        """The row of a trace by its whole id: no other reference is taken from a request.

        Raises:
            StoreError: ``trace-unknown``.
        """
        rows = self.project.store.find(id) if id and _ID.issuperset(id) else []
        for row in rows:
            if row.id == id:
                return row
        raise StoreError(
            "there is no trace with this id", slug="trace-unknown", hint="it may have expired"
        )

    def finished_row(self, id: str) -> Row:
        """As ``row``, of a trace whose job has ended.

        Raises:
            StoreError: ``trace-unknown``.
            TraceReferenceError: ``trace-running`` or ``trace-lost``.
        """
        found = self.row(id)
        check_finished(found)
        return found

    def trace(self, id: str) -> Trace:
        """A whole trace by its id; the last ones read are kept, one that many ask for is read once.

        Raises:
            StoreError: ``trace-unknown``, or it cannot be read.
            CodecError: There is not even a job in it.
        """
        found = self._traces.get(id)
        if found is not None:
            return found
        with self._turns.of(id):
            return self._traces.get(id) or self._loaded(id)

    def _loaded(self, id: str) -> Trace:
        row = self.row(id)
        if row.state in UNFINISHED:  # it may be another one next time
            return self._grown(row)[1]
        found = self.project.store.load(row)
        if not found.steps:  # stores keep such a trace; nothing can be said of it
            raise unreadable(f"{id} has no steps")
        self._traces.put(id, found, weight(found))
        return found

    def watch(self, id: str, parts: int) -> Watched:
        """A live trace as it is now, and which of its lines came or changed since.

        Args:
            id: Its id.
            parts: How many parts of it are known already.

        Raises:
            StoreError: ``trace-unknown``, or it cannot be read.
        """
        row = self.row(id)
        with self._turns.of(id):
            found, trace = self._grown(row)
            return Watched(parts=found.parts, trace=trace, lines=found.since(parts))

    def _grown(self, row: Row) -> tuple[Growing, Trace]:
        found = self._growing.get(row.id) or Growing(self.project.store, row.id)
        before = found.trace
        trace = found.look(row)
        if not trace.steps:
            raise unreadable(f"{row.id} has no steps")
        if trace is not before:
            self._growing.put(row.id, found, weight(trace))
        return found, trace

"""``/runs/NAME``: work that was started from a page, how far it is, and its end.

A page that needs seconds of work has two routes. GET shows what ``site.runs.latest(subject)`` is:
nothing yet, at work, or failed (``shown``, with what starts it); or done, and then what it gave.
POST calls ``begin`` with what does the work, and leads back to the first.

No page names code: a run is of a trace, and its job is what the project's settings allow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from tracediff.check.state import code_state
from tracediff.model import Row
from tracediff.reports import excerpt
from tracediff.reports.clean import clean
from tracediff.web.running import Run, Subject, Work
from tracediff.web.site import Site

_HEADING: Final = 200


def routes(site: Site) -> list[BaseRoute]:
    """The routes of runs."""

    def asked(request: Request) -> Run:
        run = site.runs.get(request.path_params["name"])
        if run is None:
            raise HTTPException(404, "this run is not kept any more; start it again")
        return run

    def polled(request: Request) -> Response:
        run = site.runs.get(request.path_params["name"])
        response = site.fragment("runphase.html", run=run)
        if run is None or run.over:
            response.headers["HX-Refresh"] = "true"  # the page it is on shows what came of it
        return response

    def ended(request: Request) -> Response:
        run = asked(request)
        run.end()
        return RedirectResponse(run.page, 303)

    return [
        Route("/runs/{name}", polled),
        Route("/runs/{name}/end", ended, methods=["POST"]),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a page says of work that can be started, and of work that is at work.

    Args:
        title: The page's heading.
        command: The same on the command line.
        action: Where its form leads.
        label: What its button says.
        back: Addresses and texts of the pages around it; the one that is shown has no address.
        key: The key of the trace's job, if it is about one.
        told: Sentences on what will be done.
        last: The address of what the last run gave, on other code.
        choice: Whether a git revision can be chosen.
        against: The one that is.
    """

    title: str
    command: str
    action: str
    label: str
    back: tuple[tuple[str, str], ...] = ()
    key: str = ""
    told: tuple[str, ...] = ()
    last: str = ""
    choice: bool = False
    against: str = ""


def begin(
    site: Site, subject: Subject, page: str, work: Work, *, code: str | None = None
) -> Response:
    """Start a run, or join the one that is at work, and lead to the page that shows it.

    Args:
        site: The pages.
        subject: What it is about.
        page: The address of the page that shows it.
        work: Does it; it is given what tells how far it is.
        code: What names the state of the code, by default that of the work tree.

    Raises:
        HTTPException: These pages run no code.
        ReplayError: ``runs-busy``.
    """
    if not site.writable:
        raise HTTPException(403, "these pages are read-only")
    site.runs.start(subject, state(site) if code is None else code, page, work, again=True)
    return RedirectResponse(page, 303)


def shown(
    site: Site, request: Request, run: Run | None, start: Start, *, at: str = "traces"
) -> Response:
    """Answer with the page of a run that was not started yet, is at work, or gave nothing.

    Args:
        site: The pages.
        request: What is answered.
        run: The run, None before the first.
        start: What starts it.
        at: The entry of the navigation that is current.
    """
    return site.page(request, "run.html", at=at, run=run, start=start)


def called(row: Row) -> str:
    """What a heading calls a trace, below the key of its job."""
    return excerpt.cut(clean(row.meta), _HEADING) or row.id


def key_of(row: Row) -> str:
    """The key of a trace's job, as a heading shows it."""
    return clean(row.key[:_HEADING])


def state(site: Site) -> str:
    """What names the state of the project's code now."""
    return code_state(site.project.config.root)

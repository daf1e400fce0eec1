"""The application: the routes of all pages, behind the checks that each request passes."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from tracediff.errors import TracediffError
from tracediff.reports.pages import assets as files
from tracediff.reports.pages import templating
from tracediff.web import assets, checks, comparisons, explanations, listing, runs, traces
from tracediff.web.access import Access
from tracediff.web.failures import Failures
from tracediff.web.gate import Gate
from tracediff.web.headers import Headers
from tracediff.web.limits import Limits
from tracediff.web.refusals import refusal
from tracediff.web.site import Site

_PAGES = (assets, listing, traces, comparisons, checks, runs, explanations)


def application(site: Site, access: Access) -> Starlette:
    """Return the pages of a site as an ASGI application.

    Args:
        site: The pages.
        access: Who gets in.
    """
    templating.read_all()
    files.read_all()

    def refused(request: Request, error: Exception) -> Response:
        return refusal(site, request, error)

    routes: list[BaseRoute] = [route for page in _PAGES for route in page.routes(site)]
    found = Starlette(
        routes=routes,
        middleware=[  # the first is the outermost
            Middleware(Headers),
            Middleware(Failures, site),
            Middleware(Limits, site),
            Middleware(Gate, site, access),
        ],
        exception_handlers={TracediffError: refused, HTTPException: refused},
    )
    found.router.redirect_slashes = False  # it would build an address from what was asked
    return found

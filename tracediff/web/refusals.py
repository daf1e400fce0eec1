"""What a request that failed is answered with: what failed, on what, what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from tracediff.config import mask
from tracediff.errors import TracediffError
from tracediff.web.site import Site

_STATUS: Final = {
    "trace-unknown": 404,
    "trace-gone": 410,
    "field-unknown": 404,
    "query-invalid": 400,
    "cursor-invalid": 400,
    "usage": 400,
    "trace-too-large": 413,
    "trace-hurt": 422,
    "trace-unreadable": 422,
    "schema-newer": 422,
    "runs-busy": 429,
    "trace-running": 409,
    "trace-lost": 409,
    "check-missing": 404,
    "check-unreadable": 422,
    "accept-in-ci": 403,
    "key-missing": 403,
    "accept-overtaken": 409,
    "check-overtaken": 409,
}
_OTHERS: Final = 503
"""Of a store that cannot be reached, and the like: it may be another time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An error as a page shows it."""

    status: int
    title: str
    message: str
    hint: str | None = None


def status_of(slug: str) -> int:
    """The HTTP status that an error of this slug is answered with."""
    return _STATUS.get(slug, _OTHERS)


def refusal(site: Site, request: Request, error: Exception) -> Response:
    """Answer a request that cannot be answered as it was meant."""
    if isinstance(error, TracediffError):
        return _answer(site, request, refused(error))
    if isinstance(error, HTTPException):
        status, message = error.status_code, error.detail
        title = HTTPStatus(status).phrase
        return _answer(
            site,
            request,
            Refusal(status=status, title=title, message=message if message != title else ""),
            error.headers,
        )
    raise error


def refused(error: TracediffError) -> Refusal:
    """How a page shows an error of tracediff."""
    status = status_of(error.slug)
    return Refusal(
        status=status,
        title=HTTPStatus(status).phrase,
        message=mask(error.message),
        hint=mask(error.hint or "") or None,
    )


def failed(site: Site, request: Request, number: str) -> Response:
    """Answer a request whose handler failed; ``number`` is what stands in the log."""
    shown = Refusal(
        status=500,
        title="This page failed",
        message=f"the server's log says why, at error {number}",
    )
    return _answer(site, request, shown)


def _answer(
    site: Site, request: Request, shown: Refusal, headers: Mapping[str, str] | None = None
) -> Response:
    if "HX-Request" in request.headers:
        # One place of the page for all that fails, wherever the part would have gone.
        response = site.fragment("refusal.html", status=shown.status, error=shown)
        response.headers.update({"HX-Retarget": "#refusal", "HX-Reswap": "innerHTML"})
    else:
        response = site.page(request, "error.html", status=shown.status, error=shown)
    response.headers.update(headers or {})
    return response

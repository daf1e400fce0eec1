"""``/static``: the style and the scripts, from memory, by their names alone."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tracediff.reports.pages.assets import NAMES, asset, version
from tracediff.web.site import Site


def routes(site: Site) -> list[BaseRoute]:
    """The routes of the assets."""
    return [Route("/static/{version}/{name}", _asset)]


async def _asset(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in NAMES or request.path_params["version"] != version(name):
        raise HTTPException(404, "there is no such file")
    forever = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response(asset(name), media_type=NAMES[name], headers=forever)

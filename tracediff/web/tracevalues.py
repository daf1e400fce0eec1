"""``/trace/ID/value/…``: a value's levels, and search in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tracediff.reports.pages import stepview, valuetree
from tracediff.web.tracereading import Reading, number

_LONGEST_SEARCH: Final = 200


def routes(reading: Reading) -> list[BaseRoute]:
    """The routes of values."""

    def level(request: Request) -> Response:
        obj, address = _asked(reading, request)
        try:
            path = valuetree.read_path(request.query_params.get("path", "[]"))
            obj = valuetree.descend(obj, path)
        except valuetree.PathError as error:
            raise HTTPException(400, f"{error}") from error
        start = number(request.query_params.get("from", "0"))
        found = valuetree.level(obj, path, start, address)
        return reading.site.fragment("tracevalue.html", level=found)

    def find(request: Request) -> Response:
        obj, address = _asked(reading, request)
        wanted = request.query_params.get("q", "").strip()[:_LONGEST_SEARCH]
        found = valuetree.find(obj, wanted, address) if wanted else None
        return reading.site.fragment("tracematches.html", found=found)

    return [
        Route("/trace/{id}/value/{step}/{aspect}", level),
        Route("/trace/{id}/value/{step}/{aspect}/find", find),
    ]


def value_address(trace: str, step: int) -> stepview.ValueAddress:
    """Return what gives the addresses of a step's values."""

    def address(aspect: str, path: valuetree.Path, start: int) -> str:
        place = quote(json.dumps(path, separators=(",", ":")), safe="[],")
        later = f"&from={start}" if start else ""
        return f"/trace/{trace}/value/{step}/{aspect}?path={place}{later}"

    return address


def find_address(trace: str, step: int) -> Callable[[stepview.AspectName], str]:
    """Return what gives the addresses that search a step's values."""
    return lambda aspect: f"/trace/{trace}/value/{step}/{aspect}/find"


def _asked(reading: Reading, request: Request) -> tuple[object, valuetree.Address]:
    asked = request.path_params["aspect"]
    aspect = next((known for known in stepview.ASPECTS if known == asked), None)
    if aspect is None:
        raise HTTPException(404, "a step has no such value")
    trace = reading.trace(request)
    at = reading.step(request, trace)
    addresses = value_address(trace.id, at)
    return reading.value(trace, at, aspect), lambda path, start: addresses(aspect, path, start)

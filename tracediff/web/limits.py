"""How much one request, and all of them together, may take."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from tracediff.web.refusals import refusal
from tracediff.web.site import Site

LONGEST_URL: Final = 8 * 1024
LARGEST_BODY: Final = 64 * 1024
BODY_WITHIN: Final = 10.0
"""Seconds in which all of a request's body must come."""

AT_ONCE: Final = 100
"""Requests that are answered or wait for it; threads for forty of them are at work."""


class Limits:
    """Refuses what is too long, and what is too much at once."""

    def __init__(self, app: ASGIApp, site: Site, at_once: int = AT_ONCE) -> None:
        self._app, self._site, self._at_once = app, site, at_once
        self._now = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refused = self._refused(scope)
        if refused is not None:
            await refusal(self._site, Request(scope), refused)(scope, receive, send)
            return
        self._now += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._now -= 1

    def _refused(self, scope: Scope) -> HTTPException | None:
        length = len(scope.get("raw_path") or scope["path"]) + len(scope["query_string"])
        if length > LONGEST_URL:
            return HTTPException(414, "this address is too long")
        if _declared(scope) > LARGEST_BODY:
            return too_large()
        if self._now >= self._at_once:
            return HTTPException(503, "too many requests at once", {"Retry-After": "1"})
        return None


async def body_of(receive: Receive) -> bytes:
    """All of a request's body.

    Raises:
        HTTPException: It is too large, or does not come.
        ClientDisconnect: Who asked went away.
    """
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_WITHIN):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > LARGEST_BODY:
                    raise too_large()
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError:
        raise HTTPException(
            408, "the rest of the request did not come", {"Connection": "close"}
        ) from None


def too_large() -> HTTPException:
    """The refusal of a body; what is left of it is not read."""
    return HTTPException(413, "this request is too large", {"Connection": "close"})


def _declared(scope: Scope) -> int:
    said = Headers(scope=scope).get("content-length", "0")
    return int(said) if said.isascii() and said.isdigit() and len(said) < 20 else LARGEST_BODY + 1

"""A handler that failed: its traceback to the log, once, and a page with a number to find it by."""

from __future__ import annotations

import secrets
import sys
import traceback
from collections.abc import Callable

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tracediff.config import mask
from tracediff.web.refusals import failed
from tracediff.web.site import Site


def to_stderr(text: str) -> None:
    """Write into the server's log."""
    sys.stderr.write(text)


class Failures:
    """Answers for what raised."""

    def __init__(self, app: ASGIApp, site: Site, log: Callable[[str], None] = to_stderr) -> None:
        self._app, self._site, self._log = app, site, log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, whatever happens."""
        begun = False

        async def sent(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, sent)
        except ClientDisconnect:  # nobody is there to be answered
            return
        except Exception as error:  # noqa: BLE001 - a page may fail by anything
            answer = self._answer(Request(scope), error)
            if not begun:  # of one that is half sent, the server ends the connection
                await answer(scope, receive, send)

    def _answer(self, request: Request, error: Exception) -> Response:
        number = secrets.token_hex(4)
        self._write(number, request, error)
        try:
            return failed(self._site, request, number)
        except Exception as again:  # noqa: BLE001 - the page of errors has one of its own
            self._write(number, request, again)
            return PlainTextResponse(f"This page failed: error {number} in the server's log", 500)

    def _write(self, number: str, request: Request, error: Exception) -> None:
        # Neither the query nor the path itself: who asked chose them.
        route = request.scope.get("route")
        place = getattr(route, "path", "a request")
        told = mask("".join(traceback.format_exception(error)))
        safe = "".join(one if one.isprintable() or one == "\n" else "?" for one in told)
        self._log(f"error {number}: {request.method} {place}\n{safe}")

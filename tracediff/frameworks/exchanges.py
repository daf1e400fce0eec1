"""ASGI: one request and its response, followed as they go by."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping
from typing import Any

from tracediff.frameworks.bodies import Answer, Received, ended, keep_body, named_headers
from tracediff.frameworks.messages import (
    path_without_secrets,
    query_data,
    request_headers,
    with_length,
    with_scheme,
)
from tracediff.recording.runs import Run

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Answering = Callable[[Receive, Send], Coroutine[Any, Any, None]]


def request_data(scope: Scope, route: Mapping[str, Any]) -> dict[str, Any]:
    """A request's arguments; its body is known when it was read."""
    sent = named_headers(scope["headers"])
    headers = with_scheme(request_headers(sent.items()))
    return {
        "method": scope["method"],
        "path": path_without_secrets(_path(scope), route),
        "route": dict(route),
        "query": query_data(scope.get("query_string", b"").decode("latin-1")),
        "body": None,
        "headers": with_length(headers, sent.get("Content-Length")),
    }


def _path(scope: Scope) -> str:
    """The path below where the server has put the application."""
    path: str = scope["path"]
    root: str = scope.get("app_root_path", scope.get("root_path", ""))
    return path.removeprefix(root) if root and path.startswith(f"{root}/") else path


class Exchange:
    """What an application receives and sends for one request."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self.received = Received()
        self.answer = Answer()

    async def receive(self) -> MutableMapping[str, Any]:
        """The next message of the server."""
        message = await self._receive()
        body = message.get("body")
        if body:
            self.received.add(body)
        return message

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Hand a message on to the server."""
        kind, answer = message.get("type"), self.answer
        if kind == "http.response.start":
            answer.status = message.get("status")
            answer.raw = list(message.get("headers", ()))
        elif kind == "http.response.body":
            answer.add(message.get("body") or b"")
            answer.whole = not message.get("more_body", False)
        elif kind == "http.response.pathsend":
            answer.whole = True
        await self._send(message)


async def recorded(begun: Run, exchange: Exchange, run: Answering) -> None:
    """Let an application answer within its job, and end that."""
    try:
        await run(exchange.receive, exchange.send)
    except BaseException as error:
        keep_body(begun, exchange.received)
        excuse(begun.buffer, error)
        begun.failed(error)
        raise
    ended(begun, exchange.received, exchange.answer)


def excuse(buffer: Any, error: BaseException) -> None:
    """A client that goes away, and what answers with a status below 500, is no error."""
    status = getattr(error, "status_code", None)
    gone = isinstance(error, asyncio.CancelledError) or type(error).__name__ == "ClientDisconnect"
    if gone or (isinstance(status, int) and status < 500):
        buffer.excused = True

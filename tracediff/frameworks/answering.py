"""ASGI: a recorded request, sent to its application again in a replay."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from tracediff.frameworks.exchanges import Exchange, Scope, excuse
from tracediff.frameworks.lifespans import started
from tracediff.frameworks.messages import meta, shape
from tracediff.frameworks.rebuilding import sent_bytes, sent_headers, sent_query
from tracediff.frameworks.recorded import Recorded
from tracediff.frameworks.sessions import RequestState, Session, unrecorded
from tracediff.model import Source
from tracediff.runtime import current

REPLAYED = "tracediff.replayed"
"""The scope's entry that marks the request of a replay."""


class Replay:
    """A recorded request that is sent to an application again.

    Args:
        given: The recorded arguments.
        state: What the application's own start has set.
    """

    def __init__(self, given: Mapping[str, Any], state: MutableMapping[str, Any]) -> None:
        self.route = given["route"]
        headers = sent_headers(given["headers"])
        data = sent_bytes(headers, given["body"])
        self._unread: Any = data
        self._raised: Exception | None = None
        self._over = asyncio.Event()
        headers.pop("Content-Length", None)
        if not isinstance(data, bytes) or data:
            headers["Content-Length"] = str(len(data)) if isinstance(data, bytes) else "1"
        path = str(given["path"])
        self.scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": given["method"],
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": sent_query(given["query"]).encode(),
            "root_path": "",
            "headers": [
                (name.lower().encode("latin-1"), value.encode("latin-1", "replace"))
                for name, value in headers.items()
            ],
            "client": ("127.0.0.1", 50000),
            "server": ("testserver", 80),
            "extensions": {},
            "state": RequestState(state),
        }
        self.exchange = Exchange(self._receive, self._send)

    def furnish(self) -> None:
        """Add what middleware would have added, since none runs."""
        self.scope[REPLAYED] = self
        self.scope["session"] = Session()
        self.scope["user"] = unrecorded("request.user")
        self.scope["auth"] = unrecorded("request.auth")

    @contextlib.contextmanager
    def within(self) -> Iterator[None]:
        """The part that was recorded; what it raises is the job's, whoever handles it outside."""
        try:
            yield
        except Exception as error:
            self._raised = error
            raise

    async def _receive(self) -> MutableMapping[str, Any]:
        unread, self._unread = self._unread, None
        if unread is not None:
            if not isinstance(unread, bytes):
                str(unread)  # what was not recorded stops the replay where it is used
            return {"type": "http.request", "body": unread, "more_body": False}
        await self._over.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self._over.set()

    async def answered(self, application: Any) -> Any:
        """What the application answers."""
        here = current.get()
        try:
            await application(self.scope, self.exchange.receive, self.exchange.send)
            if self._raised is not None:
                raise self._raised
        except BaseException as error:
            excuse(here.buffer, error)
            raise
        self.exchange.answer.judge(here.buffer)
        return self.exchange.answer.told()


def replayed(key: str, unit: str, application: Any, *, alone: bool) -> Recorded:
    """What answers a recorded request in a replay.

    Args:
        key: The job's key.
        unit: Where what answered it is defined.
        application: What is called.
        alone: Whether it is called without its middleware.
    """

    async def answer(
        method: str, path: str, route: Any, query: Any, body: Any, headers: Mapping[str, Any]
    ) -> Any:
        given = {"method": method, "path": path, "route": route, "query": query, "body": body,
                 "headers": headers}  # fmt: skip
        state: dict[str, Any] = {}
        async with started(application, state, {REPLAYED: None} if alone else {}):
            request = Replay(given, state)
            if alone:
                request.furnish()
            return await request.answered(application)

    return Recorded(key, unit, shape, again=answer, meta=meta, source=Source("", 0, unit))

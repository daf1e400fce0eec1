"""ASGI applications of which no routes are known: each request is a job of the whole application.

A replay sends the recorded request to all that the middleware is around.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from typing import Any

from tracediff.frameworks import applications
from tracediff.frameworks.exchanges import Exchange, Scope, recorded, request_data
from tracediff.frameworks.messages import meta, shape
from tracediff.frameworks.paths import Keys, unmatched
from tracediff.frameworks.recorded import Recorded
from tracediff.model import Source
from tracediff.recording.runs import Run
from tracediff.recording.session import get_ready
from tracediff.runtime import current

log = logging.getLogger("tracediff")
MOST_KEYS = 1024


class Middleware:
    """Makes jobs of the requests to an ASGI application; everything else is handed on.

    Wrap the application as a whole, in the variable that the server is given::

        app = Middleware(app, keys={"GET /orders/{id}": "orders/show"})

    Args:
        app: The application.
        keys: The jobs' keys by method and path; see ``[tool.tracediff.keys]``.
    """

    def __init__(self, app: Any, *, keys: Mapping[str, str] | None = None) -> None:
        self.app = app
        self._keys = Keys(keys or {})
        self._known: dict[str, Recorded] = {}
        applications.note_made(self)
        get_ready()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "app" not in vars(self):
            raise AttributeError(name)
        return getattr(self.app, name)

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Answer a request, in a job where it is recorded."""
        begun = None
        if scope["type"] == "http" and current.get() is None:
            begun = begun_safely(self._begun, scope)
        if begun is None:
            await self.app(scope, receive, send)
        else:
            await recorded(begun, Exchange(receive, send), functools.partial(self.app, scope))

    def _begun(self, scope: Scope) -> Run | None:
        unit = applications.name_of(self)
        key, route = self._keys.find(scope["method"], scope["path"])
        begun = recorded_by(self._known, key, unit, scope["method"]).begin(
            (), {}, lambda: request_data(scope, route)
        )
        if begun is not None:
            applications.told(begun, self)
        return begun


def begun_safely(begin: Callable[[Any], Run | None], request: Any) -> Run | None:
    """The job of a request; None where that cannot be begun, as with a key that is no path."""
    try:
        return begin(request)
    except Exception:  # the application answers, unrecorded
        log.exception("tracediff cannot record the request")
        return None


def recorded_by(
    known: dict[str, Recorded], key: str | None, unit: str | None, method: str
) -> Recorded:
    """What records the requests of a key."""
    where = unit or "?:application"
    key = key or unmatched(where, method)
    found = known.get(key)
    if found is None:
        if len(known) >= MOST_KEYS:
            known.clear()
        source = Source("", 0, where)
        found = known[key] = Recorded(key, where, shape, meta=meta, source=source)
    return found

"""Starlette: each request that an endpoint answers is a job, from the route's handling on.

What comes before (routing, middleware) is no part of it; parameters, dependencies, handlers of
exceptions, the response and its background tasks are. A replay sends the recorded request to the
application without its middleware.
"""

from __future__ import annotations

import copy
import functools
import logging
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Route

from tracediff.frameworks import applications
from tracediff.frameworks.answering import REPLAYED, Replay
from tracediff.frameworks.exchanges import Exchange, Scope, recorded, request_data
from tracediff.frameworks.messages import meta, shape
from tracediff.frameworks.naming import key_of
from tracediff.frameworks.rebuilding import revealed
from tracediff.frameworks.recorded import Recorded
from tracediff.frameworks.sessions import RequestState
from tracediff.frameworks.units import key_name, unit_of_endpoint, written
from tracediff.runtime import current

log = logging.getLogger("tracediff")
_HOOKED = "__tracediff_hooked__"
_ASKED = "tracediff.asked"
_OUTERMOST = "tracediff.application"
MOST_ENDPOINTS = 1024
"""The endpoints of which what records them is kept; a program may make new ones."""
_refused: set[int] = set()


def hook() -> None:
    """Record the endpoints of Starlette's routes, once."""
    hook_route(Route)
    applications.hook_made(Starlette)
    _hook_call(Starlette)


def _hook_call(kind: Any) -> None:
    """Have a request know the application that the server called, which others may be below."""
    real = kind.__call__
    if hasattr(real, _HOOKED):
        return

    @functools.wraps(real)
    async def call(self: Any, scope: Scope, receive: Any, send: Any) -> None:
        if REPLAYED in scope:
            scope["app"] = self
            await _alone(self)(scope, receive, send)
            return
        scope.setdefault(_OUTERMOST, self)
        await real(self, scope, receive, send)

    setattr(call, _HOOKED, True)
    kind.__call__ = call


def hook_route(kind: Any) -> None:
    """Record what the routes of a class answer, where it handles requests itself."""
    real = vars(kind).get("handle")
    if real is None or hasattr(real, _HOOKED):
        return

    @functools.wraps(real)
    async def handle(self: Any, scope: Scope, receive: Any, send: Any) -> None:
        if scope.get("type") != "http" or scope.get(_ASKED):
            await real(self, scope, receive, send)
            return
        if current.get() is not None:
            if REPLAYED in scope:
                _reached(self, scope)
                with scope[REPLAYED].within():
                    await real(self, scope, receive, send)
                return
            await real(self, scope, receive, send)
            return
        scope[_ASKED] = True
        begun = _begun(self, scope)
        if begun is None:
            await real(self, scope, receive, send)
            return
        scope["state"] = RequestState(scope.get("state", {}))
        await recorded(begun, Exchange(receive, send), functools.partial(real, self, scope))

    setattr(handle, _HOOKED, True)
    kind.handle = handle


def _begun(route: Any, scope: Scope) -> Any:
    """The job that a route begins; None where it is not recorded."""
    methods = route.methods
    if methods and scope["method"] not in methods:
        return None  # the endpoint is not called
    endpoint = route.endpoint
    try:
        found = recorded_endpoint(endpoint)
    except Exception:  # an endpoint of any kind, as one that has no hash; it runs unrecorded
        if id(endpoint) not in _refused and len(_refused) < MOST_ENDPOINTS:
            _refused.add(id(endpoint))
            log.exception("tracediff cannot record the endpoint %r", endpoint)
        return None
    if found is None:
        return None
    begun = found.begin((), {}, lambda: request_data(scope, scope.get("path_params", {})))
    if begun is not None:
        applications.told(begun, scope.get(_OUTERMOST, scope.get("app")))
    return begun


@functools.lru_cache(maxsize=MOST_ENDPOINTS)
def recorded_endpoint(endpoint: Any) -> Recorded | None:
    """What records an endpoint; None of tracediff's own pages."""
    unit = unit_of_endpoint(endpoint)
    if unit.startswith("tracediff."):
        return None
    return Recorded(key_of(key_name(unit)), unit, shape, meta=meta, source=written(endpoint, unit))


def _alone(application: Any) -> Any:
    """The application without its middleware, but with what handles exceptions."""
    alone = copy.copy(application)
    alone.user_middleware = []
    stack: Any = alone.build_middleware_stack()
    return stack.app  # it is in what answers 500


def _reached(route: Any, scope: Scope) -> None:
    """A replayed request has come to an endpoint: give it what the route captured."""
    request: Replay = scope[REPLAYED]
    here = current.get()
    job = here.buffer.spans[0].mark if here is not None else None
    unit = unit_of_endpoint(route.endpoint)
    if job is not None and job.source.unit == unit:
        job.source = written(route.endpoint, unit)
        captured = scope.get("path_params", {})
        scope["path_params"] = {
            **captured,
            **{name: revealed(value) for name, value in request.route.items() if name in captured},
        }
    elif here is not None:
        here.buffer.warn(f"the path is answered by {unit} now")

"""Django: each request that a view answers is a job; it begins where Django calls the view.

What comes before (URLs, sessions, authentication, other middleware) is no part of it: a replay
calls the view alone, with a request made of the recorded data. A response that is rendered later
is rendered in the job, and one that streams is recorded as it is sent.
"""

from __future__ import annotations

import functools
import inspect
import logging
import sys
import weakref
from collections.abc import Callable, Iterator, Mapping
from types import FunctionType
from typing import Any

from asgiref.sync import async_to_sync, iscoroutinefunction
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.core.handlers import base
from django.http import Http404
from django.urls import URLPattern, URLResolver, clear_url_caches, get_resolver

from tracediff import values
from tracediff.frameworks.messages import judge, meta, shape
from tracediff.frameworks.naming import key_of
from tracediff.frameworks.recorded import Recorded
from tracediff.frameworks.requests import path_of, rebuilt, request_data
from tracediff.frameworks.responses import body_data, drained, head_data, response_data
from tracediff.frameworks.streaming import Streaming
from tracediff.frameworks.visitors import furnish, hide_visitor
from tracediff.model import Source
from tracediff.recording.jobs import register
from tracediff.recording.marks import source_of, unit_of
from tracediff.recording.runs import Run
from tracediff.recording.spans import leave
from tracediff.runtime import current

log = logging.getLogger("tracediff")
_HOOKED = "__tracediff_hooked__"
MOST_VIEWS = 1024
"""The views of which what records them is kept; a program may make new ones for each request."""
_refused: set[int] = set()


def hook() -> None:
    """Record the views that Django calls, once."""
    kind: Any = base.BaseHandler
    real = kind.make_view_atomic
    if hasattr(real, _HOOKED):
        return

    @functools.wraps(real)
    def make_view_atomic(self: Any, view: Any) -> Any:
        return recording(view, real(self, view))

    setattr(make_view_atomic, _HOOKED, True)
    kind.make_view_atomic = make_view_atomic


def recording(view: Any, atomic: Any) -> Any:
    """What Django calls in the place of a view, which ``atomic`` has a transaction around."""
    try:
        if atomic is not view:  # a transaction of this request's own
            return _around(recorded_view(view), atomic)
        return _plain(view)
    except Exception:  # a view of any kind, as one that has no hash; it runs unrecorded
        if id(view) not in _refused and len(_refused) < MOST_VIEWS:
            _refused.add(id(view))
            log.exception("tracediff cannot record the view %r", view)
        return atomic


def unit_of_view(view: Any) -> str:
    """Where a view is defined: its function, or its class."""
    owner = _class_of(view)
    return unit_of(owner) if owner is not None else source_of(view).unit


@functools.lru_cache(maxsize=MOST_VIEWS)
def recorded_view(view: Any) -> Recorded:
    """What records a view."""
    unit = unit_of_view(view)
    return Recorded(
        key_of(unit.replace(":", ".")),
        unit,
        shape,
        again=_again(view),
        meta=meta,
        source=_written(view),
    )


def _written(view: Any) -> Source:
    """Where a view stands: a class is where its first method is."""
    owner = _class_of(view)
    if owner is None:
        return source_of(view)
    found = [one for one in vars(owner).values() if isinstance(one, FunctionType)]
    return source_of(found[0]) if found else source_of(owner)


def _class_of(view: Any) -> type | None:
    # A decorated dispatch leaves its __wrapped__ on the view, which leads to Django's own class.
    plain = inspect.unwrap(view, stop=lambda one: hasattr(one, "view_class") or hasattr(one, "cls"))
    owner = getattr(plain, "view_class", None) or getattr(plain, "cls", None)
    return owner if isinstance(owner, type) else None


@functools.lru_cache(maxsize=MOST_VIEWS)
def _plain(view: Any) -> Callable[..., Any]:
    """A view that is recorded, and begins no transaction."""
    return _around(recorded_view(view), view)


def _around(recorded: Recorded, view: Callable[..., Any]) -> Callable[..., Any]:
    if iscoroutinefunction(view):
        return _around_async(recorded, view)

    @functools.wraps(view)
    def wrapper(request: Any, *args: Any, **kwargs: Any) -> Any:
        begun = _begin(recorded, request, args, kwargs)
        if begun is None:
            return view(request, *args, **kwargs)
        try:
            response = view(request, *args, **kwargs)
        except BaseException as error:
            _failed(begun, error)
            raise
        return _answered(begun, response)

    return wrapper


def _around_async(recorded: Recorded, view: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(view)
    async def wrapper(request: Any, *args: Any, **kwargs: Any) -> Any:
        begun = _begin(recorded, request, args, kwargs)
        if begun is None:
            return await view(request, *args, **kwargs)
        try:
            response = await view(request, *args, **kwargs)
        except BaseException as error:
            _failed(begun, error)
            raise
        return _answered(begun, response)

    return wrapper


def _begin(recorded: Recorded, request: Any, args: Any, kwargs: Any) -> Run | None:
    if current.get() is not None:
        return None
    begun = recorded.begin(
        (),
        {},
        lambda: {
            "method": request.method,
            "path": path_of(request, kwargs),
            "route": list(args) or kwargs,
            **request_data(request),
        },
    )
    if begun is not None:
        hide_visitor(request)
    return begun


def _failed(begun: Run, error: BaseException) -> None:
    _excuse(begun.buffer, error)
    begun.failed(error)


def _excuse(buffer: Any, error: BaseException) -> None:
    """Django answers these with 404, 403 and 400."""
    if isinstance(error, Http404 | PermissionDenied | SuspiciousOperation):
        buffer.excused = True


def _answered(begun: Run, response: Any) -> Any:
    """Let the job end when its response is whole."""
    if callable(getattr(response, "render", None)) and not getattr(response, "is_rendered", True):
        _render_within(begun, response)
    elif getattr(response, "streaming", False):
        begun.leave()
        _stream_within(begun, response)
    else:
        _succeeded(begun, response)
    return response


def _succeeded(
    begun: Run, response: Any, data: Callable[[Any], dict[str, Any]] = response_data
) -> None:
    """The job ends, with the state that the response's status says."""
    try:
        judge(begun.buffer, response.status_code)
        result: Any = data(response)
    except Exception:  # what a view returned, which Django itself may refuse
        log.exception("tracediff cannot record a response")
        result = response
    begun.succeeded(result)


def _render_within(begun: Run, response: Any) -> None:
    begun.leave()
    real = response.render
    ended = weakref.finalize(response, begun.abandoned)  # Django answers something else
    ended.atexit = False

    def render() -> Any:
        del response.render
        token = current.set(begun.root)
        try:
            done = real()
        except BaseException as error:
            ended.detach()
            leave(token)
            _failed(begun, error)
            raise
        ended.detach()
        leave(token)
        _succeeded(begun, done)
        return done

    response.render = render


def _stream_within(begun: Run, response: Any) -> None:
    head = head_data(response)  # before middleware adds to it, while the parts are sent

    def done(sent: bytes, error: BaseException | None) -> None:
        if error is None:
            _succeeded(begun, response, lambda one: {**head, "body": body_data(one, sent)})
        else:
            _failed(begun, error)

    streaming = Streaming(begun.root, done)
    content = response.streaming_content
    response.streaming_content = (
        streaming.over_async(content)
        if getattr(response, "is_async", False)
        else streaming.over(content)
    )


def _again(view: Any) -> Callable[..., Any]:
    """The view with the request that the recording says, for a replay."""

    def answer(
        method: str, path: str, route: Any, query: Any, body: Any, headers: Mapping[str, Any]
    ) -> Any:
        request = rebuilt(method, path, query, body, headers)
        furnish(request)
        args, kwargs = ((), route) if isinstance(route, dict) else (tuple(route), {})
        atomic = base.BaseHandler.make_view_atomic(base.BaseHandler(), view)
        here = current.get()
        try:
            response = atomic(request, *args, **kwargs)
            if inspect.iscoroutine(response):
                response = async_to_sync(_awaited)(response)
            if callable(getattr(response, "render", None)):
                response = response.render()
            sent = drained(response) if getattr(response, "streaming", False) else None
        except BaseException as error:
            _excuse(here.buffer, error)
            raise
        judge(here.buffer, response.status_code)
        return response_data(response, sent)

    return answer


async def _awaited(coroutine: Any) -> Any:
    return await coroutine


def find_views(allow: values.Allow) -> None:
    """Make known the views of allowed modules that the project's URLs lead to."""
    resolver = get_resolver()
    name = resolver.urlconf_name
    if isinstance(name, str) and resolver.urlconf_module is not sys.modules.get(name):
        clear_url_caches()  # what it led to was imported anew
        resolver = get_resolver()
    for view in _views_below(resolver.url_patterns):
        if allow.permits(unit_of_view(view)):
            register(recorded_view(view).job)


def _views_below(patterns: Any) -> Iterator[Any]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from _views_below(pattern.url_patterns)
        elif isinstance(pattern, URLPattern):
            yield pattern.callback

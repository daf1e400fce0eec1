"""Flask: each request that a view answers is a job; it begins where Flask dispatches to the view.

What runs before a request and after it is no part of it; the handler of an error that the view
raises, and the response that is made of what it returns, are.
"""

from __future__ import annotations

import contextvars
import functools
import logging
from collections.abc import Mapping
from typing import Any

from flask.app import Flask
from flask.globals import request

from tracediff.frameworks import applications
from tracediff.frameworks.bodies import Answer, Received, ended, keep_body
from tracediff.frameworks.flask_globals import followed
from tracediff.frameworks.messages import meta, shape, single
from tracediff.frameworks.naming import key_of
from tracediff.frameworks.rebuilding import revealed
from tracediff.frameworks.recorded import Recorded
from tracediff.frameworks.sessions import Session
from tracediff.frameworks.streaming import Iterated
from tracediff.frameworks.units import key_name, unit_of_endpoint, written
from tracediff.frameworks.wsgi_exchanges import Input, rebuilt_environ, request_data
from tracediff.model import Source
from tracediff.recording.faults import brief
from tracediff.recording.runs import Run
from tracediff.recording.spans import leave
from tracediff.runtime import current

log = logging.getLogger("tracediff")
_HOOKED = "__tracediff_hooked__"
_OPEN = "tracediff.open"
MOST_VIEWS = 1024
"""The views of which what records them is kept."""


def hook() -> None:
    """Record the views that Flask dispatches to, once."""
    kind: Any = Flask
    if hasattr(kind.dispatch_request, _HOOKED):
        return
    kind.dispatch_request = _dispatching(kind.dispatch_request)
    kind.handle_user_exception = _handling(kind.handle_user_exception)
    applications.hook_made(kind)


def _dispatching(real: Any) -> Any:
    @functools.wraps(real)
    def dispatch_request(self: Any) -> Any:
        open_job = _begun(self) if current.get() is None else None
        if open_job is None:
            return real(self)
        begun, received = open_job
        try:
            with followed():
                returned = real(self)
        except Exception:
            begun.leave()
            request.environ[_OPEN] = open_job
            raise
        except BaseException as error:
            _failed(begun, received, error)
            raise
        return _answered(self, begun, received, returned)

    setattr(dispatch_request, _HOOKED, True)
    return dispatch_request


def _handling(real: Any) -> Any:
    """What handles an error of a view does so in its job."""

    @functools.wraps(real)
    def handle_user_exception(self: Any, e: Exception) -> Any:
        open_job = request.environ.pop(_OPEN, None)
        if open_job is None:
            return real(self, e)
        begun, received = open_job
        token = current.set(begun.root)
        try:
            with followed():
                returned = real(self, e)
        except BaseException as error:
            leave(token)
            _failed(begun, received, error)
            raise
        leave(token)
        return _answered(self, begun, received, returned)

    return handle_user_exception


def _begun(app: Any) -> tuple[Run, Received] | None:
    rule = request.url_rule
    if request.routing_exception is not None or rule is None:
        return None
    view = app.view_functions.get(rule.endpoint)
    if view is None or (
        request.method == "OPTIONS" and getattr(rule, "provide_automatic_options", False)
    ):
        return None
    try:
        found = recorded_view(view)
    except Exception:  # a view of any kind, as one that has no hash; it runs unrecorded
        log.debug("tracediff cannot record the view %r", view, exc_info=True)
        return None
    route = request.view_args or {}
    begun = found.begin((), {}, lambda: request_data(request.environ, route))
    if begun is None:
        return None
    received = Received()
    try:
        _follow(received)
        applications.told(begun, app)
    except Exception as error:
        begun.buffer.warn(f"the request cannot be followed: {brief(error)}")
    return begun, received


def _follow(received: Received) -> None:
    """See what is read of the body from now on; what was read before is not known."""
    known = vars(request)
    if "stream" in known:
        known["stream"] = Input(known["stream"], received)
    else:
        request.environ["wsgi.input"] = Input(request.environ["wsgi.input"], received)
    cached = getattr(request, "_cached_data", None)
    if cached is not None:
        received.add(cached)
    elif "form" in known:
        received.form = _parsed()


def _parsed() -> dict[str, Any]:
    """A form that was taken apart before the view was called."""
    form: dict[str, Any] = single(request.form.lists())
    files: dict[str, list[Any]] = {}
    for name, found in request.files.lists():
        for one in found:
            content = one.stream.read()
            one.stream.seek(0)
            told = {"filename": one.filename, "content_type": one.content_type}
            files.setdefault(name, []).append({**told, "content": content})
    return {**form, "files": single(files.items())} if files else form


@functools.lru_cache(maxsize=MOST_VIEWS)
def recorded_view(view: Any) -> Recorded:
    """What records a view."""
    unit = unit_of_endpoint(view)
    key = key_of(key_name(unit))
    return Recorded(key, unit, shape, meta=meta, source=written(view, unit))


def _failed(begun: Run, received: Received, error: BaseException) -> None:
    keep_body(begun, received)
    _excuse(begun.buffer, error)
    begun.failed(error)


def _excuse(buffer: Any, error: BaseException) -> None:
    """What answers with a status below 500 is no error."""
    code = getattr(error, "code", None)
    if isinstance(code, int) and code < 500:
        buffer.excused = True


def _answered(app: Any, begun: Run, received: Received, returned: Any) -> Any:
    """Make the response of what a view returned, and let the job end when it is whole."""
    token = current.set(begun.root)
    try:
        response = app.make_response(returned)
    except Exception as error:  # Flask makes it again, and tells
        leave(token)
        begun.leave()
        _failed(begun, received, error)
        return returned
    leave(token)
    begun.leave()
    answer = _head(response)
    if response.is_streamed and not response.direct_passthrough:

        def done(sent: bytes, error: BaseException | None) -> None:
            if error is None or isinstance(error, GeneratorExit):
                answer.add(sent)
                answer.whole = error is None
                ended(begun, received, answer)
            else:
                _failed(begun, received, error)

        response.response = Iterated(begun.root, response.response, done)
        return response
    _take(response, answer)
    ended(begun, received, answer)
    return response


def _head(response: Any) -> Answer:
    answer = Answer()
    answer.status = response.status_code
    answer.headers = {name.title(): value for name, value in response.headers.items()}
    return answer


def _take(response: Any, answer: Answer) -> None:
    """The body of a response that is whole; of a file that the server sends, none."""
    answer.whole = True
    if not response.direct_passthrough:
        answer.add(response.get_data())


def replayed(key: str, unit: str, application: Any) -> Recorded:
    """What answers a recorded request in a replay."""

    def answer(
        method: str, path: str, route: Any, query: Any, body: Any, headers: Mapping[str, Any]
    ) -> Any:
        given = {"method": method, "path": path, "route": route, "query": query, "body": body,
                 "headers": headers}  # fmt: skip
        return contextvars.copy_context().run(_answer, application, unit, given)

    return Recorded(key, unit, shape, again=answer, meta=meta, source=Source("", 0, unit))


def _answer(app: Any, unit: str, given: Mapping[str, Any]) -> Any:
    """Dispatch to the view, without what runs before and after a request."""
    context = app.request_context(rebuilt_environ(given))
    context._session = Session()  # it is opened else
    context.push()
    here = current.get()
    _reached(app, unit, given["route"])
    try:
        try:
            with followed():
                returned = app.dispatch_request()
        except Exception as error:
            with followed():
                returned = app.handle_user_exception(error)
        response = app.make_response(returned)
        answer = _head(response)
        if response.is_streamed and not response.direct_passthrough:
            for part in response.response:
                answer.add(part if isinstance(part, bytes) else part.encode())
            answer.whole = True
        else:
            _take(response, answer)
    except BaseException as error:
        _excuse(here.buffer, error)
        raise
    answer.judge(here.buffer)
    return answer.told()


def _reached(app: Any, unit: str, route: Mapping[str, Any]) -> None:
    """Give the view what the route had captured, and say where another one answers."""
    rule, here = request.url_rule, current.get()
    if rule is None or here is None:
        return
    view = app.view_functions.get(rule.endpoint)
    now = unit_of_endpoint(view) if view is not None else ""
    if now != unit:
        here.buffer.warn(f"the path is answered by {now} now")
        return
    here.buffer.spans[0].mark.source = written(view, unit)
    captured = request.view_args or {}
    given = {name: revealed(value) for name, value in route.items() if name in captured}
    request.view_args = {**captured, **given}

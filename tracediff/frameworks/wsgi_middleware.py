"""WSGI applications of which no routes are known: each request is a job of the whole application.

A replay sends the recorded request to all that the middleware is around.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tracediff.frameworks import applications
from tracediff.frameworks.asgi_middleware import begun_safely, recorded_by
from tracediff.frameworks.bodies import Answer, Received, ended, keep_body
from tracediff.frameworks.messages import meta, shape
from tracediff.frameworks.paths import Keys
from tracediff.frameworks.recorded import Recorded
from tracediff.frameworks.streaming import Iterated, SizedIterated
from tracediff.frameworks.wsgi_exchanges import Environ, Input, rebuilt_environ, request_data
from tracediff.model import Source
from tracediff.recording.runs import Run
from tracediff.recording.session import get_ready
from tracediff.runtime import current


class Middleware:
    """Makes jobs of the requests to a WSGI application.

    Wrap the application as a whole, in the variable that the server is given::

        application = Middleware(application, keys={"GET /orders/{id}": "orders/show"})

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

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        """Answer a request, in a job where it is recorded."""
        begun = begun_safely(self._begun, environ) if current.get() is None else None
        if begun is None:
            found: Iterable[bytes] = self.app(environ, start_response)
            return found
        return answered(begun, self.app, environ, start_response)

    def _begun(self, environ: Environ) -> Run | None:
        unit = applications.name_of(self)
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
        key, route = self._keys.find(method, path)
        begun = recorded_by(self._known, key, unit, method).begin(
            (), {}, lambda: request_data(environ, route)
        )
        if begun is not None:
            applications.told(begun, self)
        return begun


def answered(begun: Run, app: Any, environ: Environ, start_response: Any) -> Iterable[bytes]:
    """What an application answers within its job, which ends when that is sent."""
    received, answer = Received(), Answer()
    if "wsgi.input" in environ:
        environ["wsgi.input"] = Input(environ["wsgi.input"], received)

    def failed(error: BaseException) -> None:
        keep_body(begun, received)
        begun.failed(error)

    def done(sent: bytes, error: BaseException | None) -> None:
        if error is None or isinstance(error, GeneratorExit):
            answer.add(sent)
            answer.whole = error is None
            ended(begun, received, answer)
        else:
            failed(error)

    try:
        parts = app(environ, _starting(start_response, answer))
    except BaseException as error:
        failed(error)
        raise
    begun.leave()
    kind = SizedIterated if hasattr(parts, "__len__") else Iterated
    return kind(begun.root, parts, done)


def _starting(start_response: Any, answer: Answer) -> Any:
    def start(status: str, headers: list[tuple[str, str]], *told: Any) -> Any:
        answer.status = _number(status)
        answer.headers = {}
        for name, value in headers:
            known = name.title()
            before = answer.headers.get(known)
            answer.headers[known] = value if before is None else f"{before}, {value}"
        write = start_response(status, headers, *told)

        def writing(data: bytes) -> Any:
            answer.add(data)
            return write(data)

        return writing

    return start


def _number(status: str) -> int | None:
    try:
        return int(status[:3])
    except ValueError:  # which the server says
        return None


def replayed(key: str, unit: str, application: Any) -> Recorded:
    """What answers a recorded request in a replay."""

    def again(
        method: str, path: str, route: Any, query: Any, body: Any, headers: Mapping[str, Any]
    ) -> Any:
        given = {"method": method, "path": path, "route": route, "query": query, "body": body,
                 "headers": headers}  # fmt: skip
        answer = Answer()
        parts = application(rebuilt_environ(given), _starting(lambda *_: lambda _: None, answer))
        for part in parts:
            answer.add(part)
        close = getattr(parts, "close", None)
        if close is not None:
            close()
        answer.whole = True
        here = current.get()
        answer.judge(here.buffer)
        return answer.told()

    return Recorded(key, unit, shape, again=again, meta=meta, source=Source("", 0, unit))

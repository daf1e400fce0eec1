"""Celery: each run of a task is a job.

A task's ``run`` is wrapped where the task is made, below Celery's own retries: the trace has what
the task raised. The tracer goes on calling ``run`` directly, a base class's ``__call__`` stays
outside, and a task that is called as a function is one: outside of a job it is not recorded.
"""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable, Mapping
from typing import Any

from celery import _state
from celery.app import base
from celery.app.task import Context, Task
from celery.exceptions import Ignore, Reject, Retry

from tracediff.errors import ReplayError
from tracediff.frameworks import replaying
from tracediff.frameworks.naming import key_of
from tracediff.frameworks.recorded import Recorded
from tracediff.recording.libraries.reach import Reach, recorded_here
from tracediff.recording.marks import source_of
from tracediff.runtime import current

log = logging.getLogger("tracediff")
_WRAPPED = "__tracediff_task__"
_SERVED = "_tracediff_served"
_LEFT_OUT = frozenset(
    """args kwargs argsrepr kwargsrepr called_directly compression ignore_result lang logfile
    loglevel properties task taskset utc""".split()
)
"""What a request holds that is recorded elsewhere, may hold secrets, or tells a job nothing."""


def hook() -> None:
    """Wrap the tasks that are made from now on, and those that are there."""
    space: Any = base
    if hasattr(space.add_autoretry_behaviour, _WRAPPED):
        return
    space.add_autoretry_behaviour = _adding(space.add_autoretry_behaviour)
    kind: Any = base.Celery
    kind._task_from_fun = _making(kind._task_from_fun)
    whole: Any = Task
    whole.request = property(_request)
    for app in [*_state._get_active_apps(), _state.default_app]:
        for task in list(app._tasks.values()) if app is not None else ():
            _take(task)


def make_announced() -> None:
    """Make the tasks that decorators have announced.

    Raises:
        ReplayError: ``job-not-importable``.
    """
    apps = [app for app in _state._get_active_apps() if not app.finalized]
    if not _state._get_active_apps():
        apps = [_state.get_current_app()]  # what `shared_task` falls back to
    for app in apps:
        try:
            app.finalize()
        except Exception as error:
            raise ReplayError(
                f"the tasks of the Celery app {app.main!r} cannot be made: "
                f"{type(error).__name__}: {error}",
                slug="job-not-importable",
                hint="its settings have to be readable where the replay runs",
            ) from error


def _adding(real: Callable[..., None]) -> Callable[..., None]:
    """Celery calls this for each task that it makes, before the task can be run."""

    @functools.wraps(real)
    def add_autoretry_behaviour(task: Any, **options: Any) -> None:
        _take(task)
        real(task, **options)

    setattr(add_autoretry_behaviour, _WRAPPED, True)
    return add_autoretry_behaviour


def _making(real: Callable[..., Any]) -> Callable[..., Any]:
    """A module that was imported anew defines its tasks anew."""

    @functools.wraps(real)
    def _task_from_fun(self: Any, fun: Any, name: str | None = None, **options: Any) -> Any:
        known = name or self.gen_task_name(fun.__name__, fun.__module__)
        before = self._tasks.get(known)
        if before is not None and _is_stale(before):
            self._tasks.pop(known)
        return real(self, fun, name, **options)

    return _task_from_fun


def _is_stale(task: Any) -> bool:
    """Whether a task is of a module that was imported anew since."""
    function = getattr(type(task), "_decorated_fun", None)
    space = getattr(function, "__globals__", None)
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    return space is not None and (module is None or vars(module) is not space)


def _take(task: Any) -> None:
    """Wrap a task's body, once."""
    name = "_orig_run" if hasattr(task, "_orig_run") else "run"
    function = getattr(task, name)
    if hasattr(function, _WRAPPED):
        return
    try:
        wrapped = _wrapped(task, function)
        setattr(wrapped, _WRAPPED, True)
        setattr(task, name, wrapped)
    except Exception:  # a task of any class; it runs unrecorded
        log.exception("tracediff cannot record the task %s", getattr(task, "name", task))


def _wrapped(task: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    recorded = Recorded(
        key_of(task.name),
        source_of(function).unit,
        function,
        again=_again(task, function),
        context=lambda *_, **__: _context(task.request_stack.top),
    )
    stack: Any = None

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        nonlocal stack
        if current.get() is not None:
            return recorded.nested(*args, **kwargs)
        if stack is None:
            stack = task.request_stack  # there is none before the task is bound
        request = stack.top
        if request is None or request.called_directly:
            return function(*args, **kwargs)
        begun = recorded.begin(args, kwargs)
        if begun is None:
            return function(*args, **kwargs)
        begun.buffer.tag([f"task:{request.id}"])
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            _judge(task, request, begun.buffer, error)
            begun.failed(error)
            raise
        begun.succeeded(result)
        return result

    return run


def _judge(task: Any, request: Any, buffer: Any, error: BaseException) -> None:
    """An attempt that is made again is a warning; one that is ignored leaves no trace."""
    if isinstance(error, Ignore) and not isinstance(error, Reject):
        buffer.ignored = True
    elif isinstance(error, Retry | Reject) or _is_tried_again(task, request, error):
        buffer.excused = True


def _is_tried_again(task: Any, request: Any, error: BaseException) -> bool:
    """Whether Celery's ``autoretry_for`` sends the task once more."""
    kinds = tuple(getattr(task, "autoretry_for", ()))
    if not kinds or not isinstance(error, kinds):
        return False
    if isinstance(error, tuple(getattr(task, "dont_autoretry_for", ()))):
        return False
    most = getattr(task, "retry_kwargs", {}).get("max_retries", task.max_retries)
    return most is None or request.retries < most


def _context(request: Any) -> Mapping[str, Any]:
    """What a trace is searched by, and what a replay's request is made of."""
    if request is None:
        return {}
    found = {"task_id": request.id, "attempt": request.retries + 1}
    for name in ("root_id", "parent_id"):
        value = getattr(request, name)
        if value is not None and value != request.id:
            found[name] = value
    return found


def _again(task: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """The body with the request that the recording says, for a replay."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        context = replaying.recorded_context()
        attempt = context.get("attempt")
        number = context.get("task_id")
        request = Context(
            id=number,
            root_id=context.get("root_id", number),
            parent_id=context.get("parent_id"),
            retries=attempt - 1 if isinstance(attempt, int) else 0,
            args=args,
            kwargs=kwargs,
            called_directly=False,
            delivery_info={},
        )
        _state.push_current_task(task)
        task.push_request(**vars(request))
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            here = current.get()
            if here is not None:
                _judge(task, request, here.buffer, error)
            raise
        finally:
            task.pop_request()
            _state.pop_current_task()

    return run


def _read(task: str) -> dict[str, Any]:
    """The running task's request, which ``function`` reads."""
    return {}


_REQUEST = Reach("input", "celery request", _read)


def _request(self: Any) -> Any:
    """The request; where a job asks for it, an input that is read once a run."""
    found = self._get_request()
    if current.get() is None or _asked_by_celery():
        return found
    parent = recorded_here()
    if parent is None or getattr(found, _SERVED, None) is parent.buffer:
        return found
    setattr(found, _SERVED, parent.buffer)
    said = _REQUEST(parent, self.name, run=lambda _: _fields(found))
    if parent.buffer.server is not None and isinstance(said, dict):
        found.update({name: value for name, value in said.items() if isinstance(name, str)})
    return found


def _asked_by_celery() -> bool:
    name = sys._getframe(2).f_globals.get("__name__") or ""
    return name.startswith("celery.")


def _fields(request: Any) -> dict[str, Any]:
    return {
        name: value
        for name, value in vars(request).items()
        if name not in _LEFT_OUT and not name.startswith("_") and value is not None
    }

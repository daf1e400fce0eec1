"""Huey: each run of a task by a consumer is a job, and so is one at once, in immediate mode.

The class that Huey makes for each task is changed where it is registered. A task's function that is
called by itself, by ``call_local``, is a function.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from huey import api, exceptions, registry

from tracediff.frameworks import huey_sending, replaying
from tracediff.frameworks.huey_sending import function_of
from tracediff.frameworks.queueing import (
    HOOKED,
    Back,
    begun,
    excuse,
    is_stale,
    log,
    put,
    ran,
    served_again,
    task_of,
)
from tracediff.recording.marks import source_of
from tracediff.runtime import current

LIBRARY = "huey"
_QUEUE = "_tracediff_queue"


def hook() -> None:
    """Record the tasks that are made from now on, and those that are there."""
    put(registry.Registry, "register", _registering)
    put(api.Huey, "_execute", _executing)
    _take_below(api.Task)
    huey_sending.hook()


def _take_below(kind: Any) -> None:
    for one in kind.__subclasses__():
        if one is not api.PeriodicTask:
            _take(one)
        _take_below(one)


def _registering(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def register(self: Any, task_class: Any) -> Any:
        _forget_stale(self, task_class)
        done = real(self, task_class)
        _take(task_class)
        return done

    return register


def _forget_stale(known: Any, task_class: Any) -> None:
    """A module that was imported anew defines its tasks anew, perhaps for a Huey that stays."""
    before = known._registry.get(known.task_to_string(task_class))
    function = function_of(before) if before is not None else None
    if function is not None and is_stale(function):
        known.unregister(before)


def _take(kind: Any) -> None:
    """Put the recording around what a task's class executes, once."""
    real = vars(kind).get("execute")
    if real is None or hasattr(real, HOOKED):
        return
    try:
        function = function_of(kind)
        if function is None:  # a class of somebody's own
            return
        wrapped = _wrapped(kind, real, function)
        setattr(wrapped, HOOKED, True)
        kind.execute = wrapped
    except Exception:  # a class of any kind; its tasks run unrecorded
        log.exception("tracediff cannot record the task %s", kind)


def _wrapped(kind: Any, real: Callable[..., Any], function: Callable[..., Any]) -> Any:
    name = f"{source_of(function).unit.partition(':')[0]}.{kind.__name__}"
    recorded = task_of(LIBRARY, name, function, _again(kind, function), _shape(kind, function))

    @functools.wraps(real)
    def execute(self: Any) -> Any:
        if current.get() is not None:
            return real(self)
        with Back():
            args, kwargs = self.data
            given = {
                one: value for one, value in kwargs.items() if one != "task" or not kind.context
            }
            run = begun(recorded, args, given, _context(self))
            return real(self) if run is None else ran(run, _judging(self), lambda: real(self))

    return execute


def _shape(kind: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function without the argument ``task``, which is Huey's own."""
    if not kind.context:
        return function
    whole = inspect.signature(function)
    own = [one for one in whole.parameters.values() if one.name != "task"]

    def shape(*args: Any, **kwargs: Any) -> Any:
        """Takes what the program gives."""

    setattr(shape, "__signature__", whole.replace(parameters=own))  # noqa: B010 - no attribute of it
    return shape


def _executing(real: Callable[..., Any]) -> Callable[..., Any]:
    """A task knows which Huey runs it."""

    @functools.wraps(real)
    def _execute(self: Any, task: Any, timestamp: Any) -> Any:
        setattr(task, _QUEUE, self.name)
        return real(self, task, timestamp)

    return _execute


def _judging(task: Any) -> Callable[[Any, BaseException], None]:
    def judge(buffer: Any, error: BaseException) -> None:
        if _is_tried_again(task, error):
            excuse(buffer)

    return judge


def _is_tried_again(task: Any, error: BaseException) -> bool:
    """Whether Huey makes another attempt, or the task itself said that it is cancelled."""
    if isinstance(error, exceptions.RetryTask | exceptions.CancelExecution):
        return True
    limited = getattr(exceptions, "RateLimitExceeded", ())
    if isinstance(error, limited) and getattr(error, "retry", False):
        return True
    return isinstance(error, Exception) and bool(task.retries)


def _context(task: Any) -> Mapping[str, Any]:
    """What a trace is searched by, and what a replay's task is made of.

    The attempt is counted from the retries that the task is declared with.
    """
    done = (getattr(type(task), "default_retries", 0) or 0) - (task.retries or 0)
    return {
        "framework": LIBRARY,
        "task_id": task.id,
        "queue": getattr(task, _QUEUE, None),
        "attempt": max(done, 0) + 1,
        "retries_left": task.retries,
    }


def _again(kind: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """A task's function with the task that the recording says, for a replay."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        said = replaying.recorded_context()
        task = kind(args, kwargs, id=said.get("task_id"), retries=said.get("retries_left"))
        kwargs = {**kwargs, "task": task} if kind.context else kwargs
        return served_again(function, _judging(task))(*args, **kwargs)

    return run

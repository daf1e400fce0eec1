"""Huey: what a job enqueues and stores, which are outputs, and what it reads: inputs.

The ids that Huey makes up are no part of what is enqueued: they are new in each run.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from huey import api
from huey.constants import EmptyData
from huey.utils import Error

from tracediff.frameworks.queueing import cleaned, named, put, through
from tracediff.recording.libraries.reach import Reach
from tracediff.runtime import current
from tracediff.values import module_name

_MANY = tuple(getattr(api, name) for name in ("group", "chord", "TaskGroup") if hasattr(api, name))
"""What is enqueued task by task."""

_DELAYS = "huey delays"
_OPTIONS = ("eta", "retries", "retry_delay", "retry_backoff", "priority", "expires", "timeout")


def _send(task: Any, args: Any, kwargs: Any, options: Any) -> list[str]:
    """Enqueue a task: what is recorded are its id and those of what follows it."""
    raise NotImplementedError


def _write(key: Any, data: Any = None) -> Any:
    """Store a value."""
    raise NotImplementedError


def _read(key: Any) -> Any:
    """Read a value."""


def _ask(task_id: Any) -> Any:
    """Read what a task gave."""


SEND = Reach("output", "huey enqueue", _send)
PUT = Reach("output", "huey put", _write)
PUT_NEW = Reach("output", "huey put if empty", _write)
DELETE = Reach("output", "huey delete", _read)
GET = Reach("input", "huey get", _read)
REVOKED = Reach("input", "huey revoked", _read)
LOCKED = Reach("input", "huey locked", _read)
LIMIT = Reach("output", "huey rate limit", _read)
RESULT = Reach("input", "huey result", _ask)


def hook() -> None:
    """Put the reaches in the place of Huey's methods, once."""
    put(api, "normalize_time", _delaying)
    put(api.Huey, "enqueue", _sending)
    put(api.Huey, "put", _writing(PUT))
    put(api.Huey, "put_if_empty", _writing(PUT_NEW))
    put(api.Huey, "delete", _keyed(DELETE))
    put(api.Huey, "get", _keyed(GET))
    put(api.Huey, "is_revoked", _revoked)
    put(api.TaskLock, "is_locked", _locked)
    put(api.TaskLock, "locked", _locked)
    put(getattr(api, "RateLimit", None), "acquire", _limited)
    put(api.Result, "get_raw_result", _getting)
    put(api.Result, "_get", _looking)


def _delaying(real: Callable[..., Any]) -> Callable[..., Any]:
    """Huey makes a time of a delay, which would be another in each run."""

    @functools.wraps(real)
    def normalize_time(eta: Any = None, delay: Any = None, utc: bool = True) -> Any:
        made = real(eta, delay, utc)
        here = current.get()
        if here is not None and delay is not None:
            here.buffer.reached.setdefault(_DELAYS, {})[made] = delay
        return made

    return normalize_time


def _delays() -> dict[Any, Any]:
    """The delays that this job gave, by the times that were made of them."""
    here = current.get()
    return here.buffer.reached.get(_DELAYS, {}) if here is not None else {}


def _sending(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def enqueue(self: Any, task: Any) -> Any:
        if isinstance(task, _MANY):
            return real(self, task)  # which enqueues each of its tasks
        return through(
            SEND, lambda: real(self, task), lambda: _told(task),
            kept=lambda _: [one.id for one in _line(task)],
            made=lambda said: _handles(self, task, said),
        )  # fmt: skip

    return enqueue


def _line(task: Any) -> list[Any]:
    """A task and those that follow it."""
    found = []
    while task is not None:
        found.append(task)
        task = task.on_complete
    return found


def _handles(huey: Any, task: Any, said: Any) -> Any:
    """What a task that was sent is asked by, with the ids it was sent with."""
    for one, number in zip(_line(task), said or (), strict=False):
        one.id, one.revoke_id = number, f"r:{number}"
    if not huey.results:
        return None
    results = [api.Result(huey, one) for one in _line(task)]
    return api.ResultGroup(results) if len(results) > 1 else results[0]


def _told(task: Any) -> tuple[Any, ...]:
    kind = type(task)
    args, kwargs = task.data
    if kwargs.get("task") is task:
        kwargs = {name: one for name, one in kwargs.items() if name != "task"}
    args, kwargs = named(function_of(kind), args, kwargs)
    options = {}
    for name in _OPTIONS:
        value = getattr(task, name, None)
        if value is not None and value != getattr(kind, f"default_{name}", None):
            options[name] = value
    if task.eta in _delays():
        options["delay"] = _delays()[options.pop("eta")]
    for name in ("on_complete", "on_error"):
        if getattr(task, name) is not None:
            options[name] = list(_told(getattr(task, name)))
    after = getattr(task, "chord_config", None)
    if after is not None:
        options["chord"] = list(_told(after.callback))
    return f"{module_name(kind.__module__)}.{kind.__name__}", args, kwargs, options


def function_of(kind: Any) -> Callable[..., Any] | None:
    """The function that a task's class executes, if Huey made the class."""
    execute = inspect.unwrap(kind.execute)
    found = inspect.getclosurevars(execute).nonlocals.get("func")
    return found if callable(found) else None


def _writing(reach: Reach) -> Callable[[Any], Any]:
    def around(real: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(real)
        def write(self: Any, key: Any, data: Any, *args: Any, **kwargs: Any) -> Any:
            return through(
                reach, lambda: real(self, key, data, *args, **kwargs), lambda: (key, data)
            )

        return write

    return around


def _keyed(reach: Reach) -> Callable[[Any], Any]:
    def around(real: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(real)
        def call(self: Any, key: Any, *args: Any, **kwargs: Any) -> Any:
            return through(reach, lambda: real(self, key, *args, **kwargs), lambda: (key,))

        return call

    return around


def _revoked(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def is_revoked(self: Any, task: Any, *args: Any, **kwargs: Any) -> Any:
        return through(
            REVOKED,
            lambda: real(self, task, *args, **kwargs),
            lambda: (list(self._revoke_keys(task)),),
        )

    return is_revoked


def _locked(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def is_locked(self: Any) -> Any:
        return through(LOCKED, lambda: real(self), lambda: (self._name,))

    return is_locked


def _limited(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def acquire(self: Any) -> Any:
        return through(LIMIT, lambda: real(self), lambda: (self._name,))

    return acquire


def _getting(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def get_raw_result(self: Any, *args: Any, **kwargs: Any) -> Any:
        return through(
            RESULT, lambda: real(self, *args, **kwargs), lambda: (self.id,),
            kept=_plain, made=lambda said: _known(self, said),
        )  # fmt: skip

    return get_raw_result


def _looking(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def _get(self: Any, preserve: bool = False) -> Any:
        if self._result is not EmptyData:
            return self._result
        return through(
            RESULT, lambda: real(self, preserve), lambda: (self.id,),
            kept=_plain, made=lambda said: _known(self, said),
        )  # fmt: skip

    return _get


def _plain(found: Any) -> dict[str, Any]:
    if found is EmptyData:
        return {}
    if isinstance(found, Error):
        said = dict(found.metadata)
        return {"error": {name: cleaned(one) for name, one in said.items()}}
    return {"result": found}


def _known(handle: Any, said: Any) -> Any:
    if not isinstance(said, dict) or not said:
        return EmptyData
    value = Error(said["error"]) if "error" in said else said.get("result")
    if value is not None:
        handle._result = value
    return value

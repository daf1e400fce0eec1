"""Celery: what a job sends to a broker or to the result backend, and what it reads back.

Sending a task, starting a chord and setting a state are outputs, a result is an input. The ids that
Celery makes up are no part of them: they are new in each run.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from celery import canvas, result
from celery.app import base
from celery.app.task import Task
from celery.backends import asynchronous
from celery.utils import uuid

from tracediff.frameworks.replaying import is_replayed
from tracediff.recording.libraries.reach import Reach, recorded_here, refuse_output

_OPTIONS = ("countdown", "eta", "expires", "queue", "exchange", "routing_key", "priority",
            "retries", "headers", "time_limit", "soft_time_limit")  # fmt: skip
_LINKS = ("link", "link_error", "chain", "chord")
_HOOKED = "__tracediff_hooked__"


def _send(name: str, args: Any, kwargs: Any, options: Any, then: Any) -> str:
    """Send a task: what is recorded is its id."""
    raise NotImplementedError


def _chord(header: Any, body: Any) -> str:
    """Start a chord: what is recorded is its body's id."""
    raise NotImplementedError


def _state(state: Any, meta: Any) -> None:
    """Set the running task's state."""


def _result(task_id: str) -> Any:
    """Read what a task gave."""


SEND = Reach("output", "celery send", _send)
CHORD = Reach("output", "celery chord", _chord)
STATE = Reach("output", "celery state", _state)
RESULT = Reach("input", "celery result", _result)
META = Reach("input", "celery result state", _result)


def hook() -> None:
    """Put the reaches in the place of Celery's methods, once."""
    for owner, name, around in (
        (base.Celery, "send_task", _sending),
        (canvas._chord, "run", _starting),
        (Task, "update_state", _setting),
        (result.AsyncResult, "get", _getting),
        (result.AsyncResult, "_get_task_meta", _looking),
        (asynchronous.AsyncBackendMixin, "add_pending_result", _listening),
    ):
        kind: Any = owner
        real = getattr(kind, name)
        if not hasattr(real, _HOOKED):
            made = around(real)
            setattr(made, _HOOKED, True)
            setattr(kind, name, made)


def plain(value: Any) -> Any:
    """A signature, and what holds some, without the ids that differ from run to run."""
    if isinstance(value, Mapping) and "task" in value and "args" in value:
        found = {
            "task": value["task"],
            "args": plain(list(value["args"] or ())),
            "kwargs": plain(dict(value.get("kwargs") or {})),
        }
        options = value.get("options") or {}
        told = {**_chosen(options), **_links(options)}
        return {**found, "options": told} if told else found
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


def _chosen(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in _OPTIONS if options.get(name) is not None}


def _links(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: plain(options[name]) for name in _LINKS if options.get(name)}


def _sending(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def send_task(
        self: Any, name: str, args: Any = None, kwargs: Any = None, *more: Any, **options: Any
    ) -> Any:
        parent = recorded_here()
        if parent is None:
            refuse_output(SEND.mark.name)
            return real(self, name, args, kwargs, *more, **options)
        sent: list[Any] = []

        def run(*_: Any) -> str:
            sent.append(real(self, name, args, kwargs, *more, **options))
            return str(sent[0].id)

        given = plain(list(args or ())), plain(dict(kwargs or {}))
        number = SEND(parent, name, *given, _chosen(options), _links(options), run=run)
        if sent:
            return sent[0]
        kind = options.get("result_cls") or self.AsyncResult
        return kind(options.get("task_id") or number or uuid())

    return send_task


def _starting(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def run(self: Any, header: Any, body: Any, *args: Any, **options: Any) -> Any:
        parent = recorded_here()
        if parent is None:
            refuse_output(CHORD.mark.name)
            return real(self, header, body, *args, **options)
        done: list[Any] = []

        def start(*_: Any) -> str:
            done.append(real(self, header, body, *args, **options))
            return str(done[0].id)

        number = CHORD(parent, plain(list(header.tasks)), plain(body), run=start)
        return done[0] if done else body.freeze(options.get("task_id") or number or uuid())

    return run


def _setting(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def update_state(
        self: Any, task_id: Any = None, state: Any = None, meta: Any = None, **more: Any
    ) -> Any:
        parent = recorded_here()
        if parent is None:
            refuse_output(STATE.mark.name)
            return real(self, task_id, state, meta, **more)

        def run(*_: Any) -> None:
            real(self, task_id, state, meta, **more)

        return STATE(parent, state, meta, run=run)

    return update_state


def _getting(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def get(self: Any, *args: Any, **kwargs: Any) -> Any:
        parent = recorded_here()
        if parent is None:
            return real(self, *args, **kwargs)
        return RESULT(parent, self.id, run=lambda _: real(self, *args, **kwargs))

    return get


def _looking(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def _get_task_meta(self: Any) -> Any:
        parent = recorded_here()
        if parent is None:
            return real(self)
        return META(parent, self.id, run=lambda _: real(self))

    return _get_task_meta


def _listening(real: Callable[..., Any]) -> Callable[..., Any]:
    """A group listens for what its tasks give; in a replay nobody says it."""

    @functools.wraps(real)
    def add_pending_result(self: Any, found: Any, *args: Any, **kwargs: Any) -> Any:
        return found if is_replayed() else real(self, found, *args, **kwargs)

    return add_pending_result

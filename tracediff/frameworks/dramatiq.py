"""Dramatiq: each run of an actor by a worker is a job, in the worker's thread.

An actor's function is wrapped where the actor is made. One that is called as a function is one:
outside of a job it is not recorded.
"""

from __future__ import annotations

import functools
import gc
import inspect
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

import dramatiq
from dramatiq import worker
from dramatiq.middleware import CurrentMessage, Retries, SkipMessage

from tracediff.frameworks import dramatiq_sending, replaying
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
from tracediff.recording.libraries.reach import Reach, recorded_here
from tracediff.recording.marks import source_of
from tracediff.runtime import current

LIBRARY = "dramatiq"
_running: ContextVar[Any] = ContextVar("tracediff_dramatiq", default=None)
"""The message that this thread's worker processes."""

_PLAIN = (str, int, float, bool, type(None))


def hook() -> None:
    """Record the actors that are made from now on, and those that are there."""
    made = hasattr(dramatiq.Actor.__init__, HOOKED)
    put(dramatiq.Actor, "__init__", _making)
    thread = getattr(worker, "WorkerThread", None) or worker._WorkerThread  # before version 2
    put(thread, "process_message", _processing)
    if not made:
        kind: Any = CurrentMessage
        kind.get_current_message = classmethod(_asking(CurrentMessage.get_current_message))
        for one in gc.get_objects():  # nothing lists the brokers, which list the actors
            # Not `isinstance`: it would ask lazy objects for their class, and so make them.
            if issubclass(type(one), dramatiq.Actor) and "fn" in vars(one):
                _take(one)
    dramatiq_sending.hook()


def _making(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def make(self: Any, fn: Any, *, broker: Any, actor_name: str, **options: Any) -> None:
        before = broker.actors.get(actor_name)
        if before is not None and is_stale(before.fn):
            del broker.actors[actor_name]
        real(self, fn, broker=broker, actor_name=actor_name, **options)
        _take(self)

    return make


def _take(actor: Any) -> None:
    """Wrap an actor's function, once."""
    function = actor.fn
    if hasattr(function, HOOKED):
        return
    try:
        wrapped = _wrapped(actor, function)
        setattr(wrapped, HOOKED, True)
        actor.fn = wrapped
    except Exception:  # an actor of any class; it runs unrecorded
        log.exception("tracediff cannot record the actor %s", actor)


def _wrapped(actor: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    module = source_of(function).unit.partition(":")[0]
    recorded = task_of(LIBRARY, f"{module}.{actor.actor_name}", function, _again(actor, function))

    @functools.wraps(function)
    def fn(*args: Any, **kwargs: Any) -> Any:
        if current.get() is not None:
            return recorded.nested(*args, **kwargs)
        message = _running.get()
        if message is None or message.actor_name != actor.actor_name:
            return function(*args, **kwargs)  # called as a function
        run = begun(recorded, args, kwargs, _context(message))
        if run is None:
            return function(*args, **kwargs)
        return ran(run, _judging(actor, message), lambda: function(*args, **kwargs))

    return fn


def _processing(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def process_message(self: Any, message: Any) -> Any:
        token = _running.set(message)
        try:
            with Back():
                return real(self, message)
        finally:
            _running.reset(token)

    return process_message


def _judging(actor: Any, message: Any) -> Callable[[Any, BaseException], None]:
    def judge(buffer: Any, error: BaseException) -> None:
        if isinstance(error, SkipMessage) or _is_tried_again(actor, message, error):
            excuse(buffer)

    return judge


def _is_tried_again(actor: Any, message: Any, error: BaseException) -> bool:
    """Whether Dramatiq's ``Retries`` sends the message once more."""
    rules = [one for one in actor.broker.middleware if isinstance(one, Retries)]
    throws = message.options.get("throws") or actor.options.get("throws")
    if not rules or (throws and isinstance(error, throws)):
        return False
    done = message.options.get("retries", 0)
    when = actor.options.get("retry_when", rules[0].retry_when)
    if when is not None:
        return bool(when(done, error))
    most = message.options.get("max_retries", actor.options.get("max_retries",
                                                                rules[0].max_retries))  # fmt: skip
    return most is None or done < most


def _context(message: Any) -> Mapping[str, Any]:
    """What a trace is searched by, and what a replay's message is made of."""
    return {
        "framework": LIBRARY,
        "task_id": message.message_id,
        "queue": message.queue_name.removesuffix(".DQ"),
        "attempt": int(message.options.get("retries", 0)) + 1,
    }


def _again(actor: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """An actor's function with the message that the recording says, for a replay."""
    inner = getattr(function, "__wrapped__", None)
    own = inner if inner is not None and inspect.iscoroutinefunction(inner) else function

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        message = _stand_in(actor, args, kwargs)
        CurrentMessage._MESSAGE.set(message)
        judge = _judging(actor, message)
        result = served_again(own, judge)(*args, **kwargs)
        return _awaited(result, judge) if inspect.iscoroutine(result) else result

    return run


async def _awaited(coroutine: Any, judge: Callable[[Any, BaseException], None]) -> Any:
    async def call() -> Any:
        return await coroutine

    try:
        return await call()
    except BaseException as error:
        here = current.get()
        if here is not None:
            judge(here.buffer, error)
        raise


def _stand_in(actor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    said = replaying.recorded_context()
    attempt = said.get("attempt")
    done = attempt - 1 if isinstance(attempt, int) else 0
    return dramatiq.Message(
        queue_name=str(said.get("queue") or actor.queue_name),
        actor_name=actor.actor_name,
        args=args,
        kwargs=kwargs,
        options={"retries": done} if done else {},
        message_id=str(said.get("task_id")),
    )


def _read(actor: str) -> dict[str, Any]:
    """The message that the running actor was sent, which ``function`` reads."""
    return {}


_MESSAGE = Reach("input", "dramatiq message", _read)


def _asking(real: Callable[..., Any]) -> Callable[..., Any]:
    """The message; where a job asks for it, an input that is read once a run."""

    def get_current_message(_: type) -> Any:
        message = real()
        if message is None or current.get() is None:
            return message
        parent = recorded_here()
        if parent is None:
            return message
        known = parent.buffer.reached
        if LIBRARY in known:
            return known[LIBRARY] or message
        known[LIBRARY] = None
        said = _MESSAGE(parent, message.actor_name, run=lambda _: _fields(message))
        if parent.buffer.server is not None and isinstance(said, dict):
            known[LIBRARY] = message.copy(
                options=dict(said.get("options") or {}), message_timestamp=said.get("sent")
            )
        return known[LIBRARY] or message

    return get_current_message


def _fields(message: Any) -> dict[str, Any]:
    """What a message holds beside its arguments, without what Dramatiq notes for itself."""
    return {
        "options": {
            name: one
            for name, one in message.options.items()
            if isinstance(one, _PLAIN) and name not in dramatiq_sending.OWN
        },
        "sent": message.message_timestamp,
    }

"""Dramatiq: what a job sends, which is an output, and results it reads, which are inputs.

The ids and times that Dramatiq makes up are no part of what is sent: they are new in each run.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import dramatiq
from dramatiq import broker
from dramatiq.rate_limits import Barrier

from tracediff.frameworks.queueing import HOOKED, named, put, through
from tracediff.recording.libraries.reach import Reach

OWN = frozenset(
    """redis_message_id eta requeue_timestamp traceback group_completion_uuid""".split()
)
"""The options that Dramatiq makes up."""


def _send(actor: Any, args: Any, kwargs: Any, queue: Any, options: Any, delay: Any) -> str:
    """Send a message: what is recorded is its id."""
    raise NotImplementedError


def _bar(parties: Any) -> bool:
    """Make a group's barrier."""
    raise NotImplementedError


def _result(actor: Any, message_id: Any) -> Any:
    """Read what an actor gave."""


SEND = Reach("output", "dramatiq send", _send)
BARRIER = Reach("output", "dramatiq barrier", _bar)
RESULT = Reach("input", "dramatiq result", _result)


def hook() -> None:
    """Put the reaches in the place of the brokers' methods, once."""
    _hook_below(broker.Broker)
    kind: Any = broker.Broker
    if not hasattr(kind.__init__, HOOKED):
        put(broker.Broker, "__init__", _starting)
    put(dramatiq.Message, "get_result", _reading)
    put(Barrier, "create", _barring)


def _starting(real: Callable[..., Any]) -> Callable[..., Any]:
    """A broker of a class that was not there before."""

    @functools.wraps(real)
    def start(self: Any, *args: Any, **kwargs: Any) -> None:
        _hook_below(broker.Broker)
        real(self, *args, **kwargs)

    return start


def _hook_below(kind: Any) -> None:
    if "enqueue" in vars(kind):
        put(kind, "enqueue", _sending)
    for one in kind.__subclasses__():
        _hook_below(one)


def _sending(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def enqueue(self: Any, message: Any, *args: Any, **kwargs: Any) -> Any:
        def send() -> Any:
            return real(self, message, *args, **kwargs)

        delay = args[0] if args else kwargs.get("delay")
        return through(
            SEND, send, lambda: (*_told(self, message.asdict()), delay),
            kept=lambda sent: sent.message_id,
            made=lambda number: message.copy(message_id=number) if number else message,
        )  # fmt: skip

    return enqueue


def _told(sender: Any, message: Mapping[str, Any]) -> tuple[Any, ...]:
    """A message without what Dramatiq makes up."""
    actor = sender.actors.get(message["actor_name"])
    args, kwargs = named(getattr(actor, "fn", None), message["args"], message["kwargs"])
    options = {
        name: _plain(sender, one) for name, one in message["options"].items() if name not in OWN
    }
    return message["actor_name"], args, kwargs, message["queue_name"], options


def _plain(sender: Any, value: Any) -> Any:
    """An option; one that is a message, as what comes next, without what Dramatiq makes up."""
    if isinstance(value, Mapping) and "actor_name" in value and "args" in value:
        names = ("actor", "args", "kwargs", "queue", "options")
        return dict(zip(names, _told(sender, value), strict=True))
    if isinstance(value, list | tuple):
        return [_plain(sender, one) for one in value]
    if isinstance(value, type):  # `throws`
        return f"{value.__module__}.{value.__qualname__}"
    return value


def _barring(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def create(self: Any, parties: int) -> Any:
        return through(
            BARRIER,
            lambda: real(self, parties),
            lambda: (parties,),
            made=lambda said: said is not False,
        )

    return create


def _reading(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def get_result(self: Any, *args: Any, **kwargs: Any) -> Any:
        return through(
            RESULT, lambda: real(self, *args, **kwargs), lambda: (self.actor_name, self.message_id)
        )

    return get_result

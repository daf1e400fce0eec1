"""Events of structlog as notes: those that its processors let pass, with what was bound to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from structlog import _base

from tracediff.recording.beside.saying import LEVELS, say, thread, without_secrets
from tracediff.recording.libraries.patching import Patch
from tracediff.recording.redaction import REDACTED
from tracediff.runtime import current

MAX_FIELDS: Final = 40
MAX_FIELD: Final = 400
_OTHER: Final = {"exception": 40, "warn": 30, "msg": 20, "err": 40, "fatal": 50, "notset": 0}
_OWN: Final = ("structlog", "tracediff", "concurrent", "asyncio", "threading")


def patches(level: str) -> list[Patch]:
    """What stands in where an event goes through the processors, and on to a logger.

    A logger of ``logging`` that it goes on to makes no second note of it.
    """
    owner: Any = _base.BoundLoggerBase
    process, hand_on = owner._process_event, owner._proxy_to_logger  # noqa: SLF001 - its documented seam
    least = LEVELS[level]

    def process_event(self: Any, method_name: str, event: Any, event_kw: dict[str, Any]) -> Any:
        if current.get() is None:
            return process(self, method_name, event, event_kw)
        given = dict(event_kw)  # processors may take from it
        found = process(self, method_name, event, event_kw)
        number = LEVELS.get(method_name, _OTHER.get(method_name, 20))
        if number >= least:
            say(lambda: _text(self, method_name, event, given), _is_callers)
        return found

    def proxy_to_logger(self: Any, *args: Any, **event_kw: Any) -> Any:
        thread.inside += 1
        try:
            return hand_on(self, *args, **event_kw)
        finally:
            thread.inside -= 1

    return [
        Patch(owner, "_process_event", process_event),
        Patch(owner, "_proxy_to_logger", proxy_to_logger),
    ]


def _is_callers(file: str, module: str) -> bool:
    return module.partition(".")[0] not in _OWN


def _text(bound: Any, method_name: str, event: Any, given: dict[str, Any]) -> str:
    secret = current.get().buffer.redactor.secret
    name = getattr(bound._logger, "name", None)  # noqa: SLF001 - a logger of ``logging`` has one
    level = "ERROR" if method_name == "exception" else method_name.upper()
    fields = {**dict(bound._context), **given}  # noqa: SLF001 - what was bound to it
    args = fields.pop("positional_args", None)
    said = [
        f"{key}={REDACTED if secret(str(key)) else repr(value)[:MAX_FIELD]}"
        for key, value in list(fields.items())[:MAX_FIELDS]
    ]
    message = str(event) % _filled(args) if args else str(event)
    who = name if isinstance(name, str) else "structlog"
    return " ".join((f"{level} {who}: {message}", *said))


def _filled(args: Any) -> Any:
    """What a message is filled with: one dict fills it by names, as with ``logging``."""
    if isinstance(args, tuple) and len(args) == 1 and isinstance(args[0], Mapping):
        args = args[0]
    return without_secrets(args) if isinstance(args, Mapping) else args

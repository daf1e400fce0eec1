"""Django: each run of a management command is a job, around its ``handle``.

Its arguments are what was parsed, without the options that every command has. What it prints is no
part of the trace.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

from django.core.management import base

from tracediff.frameworks.naming import settings
from tracediff.frameworks.recorded import Recorded
from tracediff.recording.marks import source_of, unit_of
from tracediff.runtime import current

log = logging.getLogger("tracediff")
_HOOKED = "__tracediff_hooked__"
_EVERYWHERE = {
    "verbosity": 1, "settings": None, "pythonpath": None, "traceback": False, "no_color": False,
    "force_color": False, "skip_checks": True, "stdout": None, "stderr": None,
}  # fmt: skip
"""The options of every command, and what a replay gives it."""

_PLACE = ".management.commands."


def hook() -> None:
    """Record the commands that run, once."""
    kind: Any = base.BaseCommand
    real = kind.execute
    if hasattr(real, _HOOKED):
        return

    @functools.wraps(real)
    def execute(self: Any, *args: Any, **options: Any) -> Any:
        _take(self)
        return real(self, *args, **options)

    setattr(execute, _HOOKED, True)
    kind.execute = execute


def recorded_command(kind: type[Any]) -> Recorded:
    """What records a command."""
    unit = f"{unit_of(kind)}.handle"
    name = kind.__module__.rpartition(_PLACE)[2].rpartition(".")[2] or kind.__module__
    config = settings()
    named = config.keys.get(kind.__module__) if config is not None else None
    return Recorded(
        named or f"commands/{name}",
        unit,
        _shape,
        again=_again(kind),
        source=source_of(kind.handle),
    )


def _shape(*args: Any, **options: Any) -> Any:
    """What a command takes."""


def _take(command: Any) -> None:
    """Wrap the ``handle`` of one command, once."""
    handle = command.handle
    if hasattr(handle, _HOOKED):
        return
    try:
        wrapped = _wrapped(recorded_command(type(command)), handle)
        setattr(wrapped, _HOOKED, True)
        command.handle = wrapped
    except Exception:  # a command of any class; it runs unrecorded
        log.exception("tracediff cannot record the command %r", command)


def _wrapped(recorded: Recorded, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def handle(*args: Any, **options: Any) -> Any:
        own = {name: value for name, value in options.items() if name not in _EVERYWHERE}
        begun = None if current.get() is not None else recorded.begin(args, own)
        if begun is None:
            return function(*args, **options)
        try:
            result = function(*args, **options)
        except BaseException as error:
            begun.failed(error)
            raise
        begun.succeeded(result)
        return result

    return handle


def _again(kind: type[Any]) -> Callable[..., Any]:
    """The command of a new instance, for a replay."""

    def handle(*args: Any, **options: Any) -> Any:
        return kind().handle(*args, **{**_EVERYWHERE, **options})

    return handle


def find_command(module: Any) -> None:
    """Make known the command that a module defines."""
    kind = vars(module).get("Command")
    if isinstance(kind, type) and issubclass(kind, base.BaseCommand):
        recorded_command(kind)

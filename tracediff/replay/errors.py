"""Recorded exceptions, raised again: built without running anybody's constructor."""

from __future__ import annotations

import builtins
import sys
from typing import Any

from tracediff import values
from tracediff.errors import ReplayError
from tracediff.model import ErrorInfo


def rebuild(info: ErrorInfo, allow: values.Allow) -> BaseException:
    """The exception as it was recorded.

    Its class comes from the allow-list, the builtins, or a module the job imported already; else a
    stand-in of the same name derives from the nearest base that is a builtin.
    """
    kind = _class(info, allow)
    args, attributes = _state(info, allow)
    if issubclass(kind, BaseExceptionGroup):
        members = [rebuild(member, allow) for member in info.members]
        error = _group(kind, info.message, members)
    else:
        error = _made(kind, args)
    for name, value in attributes.items():
        if isinstance(name, str):
            object.__setattr__(error, name, value)
    if info.cause is not None:
        error.__cause__ = rebuild(info.cause, allow)
    elif info.context is not None:
        error.__context__ = rebuild(info.context, allow)
    else:
        error.__suppress_context__ = True  # what the job handles now is not its context
    return error


def _group(kind: type, message: str, members: list[BaseException]) -> BaseException:
    text = message.rpartition(" (")[0] or message
    members = members or [Exception("its members were not recorded")]
    plain = all(isinstance(member, Exception) for member in members)
    if issubclass(kind, ExceptionGroup) and not plain:
        kind = BaseExceptionGroup
    made: BaseException = BaseExceptionGroup.__new__(kind, text, members)
    return made


def _made(kind: type[BaseException], args: tuple[Any, ...]) -> BaseException:
    """An exception that only the builtin underneath has initialised."""
    for native in kind.__mro__:
        if native.__module__ != "builtins":
            continue
        try:
            error: BaseException = native.__new__(kind, *args)
        except TypeError:  # another base decides how it is laid out in memory
            continue
        try:
            native.__init__(error, *args)  # type: ignore[misc]  # its own class's, on purpose
        except TypeError:
            BaseException.__init__(error, *args)
        return error
    return Exception(*args)


def _state(info: ErrorInfo, allow: values.Allow) -> tuple[tuple[Any, ...], dict[Any, Any]]:
    if info.value is not None:
        try:
            found = values.live(info.value, allow)
        except ReplayError:
            found = None
        if isinstance(found, tuple) and len(found) == 2:
            args, attributes = found
            if isinstance(args, tuple) and isinstance(attributes, dict):
                return args, attributes
    return (info.message,), {}


def _class(info: ErrorInfo, allow: values.Allow) -> type[BaseException]:
    found = _named(info.type, allow)
    if found is not None:
        return found
    for base in info.bases:
        known = _named(base, allow)
        if known is not None:
            return type(info.type.rpartition(":")[2].rpartition(".")[2], (known,), {})
    return Exception


def _named(ref: str, allow: values.Allow) -> type[BaseException] | None:
    module, _, name = ref.partition(":")
    found: Any = None
    if module == "builtins":
        found = getattr(builtins, name, None)
    elif allow.permits(ref):
        try:
            found = allow.load(ref)
        except ReplayError:
            found = None
    else:
        found = vars(sys.modules[module]).get(name) if module in sys.modules else None
    return found if isinstance(found, type) and issubclass(found, BaseException) else None

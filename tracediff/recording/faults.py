"""A raised exception as an ErrorInfo: type, message, traceback, and what it can be rebuilt from.

Exceptions are foreign code: any attribute of theirs may raise, and none of that may reach the job.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from types import CodeType
from typing import Any

from tracediff import values
from tracediff.model import ErrorInfo, Value

TRACE_ID = "__tracediff_trace__"
"""The attribute of an exception that says which trace it has left; no part of the exception."""

MAX_CHAIN = 16
MAX_TEXT = 4_000
MAX_SCRUBBED = 1 << 16
MOST_FRAMES = 50

OWN = os.path.dirname(__file__)
"""Where code is that runs on behalf of a recorded function: no part of the program."""


def describe(
    error: BaseException, encode: Callable[[Any], bytes], scrub: Callable[[str], str]
) -> ErrorInfo:
    """Describe an exception with its causes and members; never raises.

    Args:
        error: The exception as it was raised.
        encode: Turns its arguments and attributes into canonical bytes, their texts scrubbed.
        scrub: Takes secrets out of a text.
    """
    return _describe(error, encode, scrub, set())


def brief(error: BaseException) -> str:
    """An exception on one line, "TypeError: message"; never raises."""
    return f"{type(error).__name__}: {_message(error)}"


def raised_at(error: BaseException) -> tuple[CodeType | None, int]:
    """The code and the instruction that raised an exception."""
    place = error.__traceback__
    if place is None:
        return None, 0
    while place.tb_next is not None:
        place = place.tb_next
    return place.tb_frame.f_code, place.tb_lasti


def _describe(
    error: BaseException,
    encode: Callable[[Any], bytes],
    scrub: Callable[[str], str],
    seen: set[int],
) -> ErrorInfo:
    seen.add(id(error))

    def other(exception: BaseException | None) -> ErrorInfo | None:
        if exception is None or id(exception) in seen or len(seen) >= MAX_CHAIN:
            return None
        return _describe(exception, encode, scrub, seen)

    kind = type(error)
    try:
        members: tuple[ErrorInfo, ...] = ()
        if issubclass(kind, BaseExceptionGroup):
            found = map(other, error.exceptions)  # type: ignore[attr-defined]  # a group has them
            members = tuple(info for info in found if info is not None)
        return ErrorInfo(
            type=_name(kind),
            message=scrub(_message(error))[:MAX_TEXT],
            bases=tuple(_name(base) for base in kind.__mro__[1:-1]),
            traceback=scrub(_traceback(error)),
            value=_value(error, encode, scrub),
            cause=other(error.__cause__),
            context=None if error.__suppress_context__ else other(error.__context__),
            members=members,
        )
    except Exception as problem:  # an attribute that every exception has, made to raise
        said = f"<{type(problem).__name__} while it was described>"
        return ErrorInfo(type=_name(kind), message=said, bases=("builtins:BaseException",))


def _name(kind: type) -> str:
    module = kind.__module__
    return f"{values.module_name(module if type(module) is str else '?')}:{kind.__qualname__}"


def _message(error: BaseException) -> str:
    try:
        return str.__str__(str(error))[:MAX_SCRUBBED]
    except (Exception, SystemExit) as problem:
        return f"<{type(problem).__name__} while reading the message>"


def _traceback(error: BaseException) -> str:
    """The frames of the program; those of what records are left out."""
    try:
        frames = traceback.extract_tb(error.__traceback__, limit=-2 * MOST_FRAMES)
        frames[:] = [one for one in frames if not one.filename.startswith(OWN)][-MOST_FRAMES:]
        return "".join(frames.format())[:MAX_SCRUBBED]
    except Exception as problem:
        return f"<{type(problem).__name__} while formatting the traceback>"


def _value(
    error: BaseException, encode: Callable[[Any], bytes], scrub: Callable[[str], str]
) -> Value:
    """The exception's ``(args, attributes)``, with the secrets taken out of its texts."""
    args, attributes = _state(error)
    cleaned = {name: _scrubbed(one, scrub) for name, one in attributes.items()}
    return Value(encode((tuple(_scrubbed(one, scrub) for one in args), cleaned)))


def _state(error: BaseException) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Its arguments and attributes, with what the builtin underneath keeps beside ``args``."""
    own = dict(getattr(error, "__dict__", {}))
    own.pop(TRACE_ID, None)
    native = next(base for base in type(error).__mro__ if base.__module__ == "builtins")
    if issubclass(native, BaseExceptionGroup):
        return (), own
    try:
        reduced: Any = native.__reduce__(error)  # an OSError's file, an ImportError's module
    except Exception:
        return error.args, own
    found = {**(reduced[2] or {}), **own} if len(reduced) > 2 else own
    found.pop(TRACE_ID, None)
    return reduced[1], found


def _scrubbed(value: Any, scrub: Callable[[str], str]) -> Any:
    """Bytes scrubbed as the text they may hold, as the output of a command that failed."""
    if type(value) is not bytes:
        return value
    return scrub(value.decode("latin-1")).encode("latin-1", "replace")

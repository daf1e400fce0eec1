"""A raised exception as an ErrorInfo: type, message, traceback, and what it can be rebuilt from."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from tracediff import values
from tracediff.model import ErrorInfo, Value

MAX_CHAIN = 16
MAX_TEXT = 4_000


def describe(
    error: BaseException, encode: Callable[[Any], bytes], scrub: Callable[[str], str]
) -> ErrorInfo:
    """Describe an exception with its causes and members; never raises.

    Args:
        error: The exception as it was raised.
        encode: Turns its arguments and attributes into canonical bytes.
        scrub: Takes secrets out of a text.
    """
    return _describe(error, encode, scrub, set(), 0)


def _describe(
    error: BaseException,
    encode: Callable[[Any], bytes],
    scrub: Callable[[str], str],
    seen: set[int],
    level: int,
) -> ErrorInfo:
    seen.add(id(error))

    def other(exception: BaseException | None) -> ErrorInfo | None:
        if exception is None or id(exception) in seen or len(seen) >= MAX_CHAIN:
            return None
        return _describe(exception, encode, scrub, seen, level + 1)

    cause = other(error.__cause__)
    context = None if error.__suppress_context__ else other(error.__context__)
    members: tuple[ErrorInfo, ...] = ()
    if isinstance(error, BaseExceptionGroup):
        members = tuple(info for info in map(other, error.exceptions) if info is not None)
    return ErrorInfo(
        type=_name(type(error)),
        message=scrub(_message(error))[:MAX_TEXT],
        bases=tuple(_name(base) for base in type(error).__mro__[1:-1]),
        traceback=scrub(_traceback(error)),
        value=_value(error, encode, scrub),
        cause=cause,
        context=context,
        members=members,
    )


def _name(kind: type) -> str:
    return f"{values.module_name(kind.__module__)}:{kind.__qualname__}"


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as problem:
        return f"<{type(problem).__name__} while reading the message>"


def _traceback(error: BaseException) -> str:
    try:
        return "".join(traceback.format_tb(error.__traceback__, limit=-50))
    except Exception as problem:
        return f"<{type(problem).__name__} while formatting the traceback>"


def _value(
    error: BaseException, encode: Callable[[Any], bytes], scrub: Callable[[str], str]
) -> Value:
    """The exception's ``(args, attributes)``, with the secrets taken out of its texts."""
    args = () if isinstance(error, BaseExceptionGroup) else error.args
    args = tuple(scrub(arg) if type(arg) is str else arg for arg in args)
    attributes = {
        name: scrub(value) if type(value) is str else value
        for name, value in getattr(error, "__dict__", {}).items()
    }
    return Value(encode((args, attributes)))

"""AWS Lambda: each invocation of a handler is a job, saved before the answer is given.

The process stands still between invocations, and may never go on: what is recorded has to be in the
store by then. One that comes near its deadline is saved as it is then, as an error.
"""

from __future__ import annotations

import base64
import functools
import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from tracediff.frameworks.messages import judge
from tracediff.frameworks.naming import key_of
from tracediff.frameworks.recorded import Recorded
from tracediff.frameworks.sessions import unrecorded
from tracediff.frameworks.texts import cleaned
from tracediff.frameworks.units import key_name, unit_of_endpoint
from tracediff.recording.faults import brief
from tracediff.recording.runs import Run, add_context
from tracediff.recording.session import flush, get_ready
from tracediff.runtime import current

log = logging.getLogger("tracediff")
_HOOKED = "__tracediff_hooked__"
NEAR = 0.5
"""Seconds before its deadline at which an invocation is saved as it is."""
SECONDS = 10.0
"""The most that saving may keep an answer waiting."""

_TOLD = ("aws_request_id", "function_name", "function_version", "invoked_function_arn",
         "memory_limit_in_mb", "tenant_id", "log_group_name", "log_stream_name")  # fmt: skip
_PERSONAL = ("client_context", "identity")
_TEXTS = frozenset({"body", "rawQueryString", "Message"})


class _Process:
    is_new = True


def hook() -> None:
    """Record the handler that the runtime finds, once."""
    bootstrap: Any = sys.modules["awslambdaric.bootstrap"]
    real = bootstrap._get_handler
    if hasattr(real, _HOOKED):
        return

    @functools.wraps(real)
    def _get_handler(name: str) -> Any:
        return recorded_handler(real(name))

    setattr(_get_handler, _HOOKED, True)
    bootstrap._get_handler = _get_handler


def recorded_handler(function: Callable[..., Any]) -> Callable[..., Any]:
    """A handler whose invocations are jobs; the handler itself where it cannot be one."""
    if hasattr(function, _HOOKED):
        return function
    try:
        get_ready()
        recorded = None if hasattr(function, "__tracediff_job__") else _recorded(function)
        return _around(function, recorded)
    except Exception:  # a handler of any kind; it runs unrecorded
        log.exception("tracediff cannot record the handler %r", function)
        return function


def _recorded(function: Callable[..., Any]) -> Recorded:
    unit = unit_of_endpoint(function)
    return Recorded(key_of(key_name(unit)), unit, _shape, again=_again(function), meta=_meta)


def _shape(event: Any, context: Any) -> Any:
    """What an invocation takes."""


def _meta(event: Any, context: Mapping[str, Any]) -> str:
    return str(context.get("function_name") or "")


def _around(function: Callable[..., Any], recorded: Recorded | None) -> Callable[..., Any]:
    @functools.wraps(function)
    def handler(event: Any, context: Any) -> Any:
        if current.get() is not None:
            return function(event, context)
        is_new, _Process.is_new = _Process.is_new, False
        begun = None
        if recorded is not None:
            begun = recorded.begin(
                (), {}, lambda: {"event": without_secrets(event), "context": context_data(context)}
            )
        if begun is None and recorded is not None:
            return function(event, context)
        try:
            return (
                function(event, context)
                if begun is None
                else _run(begun, function, event, context, is_new=is_new)
            )
        finally:
            _save(context)

    setattr(handler, _HOOKED, True)
    return handler


def _run(
    begun: Run, function: Callable[..., Any], event: Any, context: Any, *, is_new: bool
) -> Any:
    add_context(begun.buffer, {"cold_start": is_new, **_found(context)})
    ending = _Ending(begun, context)
    try:
        result = function(event, context)
    except BaseException as error:
        if ending.claim():
            begun.failed(error)
        raise
    if ending.claim():
        _succeeded(begun, result)
    return result


def _succeeded(begun: Run, result: Any) -> None:
    shown = result
    try:
        if isinstance(result, Mapping) and isinstance(result.get("statusCode"), int):
            judge(begun.buffer, result["statusCode"])
        shown = without_secrets(result)
    except Exception as error:  # a result of any kind
        begun.buffer.warn(f"the result could not be looked at: {brief(error)}")
    begun.succeeded(shown)


class _Ending:
    """Ends an invocation's job, once: when the handler has ended, or its time nearly is over."""

    def __init__(self, begun: Run, context: Any) -> None:
        self._begun = begun
        self._lock = threading.Lock()
        self._ended = False
        left = _left(context)
        self._timer = None
        if left is not None and left > NEAR:
            self._timer = threading.Timer(left - NEAR, self._late)
            self._timer.daemon = True
            self._timer.start()

    def claim(self) -> bool:
        """Whether the job is still to be ended, which the caller does then."""
        if self._timer is not None:
            self._timer.cancel()
        with self._lock:
            first, self._ended = not self._ended, True
        if not first:
            self._begun.leave()
        return first

    def _late(self) -> None:
        with self._lock:
            if self._ended:
                return
            self._ended = True
        said = f"the invocation had not ended {NEAR:g} s before its deadline"
        self._begun.failed(TimeoutError(said))
        flush(NEAR, upload=True)


def _save(context: Any) -> None:
    left = _left(context)
    seconds = SECONDS if left is None else max(0.05, min(SECONDS, left - 0.1))
    try:
        if not flush(seconds, upload=True):
            log.warning("tracediff could not save the invocation's trace within %.1f s", seconds)
    except Exception:  # the answer is given all the same
        log.exception("tracediff could not save the invocation's trace")


def _left(context: Any) -> float | None:
    """The seconds until an invocation's deadline, where the context says."""
    try:
        return float(context.get_remaining_time_in_millis()) / 1000
    except Exception:  # a test's own context
        return None


def _found(context: Any) -> dict[str, Any]:
    """What a trace is searched by."""
    told = {"request_id": "aws_request_id", "function": "function_name"}
    found = {name: getattr(context, of, None) for name, of in told.items()}
    return {name: value for name, value in found.items() if isinstance(value, str)}


def context_data(context: Any) -> dict[str, Any]:
    """What is recorded of an invocation's context: nothing of who calls."""
    found = {name: getattr(context, name, None) for name in _TOLD}
    left = _left(context)
    found["remaining_ms"] = None if left is None else round(left * 1000)
    return found


def without_secrets(value: Any, name: str = "") -> Any:
    """An event or a result without the secrets in the texts that other programs wrote into it.

    Fields are sealed by their names as everywhere; these are documents within the document.
    """
    if isinstance(value, dict):
        coded = value.get("isBase64Encoded") is True
        return {
            key: _decoded(one) if coded and key == "body" else without_secrets(one, key)
            for key, one in value.items()
        }
    if isinstance(value, list):
        return [without_secrets(one) for one in value]
    if isinstance(value, str) and name in _TEXTS:
        return cleaned(value)
    return value


def _decoded(body: Any) -> Any:
    """A body in base64, which is left as it is unless there is a secret in it."""
    try:
        text = base64.b64decode(body).decode()
    except (ValueError, TypeError):  # no text
        return body
    shown = cleaned(text)
    return body if shown == text else base64.b64encode(shown.encode()).decode()


class Context:
    """The context of a replayed invocation.

    Args:
        told: What was recorded of it.
    """

    def __init__(self, told: Mapping[str, Any]) -> None:
        for name in _TOLD:
            setattr(self, name, told.get(name))
        for name in _PERSONAL:
            setattr(self, name, unrecorded(f"context.{name}"))
        left = told.get("remaining_ms")
        self._deadline = time.time() + (left if isinstance(left, int) else 3000) / 1000

    def get_remaining_time_in_millis(self) -> int:
        """What is left of the recorded time."""
        return max(0, round((self._deadline - time.time()) * 1000))

    def log(self, msg: object) -> None:
        """Print a line."""
        sys.stdout.write(str(msg))


def _again(function: Callable[..., Any]) -> Callable[..., Any]:
    def invoke(event: Any, context: Any) -> Any:
        result = function(event, Context(context))
        here = current.get()
        if isinstance(result, Mapping) and isinstance(result.get("statusCode"), int):
            judge(here.buffer, result["statusCode"])
        return without_secrets(result)

    return invoke


def find_handler(unit: str) -> None:
    """Make the job of a handler known that nothing in its module marks."""
    module, _, qualname = unit.partition(":")
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    if callable(found) and not hasattr(found, _HOOKED):
        recorded_handler(found)

"""Following the local variables of one function's calls, in a replay's own process."""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from types import FrameType
from typing import Any, Final
from uuid import UUID

from tracediff.config import Config
from tracediff.recording import Recorder

MAX_ASSIGNED: Final = 2_000
MAX_CALLS: Final = 200
MAX_BYTES: Final = 64 * 1024
RETURNED: Final = "(returned)"

_RESUMED = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_FIXED = frozenset(
    {int, float, complex, bool, str, bytes, type(None), Decimal, Fraction, UUID, date, timedelta}
)
"""Types whose objects stay what they are: the same object need not be encoded again."""


@dataclass(frozen=True, slots=True, kw_only=False)
class Watch:
    """The function to follow: "module:qualname"; and which of its calls from 0, or None for all.

    Of all its calls the first ``MAX_CALLS`` are followed.
    """

    unit: str
    call: int | None = None

    def packed(self) -> list[Any]:
        """As the replay's process gets it."""
        return [self.unit, self.call]


@dataclass(frozen=True, slots=True)
class Assigned:
    """A variable's new value, in canonical bytes (redacted), the line that gave it, the call."""

    line: int
    name: str
    data: bytes
    call: int = 0


@dataclass(slots=True)
class _Call:
    number: int
    frame: FrameType
    line: int
    seen: dict[str, tuple[object, bytes]] = field(default_factory=dict)


class Watching:
    """Line tracing in one function only; as a context, around the job."""

    def __init__(self, watch: Watch, config: Config) -> None:
        self._module, _, self._qualname = watch.unit.partition(":")
        self._only = watch.call
        self._encode: Callable[[Any], bytes] = Recorder(config).redactor.encoder(lambda said: None)
        self._calls: dict[FrameType, _Call] = {}
        self._begun = 0
        self._ended = False
        self.found: list[Assigned] = []

    def packed(self) -> list[list[Any]]:
        """What was found, for the reply."""
        return [[one.line, one.name, one.data, one.call] for one in self.found]

    def __enter__(self) -> None:
        threading.settrace(self._called)
        sys.settrace(self._called)

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        self._ended = True
        self._calls.clear()
        sys.settrace(None)
        threading.settrace(None)

    def _called(self, frame: FrameType, event: str, _: object) -> Any:
        if frame in self._calls:  # a generator or a coroutine goes on
            return self._stepped
        code = frame.f_code
        if event != "call" or self._ended or code.co_qualname != self._qualname:
            return None
        if frame.f_globals.get("__name__") != self._module:
            return None
        number, self._begun = self._begun, self._begun + 1
        if number >= MAX_CALLS if self._only is None else number != self._only:
            return None
        call = self._calls[frame] = _Call(number, frame, frame.f_lineno)
        self._look(call)
        return self._stepped

    def _stepped(self, frame: FrameType, event: str, value: Any) -> Any:
        call = self._calls.get(frame)
        if call is None:
            return None
        self._look(call)
        if event == "line":
            call.line = frame.f_lineno
        elif event == "return":
            self._note(call, RETURNED, value)
            if not frame.f_code.co_flags & _RESUMED:
                self._calls.pop(frame, None)  # what it holds lives no longer than without
        return self._stepped

    def _look(self, call: _Call) -> None:
        for name, value in list(call.frame.f_locals.items()):
            if name not in ("self", "cls") and not name.startswith("."):
                self._note(call, name, value)

    def _note(self, call: _Call, name: str, value: Any) -> None:
        known = call.seen.get(name)
        if known is not None and known[0] is value and type(value) in _FIXED:
            return
        if len(self.found) >= MAX_ASSIGNED:
            self._end()
        if self._ended:
            return
        sys.settrace(None)  # what encoding calls is none of the job's
        try:
            data = self._encode({name: value})
        except Exception:  # noqa: BLE001 - a value may run any code
            data = self._encode({name: f"a {type(value).__name__} that cannot be shown"})
        finally:
            sys.settrace(self._called)
        kept = value if type(value) in _FIXED else None
        if len(data) <= MAX_BYTES and (known is None or known[1] != data):
            call.seen[name] = (kept, data)
            self.found.append(Assigned(call.line, name, data, call.number))

"""Following the local variables of one call of one function, in a replay's own process."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any, Final

from tracediff.config import Config
from tracediff.recording import Recorder

MAX_ASSIGNED: Final = 2_000
MAX_BYTES: Final = 64 * 1024
RETURNED: Final = "(returned)"


@dataclass(frozen=True, slots=True, kw_only=False)
class Watch:
    """The call to follow: "module:qualname", and which of its calls from 0."""

    unit: str
    call: int = 0

    def packed(self) -> list[Any]:
        """As the replay's process gets it."""
        return [self.unit, self.call]


@dataclass(frozen=True, slots=True)
class Assigned:
    """A variable's new value, in canonical bytes (redacted), and the line that gave it."""

    line: int
    name: str
    data: bytes


class Watching:
    """Line tracing in one function only; as a context, around the job."""

    def __init__(self, watch: Watch, config: Config) -> None:
        self._module, _, self._qualname = watch.unit.partition(":")
        self._left = watch.call
        self._encode: Callable[[Any], bytes] = Recorder(config).redactor.encoder(lambda said: None)
        self._seen: dict[str, bytes] = {}
        self._line = 0
        self.found: list[Assigned] = []
        self._frame: FrameType | None = None

    def packed(self) -> list[list[Any]]:
        """What was found, for the reply."""
        return [[one.line, one.name, one.data] for one in self.found]

    def __enter__(self) -> None:
        threading.settrace(self._called)
        sys.settrace(self._called)

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)
        threading.settrace(None)

    def _called(self, frame: FrameType, event: str, _: object) -> Any:
        if frame is self._frame:  # a generator or a coroutine goes on
            return self._stepped
        code = frame.f_code
        if event != "call" or self._frame is not None or code.co_qualname != self._qualname:
            return None
        if frame.f_globals.get("__name__") != self._module:
            return None
        self._left -= 1
        if self._left >= 0:
            return None
        self._frame = frame
        self._line = frame.f_lineno
        self._look(frame)
        return self._stepped

    def _stepped(self, frame: FrameType, event: str, value: Any) -> Any:
        self._look(frame)
        if event == "line":
            self._line = frame.f_lineno
        elif event == "return":
            self._note(RETURNED, value)
        return self._stepped

    def _look(self, frame: FrameType) -> None:
        for name, value in list(frame.f_locals.items()):
            if name not in ("self", "cls") and not name.startswith("."):
                self._note(name, value)

    def _note(self, name: str, value: Any) -> None:
        if len(self.found) >= MAX_ASSIGNED:
            return
        sys.settrace(None)  # what encoding calls is none of the job's
        try:
            data = self._encode({name: value})
        except Exception:  # noqa: BLE001 - a value may run any code
            data = self._encode({name: f"a {type(value).__name__} that cannot be shown"})
        finally:
            sys.settrace(self._called)
        if len(data) <= MAX_BYTES and self._seen.get(name) != data:
            self._seen[name] = data
            self.found.append(Assigned(self._line, name, data))

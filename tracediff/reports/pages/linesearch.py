"""Search in all lines of a trace, of which a reader sees a few: names, notes, values."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Final

from tracediff.model import Step, Trace, Value
from tracediff.reports import excerpt

MOST: Final = 10_000
"""Lines that a search finds at most."""

_SHOWN: Final = 400
_LARGE: Final = 2_000
_CHARACTERS: Final = 64_000_000


@dataclass(frozen=True, slots=True)
class Found:
    """The numbers of lines, in order; where the search ended; whether to go on finds more."""

    lines: tuple[int, ...]
    said: str = ""
    more: bool = False


class LineTexts:
    """The texts of a trace's lines as they show, made when somebody searches; for many threads."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._names = [step.name.casefold() for step in trace.steps]
        self._values: list[str] = []
        self._size = 0
        self._lock = threading.Lock()

    def find(self, wanted: str, seconds: float) -> Found:
        """Return the lines that hold a text.

        Names are searched in all lines; values as far as their texts can be made in time.

        Args:
            wanted: The text; case does not count.
            seconds: The time it may take, about.
        """
        wanted = wanted.casefold()
        known = self._known(time.monotonic() + seconds)
        raw = wanted.encode("utf-8", "surrogatepass")
        found: list[int] = []
        for number, (step, name) in enumerate(zip(self._trace.steps, self._names, strict=True)):
            if wanted in name or (
                number < known and (wanted in self._values[number] or _in_large(step, raw))
            ):
                found.append(number)
                if len(found) == MOST:
                    return Found(tuple(found), f"the first {MOST:,} lines")
        if known == len(self._names):
            return Found(tuple(found))
        more = self._size < _CHARACTERS
        return Found(tuple(found), f"values only up to line {known - 1:,}", more)

    def _known(self, until: float) -> int:
        """Make more texts, until the time is over; how many there are."""
        with self._lock:
            steps = self._trace.steps
            while len(self._values) < len(steps) and self._size < _CHARACTERS:
                text = _shown(steps[len(self._values)])
                self._values.append(text)
                self._size += len(text)
                if time.monotonic() > until:
                    break
            return len(self._values)


def _shown(step: Step) -> str:
    if step.args is None and step.result is None and step.error is None:
        return ""
    arguments = excerpt.arguments(step.args, _SHOWN)
    return f"{arguments}\n{excerpt.outcome(step, _SHOWN)}".casefold()


def _in_large(step: Step, raw: bytes) -> bool:
    """Whether a large value holds a text: its excerpt does not reach far into it."""
    return any(_holds(value, raw) for value in (step.args, step.result) if value is not None)


def _holds(value: Value, raw: bytes) -> bool:
    return len(value.data) > _LARGE and raw in value.data.lower()

"""What is taken out of and cut off from what another tool wrote, before anything is kept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tracediff import values
from tracediff.errors import CodecError
from tracediff.model import Value
from tracediff.recording.ids import ALPHABET, LENGTH
from tracediff.recording.redaction import Redactor

MAX_NAME = 4_000
MAX_KEY = 500
MAX_TAGS = 100
MAX_TAG = 200
MAX_WARNINGS = 100
MAX_CONTEXT = 1_000
"""Characters, except of tags and warnings, which are counted."""

_COLONS = re.compile(r"/*:[:/]*")
_MOST_NS = 1 << 62
"""Nanoseconds since 1970 that are taken for a time: until 2116."""


class Cleaning:
    """How one trace's texts and values are kept: secrets sealed, sizes bounded, oddities told.

    Args:
        redactor: The project's redaction rules.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._encode = redactor.encoder(self.warn, texts=True)
        self._exactly = redactor.encoder(self.warn)
        self._warnings: dict[str, int] = {}

    def value(self, found: object) -> Value:
        """A value with its secrets sealed and taken out of its texts."""
        return Value(self._encode(found))

    def exact(self, json: object) -> Value | None:
        """The value of a trace file's form, sealed by its names; None where it is no such form."""
        try:
            return self.again(Value(values.from_json(json)))
        except CodecError:
            return None

    def again(self, value: Value) -> Value:
        """A value that was recorded already, sealed by its names.

        Raises:
            CodecError: ``value-unreadable``; it is none.
        """
        return Value(self._exactly(values.inert(value)))

    def text(self, found: str, most: int = MAX_NAME) -> str:
        """A text without secrets."""
        return self._redactor.scrub(found[: most * 4])[:most]

    def key(self, found: str) -> str:
        """A job's key: no control characters, no colons, no empty parts at its ends.

        What stands before a colon in a reference is the name of a store.
        """
        plain = "".join(one if one.isprintable() else " " for one in found)
        return _COLONS.sub("/", self.text(plain, MAX_KEY)).strip(" /") or "imported"

    def tags(self, found: list[str]) -> tuple[str, ...]:
        """Search labels, each once."""
        return tuple(dict.fromkeys(self.text(one, MAX_TAG) for one in found[:MAX_TAGS]))

    def context(self, found: Mapping[str, Any]) -> dict[str, str | int | float | bool]:
        """Searchable fields: texts, numbers and flags whose name is not secret."""
        kept: dict[str, str | int | float | bool] = {}
        for name, value in list(found.items())[:MAX_TAGS]:
            if self._redactor.secret(name):
                self.warn(f"context field {name[:60]!r} was left out: its name says it is secret")
            elif type(value) is str:
                kept[self.text(name, MAX_TAG)] = self.text(value, MAX_CONTEXT)
            elif type(value) in (int, float, bool) and -(1 << 63) <= value < 1 << 63:
                kept[self.text(name, MAX_TAG)] = value
        return kept

    def time(self, found: object) -> int:
        """Nanoseconds since the epoch; 0 and a warning for what can be none."""
        if isinstance(found, int) and 0 <= found < _MOST_NS:
            return found
        self.warn("times that can be none were taken for 1970")
        return 0

    def warn(self, message: str) -> None:
        """Add a warning to the trace; the same one is counted."""
        if message in self._warnings or len(self._warnings) < MAX_WARNINGS:
            self._warnings[message] = self._warnings.get(message, 0) + 1

    def told(self) -> tuple[str, ...]:
        """The warnings, with how often each came up."""
        return tuple(
            self.text(one if count == 1 else f"{one}: {count:,}")
            for one, count in self._warnings.items()
        )


def made_id(started_at: int, digest: bytes) -> str:
    """The id of a trace that started then: the same for the same digest, sortable by time."""
    milliseconds = min(max(started_at, 0) // 1_000_000, (1 << 45) - 1)
    number = milliseconds << 55 | int.from_bytes(digest[:7], "big") & (1 << 55) - 1
    return "".join(ALPHABET[number >> shift & 31] for shift in range(5 * LENGTH - 5, -1, -5))

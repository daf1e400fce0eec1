"""What a job gave, field by field: numbers to be added up, anything else to be the same or not."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, Self

from tracediff import values
from tracediff.compare.framecells import cells_of
from tracediff.model import MISSING, Trace

Path = tuple[str | int, ...]
Fields = Mapping[Path, Any]

MOST_FIELDS = 20_000
_DEEPEST = 60
_AMOUNT = re.compile(r"-?[0-9]{1,30}\.[0-9]{1,30}")
"""A Decimal as JSON has it, in Django's responses for one; whole numbers may be anybody's ids."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a job: canonical bytes of its result, its error, its outputs.

    ``misses`` names the inputs that it asked for and that nobody recorded.
    """

    result: bytes | None
    error: tuple[str, str] | None
    state: str
    outputs: tuple[tuple[str, bytes], ...]
    misses: tuple[str, ...] = ()

    def packed(self) -> list[Any]:
        """As it goes from one process to another."""
        return [self.result, self.error, self.state, self.outputs, self.misses]

    @classmethod
    def unpacked(cls, parts: list[Any]) -> Self:
        """The reverse of ``packed``."""
        result, error, state, outputs, misses = parts
        return cls(
            result,
            (error[0], error[1]) if error is not None else None,
            state,
            tuple((name, args) for name, args in outputs),
            tuple(misses),
        )


def fields(outcome: Outcome) -> Fields:
    """The fields of an outcome: of its result, its error, its state and its outputs."""
    found: dict[Path, Any] = {}
    if outcome.result is not None:
        found.update(_leaves(("result",), values.inert(outcome.result), 0))
    if outcome.error is not None:
        found["error",] = ": ".join(outcome.error)
    found["state",] = outcome.state
    seen: dict[str, int] = {}
    for name, args in outcome.outputs:
        nth = seen[name] = seen.get(name, -1) + 1
        path: Path = ("output", name, nth) if nth else ("output", name)
        if args:
            found.update(_leaves(path, values.inert(args), 0))
        else:
            found[path] = None
        if len(found) > MOST_FIELDS:
            break
    return found


def _leaves(path: Path, value: Any, depth: int) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, values.Record) and value.kind == "library":
        cells = cells_of(value, MOST_FIELDS)
        if cells is not None:
            yield from (((*path, *place), cell) for place, cell in cells)
            return
    parts: list[tuple[str | int, Any]] = []
    if isinstance(value, Mapping) and all(type(key) in (str, int) for key in value):
        parts = list(value.items())
    elif isinstance(value, list | tuple):
        parts = list(enumerate(value))
    elif isinstance(value, values.Record) and value.fields and value.base is MISSING:
        parts = list(value.fields.items())
    if not parts or depth > _DEEPEST:
        yield path, value
    for key, part in parts[:MOST_FIELDS]:
        yield from _leaves((*path, key), part, depth + 1)


def number(value: Any) -> Fraction | None:
    """A field's exact amount, None for what cannot be added up; of a duration its seconds."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | Fraction):
        return Fraction(value)
    if isinstance(value, float):
        return Fraction(value) if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return Fraction(value) if value.is_finite() else None
    if isinstance(value, timedelta):
        return Fraction(value // timedelta(microseconds=1), 1_000_000)
    if isinstance(value, str) and _AMOUNT.fullmatch(value):
        return Fraction(value)
    return None


def mark(value: Any) -> object:
    """What is equal for two fields that are the same: type and value."""
    if isinstance(value, values.Record):
        return type(value), values.encode(value)
    return type(value), repr(value)


def differing(old: Fields, new: Fields) -> list[Path]:
    """The fields that differ, in order of the new side, then those that only the old has."""
    paths = [*new, *(one for one in old if one not in new)]
    return [one for one in paths if mark(old.get(one, MISSING)) != mark(new.get(one, MISSING))]


def recorded(trace: Trace) -> Outcome:
    """The outcome of a trace."""
    root = trace.steps[0]
    misses = trace.replay.misses if trace.replay is not None else ()
    return Outcome(
        root.result.data if root.result is not None else None,
        (root.error.type, root.error.message) if root.error is not None else None,
        trace.state,
        tuple(
            (step.name, step.args.data if step.args is not None else b"")
            for step in trace.steps
            if step.kind == "output"
        ),
        tuple(one.name for one in misses if one.served == "failed"),
    )

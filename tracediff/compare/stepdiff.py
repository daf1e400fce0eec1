"""What differs between two steps, aspect by aspect."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from tracediff.compare.tolerances import Rules
from tracediff.compare.walker import MAX_CHANGES, Walk
from tracediff.model import MISSING, Aspect, ErrorInfo, FieldChange, FrameChange, Step, Trace, Value

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SLACK = 1_000_000
"""Nanoseconds by which an instant of a run's own may lie outside of it."""


class StepChanges:
    """The field changes of two steps, ignored places left out, and what was counted.

    ``within`` are the aspects in which every difference is accepted, ``frames`` sums up the frames
    of an aspect. ``drift`` counts differences a
    tolerance accepted, ``clock`` instants that are the runs' own.
    """

    __slots__ = ("by_aspect", "clock", "drift", "frames", "remarks", "within")

    def __init__(self) -> None:
        self.by_aspect: dict[Aspect, tuple[FieldChange, ...]] = {}
        self.within: set[Aspect] = set()
        self.frames: dict[Aspect, tuple[FrameChange, ...]] = {}
        self.drift = 0
        self.clock = 0
        self.remarks: list[str] = []


def differing(old: Step, new: Step) -> list[Aspect]:
    """The aspects in which the bytes of two steps differ, name, kind and place apart."""
    found: list[Aspect] = []
    if not _same(old.args, new.args):
        found.append("args")
    if not _same(old.result, new.result):
        found.append("result")
    if not _same(old.key, new.key):
        found.append("key")
    if old.error is not new.error and _raised(old.error) != _raised(new.error):
        found.append("error")
    if old.state != new.state:
        found.append("state")
    return found


def _same(old: Value | None, new: Value | None) -> bool:
    return old is new or (old is not None and new is not None and old.data == new.data)


def _raised(error: ErrorInfo | None) -> tuple[str, str] | None:
    return None if error is None else (error.type, error.message)


class StepDiff:
    """Compares steps of two traces.

    Args:
        old: The recorded trace.
        new: The other one.
        rules: Tolerances by path.
    """

    def __init__(self, old: Trace, new: Trace, rules: Rules) -> None:
        self._spans = (span_of(old), span_of(new))
        self._rules = rules

    def of(
        self, old: Step, new: Step, aspects: Iterable[Aspect], path: tuple[str, ...]
    ) -> StepChanges:
        """What differs in those aspects of a pair of steps at a path of names."""
        found = StepChanges()
        for aspect in aspects:
            if aspect == "error":
                raised = self._error(old.error, new.error, (*path, "error"))
                if raised:
                    found.by_aspect["error"] = raised
            elif aspect != "state":
                self._value(found, aspect, old, new, path)
            elif not self._rules.at((*path, "state")).ignore:
                found.by_aspect["state"] = (
                    FieldChange(path=(), kind="changed", old=old.state, new=new.state),
                )
        return found

    def _value(
        self, found: StepChanges, aspect: Aspect, old: Step, new: Step, path: tuple[str, ...]
    ) -> None:
        walk = Walk(self._rules, (*path, aspect), self._is_clock)
        walk.values(getattr(old, aspect), getattr(new, aspect))
        if walk.changes:
            found.by_aspect[aspect] = tuple(walk.changes)
            if not walk.beyond:
                found.within.add(aspect)
        if walk.frames:
            found.frames[aspect] = tuple(walk.frames)
            found.remarks += (
                f"{one.remark}: the rows of the {aspect} of {new.name!r} are matched by "
                f"{one.matched}"
                for one in walk.frames
                if one.remark
            )
        found.drift += walk.drift
        found.clock += walk.clock
        if walk.cut:
            found.remarks.append(
                f"more than {MAX_CHANGES:,} places differ in the {aspect} of {new.name!r}: "
                "the rest is not listed"
            )

    def _error(
        self, old: ErrorInfo | None, new: ErrorInfo | None, path: tuple[str, ...]
    ) -> tuple[FieldChange, ...]:
        if self._rules.at(path).ignore:
            return ()
        if old is None or new is None:
            kind: Any = "added" if old is None else "removed"
            return (FieldChange(path=(), kind=kind, old=error_line(old), new=error_line(new)),)
        return tuple(
            FieldChange(path=(name,), kind="changed", old=before, new=after)
            for name, before, after in (
                ("type", old.type, new.type),
                ("message", old.message, new.message),
            )
            if before != after and not self._rules.at((*path, name)).ignore
        )

    def _is_clock(self, old: Any, new: Any) -> bool:
        """Whether both are instants within their own trace's span: the two runs' clocks."""
        return within(old, self._spans[0]) and within(new, self._spans[1])


def error_line(error: ErrorInfo | None) -> Any:
    """An error on one line, MISSING where there is none."""
    return MISSING if error is None else f"{error.type.rpartition(':')[2]}: {error.message}"


def span_of(trace: Trace) -> tuple[int, int]:
    """From when to when an instant is one of a run's own clock, in nanoseconds since 1970."""
    return trace.started_at - SLACK, trace.started_at + trace.duration + SLACK


def within(value: object, span: tuple[int, int]) -> bool:
    """Whether a value is an instant in a span of nanoseconds since 1970."""
    if type(value) is not datetime or value.tzinfo is None:
        return False
    moment = (value - _EPOCH) // timedelta(microseconds=1) * 1_000
    return span[0] <= moment <= span[1]

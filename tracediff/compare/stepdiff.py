"""What differs between two steps, aspect by aspect."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tracediff.compare.tolerances import Rules
from tracediff.compare.walker import MAX_CHANGES, walked
from tracediff.model import MISSING, Aspect, ErrorInfo, FieldChange, Step, Trace, Value

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SLACK = 1_000_000


@dataclass(slots=True)
class StepChanges:
    """The field changes of two steps, ignored places left out, and what was counted.

    ``drift`` counts differences a tolerance accepted, ``clock`` instants that are the runs' own.
    """

    by_aspect: dict[Aspect, tuple[FieldChange, ...]] = field(default_factory=dict)
    drift: int = 0
    clock: int = 0
    remarks: list[str] = field(default_factory=list)

    @property
    def within(self) -> set[Aspect]:
        """The aspects in which every difference is accepted."""
        return {name for name, some in self.by_aspect.items() if all(one.within for one in some)}


class StepDiff:
    """Compares steps of two traces.

    Args:
        old: The recorded trace.
        new: The other one.
        rules: Tolerances by path.
    """

    def __init__(self, old: Trace, new: Trace, rules: Rules) -> None:
        self._spans = (_span(old), _span(new))
        self._rules = rules

    def of(self, old: Step, new: Step, path: tuple[str, ...]) -> StepChanges:
        """What differs in a pair of steps at a path of names."""
        found = StepChanges()
        self._value(found, "args", (old.args, new.args), path, new.name)
        self._value(found, "result", (old.result, new.result), path, new.name)
        self._value(found, "key", (old.key, new.key), path, new.name)
        if old.error is not new.error:
            raised = self._error(old.error, new.error, (*path, "error"))
            if raised:
                found.by_aspect["error"] = raised
        if old.state != new.state and not self._rules.at((*path, "state")).ignore:
            found.by_aspect["state"] = (
                FieldChange(path=(), kind="changed", old=old.state, new=new.state),
            )
        return found

    def _value(
        self,
        found: StepChanges,
        aspect: Aspect,
        pair: tuple[Value | None, Value | None],
        path: tuple[str, ...],
        name: str,
    ) -> None:
        if pair[0] == pair[1]:
            return
        walk = walked(*pair, rules=self._rules, at=(*path, aspect), clock=self._is_clock)
        if walk.changes:
            found.by_aspect[aspect] = tuple(walk.changes)
        found.drift += walk.drift
        found.clock += walk.clock
        if walk.cut:
            found.remarks.append(
                f"more than {MAX_CHANGES:,} places differ in the {aspect} of {name!r}: "
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
        return _inside(old, self._spans[0]) and _inside(new, self._spans[1])


def error_line(error: ErrorInfo | None) -> Any:
    """An error on one line, MISSING where there is none."""
    return MISSING if error is None else f"{error.type.rpartition(':')[2]}: {error.message}"


def _span(trace: Trace) -> tuple[int, int]:
    return trace.started_at - _SLACK, trace.started_at + trace.duration + _SLACK


def _inside(instant: Any, span: tuple[int, int]) -> bool:
    if type(instant) is not datetime or instant.tzinfo is None:
        return False
    moment = (instant - _EPOCH) // timedelta(microseconds=1) * 1_000
    return span[0] <= moment <= span[1]

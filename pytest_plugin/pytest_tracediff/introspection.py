"""What pytest shows where traces, steps, values or snapshots were compared and differ."""

from __future__ import annotations

from itertools import islice

from pytest_tracediff.replays import Replay
from pytest_tracediff.running import report
from pytest_tracediff.session import Session
from pytest_tracediff.snapshots import TraceSnapshot
from tracediff.compare import value_changes
from tracediff.model import FieldChange, Step, Trace, Value
from tracediff.reports import excerpt, wording

FIELDS = 20


def explain(session: Session, op: str, left: object, right: object) -> list[str] | None:
    """The lines, the first of which is the summary; None where pytest says it as well."""
    if op == "!=":
        return None
    for one in (left, right):
        if isinstance(one, TraceSnapshot | Replay) and one.said:
            return one.said
    if isinstance(left, Trace) and isinstance(right, Trace):
        return _traces(session, left, right)
    if isinstance(left, Step) and isinstance(right, Step):
        return _steps(left, right)
    if isinstance(left, Value) and isinstance(right, Value):
        return ["the values differ", "", *_fields("", value_changes(left, right))]
    return None


def _traces(session: Session, left: Trace, right: Trace) -> list[str]:
    bench = session.bench
    comparison = bench.compare(
        left, right, bench.config.tolerances, strict=session.options.strict_steps, beside=None
    )
    if not comparison.divergences:
        return [
            "the traces do the same, and are two executions: id, times or code differ",
            "  hint: compare a trace with replay_trace(trace), or their results",
        ]
    return [f"the traces of {left.key} and {right.key} differ", "", *report(comparison, session)]


def _steps(left: Step, right: Step) -> list[str]:
    lines = [f"the steps {left.name!r} and {right.name!r} differ", ""]
    for name in ("kind", "name", "state"):
        before, after = getattr(left, name), getattr(right, name)
        if before != after:
            lines.append(f"  {name}  {before} → {after}")
    for name in ("args", "key", "result"):
        lines += _fields(name, value_changes(getattr(left, name), getattr(right, name)))
    before, after = (excerpt.fault(one.error) if one.error else "none" for one in (left, right))
    if before != after:
        lines.append(f"  error  {before} → {after}")
    if len(lines) == 2:
        lines.append("  only where they stand in their traces, or their times")
    return lines


def _fields(name: str, changes: tuple[FieldChange, ...]) -> list[str]:
    lines = []
    for one in islice(changes, FIELDS):
        place = " ".join(filter(None, (name, wording.field_path(one.path))))
        delta = f"  {wording.signed(one.delta)}" if one.delta is not None else ""
        lines.append(f"  {place}  {excerpt.short(one.old)} → {excerpt.short(one.new)}{delta}")
    if len(changes) > FIELDS:
        lines.append(f"  … and {len(changes) - FIELDS} more")
    return lines

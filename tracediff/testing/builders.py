"""Traces and rows to test with: valid, small, each field at will."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tracediff import digests, values
from tracediff.model import (
    Artifact,
    Code,
    Environment,
    ErrorInfo,
    Part,
    Row,
    Source,
    Step,
    Trace,
    Value,
)

START = 1_700_000_000 * 10**9
"""When the builders' traces start, in nanoseconds."""


def make_row(trace_id: str = "t0", **fields: Any) -> Row:
    """A row of an index; ``fields`` are those of ``Row``."""
    given: dict[str, Any] = {
        "key": "price/one",
        "state": "success",
        "started_at": START,
        "duration": 1_000,
        "steps": 3,
        "job": "pricing:price",
        "outcome": bytes(16),
        "path_signature": bytes(range(16)),
        "location": ("segments/a.seg", 0, 100),
    }
    return Row(id=trace_id, **(given | fields))


def make_trace(trace_id: str = "t0", *, result: object = 19, **fields: Any) -> Trace:
    """A trace with a job, an input, a step that failed inside, a note and an output.

    Args:
        trace_id: Its id.
        result: What the job returned, any value with an exact form.
        fields: Other fields of ``Trace``.
    """
    given: dict[str, Any] = {
        "key": "price/one",
        "job": "pricing:price",
        "steps": _steps(result),
        "started_at": START,
        "duration": 5_000,
        "code": Code(commit="c0ffee", dirty=False, files={"pricing.py": "ab" * 20}),
        "environment": Environment(timezone="Europe/Bratislava", seed=7),
        "artifacts": (Artifact(name="page.png", sha256="0" * 64, size=3, data=b"\x00\xff\n"),),
    }
    return Trace(id=trace_id, **(given | fields))


def make_parts(trace: Trace, count: int = 3) -> list[Part]:
    """What a recorder writes of this trace in live mode.

    Args:
        trace: A trace that has ended, with a job and at most one artifact a part.
        count: How many parts, at least two; the last one ends it.
    """
    size = -(-(len(trace.steps) - 1) // (count - 1)) or 1
    ended = digests.row(trace)
    return [_part(trace, ended, number, size, last=number == count - 1) for number in range(count)]


def _part(trace: Trace, ended: Row, number: int, size: int, *, last: bool) -> Part:
    """One part: the job at the start and at the end, and in between ``size`` other steps."""
    job = trace.steps[0]
    seen = min(number * size + 1, len(trace.steps))
    places = range(max(1, (number - 1) * size + 1), seen)
    steps = {place: trace.steps[place] for place in places}
    if last:
        steps = {0: job} | steps
    elif number == 0:
        steps = {0: replace(job, result=None, state="running", open=True)}
    artifacts = trace.artifacts[number:] if last else trace.artifacts[number : number + 1]
    held = replace(trace, steps=tuple(steps.values()), artifacts=artifacts)
    row = replace(ended, parts=number + 1, steps=seen)
    if not last:  # what came of it, and which path it took, are said at the end
        held = replace(held, state="running", duration=number)
        row = replace(row, state="running", duration=number, error=None)
        row = replace(row, outcome=b"", path_signature=b"")
    return Part(number=number, trace=held, places=tuple(steps), row=row)


def _steps(result: object) -> tuple[Step, ...]:
    at = Source("pricing.py", 12, "pricing:price")
    error = ErrorInfo(type="builtins:KeyError", message="'VAT'", bases=("builtins:LookupError",))
    return (
        Step(
            parent=-1,
            kind="job",
            name="price",
            args=_value({"store_id": 7, "product_id": 42}),
            result=_value(result),
            source=at,
        ),
        Step(parent=0, kind="input", name="rate", args=_value({"c": "SK"}), result=_value(0.2)),
        Step(parent=0, kind="step", name="guard", state="error", error=error, start=10, duration=5),
        Step(parent=2, kind="note", name="no VAT \ud800", head=True),
        Step(parent=0, kind="output", name="save", args=_value({"price": result}), mutated=("p",)),
    )


def _value(obj: object) -> Value:
    return Value(values.encode(obj))

"""Traces and rows to test with: valid, small, each field at will."""

from __future__ import annotations

from typing import Any

from tracediff import values
from tracediff.model import (
    Artifact,
    Code,
    Environment,
    ErrorInfo,
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

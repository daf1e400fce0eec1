"""Results as JSON documents, for machines. Every one names its ``schema``."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from tracediff import values
from tracediff.model import (
    MISSING,
    CodeChange,
    Comparison,
    Divergence,
    FieldChange,
    Page,
    Row,
    Source,
    Trace,
)
from tracediff.reports import frames, living
from tracediff.reports.paths import names


def page_document(page: Page) -> dict[str, Any]:
    """A page of ``ls``."""
    return {
        "schema": "tracediff/list/1",
        "traces": [row_document(row) for row in page.rows],
        "cursor": page.cursor,
    }


def row_document(row: Row) -> dict[str, Any]:
    """One row of an index; times in nanoseconds.

    ``heard_at`` is when the last part of a running or lost trace was written, else None.
    """
    return {
        "id": row.id,
        "key": row.key,
        "meta": row.meta,
        "state": row.state,
        "started_at": row.started_at,
        "duration": row.duration,
        "steps": row.steps,
        "tags": list(row.tags),
        "context": dict(row.context),
        "commit": row.commit,
        "error": row.error,
        "parts": row.parts,
        "heard_at": living.heard_at(row) if row.state in ("running", "lost") else None,
    }


def step_document(trace: Trace, index: int) -> dict[str, Any]:
    """One step of ``show --step``; its times in nanoseconds, ``start`` since the trace's."""
    step = trace.steps[index]
    return {
        "schema": "tracediff/step/1",
        "trace": trace.id,
        "index": index,
        "path": list(names(trace.steps, index)),
        "kind": step.kind,
        "state": step.state,
        "args": _value(step.args),
        "key": _value(step.key),
        "result": _value(step.result),
        "error": f"{step.error.type}: {step.error.message}" if step.error else None,
        "start": step.start,
        "duration": step.duration,
        "source": source_document(step.source),
    }


def source_document(source: Source | None) -> dict[str, Any] | None:
    """Where a step's code is."""
    if source is None:
        return None
    return {"file": source.file, "line": source.line, "unit": source.unit}


def comparison_document(
    comparison: Comparison,
    *,
    certificate: dict[str, Any] | None = None,
    noise: Sequence[Divergence] = (),
) -> dict[str, Any]:
    """A comparison: verdict, first divergence and all divergences in execution order.

    Args:
        comparison: What to write.
        certificate: The document of a certificate, where there is one.
        noise: What was left out because of it.
    """
    replay = comparison.new.replay
    left_out = [divergence_document(comparison, one) for one in noise]
    certified = {"certificate": certificate, "noise": left_out} if certificate is not None else {}
    return {
        "schema": "tracediff/compare/1",
        "different": comparison.different,
        "key": comparison.old.key,
        "old": trace_document(comparison.old),
        "new": trace_document(comparison.new),
        "unchanged": comparison.unchanged,
        "drift": comparison.drift,
        "first": divergence_document(comparison, comparison.first) if comparison.first else None,
        "divergences": [divergence_document(comparison, one) for one in comparison.divergences],
        "remarks": list(comparison.remarks),
        "misses": [
            {"kind": miss.kind, "name": miss.name, "args": _value(miss.args), "hint": miss.hint}
            for miss in (replay.misses if replay else ())
        ],
        "unused": [comparison.old.steps[index].name for index in (replay.unused if replay else ())],
        **certified,
    }


def divergence_document(comparison: Comparison, one: Divergence) -> dict[str, Any]:
    """One divergence with its path of step names and where its code is."""
    steps = comparison.new.steps if one.new is not None else comparison.old.steps
    index = one.new if one.new is not None else (one.old or 0)
    source = steps[index].source
    summed = {name: [frames.document(frame) for frame in some] for name, some in one.frames.items()}
    return {
        "kind": one.kind,
        "label": one.label,
        "step": steps[index].name,
        "step_kind": steps[index].kind,
        "path": list(names(steps, index)),
        "old": one.old,
        "new": one.new,
        "also": list(one.also),
        "aspects": list(one.aspects),
        "within": one.within,
        "code": None if one.code is None else [_code(change) for change in one.code],
        "source": source_document(source),
        "changes": {
            name: [_change(change) for change in some] for name, some in one.changes.items()
        },
        **({"frames": summed} if summed else {}),
    }


def _code(change: CodeChange) -> dict[str, Any]:
    return {
        "file": change.file,
        "line": change.line,
        "name": change.name,
        "removed": list(change.removed),
        "added": list(change.added),
    }


def _change(change: FieldChange) -> dict[str, Any]:
    found: dict[str, Any] = {"path": list(change.path), "kind": change.kind}
    if change.old is not MISSING:
        found["old"] = values.json_safe(change.old)
    if change.new is not MISSING:
        found["new"] = values.json_safe(change.new)
    if change.delta is not None:
        with contextlib.suppress(ValueError):  # thousands of digits, which Python does not write
            found["delta"] = str(change.delta)
    if change.within:
        found["within"] = True
    return found


def _value(value: Any) -> Any:
    return None if value is None else values.json_safe(values.inert(value))


def trace_document(trace: Trace) -> dict[str, Any]:
    """What a trace is of and what came of it, without its steps."""
    root = trace.steps[0]
    return {
        "id": trace.id,
        "state": trace.state,
        "started_at": trace.started_at,
        "commit": trace.code.commit,
        "dirty": trace.code.dirty,
        "args": _value(root.args),
        "result": _value(root.result),
        "error": f"{root.error.type}: {root.error.message}" if root.error else None,
    }

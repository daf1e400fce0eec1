"""A trace's steps as OpenTelemetry spans, in OTLP/JSON.

Each step is a span, notes and artifacts are events of the span they are in. What a span has no
field for is in attributes that begin with ``tracediff.``: arguments, result and error in the form
of trace files, so that an import gives the same steps again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from tracediff import tracefile, values
from tracediff.foreign.anyvalues import attributes
from tracediff.foreign.fromspans import OWN
from tracediff.model import FROM_OTEL, ErrorInfo, Step, Trace

_KIND_NUMBERS: Final = {"input": 3, "output": 3}
_INTERNAL: Final = 1
_LEAVES: Final = ("note", "artifact")
_TRACE_ID: Final = re.compile("[0-9a-f]{32}")
_SPAN_ID: Final = re.compile("[0-9a-f]{16}")
_SCOPE: Final = "tracediff"


def request(traces: Iterable[Trace]) -> dict[str, Any]:
    """Traces as one request of spans; a resource for each, its service is the key's first part."""
    return {"resourceSpans": [_resource(trace) for trace in traces]}


def ids_of(trace: Trace) -> tuple[str, str, str]:
    """The ids of the exported trace, of its root span, and of that span's parent ("" for none).

    A trace that was recorded within a span of OpenTelemetry becomes a part of that trace.
    """
    context = trace.context
    trace_id, span_id = str(context.get("otel_trace_id")), str(context.get("otel_span_id"))
    if not (_TRACE_ID.fullmatch(trace_id) and _SPAN_ID.fullmatch(span_id)):
        return _hash(trace.id, 32), _hash(f"{trace.id}/0", 16), ""
    if trace.job == FROM_OTEL:
        return trace_id, span_id, ""
    return trace_id, _hash(f"{trace.id}/0", 16), span_id


def _hash(text: str, digits: int) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:digits]


def _resource(trace: Trace) -> dict[str, Any]:
    service = _readable(trace.key.partition("/")[0])
    return {
        "resource": {"attributes": attributes({"service.name": service})},
        "scopeSpans": [{"scope": {"name": _SCOPE}, "spans": list(_spans(trace))}],
    }


def _spans(trace: Trace) -> Iterator[dict[str, Any]]:
    trace_id, root, parent = ids_of(trace)
    spans: dict[int, dict[str, Any]] = {}
    for index, step in enumerate(trace.steps):
        if step.kind in _LEAVES and index and step.parent in spans:
            spans[step.parent].setdefault("events", []).append(_event(trace, index, step))
            continue
        span_id = _hash(f"{trace.id}/{index}", 16) if index else root
        above = spans[step.parent]["spanId"] if step.parent in spans else parent
        spans[index] = _span(trace, index, step, {"traceId": trace_id, "spanId": span_id}, above)
    yield from spans.values()


def _span(trace: Trace, index: int, step: Step, ids: dict[str, str], parent: str) -> dict[str, Any]:
    start = max(trace.started_at + step.start, 0)
    found: dict[str, Any] = {
        **ids,
        **({"parentSpanId": parent} if parent else {}),
        "name": _readable(step.name),
        "kind": _KIND_NUMBERS.get(step.kind, _INTERNAL),
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + max(step.duration, 0)),
        "attributes": attributes({**_said(index, step), **(_of_trace(trace) if not index else {})}),
    }
    if step.error is not None:
        found["events"] = [_exception(start + step.duration, step.error)]
    if step.state == "error":
        message = "" if step.error is None else _readable(step.error.message)
        found["status"] = {"code": 2, **({"message": message} if message else {})}
    return found


def _event(trace: Trace, index: int, step: Step) -> dict[str, Any]:
    return {
        "timeUnixNano": str(max(trace.started_at + step.start, 0)),
        "name": _readable(step.name),
        "attributes": attributes(_said(index, step)),
    }


def _exception(time: int, error: ErrorInfo) -> dict[str, Any]:
    said = {
        "exception.type": _readable(error.type.replace(":", ".")),
        "exception.message": _readable(error.message),
        **({"exception.stacktrace": _readable(error.traceback)} if error.traceback else {}),
        f"{OWN}error": tracefile.write_error(error),
    }
    return {"timeUnixNano": str(max(time, 0)), "name": "exception", "attributes": attributes(said)}


def _said(index: int, step: Step) -> dict[str, Any]:
    """What of a step a span has no field for; what is as usual is left out."""
    found: dict[str, Any] = {f"{OWN}kind": step.kind, f"{OWN}step": index}
    if _readable(step.name) != step.name or step.name == "exception":
        found[f"{OWN}name"] = step.name
    if step.state not in ("success", "error") or (step.error and step.state != "error"):
        found[f"{OWN}state"] = step.state
    for name, value in (("args", step.args), ("result", step.result), ("key_value", step.key)):
        if value is not None:
            found[f"{OWN}{name}"] = values.to_json(value.data)
    if step.mutated:
        found[f"{OWN}mutated"] = list(step.mutated)
    for name in ("head", "open", "concurrent"):
        if getattr(step, name):
            found[f"{OWN}{name}"] = True
    if step.source is not None:
        found["code.file.path"] = _readable(step.source.file)
        found["code.line.number"] = step.source.line
        found["code.function.name"] = _readable(step.source.unit)
    return found


def _of_trace(trace: Trace) -> dict[str, Any]:
    found: dict[str, Any] = {
        f"{OWN}trace": trace.id,
        f"{OWN}key": _readable(trace.key),
        f"{OWN}trace_state": trace.state,
    }
    if trace.tags:
        found[f"{OWN}tags"] = list(map(_readable, trace.tags))
    if trace.meta:
        found[f"{OWN}meta"] = _readable(trace.meta)
    if trace.context:
        found[f"{OWN}context"] = dict(trace.context)
    return found


def _readable(text: str) -> str:
    """A text that UTF-8 can say: protobuf refuses half characters."""
    return text.encode("utf-8", "replace").decode()

"""A trace's steps as spans of OpenTelemetry's SDK, for whatever exporter a program has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from tracediff.foreign.anyvalues import read_attributes
from tracediff.foreign.tospans import request
from tracediff.model import Trace

_KINDS: Final = {1: SpanKind.INTERNAL, 3: SpanKind.CLIENT}


def readable_spans(trace: Trace) -> list[ReadableSpan]:
    """The steps as ended spans, the job's first: ``exporter.export(readable_spans(trace))``.

    They are those of ``tracediff export --to otel``. Nested values are nested attributes, as
    exporters of OTLP send them.
    """
    (group,) = request([trace])["resourceSpans"]
    resource = Resource(read_attributes(group["resource"]["attributes"]))
    (within,) = group["scopeSpans"]
    scope = InstrumentationScope(within["scope"]["name"])
    return [_readable(span, resource, scope) for span in within["spans"]]


def _readable(
    span: Mapping[str, Any], resource: Resource, scope: InstrumentationScope
) -> ReadableSpan:
    failed, status = "status" in span, Status(StatusCode.UNSET)
    if failed:
        status = Status(StatusCode.ERROR, span["status"].get("message"))
    parent = span.get("parentSpanId")
    return ReadableSpan(
        name=span["name"],
        context=_context(span["traceId"], span["spanId"]),
        parent=None if parent is None else _context(span["traceId"], parent),
        resource=resource,
        attributes=read_attributes(span["attributes"]),
        events=[
            Event(one["name"], read_attributes(one["attributes"]), int(one["timeUnixNano"]))
            for one in span.get("events", ())
        ],
        kind=_KINDS[span["kind"]],
        status=status,
        start_time=int(span["startTimeUnixNano"]),
        end_time=int(span["endTimeUnixNano"]),
        instrumentation_scope=scope,
    )


def _context(trace_id: str, span_id: str) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED)
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=False, trace_flags=flags)

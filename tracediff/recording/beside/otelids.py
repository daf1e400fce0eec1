"""Which OpenTelemetry span a job ran in, as fields of its trace that can be searched by."""

from __future__ import annotations

import sys

from tracediff.recording.buffers import Buffer
from tracediff.recording.faults import brief


def note_ids(buffer: Buffer) -> None:
    """Note the ids of the span that is active where the job starts, if the program has any."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return
    try:
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            buffer.context["otel_trace_id"] = f"{context.trace_id:032x}"
            buffer.context["otel_span_id"] = f"{context.span_id:016x}"
    except Exception as error:  # another thread may be importing it now
        buffer.warn(f"the ids of OpenTelemetry could not be read: {brief(error)}")

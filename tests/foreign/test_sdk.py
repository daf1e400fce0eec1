"""A trace's steps through the SDK's own exporters: over HTTP to a receiver, and printed."""

from __future__ import annotations

import gzip
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from google.protobuf import json_format
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExportResult

from tracediff import values
from tracediff.foreign.otelsdk import readable_spans
from tracediff.foreign.tospans import request
from tracediff.model import ErrorInfo, Step, Trace, Value


def value(found):
    return Value(values.encode(found))


@pytest.fixture
def trace():
    error = ErrorInfo(type="builtins:ValueError", message="no")
    return Trace(
        id="t0",
        key="shop/price",
        job="shop:price",
        started_at=1_700_000_000_000_000_000,
        duration=9_000,
        steps=(
            Step(parent=-1, kind="job", name="price", args=value({"n": 3}),
                 result=value([1, {"a": None}])),
            Step(parent=0, kind="input", name="rates", start=5, duration=7, result=value(1.25)),
            Step(parent=1, kind="note", name="half"),
            Step(parent=0, kind="step", name="guard", state="error", error=error),
        ),
    )  # fmt: skip


def test_a_real_receiver_gets_what_export_writes(trace):
    seen = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            data = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                data = gzip.decompress(data)
            seen.append(data)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    exporter = OTLPSpanExporter(endpoint=f"http://127.0.0.1:{server.server_port}/v1/traces")
    try:
        assert exporter.export(readable_spans(trace)) is SpanExportResult.SUCCESS
    finally:
        exporter.shutdown()
        server.shutdown()
        thread.join()
        server.server_close()
    got = trace_service_pb2.ExportTraceServiceRequest.FromString(seen[0])
    spans = got.resource_spans[0].scope_spans[0].spans
    (wanted,) = request([trace])["resourceSpans"][0]["scopeSpans"]
    for span, said in zip(spans, wanted["spans"], strict=True):
        assert span.trace_id.hex() == said["traceId"]
        assert span.span_id.hex() == said["spanId"]
        assert span.parent_span_id.hex() == said.get("parentSpanId", "")
        assert span.start_time_unix_nano == int(said["startTimeUnixNano"])
        document = json_format.MessageToDict(span)
        assert document["attributes"] == said["attributes"]
        assert len(span.events) == len(said.get("events", ()))
    assert spans[2].status.message == "no"


def test_what_is_printed_is_imported_again(trace, run, traces, project):
    out = io.StringIO()
    ConsoleSpanExporter(out=out).export(readable_spans(trace))
    (project / "printed.json").write_text(out.getvalue())
    assert json.loads(run("import", "printed.json", "--format", "json").out)["imported"] == 1
    (found,) = traces()
    assert [(one.kind, one.name, one.parent) for one in found.steps] == [
        (one.kind, one.name, one.parent) for one in trace.steps
    ]
    assert found.steps[0].args == trace.steps[0].args

"""The ids of OpenTelemetry's span on a trace, and the trace's id on Sentry's events."""

from __future__ import annotations

import threading

import pytest
import sentry_sdk
from opentelemetry import trace as otel
from opentelemetry.sdk.trace import TracerProvider
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

import tracediff as td
from tracediff.model import Query


@pytest.fixture
def tracer():
    return TracerProvider().get_tracer("shop")


def ids(span):
    context = span.get_span_context()
    return {
        "otel_trace_id": f"{context.trace_id:032x}",
        "otel_span_id": f"{context.span_id:016x}",
    }


def test_the_active_span_is_noted_and_found(recording, tracer):
    @td.job("a/b", context=lambda: {"shop": "x"})
    def work():
        return None

    with tracer.start_as_current_span("request"), tracer.start_as_current_span("inner") as span:
        work()
    work()
    first, second = recording.traces()
    assert first.context == {**ids(span), "shop": "x"}
    assert second.context == {"shop": "x"}
    asked = Query(context={"otel_trace_id": ids(span)["otel_trace_id"]})
    assert [row.id for row in recording.store().search(asked).rows] == [first.id]


def test_a_job_s_own_field_of_that_name_wins(recording, tracer):
    @td.job("a/b", context=lambda: {"otel_trace_id": "mine"})
    def work():
        return None

    with tracer.start_as_current_span("request"):
        work()
    assert recording.traces()[0].context["otel_trace_id"] == "mine"


def test_it_can_be_switched_off(recording, tracer):
    recording.configure(otel_ids=False)
    with tracer.start_as_current_span("request"):
        assert recording.run(lambda: None).context == {}


def test_a_span_that_cannot_be_read_is_a_warning(recording, monkeypatch):
    def broken():
        raise RuntimeError("half imported")

    monkeypatch.setattr(otel, "get_current_span", broken)
    trace = recording.run(lambda: 1)
    assert trace.state == "success"
    assert "half imported" in trace.warnings[0]


def test_nothing_is_imported_for_it(program):
    program.write(
        """
        import sys

        @td.job("a/b")
        def work():
            return None

        work()
        td.flush()
        foreign = {name.partition(".")[0] for name in sys.modules}
        print(sorted(foreign & {"opentelemetry", "sentry_sdk", "structlog", "logging.handlers"}))
        """
    )
    assert program.run().stdout == "[]\n"


class Kept(Transport):
    """Keeps envelopes in the process."""

    envelopes: list[Envelope]

    def __init__(self, options=None):
        super().__init__(options)
        self.envelopes = []

    def capture_envelope(self, envelope):
        self.envelopes.append(envelope)


@pytest.fixture
def sentry():
    """Sentry's SDK, which gives the events that were sent.

    Without its integrations, which stay in a process once they are there, in its loggers for one: a
    test has them in a process of its own.
    """
    transport = Kept()
    with sentry_sdk.isolation_scope():
        sentry_sdk.init(
            dsn="http://key@127.0.0.1:1/1",
            transport=transport,
            traces_sample_rate=1.0,
            default_integrations=False,
            auto_enabling_integrations=False,  # it would import each framework that is installed
        )

        def events():
            return [one for each in transport.envelopes if (one := _event(each)) is not None]

        yield events
        sentry_sdk.init(default_integrations=False, auto_enabling_integrations=False)


def _event(envelope):
    return envelope.get_event() or envelope.get_transaction_event()


def test_events_within_a_job_carry_the_trace_s_id(recording, sentry):
    def work():
        sentry_sdk.set_tag("own", "kept")
        with td.step("s"):
            sentry_sdk.capture_message("within")

    trace = recording.run(work)
    sentry_sdk.capture_message("after")
    within, after = sentry()
    assert within["tags"] == {"own": "kept", "tracediff.trace": trace.id}
    assert "tracediff.trace" not in after.get("tags", {})


def test_an_exception_that_left_a_job_is_known_by_it(recording, sentry):
    @td.job("a/b")
    def work(wrapped):
        raise ValueError("no")

    def service():
        try:
            work(True)
        except ValueError as error:
            raise RuntimeError("wrapped") from error

    for run in (lambda: work(False), service):
        try:
            run()
        except (ValueError, RuntimeError) as error:
            sentry_sdk.capture_exception(error)
    traces = recording.traces()
    assert [one["tags"]["tracediff.trace"] for one in sentry()] == [one.id for one in traces]
    assert "__tracediff_trace__" not in repr([one.steps[0].error for one in traces])


def test_the_attribute_is_no_part_of_what_is_recorded(recording, sentry):
    error = ValueError("no")

    @td.job("a/b")
    def work():
        raise error

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            work()
    first, second = recording.traces()
    assert first.steps[0].error.value == second.steps[0].error.value


def test_other_threads_and_transactions(recording, sentry):
    def work():
        thread = threading.Thread(target=sentry_sdk.capture_message, args=("other",))
        thread.start()
        thread.join()
        with sentry_sdk.start_transaction(name="t"):
            pass

    trace = recording.run(work)
    other, transaction = sentry()
    assert "tracediff.trace" not in other.get("tags", {})
    assert transaction["tags"]["tracediff.trace"] == trace.id


def test_without_the_setting_no_event_is_tagged(recording, sentry):
    recording.configure(sentry_tag=False)
    recording.run(lambda: sentry_sdk.capture_message("within"))
    assert "tracediff.trace" not in sentry()[0].get("tags", {})


@pytest.mark.in_turn
def test_it_reaches_a_real_server(program):
    """In a process of its own, over HTTP, from an exception that has left its job."""
    program.write(
        """
        import json, threading, gzip
        from http.server import BaseHTTPRequestHandler, HTTPServer
        import sentry_sdk

        seen = []

        class Answers(BaseHTTPRequestHandler):
            def do_POST(self):
                data = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    data = gzip.decompress(data)
                seen.append(data)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *args):
                pass

        server = HTTPServer(("127.0.0.1", 0), Answers)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        dsn = f"http://key@127.0.0.1:{server.server_port}/1"
        sentry_sdk.init(dsn=dsn, auto_enabling_integrations=False)

        @td.job("a/b")
        def work():
            raise ValueError("no")

        try:
            work()
        except ValueError:
            sentry_sdk.capture_exception()
        sentry_sdk.flush(10)
        td.flush()
        server.shutdown()
        server.server_close()
        (data,) = seen
        print(json.loads(data.splitlines()[2])["tags"]["tracediff.trace"])
        """
    )
    assert program.run().stdout.strip() == program.traces()[0].id

"""A trace's steps as spans: protobuf reads them, and imported again they are the same steps."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal

import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from tracediff import values
from tracediff.foreign.cleaning import Cleaning
from tracediff.foreign.fromspans import trace_of
from tracediff.foreign.otel import spans_of
from tracediff.foreign.tospans import request
from tracediff.model import Step, Trace, Value
from tracediff.recording.redaction import Redactor

PRICES = """\
from decimal import Decimal
import tracediff as td


@td.input("Rates")
def rates(country):
    deep = 1
    for _ in range(50):
        deep = [deep]
    return {"DE": Decimal("1.20"), 1: (1, 2.5, None, float("nan")), "deep": deep}


@td.output("Save")
def save(price, token="hunter2hunter2"):
    return None


@td.step("Change")
def change(cart):
    cart["n"] = 2
    try:
        raise KeyError("q")
    except KeyError as error:
        raise ValueError("no", 1) from error


@td.job("price/one")
def price(net, data=b"x\\x00", big=2**70, wide=2**63 + 1, minus=-0.0, odd="\\ud800x\\udc00"):
    td.note("Head \\ud800", head=True)
    td.note("exception")
    td.tag("ri:1")
    with td.step("Inner \\x1b"):
        td.note("within")
        rates("DE")
        with td.step("Warned") as step:
            td.warn()
            step.result = [1, {2, 3}]
    save(Decimal("3.10"))
    td.artifact("a.txt", b"hello")
    try:
        change({"n": 1})
    except ValueError:
        pass
    return {"price": net}


if __name__ == "__main__":
    price(1)
"""


@pytest.fixture
def recorded(project):
    (project / "prices.py").write_text(PRICES)
    subprocess.run([sys.executable, "prices.py"], cwd=project, check=True)


def parsed(text):
    return json_format.Parse(text, trace_service_pb2.ExportTraceServiceRequest())


def test_steps_come_back_the_same(recorded, run, traces, project):
    assert run("export", "@last", "--to", "otel", "-o", "spans.json").code == 0
    spans = parsed((project / "spans.json").read_text()).resource_spans[0].scope_spans[0].spans
    assert [span.name for span in spans] == [
        "price/one", "Inner \x1b", "Rates", "Warned", "Save", "Change",
    ]  # fmt: skip
    assert [event.name for event in spans[0].events] == ["Head ?", "exception", "a.txt"]
    assert spans[5].status.code == 2
    assert run("import", "spans.json", "--store", "again").code == 0
    (old,), (new,) = traces(), traces("again")
    assert new.steps == old.steps
    for name in ("key", "tags", "meta", "state", "started_at", "duration"):
        assert getattr(new, name) == getattr(old, name)
    assert b"hunter2" not in (project / "spans.json").read_bytes()
    assert new.job == "<otel>"


@pytest.mark.in_turn
def test_it_goes_to_stdout_and_several_are_one_request(recorded, run, project):
    subprocess.run([sys.executable, "prices.py"], cwd=project, check=True)
    done = run("export", "@last", "@{1}", "--to", "otel")
    assert len(parsed(done.out).resource_spans) == 2
    assert run("export", "@last", "--to", "jaeger").code == 2


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
    | st.decimals(allow_nan=False) | st.dates(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner)
    | st.tuples(inner, inner),
)  # fmt: skip


@given(VALUES, st.text())
@settings(deadline=None, max_examples=30)
def test_any_value_comes_back_the_same(value, name):
    data = Value(values.encode({"value": value}))
    job = Step(parent=-1, kind="job", name=name, args=data, result=Value(values.encode(value)))
    trace = Trace(id="t0", key="k", job="m:j", steps=(job,), started_at=1)
    text = json.dumps(request([trace]))
    parsed(text)
    cleaning = Cleaning(Redactor((), lambda: b"key"))
    (found,) = trace_of(list(spans_of(json.loads(text))), cleaning).steps
    assert found.args == data
    assert found.result == job.result


def test_a_trace_within_a_span_becomes_a_part_of_its_trace():
    context = {"otel_trace_id": "a" * 32, "otel_span_id": "b" * 16}
    job = Step(parent=-1, kind="job", name="j", result=Value(values.encode(Decimal(1))))
    trace = Trace(id="t0", key="k", job="m:j", steps=(job,), context=context)
    (span,) = request([trace])["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert span["traceId"] == "a" * 32
    assert span["parentSpanId"] == "b" * 16
    assert span["spanId"] != "b" * 16

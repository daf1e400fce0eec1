"""What nobody would write on purpose, and what somebody might."""

from __future__ import annotations

import gzip
import json

import pytest

from tracediff import codec
from tracediff.foreign import documents, gathering

A, B, C = "a" * 16, "b" * 16, "c" * 16


def span(span_id, parent="", name="s", start=1_000, end=2_000, trace="1" * 32, **more):
    return {
        "traceId": trace,
        "spanId": span_id,
        "parentSpanId": parent,
        "name": name,
        "startTimeUnixNano": start,
        "endTimeUnixNano": end,
        **more,
    }


def request(*spans):
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}]}]})


@pytest.fixture
def steps(run, traces, project):
    """The steps of the one trace that these spans make, and its warnings."""

    def steps(*spans):
        (project / "a.json").write_text(request(*spans))
        done = run("import", "a.json")
        assert (done.code, done.out) == (0, "1 imported, 0 there already\n")
        (trace,) = traces()
        assert run("show", "@last").code == 0
        assert run("compare", "@last", "@last").code == 0
        return [(one.name, one.parent, one.start, one.duration) for one in trace.steps], trace

    return steps


def test_parents_in_a_circle(steps):
    found, trace = steps(span(A, B, "a", 5), span(B, C, "b", 3), span(C, A, "c", 4))
    assert [one[:2] for one in found] == [("b", -1), ("a", 0), ("c", 1)]
    assert "below themselves" in trace.warnings[0]


def test_a_span_that_is_its_own_parent(steps):
    found, _ = steps(span(A, A, "a"))
    assert [one[:2] for one in found] == [("a", -1)]


def test_missing_parents(steps):
    found, trace = steps(span(A, C, "a", 5), span(B, "d" * 16, "b", 3))
    assert [one[:2] for one in found] == [("trace", -1), ("b", 0), ("a", 0)]
    assert any("name a parent that is not among these" in one for one in trace.warnings)


def test_a_parent_in_another_service_is_nothing_special(steps):
    found, trace = steps(span(A, C, "a"), span(B, A, "b"))
    assert [one[:2] for one in found] == [("a", -1), ("b", 0)]
    assert trace.warnings == ()


@pytest.mark.parametrize("time", [-1, 1 << 80, "1" * 39, "x", None, 1.5, True, [], {}])
def test_absurd_times(steps, time):
    found, trace = steps(span(A, start=time, end=time), span(B, A, start=5_000, end=4_000))
    assert found[0][2:] == (0, 0) or time is True
    assert found[1][3] == 0
    assert trace.started_at >= 0
    assert any("before they began" in one for one in trace.warnings)


def test_the_same_id_twice_counts_once(steps, run, project):
    found, _ = steps(span(A, name="first"), span(A, name="second"))
    assert [one[0] for one in found] == ["first"]


def test_control_characters_do_not_reach_the_terminal(steps, run):
    steps(
        span(A, name="\x1b[2Ja\nb\x07", attributes=[{"key": "\x1b]0;x\x07", "value": {}}]),
    )
    for command in ("ls", "show @last", "compare @last @last"):
        done = run(*command.split())
        assert "\x1b" not in done.out
        assert "\x07" not in done.out


def test_secrets_in_any_text(steps, run, traces):
    secret = "hunter2hunter2"
    steps(
        span(
            A,
            name=f"GET http://ann:{secret}@shop/",
            attributes=[
                {"key": "http.request.header.authorization", "value": {"stringValue": secret}},
                {"key": "url", "value": {"stringValue": f"http://ann:{secret}@shop/"}},
                {"key": "log", "value": {"stringValue": f"password={secret}"}},
            ],
            events=[
                {"name": f"password={secret}", "attributes": []},
                {"name": "exception", "attributes": [
                    {"key": "exception.message", "value": {"stringValue": f"token={secret}"}}]},
            ],
            status={"code": 2, "message": f"api_key={secret}"},
        ),
        span(B, A, attributes=[{"key": "tracediff.args", "value": {"kvlistValue": {"values": [
            {"key": "token", "value": {"stringValue": secret}}]}}}]),
    )  # fmt: skip
    assert secret.encode() not in b"".join(map(codec.dump, traces()))
    assert secret not in run("show", "@last", "--format", "json").out


def test_deep_values_and_long_chains(steps):
    value: object = {"stringValue": "x"}
    for _ in range(150):
        value = {"arrayValue": {"values": [value]}}
    found, _ = steps(
        span(f"{0:016x}", "", "0", attributes=[{"key": "deep", "value": value}]),
        *(span(f"{n:016x}", f"{n - 1:016x}", str(n)) for n in range(1, 3000)),
    )
    assert [one[1] for one in found] == list(range(-1, 2999))


def test_more_spans_than_are_kept(steps, monkeypatch):
    monkeypatch.setattr(gathering, "MAX_SPANS", 10)
    found, trace = steps(span(A, start=1), *(span(f"{n:016x}", A, str(n)) for n in range(1, 30)))
    assert len(found) == 10
    assert "20 spans are not among the steps" in trace.warnings[0]


BAD = [
    (b"{", "line 1"),
    (b'{"resourceSpans": [}\n', "line 1"),
    (b"\xff\xfe{}", "UTF-8"),
    (b"[" * 100_000, "nested too deep"),
    (b"1" * 5_000, "line 1"),
    (b'{"a": 1}', "neither OpenTelemetry"),
    (b"3", "neither OpenTelemetry"),
    (b'{"resourceSpans": {}}', "no list of objects"),
    (b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "x"}]}]}]}', "no id of 32"),
    (b'{"context": {"trace_id": [], "span_id": 3}}', "no id of 32"),
    (gzip.compress(b"{}" * 100)[:-9], "gzip"),
    (b"\x1f\x8bxxxxxxxxxxxxx", "gzip"),
]


@pytest.mark.parametrize(("data", "said"), BAD)
def test_what_cannot_be_read_says_where_and_loses_nothing(run, project, traces, data, said):
    good = request(span(A)).encode()
    (project / "good.json").write_bytes(good)
    (project / "bad.json").write_bytes(data)
    done = run("import", "good.json", "bad.json")
    assert done.code == 2
    assert "bad.json" in done.err
    assert said in done.err
    assert "#import-unreadable" in done.err
    assert traces() == []
    rest = run("import", "bad.json", "good.json", "--skip-bad")
    assert (rest.code, rest.out) == (1, "1 imported, 0 there already\n")
    assert said in rest.err


def test_a_bad_line_among_good_ones(run, project):
    lines = [request(span(A)), '{"neither": 1}', request(span(B, trace="2" * 32)), '{"torn": ']
    (project / "a.jsonl").write_text("\n".join(lines))
    assert "a.jsonl line 2 cannot be imported" in run("import", "a.jsonl").err
    rest = run("import", "a.jsonl", "--skip-bad")
    assert rest.out == "2 imported, 0 there already\n"
    assert "a.jsonl line 4" in rest.err


def test_documents_are_of_bounded_size(run, project, monkeypatch):
    monkeypatch.setattr(documents, "MAX_DOCUMENT", 2_000)
    (project / "one.json").write_text(request(*(span(f"{n:016x}") for n in range(100))))
    (project / "many.json").write_text(
        "\n".join(json.dumps(json.loads(request(span(f"{n:016x}"))), indent=1) for n in range(100))
    )
    assert "#import-too-large" in run("import", "one.json").err
    assert run("import", "many.json").code == 0


@pytest.mark.parametrize(
    ("place", "slug"),
    [
        ("nowhere.json", "import-missing"),
        ("mongodb://ann:hunter2@h/", "import-source"),
        ("mysql://ann:hunter2@h/d", "import-missing"),
        ("empty", "import-empty"),
        ("http://127.0.0.1:1/x", "import-source"),
        ("a\x00b", "import-missing"),
    ],
)
def test_places_that_are_none(run, project, place, slug):
    (project / "empty").mkdir()
    done = run("import", place)
    assert done.code == 2
    assert f"#{slug}" in done.err
    assert "hunter2" not in done.err


def test_links_and_artifacts_in_a_directory_are_not_followed(run, project, tmp_path):
    directory = project / "d"
    (directory / "artifacts").mkdir(parents=True)
    (directory / "artifacts" / "a.json").write_text("no JSON")
    (directory / "link.json").symlink_to("/etc/passwd")
    (directory / "good.json").write_text(request(span(A)))
    assert run("import", "d").out == "1 imported, 0 there already\n"


def test_each_tool_alone(run, project):
    (project / "a.json").write_text(request(span(A)))
    assert "neither a list of entries" in run("import", "a.json", "--from", "trifle").err
    assert run("import", "a.json", "--from", "otel").code == 0


def test_what_a_request_says_once_is_not_kept_with_each_span():
    long = "x" * 100_000
    resource = {"attributes": [{"key": name, "value": {"stringValue": long}}
                               for name in ("service.name", "host.name")]}  # fmt: skip
    scope = {"scope": {"name": long}, "spans": [span(f"{one:016x}") for one in range(1, 101)]}
    with gathering.Gathered() as gathered:
        gathered.add({"resourceSpans": [{"resource": resource, "scopeSpans": [scope]}]}, "a", None)
        ((spans, left_out),) = gathered.span_traces()
    assert (len(spans), left_out) == (100, 0)
    assert all(len(str(one.resource)) + len(one.scope) < 2_000 for one in spans)

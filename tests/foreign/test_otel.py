"""OpenTelemetry's JSON becomes traces: from the real SDK, in each form that it is written in."""

from __future__ import annotations

import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tracediff import codec, values


def test_each_form_gives_the_same_steps(shop, run, traces, project):
    shop.order(12)
    forms = {
        "request.json": shop.request(),
        "lines.jsonl": shop.lines(),
        "printed.json": shop.printed.getvalue(),
        "array.json": "[" + shop.request() + "," + shop.request() + "]",
        "indented.json": json.dumps(json.loads(shop.request()), indent=0),
    }
    for name, text in forms.items():
        (project / name).write_text(text)
        done = run("import", name, "--store", f"{name}.store")
        assert (done.code, done.out) == (0, "1 imported, 0 there already\n")
    found = [traces(f"{name}.store")[0] for name in forms]
    for trace in found:
        assert [(step.kind, step.name, step.parent, step.state) for step in trace.steps] == [
            ("job", "GET /orders", -1, "success"),
            ("input", "SELECT", 0, "success"),
            ("note", "fetched: rows=2", 1, "success"),
            ("output", "INSERT", 0, "success"),
        ]
        assert trace.key == "shop/GET /orders"
        assert trace.context["service"] == "shop"
        assert values.inert(trace.steps[0].args)["items"] in ([1, 2], (1, 2))
    assert len({trace.context["otel_trace_id"] for trace in found}) == 1
    assert found[0].steps[3].args == found[1].steps[3].args
    assert found[0].duration == found[1].duration > 0
    assert found[0].id == found[1].id


def test_importing_twice_gives_the_same_ids_and_no_doubles(shop, run, traces, project):
    shop.order(12)
    shop.order(13)
    (project / "a.json").write_text(shop.request())
    first = json.loads(run("import", "a.json", "--format", "json").out)
    assert (first["imported"], first["known"], first["twice"]) == (2, 0, 0)
    again = json.loads(run("import", "a.json", "a.json", "--format", "json").out)
    assert (again["imported"], again["known"], again["twice"]) == (0, 2, 6)
    assert sorted(again["ids"]) == sorted(first["ids"]) == sorted(one.id for one in traces())


def test_they_are_listed_shown_and_compared(shop, run, project):
    shop.order(12)
    shop.order(13)
    shop.order(13, fails=True)
    (project / "a.jsonl").write_text(shop.lines())
    assert run("import", "-", "a.jsonl").code in (0, 2)
    assert run("import", "a.jsonl").code == 0
    listed = run("ls", "shop").out
    assert listed.count("shop/GET /orders") == 3
    shown = run("show", "@last")
    assert "ValueError: out of stock" in shown.out
    assert "\x1b" not in shown.out
    different = run("compare", "@{2}", "@{1}")
    assert different.code == 1
    assert "price" in different.out
    assert run("compare", "@{1}", "@{1}").code == 0
    trace_id = json.loads(run("ls", "--format", "json").out)["traces"][0]["context"]
    found = run("ls", "--context", f"otel_trace_id={trace_id['otel_trace_id']}", "--format", "json")
    assert len(json.loads(found.out)["traces"]) == 1


def test_secrets_are_sealed_by_their_names(shop, run, traces, project):
    shop.order(12)
    (project / "a.json").write_text(shop.request())
    run("import", "a.json")
    assert b"hunter2hunter2" not in b"".join(map(codec.dump, traces()))
    assert "hunter2" not in run("show", "@last", "--format", "json").out


def test_a_directory_and_gzip_and_standard_input(shop, run, project, monkeypatch):
    shop.order(12)
    (project / "d" / "e").mkdir(parents=True)
    (project / "d" / "e" / "a.json.gz").write_bytes(gzip.compress(shop.lines().encode()))
    (project / "d" / "readme.txt").write_text("no JSON")
    assert run("import", "d").out == "1 imported, 0 there already\n"
    with (project / "d" / "e" / "a.json.gz").open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert run("import", "-").out == "0 imported, 1 there already\n"
    assert "standard input cannot be read" in run("import", "-").err


def test_a_url(shop, run):
    shop.order(12)
    body = shop.lines().encode()

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/traces"
        assert run("import", url).out == "1 imported, 0 there already\n"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    refused = run("import", f"http://ann:hunter2@127.0.0.1:{server.server_port}/traces")
    assert refused.code == 2
    assert "hunter2" not in refused.err


def test_logs_and_metrics_between_the_spans_are_left_out(shop, run, project):
    shop.order(12)
    (project / "a.jsonl").write_text('{"resourceLogs": []}\n' + shop.lines())
    done = run("import", "a.jsonl")
    assert done.out.startswith("1 imported")
    assert "1 requests of logs or metrics were left out" in done.err


def test_a_key_of_ones_own(shop, run, traces, project):
    shop.order(12)
    (project / "a.jsonl").write_text(shop.lines())
    run("import", "a.jsonl", "--key", "orders/all")
    assert [one.key for one in traces()] == ["orders/all"]


def test_a_key_is_one_that_a_reference_can_name(shop, run, traces, project):
    """Before a colon stands the name of a store; "unknown_service:python" is the SDK's default."""
    shop.order(12)
    (project / "a.jsonl").write_text(shop.lines())
    run("import", "a.jsonl", "--key", "unknown_service:python/http://price:")
    (trace,) = traces()
    assert trace.key == "unknown_service/python/http/price"
    assert run("show", "unknown_service/python/http/price@last").code == 0


@pytest.mark.parametrize(
    "command",
    [
        ("replay", "@last"),
        ("compare", "@last"),
        ("compare", "@last", "--deep"),
        ("explain", "@last"),
        ("explain", "@last", "@last"),
        ("bisect", "@last"),
        ("check",),
        ("doctor", "--replayability", "shop"),
    ],
)
def test_nothing_of_them_is_run_again(shop, run, project, command):
    shop.order(12)
    (project / "a.jsonl").write_text(shop.lines())
    run("import", "a.jsonl")
    done = run(*command)
    assert done.code == 2
    assert "errors.md#trace-imported" in done.err
    assert "hint:" in done.err


def test_ids_of_digits_alone_are_texts(run, traces, project):
    span = {"traceId": "1" * 32, "spanId": "123456789012345e", "name": "s"}
    request = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    (project / "a.json").write_text(json.dumps(request))
    run("import", "a.json")
    for field in (f"otel_trace_id={'1' * 32}", 'otel_span_id="123456789012345e"'):
        found = json.loads(run("ls", "--context", field, "--format", "json").out)
        assert len(found["traces"]) == 1

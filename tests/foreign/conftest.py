"""Spans made by the real SDK, payloads as the gem's data driver writes them, and the command."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import NamedTuple

import pytest
from google.protobuf import json_format
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from tracediff.api import open_project
from tracediff.cli import exits, group


class Done(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project, which is the working directory."""
    (tmp_path / "pyproject.toml").write_text('[tool.tracediff]\njobs = ["prices"]\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRACEDIFF_STORE", raising=False)
    return tmp_path


@pytest.fixture
def run(project, capsys):
    """Runs a command in the project."""

    def run(*args: object) -> Done:
        capsys.readouterr()
        code = exits.run(group, [str(one) for one in args])
        return Done(code, *capsys.readouterr())

    return run


@pytest.fixture
def traces(project):
    """All traces of the store, the oldest first."""

    def traces(store: str | None = None):
        with open_project(start=project, store=store) as opened:
            from tracediff.model import Query

            rows = opened.search(Query(limit=1000)).rows
            return [opened.store.load(row) for row in reversed(rows)]

    return traces


class Shop:
    """A service that is traced by OpenTelemetry's SDK."""

    def __init__(self) -> None:
        self.memory = InMemorySpanExporter()
        self.printed = io.StringIO()
        provider = TracerProvider(resource=Resource({"service.name": "shop"}))
        provider.add_span_processor(SimpleSpanProcessor(self.memory))
        provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(out=self.printed)))
        self.tracer = provider.get_tracer("shop.orders")

    def order(self, price, *, fails=False):
        start = self.tracer.start_as_current_span
        try:
            with start("GET /orders", kind=SpanKind.SERVER) as root:
                root.set_attribute("session_token", "hunter2hunter2")
                root.set_attribute("items", [1, 2])
                with start("SELECT", kind=SpanKind.CLIENT) as query:
                    query.set_attribute("db.statement", "SELECT price FROM item")
                    query.add_event("fetched", {"rows": 2})
                with start("INSERT", kind=SpanKind.CLIENT) as query:
                    query.set_attribute("db.operation.name", "INSERT")
                    query.set_attribute("price", price)
                if fails:
                    raise ValueError("out of stock \x1b[31m")
        except ValueError:
            return

    def request(self) -> str:
        """All spans as the protobuf library writes them: ids in base64, names for enums."""
        return json_format.MessageToJson(encode_spans(self.memory.get_finished_spans()))

    def lines(self) -> str:
        """As the Collector's file exporter does: a request for each span, ids in hexadecimal."""
        lines = []
        for span in self.memory.get_finished_spans():
            document = json_format.MessageToDict(encode_spans([span]), use_integers_for_enums=True)
            for one in document["resourceSpans"][0]["scopeSpans"][0]["spans"]:
                context = span.get_span_context()
                one |= {"traceId": f"{context.trace_id:032x}", "spanId": f"{context.span_id:016x}"}
                if span.parent is not None:
                    one["parentSpanId"] = f"{span.parent.span_id:016x}"
            lines.append(json.dumps(document))
        return "\n".join(lines) + "\n"


@pytest.fixture
def shop():
    return Shop()


def entry(message, kind="text", level=0, state="success", at=1_700_000_000, **more):
    return {"at": at, "message": message, "state": state, "type": kind, "level": level, **more}


class Payloads:
    """A directory as the File and S3 drivers of Trifle::Traces lay it out."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def part(self, reference, part, entries, key="jobs/price"):
        directory = self.root / "3" / key / reference
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"data_{part}.json"
        path.write_text(json.dumps(entries, ensure_ascii=False))
        return path

    def trace(self, reference, price, state="success"):
        self.part(
            reference,
            1,
            [
                entry("Tracer has been initialized for jobs/price"),
                entry("Calculate ↴", "head"),
                entry("Fetching product ↴", level=1),
                entry("Fetching product ↵", level=1, at=1_700_000_001),
                entry('↳ {"id": 4, "password": "hunter2hunter2"}', "raw", 1),
            ],
        )
        self.part(
            reference,
            2,
            [
                entry("Guard: token=hunter2hunter2", level=1),
                {"at": 1_700_000_001, "message": "report.txt", "state": "success", "type": "media",
                 "size": 3},
                entry("Calculate ↵", state=state, at=1_700_000_002),
                entry(f"↳ {price}", "raw", at=1_700_000_002),
            ],
        )  # fmt: skip
        self.part(reference, 10, [entry("Finished", at=1_700_000_003)])


@pytest.fixture
def payloads(project):
    return Payloads(project / "payloads")

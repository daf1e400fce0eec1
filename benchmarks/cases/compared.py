"""A step with three arguments and a result, and what other recorders make of the same call."""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from importlib.util import find_spec
from itertools import repeat
from pathlib import Path

import tracediff as td
from benchmarks.figures import Figure, timed
from benchmarks.measuring import FLOOR, floor, in_turns, per_call
from tracediff.model import Query
from tracediff.stores import open_store

CALLS = 300
PRICE = Decimal("19.90")
Body = Callable[[int], object]
Size = Callable[[], float]
"""The bytes a call that are kept in the end."""


@td.step("priced")
def priced(product_id: int, country: str, price: Decimal) -> Decimal:
    return price


def tracediff_steps(calls: int) -> None:
    for product_id in range(calls):
        priced(product_id, "DE", PRICE)


@td.job("benchmarks/compared")
def in_job(body: Body, calls: int, keep: bool) -> float:
    if not keep:
        td.ignore()
    return per_call(body, calls)


def _tracediff_size(directory: Path) -> float:
    td.flush(60)
    in_job(tracediff_steps, CALLS, keep=True)
    td.flush(60)
    store = open_store(str(directory / "store"))
    (row,) = store.search(Query(limit=1)).rows
    store.close()
    return row.location[2] / CALLS


@contextmanager
def _structlog(directory: Path) -> Iterator[tuple[Body, Size]]:
    """A line of JSON for each call, appended to a file."""
    import structlog

    path = directory / "log.jsonl"
    with path.open("w", encoding="utf-8") as file:
        log = structlog.wrap_logger(
            structlog.WriteLoggerFactory(file)(),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso"),
                structlog.processors.JSONRenderer(default=str),
            ],
        ).bind()

        def lines(calls: int) -> None:
            for product_id in range(calls):
                log.info("priced", product_id=product_id, country="DE", price=PRICE, result=PRICE)

        yield lines, lambda: _fresh(path, lines, file)


def _fresh(path: Path, lines: Body, file: object) -> float:
    before = path.stat().st_size
    lines(CALLS)
    file.flush()  # type: ignore[attr-defined]  # an open file
    return (path.stat().st_size - before) / CALLS


def _opentelemetry() -> tuple[Body, Size]:
    """A span with the arguments and the result as attributes; kept, it is a line of JSON."""
    import opentelemetry.sdk.trace as sdk
    from opentelemetry.sdk.trace import export

    sizes: list[int] = []

    class Exporter(export.SpanExporter):
        def export(self, spans: object) -> object:
            if sizes:
                sizes.extend(len(span.to_json(indent=None)) for span in spans)  # type: ignore[attr-defined]  # of a package that is not always there
            return export.SpanExportResult.SUCCESS

    provider = sdk.TracerProvider()
    provider.add_span_processor(export.BatchSpanProcessor(Exporter()))
    open_span = provider.get_tracer("benchmarks").start_as_current_span

    def spans(calls: int) -> None:
        for product_id in range(calls):
            attributes = {"product_id": product_id, "country": "DE", "price": str(PRICE)}
            with open_span("priced", attributes=attributes) as span:
                span.set_attribute("result", str(PRICE))

    def size() -> float:
        provider.force_flush()
        sizes[:] = [0]
        spans(CALLS)
        provider.force_flush()
        kept = sum(sizes) / (len(sizes) - 1)
        sizes.clear()
        return kept

    return spans, size


def _langfuse() -> Body:
    """Its decorator with nowhere to send to."""
    os.environ.update(
        LANGFUSE_PUBLIC_KEY="pk", LANGFUSE_SECRET_KEY="sk", LANGFUSE_HOST="http://127.0.0.1:9",
        LANGFUSE_TRACING_ENABLED="true", LANGFUSE_FLUSH_INTERVAL="3600",
        LANGFUSE_FLUSH_AT="512",
    )  # fmt: skip
    from langfuse import observe  # type: ignore[import-not-found]  # optional: only a peer

    @observe(name="priced")
    def observed(product_id: int, country: str, price: Decimal) -> Decimal:
        return price

    def calls_of(calls: int) -> None:
        for _ in repeat(None, calls):
            observed(1, "DE", PRICE)

    return calls_of


def measure(quick: bool) -> list[Figure]:
    with tempfile.TemporaryDirectory() as name, _structlog(Path(name)) as (lines, line_size):
        td.configure(store=str(Path(name) / "store"))
        bodies: dict[str, Body] = {"floor": floor, "tracediff": tracediff_steps, "structlog": lines}
        sizes: dict[str, Size] = {"structlog": line_size}
        if find_spec("opentelemetry") and find_spec("opentelemetry.sdk"):
            bodies["otel"], sizes["otel"] = _opentelemetry()
        samples = {
            key: functools.partial(in_job, body, CALLS, keep=False) for key, body in bodies.items()
        }
        found = in_turns(samples, 3 if quick else 200)
        kept = {key: size() for key, size in sizes.items()}
        kept["tracediff"] = _tracediff_size(Path(name))
        if find_spec("langfuse"):
            body = _langfuse()
            found["langfuse"] = [per_call(body, 20) for _ in range(3 if quick else 20)]
        td.configure(enabled=False)
    figures = []
    for key, what in NAMES.items():
        if key not in found:
            figures.append(Figure(what=what, unit="µs", missing=f"{PEERS[key]} is not installed"))
            continue
        base = found["floor"] if len(found[key]) == len(found["floor"]) else None
        target = 4 if key == "tracediff" else None
        figures.append(timed(what, found[key], "µs", base=base, against=FLOOR, target=target))
        if key in kept:
            figures.append(
                Figure(what=f"{what}: kept of a call, on disk", unit="B", value=kept[key],
                       ratio=kept[key] / kept["tracediff"], against="of tracediff's")
            )  # fmt: skip
    return figures


PEERS = {"otel": "opentelemetry-sdk", "langfuse": "langfuse"}
NAMES = {
    "tracediff": "three small arguments and a result: tracediff's step",
    "structlog": "the same: structlog, a line of JSON to a file",
    "otel": "the same: OpenTelemetry SDK, batch processor, four attributes",
    "langfuse": "the same: Langfuse's decorator, offline",
}

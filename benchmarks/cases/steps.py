"""What a step costs while a job is recorded."""

from __future__ import annotations

import functools
from collections.abc import Callable
from decimal import Decimal
from importlib.util import find_spec
from itertools import repeat

import tracediff as td
from benchmarks.figures import Figure, timed
from benchmarks.measuring import FLOOR, floor, in_turns, per_call

CALLS = 300
PRICE = Decimal("19.90")
PEER = "OpenTelemetry SDK span, batch processor, no-op exporter, three attributes"
ABSENT = "opentelemetry-sdk is not installed"


@td.step("bare")
def bare() -> None:
    """A step without arguments."""


@td.step("priced")
def priced(product_id: int, country: str, price: Decimal) -> Decimal:
    """A step with three small arguments and a result."""
    return price


def bare_steps(calls: int) -> None:
    for _ in repeat(None, calls):
        bare()


def priced_steps(calls: int) -> None:
    for _ in repeat(None, calls):
        priced(313_421, "DE", PRICE)


def blocks(calls: int) -> None:
    for _ in repeat(None, calls):
        with td.step("block"):
            pass


@td.job("benchmarks/steps")
def in_job(body: Callable[[int], object]) -> float:
    """Measure inside a recorded job whose trace is then dropped."""
    td.ignore()
    return per_call(body, CALLS)


def opentelemetry_spans() -> Callable[[int], object]:
    """The peer: the same empty call inside a span."""
    import opentelemetry.sdk.trace as sdk  # type: ignore[import-not-found]  # optional: only a peer
    from opentelemetry.sdk.trace import export  # type: ignore[import-not-found]  # the same

    class NoExporter(export.SpanExporter):
        def export(self, spans: object) -> object:
            return export.SpanExportResult.SUCCESS

    provider = sdk.TracerProvider()
    provider.add_span_processor(export.BatchSpanProcessor(NoExporter()))
    open_span = provider.get_tracer("benchmarks").start_as_current_span

    def spans(calls: int) -> None:
        for _ in repeat(None, calls):
            with open_span(
                "priced", attributes={"product_id": 313_421, "country": "DE", "price": 19.90}
            ):
                pass

    return spans


def measure(quick: bool) -> list[Figure]:
    td.configure(store="memory:", strict=True)
    bodies = {"floor": floor, "bare": bare_steps, "priced": priced_steps, "block": blocks}
    if find_spec("opentelemetry") and find_spec("opentelemetry.sdk"):
        bodies["peer"] = opentelemetry_spans()
    found = in_turns(
        {name: functools.partial(in_job, body) for name, body in bodies.items()},
        5 if quick else 600,
    )
    base = found["floor"]
    figures = [
        timed("the floor: two clock reads and a tuple appended, inlined", base, "µs"),
        timed("active step without arguments", found["bare"], "µs", base=base, against=FLOOR,
              target=0.9),
        timed("active step with three small arguments and a result", found["priced"], "µs",
              base=base, against=FLOOR, target=4),
        timed("active `with` block", found["block"], "µs", base=base, against=FLOOR),
    ]  # fmt: skip
    return [*figures, *_beside_peer(found)]


def _beside_peer(found: dict[str, list[float]]) -> list[Figure]:
    what = "that span against the active step without arguments"
    if "peer" not in found:
        return [
            Figure(what=PEER, unit="µs", missing=ABSENT),
            Figure(what=what, unit="times", missing=ABSENT, target=20, least=True),
        ]
    span = timed(PEER, found["peer"], "µs", base=found["floor"], against=FLOOR)
    times = timed(what, found["peer"], "µs", base=found["bare"])
    return [span, Figure(what=what, unit="times", value=times.ratio, target=20, least=True)]

"""What a trace and other tools of the process cost each other; and reading other tools' traces.

Settings change between the blocks of records; a handler throws the records away.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import logging
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import thread_time_ns
from typing import Any

import sentry_sdk.scope
from IPython.core.interactiveshell import InteractiveShell
from opentelemetry.sdk.trace import TracerProvider

import tracediff as td
from benchmarks.figures import Figure, timed
from benchmarks.measuring import in_turns, once, per_call
from tracediff.config import Config
from tracediff.foreign.importing import Wish, import_traces
from tracediff.recording.beside import sentry
from tracediff.recording.beside.otelids import note_ids
from tracediff.recording.buffers import Buffer
from tracediff.recording.redaction import Redactor
from tracediff.stores.memory import MemoryStore

ASKED = 1_000
RECORDS = 500
SPANS = 10_000
TRACES = 100
log = logging.getLogger("benchmarks.beside")
TRACER = TracerProvider().get_tracer("benchmarks")


@td.job("benchmarks/logging")
def logging_job(records: int) -> float:
    """Seconds a record."""
    start = thread_time_ns()
    for number in range(records):
        log.info("price %s", number)
    return (thread_time_ns() - start) / records / 1e9


def asked(*, known: bool, spanned: bool) -> float:
    """Seconds that a job's start asks for the ids, where the program has OpenTelemetry or not."""
    buffer = Buffer(Redactor((), lambda: b"key"), "steps")
    module = sys.modules["opentelemetry.trace"]
    if not known:
        del sys.modules["opentelemetry.trace"]
    try:
        if spanned:
            with TRACER.start_as_current_span("request"):
                return per_call(lambda calls: _ask(buffer, calls), ASKED)
        return per_call(lambda calls: _ask(buffer, calls), ASKED)
    finally:
        sys.modules["opentelemetry.trace"] = module


def _ask(buffer: Buffer, calls: int) -> None:
    for _ in range(calls):
        note_ids(buffer)


def records(settings: dict[str, Any]) -> float:
    """Seconds that a record of ``logging`` takes, which a handler throws away."""
    td.configure(store="memory:", **settings)
    found = logging_job(RECORDS)
    td.flush()
    return found


def request(trace: int, spans: int) -> str:
    """One trace of so many spans, as a line of the Collector's file exporter."""
    made = [
        {
            "traceId": f"{trace:032x}",
            "spanId": f"{number + 1:016x}",
            **({"parentSpanId": f"{number // 4:016x}"} if number // 4 else {}),
            "name": "price",
            "kind": 1,
            "startTimeUnixNano": str(1_700_000_000_000_000_000 + number * 1_000),
            "endTimeUnixNano": str(1_700_000_000_000_000_000 + number * 2_000),
            "attributes": [
                {"key": "product", "value": {"stringValue": f"p{number}"}},
                {"key": "price", "value": {"doubleValue": number * 1.19}},
                {"key": "count", "value": {"intValue": str(number)}},
            ],
            "status": {},
        }
        for number in range(spans)
    ]
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": made}]}]})


def imported(file: Path) -> None:
    store = MemoryStore()
    done = import_traces(Wish(places=[str(file)]), Config(root=file.parent), lambda: store, _untold)
    if done.imported != TRACES:
        raise RuntimeError(f"{done.imported} of {TRACES} traces were imported")


def read(file: Path) -> None:
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            json.loads(line)


def _untold(what: str, done: int, of: int) -> None:
    """Nobody looks on."""


def of_ids(rounds: int) -> list[Figure]:
    found = in_turns(
        {
            "unknown": functools.partial(asked, known=False, spanned=False),
            "none": functools.partial(asked, known=True, spanned=False),
            "within": functools.partial(asked, known=True, spanned=True),
        },
        rounds,
    )
    what = "asking for OpenTelemetry's ids as a job starts"
    return [
        timed(f"{what}, of a program without it", found["unknown"], "µs", target=0.2),
        timed(f"{what}, no span active", found["none"], "µs", target=2.0),
        timed(f"{what}, within a span", found["within"], "µs", target=4.0),
    ]


def of_sentry(rounds: int) -> list[Figure]:
    """What the tag of Sentry's events costs a job, in a program that has its SDK."""
    buffer = Buffer(Redactor((), lambda: b"key"), "steps")
    if sentry_sdk.scope.__name__ not in sys.modules:
        raise RuntimeError("the program has no SDK")

    def watched(calls: int) -> None:
        for _ in range(calls):
            sentry.watch(buffer, "1m8czjxaxtt7k2fhxdn8")

    found = in_turns({"watched": lambda: per_call(watched, ASKED)}, rounds)
    return [timed("having Sentry's events of a job tagged", found["watched"], "µs", target=2.0)]


def of_cells(rounds: int) -> list[Figure]:
    """What a notebook's cell takes longer as a job, until its trace is saved."""
    td.configure(store="memory:")
    shell = InteractiveShell.instance()
    shell.run_cell("%load_ext tracediff.notebook", silent=True)

    def run(cell: str) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            shell.run_cell(cell, silent=True)

    plain = "net, rate = 100, 19\ntotal = net + net * rate / 100"
    found = in_turns(
        {
            "plain": lambda: once(lambda: run(plain)),
            "recorded": lambda: once(lambda: run(f"%%tracediff prices --no-compare\n{plain}")),
        },
        rounds,
    )
    return [
        timed("a cell of a notebook", found["plain"], "ms"),
        timed("the same as a job", found["recorded"], "ms", target=50.0),
    ]


def of_records(rounds: int) -> list[Figure]:
    log.propagate, handler = False, logging.NullHandler()
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    sides: dict[str, Callable[[], float]] = {
        "plain": functools.partial(records, {}),
        "noted": functools.partial(records, {"notes": ["logging"]}),
    }
    found = in_turns(sides, rounds)
    log.removeHandler(handler)
    td.configure(store="memory:", notes=[])
    base = {"base": found["plain"], "against": "plain ones"}
    return [
        timed("a record of `logging` in a job, thrown away", found["plain"], "µs"),
        timed("the same as a note", found["noted"], "µs", **base, target=20.0),
    ]


def of_imports(rounds: int) -> list[Figure]:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "spans.jsonl")
        file.write_text("\n".join(request(one + 1, SPANS // TRACES) for one in range(TRACES)))
        found = in_turns(
            {
                "read": functools.partial(once, functools.partial(read, file)),
                "imported": functools.partial(once, functools.partial(imported, file)),
            },
            rounds,
        )
    base = {"base": found["read"], "against": "`json.loads`"}
    what = f"importing {SPANS:,} spans in {TRACES} traces, a line each"
    return [
        timed(f"`json.loads` of {SPANS:,} spans", found["read"], "ms"),
        timed(what, found["imported"], "ms", **base, target=1_500.0),
    ]


def measure(quick: bool) -> list[Figure]:
    return [
        *of_ids(2 if quick else 100),
        *of_sentry(2 if quick else 100),
        *of_records(2 if quick else 60),
        *of_cells(2 if quick else 30),
        *of_imports(1 if quick else 10),
    ]

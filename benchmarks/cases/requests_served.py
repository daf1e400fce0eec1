"""What recording adds to a request that Starlette, FastAPI and Flask answer, and to an invocation.

The application is called as its server calls it, with an order of 1 KB of JSON that it answers with
another; no socket is between them, which would cost more than all that is measured. What the
background writer does is done between the blocks. An invocation waits until it is saved in a store
on this machine, since its process stands still afterwards.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter_ns, thread_time_ns
from typing import Any

import fastapi
import flask
import starlette.applications
import starlette.requests
import starlette.responses
import starlette.routing
from pydantic import BaseModel

import tracediff as td
import tracediff.asgi
import tracediff.aws_lambda
import tracediff.wsgi
from benchmarks.figures import Figure, timed
from benchmarks.measuring import in_turns
from tracediff.recording import session

BLOCK = 25
TARGET = 250.0
"""Microseconds: 5 % of a request of 5 ms, the job that `job` measures."""
SAVED = 10.0
"""Milliseconds: what one write to a database on this machine may take."""

LINES = [{"product": f"product {n}", "price": n + 0.5, "quantity": n} for n in range(18)]
ORDER = json.dumps({"customer": 7, "lines": LINES}).encode()
HEADERS = {
    "host": "shop.example", "content-type": "application/json", "accept": "application/json",
    "accept-language": "en", "user-agent": "benchmarks", "authorization": "Bearer 1234567890123456",
}  # fmt: skip
Ask = Callable[[], object]


def total(order: Any) -> dict[str, Any]:
    """The answer to an order."""
    return {"lines": order["lines"], "total": sum(one["price"] for one in order["lines"])}


class Line(BaseModel):
    product: str
    price: float
    quantity: int


class Order(BaseModel):
    customer: int
    lines: list[Line]


async def on_starlette(request: starlette.requests.Request) -> Any:
    return starlette.responses.JSONResponse(total(await request.json()))


async def on_fastapi(order: Order) -> Any:
    return total(order.model_dump())


def on_flask() -> Any:
    return total(flask.request.get_json())


def on_lambda(event: Any, context: Any) -> Any:
    return total(json.loads(event["body"]))


def asgi(application: Any, loop: asyncio.Runner) -> Ask:
    """Asks an ASGI application once."""
    headers = [(name.encode(), value.encode()) for name, value in HEADERS.items()]

    async def ask() -> None:
        scope = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "method": "POST",
            "http_version": "1.1", "scheme": "http", "path": "/orders", "raw_path": b"/orders",
            "query_string": b"page=1", "root_path": "", "headers": list(headers),
            "client": ("127.0.0.1", 5), "server": ("127.0.0.1", 80), "state": {},
        }  # fmt: skip
        await application(scope, receive, send)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": ORDER, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start" and message["status"] != 200:
            raise ValueError(message)

    return lambda: loop.run(ask())


def wsgi(application: Any) -> Ask:
    """Asks a WSGI application once."""
    told = {f"HTTP_{name.upper().replace('-', '_')}": one for name, one in HEADERS.items()}

    def ask() -> None:
        environ = {
            **told, "REQUEST_METHOD": "POST", "PATH_INFO": "/orders", "QUERY_STRING": "page=1",
            "SCRIPT_NAME": "", "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1", "CONTENT_TYPE": HEADERS["content-type"],
            "CONTENT_LENGTH": str(len(ORDER)), "wsgi.input": io.BytesIO(ORDER),
            "wsgi.url_scheme": "http", "wsgi.errors": io.StringIO(),
        }  # fmt: skip
        parts = application(environ, lambda status, headers: None)
        b"".join(parts)
        parts.close()

    return ask


class Context:
    """Of an invocation, as the runtime gives it."""

    aws_request_id = function_name = "orders"

    def get_remaining_time_in_millis(self) -> int:
        return 3000


def block(ask: Ask, work: list[float]) -> float:
    """Seconds of a request, of a block that begins when nothing is left to write."""
    td.flush()
    gc.collect()
    start, worked = perf_counter_ns(), thread_time_ns()
    for _ in range(BLOCK):
        ask()
    work.append((thread_time_ns() - worked) / BLOCK / 1e3)
    return (perf_counter_ns() - start) / BLOCK / 1e9


def unrecorded(ask: Ask, work: list[float]) -> float:
    """The same with recording off, in one process and without closing the store in between."""
    process = session._process  # noqa: SLF001 - configure() would start another writer each time
    recorder, process.recorder = process.recorder, None
    try:
        return block(ask, work)
    finally:
        process.recorder = recorder


def of_framework(name: str, ask: Ask, rounds: int) -> list[Figure]:
    """What a request takes, and what recording adds to the work of the thread that answers."""
    work: dict[str, list[float]] = {"plain": [], "recorded": []}
    found = in_turns(
        {
            "plain": functools.partial(unrecorded, ask, work["plain"]),
            "recorded": functools.partial(block, ask, work["recorded"]),
        },
        rounds,
    )
    added = median(work["recorded"][1:]) - median(work["plain"][1:])
    return [
        timed(f"a POST of 1 KB of JSON that {name} answers with another", found["plain"], "µs"),
        Figure(what=f"work that recording adds to it ({name})", unit="µs", value=added,
               target=TARGET),
    ]  # fmt: skip


def of_lambda(rounds: int) -> list[Figure]:
    """What recording adds to an invocation, until it is saved."""
    handler = tracediff.aws_lambda.handler(on_lambda)
    event = {"headers": HEADERS, "body": ORDER.decode()}
    ask: Ask = lambda: handler(event, Context())  # noqa: E731 - it is handed on
    found = in_turns(
        {
            "plain": functools.partial(unrecorded, ask, []),
            "recorded": functools.partial(block, ask, []),
        },
        rounds,
    )
    added = median(found["recorded"]) - median(found["plain"])
    return [
        Figure(what="what recording adds to an invocation of a Lambda handler, until it is saved",
               unit="ms", value=added * 1e3, target=SAVED),
    ]  # fmt: skip


def measure(quick: bool) -> list[Figure]:
    rounds = 3 if quick else 60
    td.configure(store="memory:", jobs=["benchmarks.*"])
    routes = [starlette.routing.Route("/orders", on_starlette, methods=["POST"])]
    api = fastapi.FastAPI()
    api.post("/orders")(on_fastapi)
    web = flask.Flask(__name__)
    web.post("/orders")(on_flask)
    with asyncio.Runner() as loop:
        figures = [
            *of_framework(
                "Starlette", asgi(starlette.applications.Starlette(routes=routes), loop), rounds
            ),
            *of_framework("FastAPI", asgi(api, loop), rounds),
            *of_framework("Flask", wsgi(web), rounds),
        ]
    with tempfile.TemporaryDirectory() as directory:
        td.configure(store=f"file:{Path(directory, 'traces')}", jobs=["benchmarks.*"])
        figures += of_lambda(rounds)
        td.configure(store="memory:")
    return figures

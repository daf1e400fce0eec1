"""The list page over many rows: its server time, in this process, and that of its histograms.

``BENCH_ROWS`` says how many rows, ``BENCH_CACHE`` where the local store is kept, ``BENCH_STORES``
which of ``local`` and ``mongo`` to measure.
"""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter, process_time
from typing import Any
from urllib.parse import quote, urlencode

from benchmarks.figures import Figure
from benchmarks.filled import SHAPES, START, fill_mongo, local_project, moment, shape
from benchmarks.made_up import COUNTRIES
from servers.mongod import Mongod
from tracediff.api import Project, open_project
from tracediff.model import Query
from tracediff.stores.mongo import MongoIndex
from tracediff.web.access import Access
from tracediff.web.application import application
from tracediff.web.site import Site

ROWS = 1_000_000
TARGET_MS = 50
_HOUR = 3_600 * 10**9
_TYPED = ("ca", "ri:1", "store=", "1m8")
_TOKEN = "a token of the benchmark, long enough"

Ask = Callable[[str], tuple[float, float]]
"""Asks for an address; returns seconds, by the clock and of the processor."""


def measure(quick: bool) -> list[Figure]:
    count = int(os.environ.get("BENCH_ROWS", 4_000 if quick else ROWS))
    stores = os.environ.get("BENCH_STORES", "local,mongo").split(",")
    rounds = 3 if quick else 40
    found: list[Figure] = []
    if "local" in stores:
        with open_project(start=local_project(count, kept=not quick)) as project:
            found += _figures(project, "SQLite", count, rounds)
    if "mongo" in stores:
        with tempfile.TemporaryDirectory() as name, Mongod(Path(name), cache_gb=4) as mongod:
            with closing(MongoIndex(mongod.uri("bench"))) as index:
                index.prepare()
                fill_mongo(index, count)
            settings = (
                '[tool.tracediff]\nstore = "many"\n[tool.tracediff.stores.many]\n'
                f'index = "{mongod.uri("bench")}"\nblobs = "blobs"\n'
            )
            (Path(name) / "pyproject.toml").write_text(settings)
            with open_project(start=Path(name)) as project:
                found += _figures(project, "MongoDB", count, rounds)
    return found


def _figures(project: Project, where: str, count: int, rounds: int) -> list[Figure]:
    dice = random.Random(5)
    ask = _asker(project)
    ask("/")
    lists = [ask(one) for _ in range(rounds) for one in _addresses(project, dice, count)]
    some = range(rounds // 4 + 1)
    pictures = [_asker(project)(one) for _ in some for one in _ranges(dice, count)]  # none kept
    offers = [ask(f"/list/complete?q={quote(one)}") for _ in some for one in _TYPED]
    rows = f"{count:,} rows in {where}"
    return [
        Figure(what=f"the list page, {rows}, 95th percentile", unit="ms",
               value=_late(lists, 0), target=TARGET_MS),
        Figure(what="the same, processor time of the server, 95th percentile", unit="ms",
               value=_late(lists, 1)),
        Figure(what="the same, median", unit="ms", value=median(one for one, _ in lists) * 1000),
        Figure(what=f"its histograms, {rows}, median", unit="ms",
               value=median(one for one, _ in pictures) * 1000),
        Figure(what="the same, processor time of the server, 95th percentile", unit="ms",
               value=_late(pictures, 1)),
        Figure(what=f"what its search box offers, {rows}, 95th percentile", unit="ms",
               value=_late(offers, 0)),
    ]  # fmt: skip


def _late(took: list[tuple[float, float]], which: int) -> float:
    return quantiles([one[which] for one in took], n=20)[-1] * 1000


def _asker(project: Project) -> Ask:
    """What asks the pages' application, as its server would, and says how long it took."""
    access = Access(token=_TOKEN, port=8700)
    app = application(Site(project), access)
    cookie = f"{access.cookie}={access.new_session()}".encode()
    loop = asyncio.new_event_loop()

    def ask(address: str) -> tuple[float, float]:
        path, _, query = address.partition("?")
        scope = {
            "type": "http", "method": "GET", "scheme": "http", "http_version": "1.1", "path": path,
            "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
            "headers": [(b"host", b"127.0.0.1:8700"), (b"cookie", cookie)],
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8700),
        }  # fmt: skip
        status: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                status.append(message["status"])

        began, used = perf_counter(), process_time()
        loop.run_until_complete(app(scope, receive, send))
        took = (perf_counter() - began, process_time() - used)
        if status != [200]:
            raise RuntimeError(f"{address} was answered with {status}")
        return took

    return ask


def _addresses(project: Project, dice: random.Random, count: int) -> Iterator[str]:
    """What people look at, each time something else."""
    product = shape(dice.randrange(min(SHAPES, count))).tags[0]
    begin = moment(dice.randrange(count), count)
    for fields in (
        {},
        {"key": "commodity/calculate"},
        {"key": "commodity/calculate/quote", "state": "error"},
        {"tag": product},
        {"tag": f"country:{dice.choice(COUNTRIES)}", "state": "warning"},
        {"state": "error"},
        {"context": f"store={dice.randrange(300)}", "key": "commodity/calculate/one"},
        {"since": _time(begin), "until": _time(begin + _HOUR)},
    ):
        yield f"/?{urlencode(fields)}"
    # A page far behind the newest: its cursor is that of the page before, read aside.
    begin -= begin % 10**9
    aside = Query(limit=50, until=begin, state="success")
    cursor = project.search(aside).cursor
    if cursor is not None:
        fields = {"state": "success", "until": _time(begin), "cursor": cursor}
        yield f"/?{urlencode(fields)}"


def _ranges(dice: random.Random, count: int) -> Iterator[str]:
    """Ranges that histograms are of."""
    begin = moment(dice.randrange(count * 9 // 10), count)
    for fields in (
        {},
        {"key": "commodity/calculate/one"},
        {"since": _time(begin), "until": _time(begin + 24 * _HOUR)},
        {"tag": f"country:{dice.choice(COUNTRIES)}", "since": _time(START)},
        {"context": f"store={dice.randrange(300)}"},
    ):
        yield f"/list/overview?{urlencode(fields)}"


def _time(at: int) -> str:
    return datetime.fromtimestamp(at // 10**9, UTC).isoformat()

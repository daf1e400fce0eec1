"""Recording to a real MongoDB and S3, through the spool: what the job and the machine notice."""

from __future__ import annotations

import functools
import os
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter_ns
from urllib.parse import quote

import tracediff as td
from benchmarks.cases import job
from benchmarks.figures import Figure, timed
from benchmarks.measuring import in_turns
from servers.mongod import Mongod
from servers.proxy import Proxy
from servers.seaweed import Seaweed
from tracediff.errors import StoreError
from tracediff.model import Query
from tracediff.stores.base import Store
from tracediff.stores.remote import RemoteStore
from tracediff.stores.spool import SpoolStore
from tracediff.stores.spooled import waiting
from tracediff.stores.urls import open_remote
from tracediff.testing import make_trace

TRACES = 20_000
TRACE = 5_400
"""Bytes of a trace's result that nothing makes smaller: about 6 KB with its frame and row."""

CALLER = "the job's thread, to MongoDB and S3"


def measure(quick: bool) -> list[Figure]:
    with (
        tempfile.TemporaryDirectory() as name,
        Mongod(Path(name) / "mongod", cache_gb=1) as mongod,
        Seaweed(Path(name) / "weed") as weed,
        Proxy("127.0.0.1", mongod.port) as mongo_proxy,
        Proxy("127.0.0.1", int(weed.endpoint.rpartition(":")[2])) as s3_proxy,
    ):
        os.environ.update(weed.identities["admin"].environment())
        direct = _url(mongod.uri("bench"), weed.endpoint)
        with _opened(direct) as store:
            store.prepare()  # type: ignore[attr-defined]  # a remote store's
        figures = _overheads(direct, Path(name), quick)
        far = mongod.uri("bench").replace(f":{mongod.port}", f":{mongo_proxy.port}")
        far = far.replace("replicaSet=rs0", "directConnection=true")
        stalled = _url(far, f"http://127.0.0.1:{s3_proxy.port}")
        figures += _stalled(stalled, (mongo_proxy, s3_proxy), Path(name), quick)
        return figures + _moving(direct, Path(name), quick)


def _url(index: str, endpoint: str) -> str:
    blobs = quote(f"s3://traces-a,traces-b/bench?endpoint={endpoint}", safe="")
    return f"{index}{'&' if '?' in index else '?'}blobs={blobs}"


@contextmanager
def _opened(url: str) -> Iterator[Store]:
    store = open_remote(url, None)
    try:
        yield store
    finally:
        store.close()


def _overheads(url: str, directory: Path, quick: bool) -> list[Figure]:
    """As the benchmark ``job`` does it, with another store."""
    td.configure(store=url, spool=str(directory / "spool"), upload_every=1)
    variants = job.jobs()
    variants.pop("off")
    samples = {name: functools.partial(job.in_caller, body) for name, body in variants.items()}
    found = in_turns(samples, 2 if quick else 250)
    if not td.flush(60, upload=True):
        raise RuntimeError("the traces did not arrive")
    td.configure(enabled=False)
    return job.table(found, CALLER, targets=True)[1:]


def _stalled(url: str, proxies: tuple[Proxy, Proxy], directory: Path, quick: bool) -> list[Figure]:
    """The job's own time while the store answers, and while it takes connections and is silent."""
    td.configure(store=url, spool=str(directory / "stalled"), upload_every=0.2)
    body = job.jobs()["exact"]

    def running() -> float:
        for proxy in proxies:
            proxy.resume()
        return _wall(body)

    def stalled() -> float:
        for proxy in proxies:
            proxy.stall()
        return _wall(body)

    found = in_turns({"running": running, "stalled": stalled}, 2 if quick else 60)
    running()
    td.configure(enabled=False)
    changed = [
        one / other - 1 for one, other in zip(found["stalled"], found["running"], strict=True)
    ]
    return [
        timed("a job of 5 ms, with a store that answers", found["running"], "ms"),
        timed("the same with a store that is silent", changed, "%", target=1),
    ]


def _wall(body: object) -> float:
    """Seconds that a job takes, the median of a second's worth of them."""
    took = []
    for number in range(60):
        start = perf_counter_ns()
        body(number)  # type: ignore[operator]  # a job
        took.append(perf_counter_ns() - start)
    return sorted(took)[30] / 1e9


def _moving(url: str, directory: Path, quick: bool) -> list[Figure]:
    """Moving what lies encoded in a spool into the store."""
    count = 500 if quick else TRACES
    dice = random.Random(1)
    remote = open_remote(url, None)
    remote.search(Query(limit=1))  # connected, as a process that has run for a while is
    remote.blobs.put("30d/segments/first.seg", b"")
    away = [True]

    def open_later() -> RemoteStore:
        if away:
            raise StoreError("not yet", slug="store-unreachable", hint="none")
        return remote

    spool = SpoolStore(directory / "full", open_later, upload_every=3600, max_bytes=1 << 40)
    try:
        for start in range(0, count, 100):
            spool.save(
                [
                    make_trace(f"m{n}", result=dice.randbytes(TRACE), retention=30)
                    for n in range(start, start + 100)
                ]
            )
        waits = waiting(spool.directory)
        if waits.bytes < count * TRACE:
            raise RuntimeError(f"{waits} is not all that was saved")
        away.clear()
        begun, cpu = time.perf_counter(), time.process_time()
        if not spool.flush(120):
            raise RuntimeError("the spool could not be moved")
        seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    finally:
        spool.close()
    return [
        Figure(what=f"encoded traces of 6 KB moved to MongoDB and S3, {count:,}", unit="/s",
               value=count / seconds, target=5_000, least=True),
        Figure(what="the client's CPU for that, a trace", unit="µs", value=cpu / count * 1e6,
               target=50),
    ]  # fmt: skip

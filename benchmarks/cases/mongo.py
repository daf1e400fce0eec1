"""Rows into a real MongoDB and pages out of it; the server runs on the same machine."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter, process_time
from typing import Any

from benchmarks.figures import Figure, rate
from benchmarks.made_up import COUNTRIES
from benchmarks.measuring import once
from servers.mongod import Mongod
from tracediff.model import Query, Row
from tracediff.recording.ids import new_id
from tracediff.stores.mongo import MongoIndex
from tracediff.stores.mongo.documents import encode_row

BATCH = 1000
ROWS = 1_000_000
SECONDS = 60.0
START = 1_760_000_000 * 10**9
PAGE = 20


def made_up(number: int, dice: random.Random) -> Row:
    """A row of a pricing job: one in a thousand failed."""
    product, store = dice.randrange(300_000), dice.randrange(300)
    country = dice.choice(COUNTRIES)
    return Row(
        id=new_id(), key=f"commodity/calculate/{dice.choice(('one', 'many', 'quote'))}",
        state="error" if number % 1000 == 0 else "success",
        started_at=START + number * 1_000_003, duration=dice.randrange(10**7), steps=52,
        tags=(f"ri:{product}", f"country:{country}", f"store:{store}"),
        meta=f"product_id={product} store_id={store}", context={"country": country, "store": store},
        job="pricing.job:calculate", commit="1a2b3c4d5e" * 4, outcome=dice.randbytes(16),
        path_signature=bytes([dice.randrange(12)]) * 16, expires_at=START + 10**18,
        location=("90/prod/20261125/01hk3v5x7z9b2d4f6h8k.seg", number * 6000, 6123),
    )  # fmt: skip


def queries(dice: random.Random) -> Iterator[Query]:
    """What a list page asks for, each time for something else."""
    key, store = "commodity/calculate/one", dice.randrange(300)
    yield Query(limit=PAGE)
    yield Query(limit=PAGE, key="commodity/calculate", state="error")
    yield Query(limit=PAGE, tags=(f"ri:{dice.randrange(300_000)}",))
    yield Query(limit=PAGE, key=key, tags=(f"store:{store}", f"store:{store + 1}"))
    yield Query(limit=PAGE, key=key, context={"store": store})
    yield Query(limit=PAGE, key=key, path_signature=bytes([dice.randrange(12)]) * 16)
    yield Query(limit=PAGE, tags=(f"country:{dice.choice(COUNTRIES)}",), state="error")
    yield Query(limit=PAGE, key="commodity", until=START + dice.randrange(10**6) * 1_000_003)


class Meter:
    """The server's own time for reading, in seconds, from its own counters of microseconds."""

    def __init__(self, client: Any) -> None:
        self._admin = client.admin

    def reading(self) -> tuple[int, int]:
        """Reads until now, and the microseconds that they took."""
        found = self._admin.command("serverStatus", opLatencies=1)["opLatencies"]["reads"]
        return found["ops"], found["latency"]

    def page(self, index: MongoIndex, query: Query) -> tuple[float, str | None]:
        """The time of one page, and its cursor."""
        ops, before = self.reading()
        cursor = index.search(query).cursor
        more, after = self.reading()
        return (after - before) / max(1, more - ops) / 1e6, cursor


def measure(quick: bool) -> list[Figure]:
    with tempfile.TemporaryDirectory() as directory, Mongod(Path(directory), cache_gb=4) as mongod:
        index = MongoIndex(mongod.uri("bench"))
        index.prepare()
        with mongod.client() as client:
            figures = _measure(index, client, quick)
        index.close()
    return figures


def _measure(index: MongoIndex, client: Any, quick: bool) -> list[Figure]:
    dice = random.Random(7)
    count, insert = _insert(index, client, dice, 4 if quick else ROWS // BATCH)
    pages = _pages(index, Meter(client), dice, 5 if quick else 100)
    sizes = client.bench.command("collStats", "traces")
    stored = (sizes["storageSize"] + sizes["totalIndexSize"]) / count
    return [
        *insert,
        Figure(what=f"a page of {PAGE} rows of {count:,}, 95th percentile of the server's own time",
               unit="ms", value=quantiles(pages, n=20)[-1] * 1000, target=2),
        Figure(what="the same, median", unit="ms", value=median(pages) * 1000),
        Figure(what=f"a row of {sizes['avgObjSize']} bytes on the server's disk, indexes included",
               unit="bytes", value=stored),
    ]  # fmt: skip


def _insert(
    index: MongoIndex, client: Any, dice: random.Random, batches: int
) -> tuple[int, list[Figure]]:
    """Fill the index for a while, in turns with a collection that has no index but the id."""
    bare = client.bench.get_collection("bare", write_concern=index._connection.rows().write_concern)  # noqa: SLF001 - the same promise
    took: list[float] = []
    base: list[float] = []
    cpu = 0.0
    until = perf_counter() + SECONDS
    while len(took) < batches and perf_counter() < until:
        rows = [made_up(len(took) * BATCH + n, dice) for n in range(BATCH)]
        started = process_time()
        took.append(once(lambda: index.create(rows)))  # noqa: B023 - called at once
        cpu += process_time() - started
        if len(base) < len(took) and len(base) < 100:
            documents = [encode_row(replace(row, id=new_id())) for row in rows]
            base.append(once(lambda: bare.insert_many(documents, ordered=False)))  # noqa: B023 - called at once
    bare.drop()
    count = len(took) * BATCH
    first = took[: len(base)]
    inserted = rate(f"rows into MongoDB, batches of {BATCH:,} from one thread",
                    [one / BATCH for one in first], base=[one / BATCH for one in base],
                    against="× the time without indexes", target=5000)  # fmt: skip
    last = took[-max(1, len(took) // 10) :]
    return count, [
        inserted,
        Figure(what=f"the same, the last tenth of {count:,}", unit="/s",
               value=BATCH / median(last), target=5000, least=True),
        Figure(what="a row, CPU of the client", unit="µs", value=cpu / count * 1e6, target=50),
    ]  # fmt: skip


def _pages(index: MongoIndex, meter: Meter, dice: random.Random, rounds: int) -> list[float]:
    """The times of first and second pages; the first round is thrown away."""
    found: list[float] = []
    for number in range(rounds + 1):
        for query in queries(dice):
            seconds, cursor = meter.page(index, query)
            times = [seconds]
            if cursor is not None:
                times.append(meter.page(index, replace(query, cursor=cursor))[0])
            found += times if number else []
    return found

"""What statistics cost a writer, with and without them in turns; and reading 90 days of them.

A writer builds, encodes, compresses and stores a trace: what statistics add is told in the
processor time of all that, which other programs of the machine disturb little. Rows alone, which
nobody writes, are told beside it.
"""

from __future__ import annotations

import functools
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from time import perf_counter_ns, process_time_ns, thread_time_ns
from unittest import mock
from urllib.parse import quote

import tracediff as td
from benchmarks.cases.mongo import made_up
from benchmarks.figures import Figure, spread, timed
from benchmarks.measuring import in_turns, once
from servers.mongod import Mongod
from tracediff.model import Query, Row
from tracediff.stores import sqlite_index
from tracediff.stores.mongo import MongoIndex, folding, writing
from tracediff.stores.sqlite_index import SqliteIndex
from tracediff.stores.summing import summary

STEPS = 130
TRACES = 50
"""Of a batch of the background writer's."""

ROWS = 1000
"""Of a segment's."""

TARGET = 5.0
SETTLED = 120
DAYS = 90
KEYS = ("commodity/calculate/one", "commodity/calculate/many", "commodity/calculate/quote")
DAY = 86_400 * 10**9


def measure(quick: bool) -> list[Figure]:
    return [*_local(quick), *_mongo(quick), *_reading(quick)]


@contextmanager
def _uncounted() -> Iterator[None]:
    """No statistics are written, and none folded."""
    with ExitStack() as stack:
        for place, name, nothing in (
            (sqlite_index, "write_delta", None),
            (writing, "delta_documents", []),
            (folding.Folder, "now_and_then", None),
        ):
            stack.enter_context(mock.patch.object(place, name, return_value=nothing))
        yield


@contextmanager
def _own() -> Iterator[list[int]]:
    """The nanoseconds of the processor that statistics take, call by call."""
    spent: list[int] = []

    def timed_(call: Callable[..., object]) -> Callable[..., object]:
        def measured(*given: object) -> object:
            start = thread_time_ns()
            try:
                return call(*given)
            finally:
                spent.append(thread_time_ns() - start)

        return measured

    with ExitStack() as stack:
        for place, name in (
            (sqlite_index, "write_delta"),
            (writing, "count"),
            (folding.Folder, "now_and_then"),
        ):
            stack.enter_context(mock.patch.object(place, name, timed_(getattr(place, name))))
        yield spent


@dataclass(slots=True)
class _Spent:
    """Seconds of each batch: those that passed, of the processor, and the statistics' own."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)


def _both(batch: Callable[[], tuple[float, float]], rounds: int) -> dict[str, _Spent]:
    """Batches with and without statistics in turns; a batch says its own wall and CPU time."""
    found = {"plain": _Spent(), "counted": _Spent()}

    def spent(name: str) -> float:
        if name == "plain":
            with _uncounted():
                wall, cpu = batch()
            own = [0]
        else:
            with _own() as own:
                wall, cpu = batch()
        found[name].own.append(sum(own) / 1e9)
        found[name].wall.append(wall)
        found[name].cpu.append(cpu)
        return cpu

    in_turns({name: functools.partial(spent, name) for name in found}, rounds)
    return {name: _Spent(one.wall[1:], one.cpu[1:], one.own[1:]) for name, one in found.items()}


def _figures(what: str, found: dict[str, _Spent], target: float | None) -> list[Figure]:
    """What statistics add to batches, told in two ways.

    Their own calls beside the rest of the same batch are steady anywhere, and have the target;
    pairs of batches with and without see all there is, and scatter. One batch in many folds, which
    a median does not see, and the sums do.
    """
    plain, counted = found["plain"], found["counted"]
    pairs = [new / old - 1 for new, old in zip(counted.cpu, plain.cpu, strict=True)]
    wall = [new / old - 1 for new, old in zip(counted.wall, plain.wall, strict=True)]
    own = [mine / (all_ - mine) for mine, all_ in zip(counted.own, counted.cpu, strict=True)]
    folded = sum(counted.own) / (sum(counted.cpu) - sum(counted.own)) * 100
    return [
        timed(f"{what}, without statistics: CPU", plain.cpu, "ms"),
        Figure(what=f"{what}: CPU in the calls of statistics, over all other of the same batch",
               unit="%", value=median(own) * 100, spread=spread(own, 100)),
        Figure(what="the same of all batches together, those that fold included",
               unit="%", value=folded, target=target),
        Figure(what=f"CPU with statistics over that without, median of {len(pairs)} pairs",
               unit="%", value=median(pairs) * 100, spread=spread(pairs, 100)),
        Figure(what="the same as time that passes", unit="%", value=median(wall) * 100,
               spread=spread(wall, 100)),
    ]  # fmt: skip


def _jobs() -> list[Callable[[random.Random], object]]:
    """A job of each key, whose steps take next to nothing: what is left is the writer's."""

    @td.step("Line")
    def priced(line: int, price: float) -> float:
        return price * 1.01 + line

    def calculate(dice: random.Random) -> float:
        td.tag(f"ri:{dice.randrange(300_000)}", f"store:{dice.randrange(300)}", "country:DE")
        price = dice.random()
        for line in range(STEPS - 1):
            price = priced(line, price)
        return price

    return [td.job(key)(calculate) for key in KEYS]


def _recorded(what: str, *, upload: bool, rounds: int) -> list[Figure]:
    """Traces of the recorder's writer, from their calls until they are in the store."""
    jobs, dice = _jobs(), random.Random(3)

    def batch() -> tuple[float, float]:
        wall, cpu = perf_counter_ns(), process_time_ns()
        own = thread_time_ns()
        for number in range(TRACES):
            jobs[number % len(jobs)](dice)
        own = thread_time_ns() - own
        if not td.flush(SETTLED, upload=upload):
            raise RuntimeError("the traces did not arrive")
        # The job's own thread has nothing to do with what the writer can write.
        return (perf_counter_ns() - wall) / 1e9, (process_time_ns() - cpu - own) / 1e9

    try:
        found = _both(batch, rounds)
    finally:
        td.configure(enabled=False)
    return _figures(f"a writer's {TRACES} traces of {STEPS} steps into {what}", found, TARGET)


def _local(quick: bool) -> list[Figure]:
    with tempfile.TemporaryDirectory() as directory:
        td.configure(store=str(Path(directory) / "store"))
        return _recorded("a local store", upload=False, rounds=3 if quick else 60)


def _mongo(quick: bool) -> list[Figure]:
    with tempfile.TemporaryDirectory() as name, Mongod(Path(name) / "db", cache_gb=1) as mongod:
        url = mongod.uri("bench")
        blobs = quote((Path(name) / "blobs").as_uri(), safe="")
        index = MongoIndex(url)
        index.prepare()
        td.configure(
            store=f"{url}{'&' if '?' in url else '?'}blobs={blobs}",
            spool=str(Path(name) / "spool"), upload_every=3600,
        )  # fmt: skip
        figures = _recorded(
            "a spool, moved to MongoDB and a directory", upload=True, rounds=3 if quick else 60
        )
        if not index.search(Query(limit=1)).rows:
            raise RuntimeError("the traces are somewhere else")
        figures += _bare(index, quick)
        index.close()
    return figures


def _bare(index: MongoIndex, quick: bool) -> list[Figure]:
    """Rows alone, of which no trace was recorded, encoded or stored."""
    dice, number = random.Random(7), iter(range(10**9))

    def batch() -> tuple[float, float]:
        now = time.time_ns()
        rows = [replace(made_up(next(number), dice), started_at=now + n) for n in range(ROWS)]
        return _spent(rows)

    def _spent(rows: list[Row]) -> tuple[float, float]:
        cpu = process_time_ns()
        wall = once(lambda: index.create(rows))
        return wall, (process_time_ns() - cpu) / 1e9

    what = f"{ROWS:,} bare rows into MongoDB's index, no trace written"
    return _figures(what, _both(batch, 3 if quick else 40), None)


class _Rows:
    """A store of rows alone."""

    url = "rows:"

    def __init__(self, index: SqliteIndex) -> None:
        for name in ("statistics", "counted_span", "search", "fold_statistics",
                     "verify_statistics", "rebuild_statistics"):  # fmt: skip
            setattr(self, name, getattr(index, name))


def _batches(quick: bool) -> Iterator[list]:
    dice, now = random.Random(5), time.time_ns()
    hours = range(DAYS * 24 if not quick else 48)
    for hour in hours:
        start = now - (hour + 1) * 3600 * 10**9
        yield [
            replace(made_up(n, dice), started_at=start + dice.randrange(3600 * 10**9))
            for n in range(20)
        ]


def _reading(quick: bool) -> list[Figure]:
    with tempfile.TemporaryDirectory() as directory:
        index = SqliteIndex(Path(directory) / "index.sqlite")
        for rows in _batches(quick):
            index.create(rows)
        store = _Rows(index)
        since = time.time_ns() - DAYS * DAY
        took = [
            once(lambda: summary(store, "commodity", since=since))
            for _ in range(3 if quick else 50)
        ]
        index.close()
    return [
        Figure(what=f"reading {DAYS} days by day, with what is not folded", unit="ms",
               value=median(took) * 1000, target=100),
    ]  # fmt: skip

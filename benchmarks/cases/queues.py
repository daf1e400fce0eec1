"""What recording adds to a run of a task that does nothing, in the worker of each task queue.

A worker in this process runs blocks of tasks, from a Redis on this machine or from the library's
own broker in memory. Counted is the processor's time of the process, with what the background
writer does: a worker waits for Redis most of the time. What is added does not grow with the work
of a task, so its target is a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from time import perf_counter_ns, process_time_ns
from typing import Any

import dramatiq
import redis
import rq
from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import Worker as ArqWorker
from dramatiq.brokers.stub import StubBroker
from huey import MemoryHuey

import tracediff as td
from benchmarks.figures import Figure, spread, timed
from benchmarks.measuring import in_turns
from servers.redis import Redis
from tracediff.frameworks import watch

BLOCK = 50
CHILDREN = 10
TARGET = 500.0
"""The microseconds that recording may add to the run of a task: a twentieth of one of 10 ms."""

Run = Callable[[], None]


def nothing(number: int) -> int:
    """The task."""
    return number


async def nothing_async(ctx: dict[Any, Any], number: int) -> int:
    """The task of arq."""
    return number


def of_rq(server: Redis) -> Run:
    """A worker that runs what it takes in this process, without a fork."""
    queue = rq.Queue("benchmarks", connection=redis.Redis.from_url(server.url))
    worker = rq.SimpleWorker([queue], connection=queue.connection)

    def run() -> None:
        queue.enqueue_many([rq.Queue.prepare_data(nothing, (n,)) for n in range(BLOCK)])
        worker.work(burst=True, logging_level="ERROR")

    return run


def of_dramatiq() -> Run:
    """One thread of a worker, and the broker in memory."""
    broker = StubBroker()
    actor: Any = dramatiq.actor(broker=broker)(nothing)
    broker.emit_after("process_boot")
    worker = dramatiq.Worker(broker, worker_threads=1, worker_timeout=20)
    worker.start()

    def run() -> None:
        for number in range(BLOCK):
            actor.send(number)
        broker.join("default")

    return run


def of_huey() -> Run:
    """What a consumer's thread does for each task, and the storage in memory."""
    huey = MemoryHuey("benchmarks")
    task: Any = huey.task()(nothing)

    def run() -> None:
        for number in range(BLOCK):
            task(number)
        while (one := huey.dequeue()) is not None:
            huey.execute(one)

    return run


def of_arq(server: Redis, loop: asyncio.AbstractEventLoop) -> Run:
    """A worker in this process's event loop, one task after the other."""
    settings = RedisSettings(port=server.port)
    pool = loop.run_until_complete(create_pool(settings))

    async def both() -> None:
        for number in range(BLOCK):
            await pool.enqueue_job("nothing_async", number)
        worker = ArqWorker([nothing_async], redis_pool=pool, burst=True, poll_delay=0.01,
                           max_jobs=BLOCK, handle_signals=False)  # fmt: skip
        await worker.main()

    return lambda: loop.run_until_complete(both())


def switched(on: bool, run: Run) -> float:
    """The seconds of a processor that a task takes, with recording or without."""
    td.configure(store="memory:", strict=False, enabled=on, jobs=["benchmarks.*"])
    run()
    td.flush()
    gc.collect()
    start = process_time_ns()
    run()
    td.flush()
    return (process_time_ns() - start) / BLOCK / 1e9


def forked(server: Redis, place: str, on: bool) -> float:
    """The seconds of a job that RQ's worker forks a child for, which writes into a directory."""
    td.configure(store=f"{place}/traces", enabled=on, jobs=["benchmarks.*"])
    queue = rq.Queue("forked", connection=redis.Redis.from_url(server.url))
    queue.enqueue_many([rq.Queue.prepare_data(nothing, (n,)) for n in range(CHILDREN)])
    worker = rq.Worker([queue], connection=queue.connection)
    start = perf_counter_ns()
    worker.work(burst=True, logging_level="ERROR")
    return (perf_counter_ns() - start) / CHILDREN / 1e9


def of_children(server: Redis, place: str, rounds: int) -> list[Figure]:
    """The figures of RQ's worker that forks."""
    found = in_turns(
        {
            "plain": lambda: forked(server, place, False),
            "recorded": lambda: forked(server, place, True),
        },
        rounds,
    )
    added = [new - old for new, old in zip(found["recorded"], found["plain"], strict=True)]
    return [
        timed("a job of RQ that does nothing, in a child of its own", found["plain"], "ms"),
        Figure(what="what recording adds to it, saved before the child ends", unit="ms",
               value=median(added) * 1e3, spread=spread(added, 1e3)),
    ]  # fmt: skip


def of_library(name: str, run: Run, rounds: int) -> list[Figure]:
    """The figures of one library."""
    found = in_turns(
        {"plain": lambda: switched(False, run), "recorded": lambda: switched(True, run)}, rounds
    )
    added = [new - old for new, old in zip(found["recorded"], found["plain"], strict=True)]
    return [
        timed(f"a task of {name} that does nothing, sent and run", found["plain"], "µs"),
        Figure(what=f"what recording adds to it ({name})", unit="µs", value=median(added) * 1e6,
               spread=spread(added, 1e6), target=TARGET),
    ]  # fmt: skip


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the line that each library logs for each task."""
    names = ("arq.worker", "dramatiq", "huey", "rq.worker", "rq.job", "rq.queue")
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    yield


def measure(quick: bool) -> list[Figure]:
    watch()
    rounds = 2 if quick else 60
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    with quiet(), tempfile.TemporaryDirectory() as place, Redis(Path(place)) as server:
        runs = {
            "RQ": of_rq(server), "Dramatiq": of_dramatiq(), "Huey": of_huey(),
            "arq": of_arq(server, loop),
        }  # fmt: skip
        figures = [one for name, run in runs.items() for one in of_library(name, run, rounds)]
        figures += of_children(server, place, rounds)
    loop.close()
    return figures

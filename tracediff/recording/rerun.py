"""A job that runs again with its inputs served; its trace is made as a recording's is."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from time import perf_counter_ns
from typing import Any

from tracediff.config import Config
from tracediff.model import Depth
from tracediff.recording.buffers import Buffer
from tracediff.recording.environment import environment
from tracediff.recording.jobs import Job
from tracediff.recording.marks import called
from tracediff.recording.runs import Run
from tracediff.recording.session import _process
from tracediff.recording.spans import Span, lane, mutations
from tracediff.recording.tracing import Tracing
from tracediff.runtime import Server


def run(  # noqa: PLR0913 - what a replay puts back, named one by one
    job: Job,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    config: Config,
    server: Server,
    depth: Depth,
    started_at: int,
    seed: int,
    tracing: Tracing | None = None,
    begin: Callable[[], None] | None = None,
) -> Run:
    """Run a job with its inputs served. What it raises is in the run's ``trace()``.

    Args:
        job: The registered job.
        args: Its positional arguments.
        kwargs: Its keyword arguments.
        config: The settings, for redaction and the code version.
        server: Answers inputs and outputs.
        depth: How much is captured.
        started_at: The recorded start, in nanoseconds since the epoch.
        seed: The recorded seed.
        tracing: Which calls of autotraced functions become steps.
        begin: Called when the job begins: puts its clock at the start, or instants that the job
            reads would lie behind the trace's end where preparing it took long.
    """
    recorder = _process.for_replays(config)
    receiver = (job.factory(),) if job.method and job.factory is not None else ()
    buffer = Buffer(recorder.redactor, depth, server)
    buffer.tracing = tracing
    replayed = Run(
        recorder,
        job,
        receiver + args,
        kwargs,
        buffer=buffer,
        started_at=started_at,
        surroundings=environment(seed),
        retention=None if callable(job.retention) else job.retention,
    )
    root = replayed.root
    try:
        if begin is not None:
            begin()
        result = _settled(job.function(*receiver, *args, **kwargs), job, root)
        root.end = root.end or perf_counter_ns()
        root.result = replayed.buffer.capture(result)
        if root.packed:
            mutations(root, receiver + args, kwargs)
    except BaseException as error:
        root.end = root.end or perf_counter_ns()
        root.error = replayed.buffer.fault(error, None)
    finally:
        replayed.leave()
    return replayed


def _settled(result: Any, job: Job, root: Span) -> Any:
    """What a call gave in the end: a coroutine's result, or the list of what a generator yields."""
    running = called(job.function)
    if inspect.isgeneratorfunction(running):
        return list(result)
    if inspect.isasyncgenfunction(running):
        result = _collected(result)
    if not inspect.iscoroutine(result):
        return result
    import asyncio  # slow to import, and only coroutines need it

    return asyncio.run(_within(result, root))


async def _within(job: Coroutine[Any, Any, Any], root: Span) -> Any:
    """Await a job whose span, as when it was recorded, is its task's and ends before the loop."""
    buffer = root.buffer
    buffer.watch_tasks()
    root.lane = lane(buffer.running and buffer.running())
    try:
        return await job
    finally:
        root.end = perf_counter_ns()


async def _collected(items: Any) -> list[Any]:
    return [item async for item in items]

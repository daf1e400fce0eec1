"""arq: each run of a function by a worker is a job, in the worker's event loop.

Nothing marks such a function, so a replay looks it up by its name. Its ``ctx`` is no argument: what
a job reads of it, beside what arq puts in, is an input.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import arq
from arq import connections
from arq import worker as workers

from tracediff.frameworks import arq_sending, replaying
from tracediff.frameworks.arq_context import Context
from tracediff.frameworks.queueing import (
    DATABASE,
    HOOKED,
    Back,
    begun,
    database_of,
    excuse,
    find_task,
    judged,
    log,
    put,
    task_of,
)
from tracediff.frameworks.recorded import Recorded
from tracediff.model import Trace
from tracediff.recording.marks import source_of
from tracediff.runtime import current

LIBRARY = "arq"


def hook() -> None:
    """Record what workers run, and what it sends, once."""
    put(workers.Worker, "__init__", _making)
    arq_sending.hook()


def find(trace: Trace) -> None:
    """Make the function that a trace names a job, for a replay."""
    find_task(trace, _of_name)


def _of_name(name: str, function: Callable[..., Any]) -> Recorded | None:
    return _recorded(function, name) if inspect.iscoroutinefunction(function) else None


def _making(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def make(self: Any, *args: Any, **kwargs: Any) -> None:
        real(self, *args, **kwargs)
        for name, one in list(self.functions.items()):
            try:
                if not hasattr(one.coroutine, HOOKED):
                    wrapped = _wrapped(self, one)
                    self.functions[name] = dataclasses.replace(one, coroutine=wrapped)
            except Exception:  # a function of any kind; it runs unrecorded
                log.exception("tracediff cannot record the function %s of arq", name)

    return make


def _wrapped(worker: Any, task: Any) -> Callable[..., Any]:
    function = task.coroutine
    recorded = _recorded(function, source_of(function).unit.replace(":", "."))

    @functools.wraps(function)
    async def run(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        with Back():
            started = begun(recorded, args, kwargs, _context(worker, ctx))
            if started is None:
                return await function(ctx, *args, **kwargs)
            try:
                result = await function(Context(ctx), *args, **kwargs)
            except BaseException as error:
                judged(functools.partial(_judge, worker), started.buffer, error)
                started.failed(error)
                raise
            started.succeeded(result)
            return result

    setattr(run, HOOKED, True)
    return run


def _judge(worker: Any, buffer: Any, error: BaseException) -> None:
    """An attempt that arq makes again is a warning; one that ran out of time or was aborted not."""
    if not worker.retry_jobs:
        return
    stopped = isinstance(error, asyncio.CancelledError) and _is_stopping(worker)
    if stopped or isinstance(error, arq.Retry | workers.RetryJob):
        excuse(buffer)


def _is_stopping(worker: Any) -> bool:
    """Whether a worker cancels its jobs because it was told to stop; it makes them again later.

    By the clock one that ran out of time could not be told apart: arq's began a little earlier.
    """
    main: Any = worker.main_task
    return main is not None and (main.done() or main.cancelling() > 0)


def _context(worker: Any, ctx: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a trace is searched by, and what a replay's ``ctx`` is made of."""
    return {
        "framework": LIBRARY,
        "task_id": ctx.get("job_id"),
        "queue": worker.queue_name,
        "attempt": ctx.get("job_try"),
        **database_of(worker.pool),
    }


@functools.lru_cache(maxsize=1024)
def _recorded(function: Callable[..., Any], name: str) -> Recorded:
    shape = functools.partial(function, None)  # without `ctx`
    return task_of(LIBRARY, name, function, _again(function), shape)


def _again(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function with the ``ctx`` that the recording says, for a replay."""

    @functools.wraps(function)
    async def run(*args: Any, **kwargs: Any) -> Any:
        said = replaying.recorded_context()
        ctx = Context({
            "job_id": said.get("task_id"),
            "job_try": said.get("attempt"),
            "redis": connections.ArqRedis(
                default_queue_name=str(said.get("queue") or ""), db=said.get(DATABASE, 0)
            ),
        })  # fmt: skip
        try:
            return await function(ctx, *args, **kwargs)
        except BaseException as error:
            here = current.get()
            if here is not None and isinstance(error, arq.Retry | workers.RetryJob):
                excuse(here.buffer)
            raise

    return run

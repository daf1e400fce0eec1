"""arq: what a job enqueues, which is an output, and what it reads of other jobs: inputs.

The ids that arq makes up are no part of what is enqueued: they are new in each run.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from arq import connections, jobs

from tracediff.frameworks.awaiting import through_async
from tracediff.frameworks.queueing import put
from tracediff.recording.libraries.reach import Reach

_OPTIONS = ("_job_id", "_queue_name", "_defer_until", "_defer_by", "_expires", "_job_try")


def _send(function: Any, args: Any, kwargs: Any, options: Any) -> str | bool:
    """Enqueue a job: what is recorded is its id, False where one of this id is there."""
    raise NotImplementedError


def _ask(job_id: str) -> Any:
    """Read what there is of a job."""


SEND = Reach("output", "arq enqueue", _send)
ABORT = Reach("output", "arq abort", _ask)
RESULT = Reach("input", "arq result", _ask)
INFO = Reach("input", "arq info", _ask)
STATUS = Reach("input", "arq status", _ask)


def hook() -> None:
    """Put the reaches in the place of arq's methods, once."""
    put(connections.ArqRedis, "enqueue_job", _sending)
    put(jobs.Job, "result", _reading(RESULT))
    put(jobs.Job, "info", _reading(INFO, kept=_plain, made=_info))
    put(jobs.Job, "result_info", _reading(INFO, kept=_plain, made=_info))
    put(jobs.Job, "status", _reading(STATUS, kept=lambda one: one.value, made=jobs.JobStatus))
    put(jobs.Job, "abort", _reading(ABORT))


def _sending(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    async def enqueue_job(self: Any, function: str, *args: Any, **kwargs: Any) -> Any:
        options = {
            name.strip("_"): kwargs[name] for name in _OPTIONS if kwargs.get(name) is not None
        }
        given = {name: one for name, one in kwargs.items() if name not in _OPTIONS}

        def made(number: Any) -> Any:
            if number is False:
                return None
            queue = kwargs.get("_queue_name") or self.default_queue_name
            return jobs.Job(str(number or uuid4().hex), self, queue, self.job_deserializer)

        return await through_async(
            SEND, lambda: real(self, function, *args, **kwargs),
            lambda: (function, list(args), dict(given), options),
            kept=lambda job: job is not None and job.job_id, made=made,
        )  # fmt: skip

    return enqueue_job


def _reading(
    reach: Reach,
    kept: Callable[[Any], Any] = lambda found: found,
    made: Callable[[Any], Any] = lambda said: said,
) -> Callable[[Any], Any]:
    def around(real: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(real)
        async def read(self: Any, *args: Any, **kwargs: Any) -> Any:
            return await through_async(
                reach,
                lambda: real(self, *args, **kwargs),
                lambda: (self.job_id,),
                kept=kept,
                made=made,
            )

        return read

    return around


def _plain(found: Any) -> dict[str, Any] | None:
    if found is None:
        return None
    return {one.name: getattr(found, one.name) for one in dataclasses.fields(found)}


def _info(said: Any) -> Any:
    if not isinstance(said, dict):
        return None
    kind = jobs.JobResult if "success" in said else jobs.JobDef
    return kind(**said)

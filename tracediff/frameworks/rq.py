"""RQ: each run of a function that a worker executes is a job.

A worker forks for each, and its child ends by ``os._exit``: what is recorded there is saved before.
Any function can be enqueued, nothing marks it; so a replay looks the function up by its name.
"""

from __future__ import annotations

import functools
import inspect
import logging
import sys
from collections.abc import Callable, Mapping
from typing import Any

import redis
import rq
import rq.job as jobs
from rq import timeouts

from tracediff.frameworks import replaying, rq_sending
from tracediff.frameworks.queueing import (
    DATABASE,
    Back,
    begun,
    database_of,
    excuse,
    find_task,
    put,
    ran,
    served_again,
    task_of,
)
from tracediff.frameworks.recorded import Recorded
from tracediff.model import Trace
from tracediff.recording import lifetime, session
from tracediff.recording.libraries.reach import Reach, recorded_here
from tracediff.recording.marks import source_of
from tracediff.runtime import current

log = logging.getLogger("tracediff")
LIBRARY = "rq"
MOST = 1024
"""The functions of which what records them is kept."""

_FIELDS = (
    "meta", "timeout", "result_ttl", "failure_ttl", "ttl", "retries_left",
    "number_of_retries", "retry_intervals", "repeats_left", "group_id", "created_at",
    "enqueued_at", "started_at", "ended_at", "worker_name",
)  # fmt: skip
"""What a job knows of itself, beside what is recorded as the trace's arguments and context."""

_SERVED = "_tracediff_served"
_RUNNING = "_current_job" if hasattr(jobs, "_current_job") else "_job_stack"
"""RQ's variable of the running job: before version 3 a stack."""


def hook() -> None:
    """Record what workers execute, and what it sends, once."""
    put(jobs.Job, "_execute", _executing)
    for kind in (getattr(rq.worker, "BaseWorker", None), rq.worker.Worker):
        put(kind, "perform_job", _performing)
    put(rq.worker.Worker, "fork_work_horse", _forking)
    space: Any = jobs
    if not isinstance(getattr(space, _RUNNING), _Current):
        setattr(space, _RUNNING, _Current(getattr(space, _RUNNING)))
    rq_sending.hook()


def find(trace: Trace) -> None:
    """Make the function that a trace names a job, for a replay."""
    find_task(trace, lambda name, function: _recorded(function, name))


def _executing(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def _execute(self: Any) -> Any:
        if current.get() is not None:  # a queue that runs its jobs at once, in a recorded one
            return real(self)
        with Back():
            run = _begun(self)
            return (
                real(self)
                if run is None
                else ran(run, _judging(self), lambda: _ran(self, real, run))
            )

    return _execute


def _begun(job: Any) -> Any:
    """Start recording; None when it is not recorded, or cannot be.

    What importing the function's module raises is the job's own, as RQ would do it now: a time
    limit too, which does not come a second time.
    """
    function, given, by_name = job.func, job.args, job.kwargs
    try:
        if not callable(function):
            return None
        plain, receiver = _taken_apart(function)
        name = source_of(plain).unit.replace(":", ".")
        recorded = _recorded(plain, name)
        return begun(recorded, (*receiver, *given), dict(by_name), _context(job))
    except timeouts.BaseTimeoutException:
        raise
    except Exception:  # a function of any kind
        log.debug("tracediff cannot record the RQ job %s", job.id, exc_info=True)
        return None


def _ran(job: Any, real: Callable[..., Any], run: Any) -> Any:
    result = real(job)
    if isinstance(result, jobs.Retry) and run.buffer.state is None:
        run.buffer.state = _asked_again(job, result)
    return result


def _asked_again(job: Any, retry: Any) -> str:
    """The state of an attempt that returns ``Retry``: a warning, unless it was the last one."""
    return "error" if (job.number_of_retries or 0) >= retry.max else "warning"


def _taken_apart(function: Any) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """The function below a method of an object, and the object, which is an argument then."""
    receiver = getattr(function, "__self__", None)
    if inspect.ismethod(function) and not isinstance(receiver, type):
        return function.__func__, (receiver,)
    return function, ()


@functools.lru_cache(maxsize=MOST)
def _recorded(function: Callable[..., Any], name: str) -> Recorded:
    return task_of(LIBRARY, name, function, _again(function))


def _judging(job: Any) -> Callable[[Any, BaseException], None]:
    def judge(buffer: Any, _: BaseException) -> None:
        if job.should_retry:
            excuse(buffer)

    return judge


def _context(job: Any) -> Mapping[str, Any]:
    """What a trace is searched by, and what a replay's job is made of.

    How often a job was tried that RQ tries again after an error is not known to it, but how often
    it will be.
    """
    returned = job.number_of_retries
    first = job.ended_at is None and not returned
    return {
        "framework": LIBRARY,
        "task_id": job.id,
        "queue": job.origin,
        "attempt": 1 if first else returned + 1 if returned else None,
        "retries_left": job.retries_left,
        **database_of(job.connection),
    }


def _performing(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def perform_job(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return real(self, *args, **kwargs)
        finally:
            if self._is_horse:  # the child of a worker, which runs nothing when it ends
                try:
                    lifetime.close_all()
                except Exception:
                    log.exception("tracediff could not save what a job of RQ recorded")

    return perform_job


def _forking(real: Callable[..., Any]) -> Callable[..., Any]:
    """What a child would read and import anew for each job, its parent has read once."""
    ready: list[bool] = []

    @functools.wraps(real)
    def fork_work_horse(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not ready:
            ready.append(True)
            session.get_ready_for_children()
        return real(self, *args, **kwargs)

    return fork_work_horse


def _again(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function with the job that the recording says, for a replay."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        job = _stand_in(function, args, kwargs)
        here = current.get()
        getattr(jobs, _RUNNING).enter(job)
        result = served_again(function, _judging(job))(*args, **kwargs)
        if inspect.iscoroutine(result):
            return _awaited(result, job)
        if isinstance(result, jobs.Retry) and here is not None:
            here.buffer.state = here.buffer.state or _asked_again(job, result)
        return result

    return run


async def _awaited(coroutine: Any, job: Any) -> Any:
    here = current.get()
    try:
        result = await coroutine
    except BaseException as error:
        if here is not None:
            _judging(job)(here.buffer, error)
        raise
    if isinstance(result, jobs.Retry) and here is not None:
        here.buffer.state = here.buffer.state or _asked_again(job, result)
    return result


def _stand_in(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Any) -> Any:
    """The job as far as its trace says; what it was not asked for is not known."""
    said = replaying.recorded_context()
    unit = source_of(function).unit.replace(":", ".")
    number = said.get("task_id")
    connection = redis.Redis(db=said.get(DATABASE, 0))  # type: ignore[arg-type]  # it is a number
    job: Any = jobs.Job.create(
        unit, args, kwargs, connection=connection, id=str(number) if number else None,
        origin=str(said.get("queue") or ""), status=jobs.JobStatus.STARTED,
    )  # fmt: skip
    job.retries_left = said.get("retries_left")
    attempt = said.get("attempt")
    job.number_of_retries = attempt - 1 if isinstance(attempt, int) and attempt > 1 else None
    return job


def _read(job: str) -> dict[str, Any]:
    """What the running job knows of itself, which ``function`` reads."""
    return {}


_JOB = Reach("input", "rq job", _read)


class _Current:
    """RQ's variable of the running job; a job that asks for it has an input, once a run."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def enter(self, job: Any) -> None:
        """Make a job the running one."""
        getattr(self._real, "set" if hasattr(self._real, "set") else "push")(job)

    def get(self, *default: Any) -> Any:
        """The running job, of a variable."""
        return self._asked(self._real.get(*default))

    @property
    def top(self) -> Any:
        """The running job, of a stack."""
        return self._asked(self._real.top)

    def _asked(self, job: Any) -> Any:
        if job is None or current.get() is None or _asked_by_rq():
            return job
        parent = recorded_here()
        if parent is None or getattr(job, _SERVED, None) is parent.buffer:
            return job
        setattr(job, _SERVED, parent.buffer)
        said = _JOB(parent, LIBRARY, run=lambda _: _fields(job))
        if parent.buffer.server is not None and isinstance(said, dict):
            for name in (*_FIELDS, "description"):
                if name in said:
                    setattr(job, name, said[name])
        return job


def _asked_by_rq() -> bool:
    """Whether RQ itself asks, as it does when a job ends; ``get_current_job`` asks for the job."""
    frame = sys._getframe(3)
    return frame.f_code.co_name != "get_current_job"


def _fields(job: Any) -> dict[str, Any]:
    found = {name: getattr(job, name, None) for name in _FIELDS}
    found["description"] = rq_sending.description(job)
    return {name: one for name, one in found.items() if one is not None and one != {}}

"""RQ: what a job enqueues, which is an output, and what it reads of other jobs, which is an input.

The ids that RQ makes up are no part of what is enqueued: they are new in each run.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import rq.job as jobs
import rq.queue as queues
from rq import results

from tracediff.frameworks.queueing import cleaned, named, put, through
from tracediff.recording.libraries.reach import Reach
from tracediff.runtime import current

_OPTIONS = (
    "timeout", "result_ttl", "failure_ttl", "ttl", "retries_left", "retry_intervals", "group_id",
    "repeats_left", "repeat_intervals", "rate_limit_key", "rate_limit_concurrency",
    "allow_dependency_failures", "_success_callback_name", "_failure_callback_name",
    "_stopped_callback_name",
)  # fmt: skip
_FUNCTION = "_tracediff_function"
_MADE_UP = "_tracediff_made_up"
_SENT = "rq sent"
_DELAY = "rq delay"


def _send(function: Any, args: Any, kwargs: Any, queue: Any, options: Any) -> str:
    """Enqueue a job: what is recorded is its id."""
    raise NotImplementedError


def _send_at(function: Any, args: Any, kwargs: Any, queue: Any, options: Any, at: Any) -> str:
    """Schedule a job, at a time or after one: what is recorded is its id."""
    raise NotImplementedError


def _send_many(jobs: Any, queue: Any) -> list[str]:
    """Enqueue jobs at once: what is recorded are their ids."""
    raise NotImplementedError


def _save(meta: Any) -> None:
    """Save the running job's meta data."""


def _ask(job_id: str) -> Any:
    """Read what another job gave."""


SEND = Reach("output", "rq enqueue", _send)
SEND_AT = Reach("output", "rq schedule", _send_at)
SEND_MANY = Reach("output", "rq enqueue many", _send_many)
META = Reach("output", "rq save meta", _save)
CANCEL = Reach("output", "rq cancel", _ask)
RESULT = Reach("input", "rq result", _ask)
STATUS = Reach("input", "rq status", _ask)
FETCHED = Reach("input", "rq fetch", _ask)


def hook() -> None:
    """Put the reaches in the place of RQ's methods, once."""
    put(queues.Queue, "create_job", _creating)
    put(queues.Queue, "enqueue_job", _sending)
    put(queues.Queue, "enqueue_in", _delaying)
    put(queues.Queue, "schedule_job", _scheduling)
    put(queues.Queue, "enqueue_many", _sending_many)
    put(jobs.Job, "save_meta", _saving)
    put(jobs.Job, "cancel", _cancelling)
    put(jobs.Job, "latest_result", _reading)
    if hasattr(jobs.Job, "_fetch_status"):
        put(jobs.Job, "_fetch_status", _asking)
    else:  # before version 3
        put(jobs.Job, "get_status", _asking_or_known)
    put(jobs.Job, "refresh", _fetching)


def _creating(real: Callable[..., Any]) -> Callable[..., Any]:
    """A job that is sent knows the function that it was made of, and who gave it its id."""

    @functools.wraps(real)
    def create_job(self: Any, func: Any, *args: Any, **kwargs: Any) -> Any:
        made = real(self, func, *args, **kwargs)
        if current.get() is not None:
            setattr(made, _FUNCTION, None if isinstance(func, str) else func)
            setattr(made, _MADE_UP, kwargs.get("job_id") is None)
        return made

    return create_job


def _sending(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def enqueue_job(self: Any, job: Any, *args: Any, **kwargs: Any) -> Any:
        def told() -> tuple[Any, ...]:
            given = dict(zip(("pipeline", "at_front", "unique"), args, strict=False)) | kwargs
            more = {name: True for name in ("at_front", "unique") if given.get(name)}
            return _told(self, job, more)

        return through(
            SEND, lambda: real(self, job, *args, **kwargs), told,
            kept=_sent, made=lambda said: _now(job, said),
        )  # fmt: skip

    return enqueue_job


def _delaying(real: Callable[..., Any]) -> Callable[..., Any]:
    """RQ makes a time of the delay, which would be another in each run."""

    @functools.wraps(real)
    def enqueue_in(self: Any, time_delta: Any, *args: Any, **kwargs: Any) -> Any:
        here = current.get()
        if here is None:
            return real(self, time_delta, *args, **kwargs)
        here.buffer.reached[_DELAY] = time_delta
        try:
            return real(self, time_delta, *args, **kwargs)
        finally:
            here.buffer.reached.pop(_DELAY, None)

    return enqueue_in


def _delay() -> Any:
    """The delay that is being made a time of."""
    here = current.get()
    return here.buffer.reached.get(_DELAY) if here is not None else None


def _scheduling(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def schedule_job(self: Any, job: Any, datetime: Any, *args: Any, **kwargs: Any) -> Any:
        def send() -> Any:
            return real(self, job, datetime, *args, **kwargs)

        return through(
            SEND_AT, send, lambda: (*_told(self, job, {}), _delay() or datetime),
            kept=_sent, made=lambda said: _now(job, said),
        )  # fmt: skip

    return schedule_job


def _sending_many(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def enqueue_many(self: Any, job_datas: Any, *args: Any, **kwargs: Any) -> Any:
        many = list(job_datas)
        return through(
            SEND_MANY, lambda: real(self, many, *args, **kwargs),
            lambda: ([_of(one) for one in many], self.name),
            kept=lambda made: [[one.id, one.func_name] for one in made],
            made=lambda said: [_known(self, *one) for one in said or ()],
        )  # fmt: skip

    return enqueue_many


def _of(data: Any) -> dict[str, Any]:
    """What is told of one of many."""
    function = None if isinstance(data.func, str) else data.func
    args, kwargs = named(function, data.args, data.kwargs)
    chosen = {name: getattr(data, name) for name in ("timeout", "ttl", "result_ttl", "at_front")}
    return {
        "function": _name(data.func), "args": args, "kwargs": kwargs,
        **{name: one for name, one in chosen.items() if one},
    }  # fmt: skip


def _name(function: Any) -> str:
    if isinstance(function, str):
        return function
    if inspect.ismethod(function):
        return function.__name__
    return f"{function.__module__}.{getattr(function, '__qualname__', '__call__')}"


def _known(queue: Any, number: Any, name: Any) -> Any:
    """A job that was sent, as far as the recording says."""
    return queue.job_class.create(str(name), connection=queue.connection, id=number,
                                  origin=queue.name)  # fmt: skip


def _told(queue: Any, job: Any, more: Mapping[str, Any]) -> tuple[Any, ...]:
    """A job without its id, unless the program gave it one."""
    options = {name.strip("_"): getattr(job, name, None) for name in _OPTIONS}
    options = {name: one for name, one in options.items() if one not in (None, [], False)}
    if job.meta:
        options["meta"] = job.meta
    if not getattr(job, _MADE_UP, True):
        options["job_id"] = job.id
    if job._dependency_ids:
        options["depends_on"] = [_here().get(one, one) for one in job._dependency_ids]
    args, kwargs = named(getattr(job, _FUNCTION, None), job.args, job.kwargs)
    return job.func_name, args, kwargs, queue.name, {**options, **more}


def _here() -> dict[str, str]:
    """The functions of the jobs that this one has sent, by their ids, which are made up."""
    here = current.get()
    found: dict[str, str] = here.buffer.reached.setdefault(_SENT, {}) if here is not None else {}
    return found


def _sent(job: Any) -> str:
    _here()[job.id] = str(job.func_name)
    return str(job.id)


def _now(job: Any, number: Any) -> Any:
    """The job with the id it was sent with; a new one keeps what it has."""
    if number is not None:
        job._id = str(number)
    _here()[job.id] = str(job.func_name)
    return job


def _saving(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def save_meta(self: Any) -> Any:
        return through(META, lambda: real(self), lambda: (dict(self.meta),), kept=_nothing)

    return save_meta


def _cancelling(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def cancel(self: Any, *args: Any, **kwargs: Any) -> Any:
        return through(
            CANCEL, lambda: real(self, *args, **kwargs), lambda: (self.id,), kept=_nothing
        )

    return cancel


def _nothing(_: Any) -> None:
    """What is recorded where the library gives nothing to rely on."""


def _reading(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def latest_result(self: Any, *args: Any, **kwargs: Any) -> Any:
        return through(
            RESULT, lambda: real(self, *args, **kwargs), lambda: (self.id,),
            kept=_plain, made=lambda said: _result(self, said),
        )  # fmt: skip

    return latest_result


def _plain(found: Any) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "id": found.id, "type": found.type.name, "return_value": found.return_value,
        "exc_string": cleaned(found.exc_string), "created_at": found.created_at,
        "worker_name": found.worker_name,
    }  # fmt: skip


def _result(job: Any, said: Any) -> Any:
    if not isinstance(said, dict):
        return None
    kind = results.Result.Type[said.get("type", "SUCCESSFUL")]
    more = {name: one for name, one in said.items() if name != "type"}
    return results.Result(job.id, kind, job.connection, **more)


def _asking(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def _fetch_status(self: Any) -> Any:
        return through(
            STATUS, lambda: real(self), lambda: (self.id,),
            kept=lambda found: found.value, made=lambda said: _status(self, said),
        )  # fmt: skip

    return _fetch_status


def _asking_or_known(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def get_status(self: Any, refresh: bool = True) -> Any:
        return _asking(real)(self) if refresh else real(self, refresh=False)

    return get_status


def _status(job: Any, said: Any) -> Any:
    job._status = jobs.JobStatus(said)
    return job._status


def _fetching(real: Callable[..., Any]) -> Callable[..., Any]:
    """``Job.fetch``, and refreshing a job that is there already."""

    @functools.wraps(real)
    def refresh(self: Any) -> Any:
        def read() -> Any:
            real(self)
            return self

        through(
            FETCHED, read, lambda: (self.id,), kept=_state, made=lambda said: _restored(self, said)
        )

    return refresh


_STATE = (
    "origin", "meta", "timeout", "created_at", "enqueued_at", "started_at",
    "ended_at", "worker_name", "retries_left", "number_of_retries", "group_id",
)  # fmt: skip


def description(job: Any) -> str | None:
    """What the program called a job; what RQ does has the values of all arguments in it."""
    found: str | None = job.description
    return None if found == job.get_call_string() else found


def _state(job: Any) -> dict[str, Any]:
    found = {name: getattr(job, name, None) for name in _STATE}
    found["description"] = description(job)
    args, kwargs = list(job.args), dict(job.kwargs)
    return {**found, "func_name": job.func_name, "args": args, "kwargs": kwargs,
            "status": job._status.value}  # fmt: skip


def _restored(job: Any, said: Any) -> Any:
    if not isinstance(said, dict):
        return job
    job._func_name, job._instance = said.get("func_name"), None
    job._args, job._kwargs = tuple(said.get("args", ())), said.get("kwargs", {})
    job._status = jobs.JobStatus(said.get("status", "queued"))
    for name in _STATE:
        setattr(job, name, said.get(name))
    job.description = said.get("description") or job.get_call_string()
    job.created_at = said.get("created_at") or datetime.now(UTC)
    return job

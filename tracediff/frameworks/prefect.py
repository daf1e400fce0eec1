"""Prefect: each run of a task, where its engine runs it in this process, is a job.

The function is recorded where the engine calls it, below Prefect's retries, caching and time
limits: the trace has what the function itself did. A task that is called as ``task.fn()`` is a
function. The flow around the tasks is not recorded.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import prefect.context
import prefect.logging
import prefect.tasks
from prefect.utilities.callables import parameters_to_args_kwargs

from tracediff.frameworks.importing import importing
from tracediff.frameworks.naming import key_of
from tracediff.frameworks.queueing import judged, log, put, ran
from tracediff.frameworks.recorded import Recorded
from tracediff.recording.marks import source_of
from tracediff.runtime import current

_known: WeakKeyDictionary[Any, Recorded] = WeakKeyDictionary()
"""The jobs that the functions of tasks are."""


def hook() -> None:
    """Record the tasks that are made from now on, once."""
    kind: Any = prefect.tasks.Task
    put(kind, "__init__", _making)
    importing.when("prefect.task_engine", _hook_engine)  # when the first task is to run


def _hook_engine(engine: Any) -> None:
    put(engine, "call_with_parameters", _calling)


def _making(real: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(real)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - it stands in its place
        real(self, *args, **kwargs)
        try:
            _take(self.fn)
        except Exception:  # a task of any callable; it runs unrecorded
            log.exception("tracediff cannot record the task %s", getattr(self, "name", self))

    return __init__


def _take(function: Any) -> None:
    """Make a job of a task's function; generators run as ever."""
    running = inspect.unwrap(function)
    if inspect.isgeneratorfunction(running) or inspect.isasyncgenfunction(running):
        return
    unit = source_of(function).unit
    _known[function] = Recorded(
        key_of(unit.replace(":", ".")),
        unit,
        function,
        again=_again(function),
        context=lambda *_, **__: _context(),
    )


def _again(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function in a replay, where no run has a logger."""
    if inspect.iscoroutinefunction(inspect.unwrap(function)):

        @functools.wraps(function)
        async def run_async(*args: Any, **kwargs: Any) -> Any:
            with prefect.logging.disable_run_logger():
                return await function(*args, **kwargs)

        return run_async

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        with prefect.logging.disable_run_logger():
            return function(*args, **kwargs)

    return run


def _calling(real: Callable[..., Any]) -> Callable[..., Any]:
    """The engine calls this for each run of a task; what it gives may be awaited."""

    @functools.wraps(real)
    def call_with_parameters(function: Any, parameters: dict[str, Any]) -> Any:
        recorded = _known.get(function)
        if recorded is None:
            return real(function, parameters)
        args, kwargs = parameters_to_args_kwargs(function, parameters)
        if current.get() is not None:
            return recorded.nested(*args, **kwargs)
        if inspect.iscoroutinefunction(inspect.unwrap(function)):
            return _run_async(recorded, function, args, kwargs)
        return _run(recorded, function, args, kwargs)

    return call_with_parameters


def _run(recorded: Recorded, function: Any, args: Any, kwargs: Any) -> Any:
    begun = recorded.begin(args, kwargs)
    if begun is None:
        return function(*args, **kwargs)
    _tag(begun.buffer)
    return ran(begun, _judge, lambda: function(*args, **kwargs))


async def _run_async(recorded: Recorded, function: Any, args: Any, kwargs: Any) -> Any:
    begun = recorded.begin(args, kwargs)
    if begun is None:
        return await function(*args, **kwargs)
    _tag(begun.buffer)
    try:
        result = await function(*args, **kwargs)
    except BaseException as error:
        judged(_judge, begun.buffer, error)
        begun.failed(error)
        raise
    begun.succeeded(result)
    return result


def _task_run() -> Any:
    """Prefect's record of this run; None where it has none."""
    found: Any = prefect.context.TaskRunContext.get()
    return found.task_run if found is not None else None


def _tag(buffer: Any) -> None:
    run = _task_run()
    if run is not None:
        buffer.tag([f"task:{run.id}", *map(str, run.tags or ())])


def _context() -> Mapping[str, Any]:
    """What a trace is searched by."""
    run = _task_run()
    if run is None:
        return {}
    found = {"task_id": str(run.id), "task_run": str(run.name), "attempt": run.run_count}
    if run.flow_run_id is not None:
        found["flow_run_id"] = str(run.flow_run_id)
    return found


def _judge(buffer: Any, _: BaseException) -> None:
    """An attempt that Prefect makes again is a warning, unless a function of the task's decides."""
    found: Any = prefect.context.TaskRunContext.get()
    if found is not None and found.task.retry_condition_fn is None:
        buffer.excused = found.task_run.run_count <= (found.task.retries or 0)

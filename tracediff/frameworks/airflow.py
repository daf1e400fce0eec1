"""Airflow: each run of a Python task in this process is a job.

That is what ``@task`` and ``PythonOperator`` call, in a worker, by ``airflow dags test`` and by
``dag.test()``, below Airflow's retries and time limits. Tasks that run in an environment or a
container of their own are not recorded.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

import pendulum
from airflow.providers.standard.operators import python
from airflow.sdk import get_current_context
from airflow.sdk.definitions.context import KNOWN_CONTEXT_KEYS

from tracediff import values
from tracediff.frameworks import replaying
from tracediff.frameworks.naming import key_of
from tracediff.frameworks.queueing import judged, log, put, ran
from tracediff.frameworks.recorded import Recorded
from tracediff.recording.marks import source_of
from tracediff.runtime import current

_RECORDED = "_tracediff_recorded"

_PREFIX = re.compile(r"^unusual_prefix_[0-9a-f]+_")
"""What Airflow puts before the name of a DAG's module."""

_PLAIN = (str, int, float, bool, date, datetime, timedelta, type(None))
"""What is kept of the context that a task is given; the rest are live objects."""


def hook() -> None:
    """Record Python tasks, once."""
    kind: Any = python.PythonOperator
    put(kind, "__init__", _making)
    put(kind, "execute_callable", _executing)
    if hasattr(kind, "aexecute_callable"):
        put(kind, "aexecute_callable", _executing_async)
    values.register(pendulum.DateTime, _written, _read)


def _written(moment: pendulum.DateTime) -> object:
    return [moment.isoformat(), moment.timezone_name]


def _read(said: Any) -> pendulum.DateTime:
    text, zone = said
    moment = pendulum.instance(datetime.fromisoformat(text))
    return moment.in_timezone(zone) if zone and zone[0] not in "+-" else moment


def _making(real: Callable[..., None]) -> Callable[..., None]:
    """A replay finds a task's function by the operator that importing its DAG makes."""

    @functools.wraps(real)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - it stands in its place
        real(self, *args, **kwargs)
        try:
            _of(self.python_callable)
        except Exception:  # any callable may be given; it runs unrecorded
            log.exception("tracediff cannot record the task %s", getattr(self, "task_id", self))

    return __init__


def _of(function: Any) -> Recorded | None:
    """The job that a task's function is; None of a generator, which Airflow itself goes through."""
    found: Recorded | None = getattr(function, _RECORDED, None)
    if found is None and not inspect.isgeneratorfunction(inspect.unwrap(function)):
        unit = _PREFIX.sub("", source_of(function).unit)
        found = Recorded(
            key_of(unit.replace(":", ".")),
            unit,
            function,
            again=_again(function),
            context=lambda *_, **__: _context(),
        )
        setattr(function, _RECORDED, found)
    return found


class _Run:
    """What a replay knows of a task's run."""

    def __init__(self) -> None:
        known = replaying.recorded_context()
        self.dag_id, self.task_id = known.get("dag_id"), known.get("task_id")
        self.run_id, self.try_number = known.get("run_id"), known.get("attempt")
        self.map_index = known.get("map_index", -1)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"a replay knows of a task instance dag_id, task_id, run_id, try_number and map_index, "
            f"not {name!r}: read it in a function with @tracediff.input"
        )


def _again(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with the run that the recording says, for a replay."""
    shape = inspect.signature(function)

    def given(args: Any, kwargs: Any) -> inspect.BoundArguments:
        bound = shape.bind(*args, **kwargs)
        for name in bound.arguments.keys() & {"ti", "task_instance"}:
            bound.arguments[name] = _Run()
        return bound

    if inspect.iscoroutinefunction(inspect.unwrap(function)):

        @functools.wraps(function)
        async def run_async(*args: Any, **kwargs: Any) -> Any:
            bound = given(args, kwargs)
            return await function(*bound.args, **bound.kwargs)

        return run_async

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        bound = given(args, kwargs)
        return function(*bound.args, **bound.kwargs)

    return run


def _executing(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def execute_callable(self: Any) -> Any:
        function = self.python_callable
        self.python_callable = _around(function)
        try:
            return real(self)
        finally:
            self.python_callable = function

    return execute_callable


def _executing_async(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    async def aexecute_callable(self: Any) -> Any:
        function = self.python_callable
        self.python_callable = _around_async(function)
        try:
            return await real(self)
        finally:
            self.python_callable = function

    return aexecute_callable


def _around(function: Any) -> Any:
    """The function, recorded; itself where it cannot be."""
    recorded = _recordable(function)
    if recorded is None:
        return function

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        if current.get() is not None:
            return recorded.nested(*args, **kwargs)
        begun = recorded.begin(args, _kept(function, kwargs))
        if begun is None:
            return function(*args, **kwargs)
        _tag(begun.buffer)
        return ran(begun, _judge, lambda: function(*args, **kwargs))

    return run


def _around_async(function: Any) -> Any:
    """The same of a coroutine."""
    recorded = _recordable(function)
    if recorded is None:
        return function

    @functools.wraps(function)
    async def run(*args: Any, **kwargs: Any) -> Any:
        if current.get() is not None:
            return await recorded.nested(*args, **kwargs)
        begun = recorded.begin(args, _kept(function, kwargs))
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

    return run


def _recordable(function: Any) -> Recorded | None:
    try:
        return _of(function)
    except Exception:  # as where the operator is made
        log.exception("tracediff cannot record %r", function)
        return None


def _kept(function: Any, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """What a task is given by name, with words in the place of the context's live objects."""
    named = inspect.signature(function).parameters
    found: dict[str, Any] = {}
    for name, value in kwargs.items():
        if name not in KNOWN_CONTEXT_KEYS or isinstance(value, _PLAIN):
            found[name] = value
        elif name in named:  # what `**kwargs` takes of them need not be there in a replay
            found[name] = values.Opaque(type(value).__name__, f"<{name} of the task>", None)
    return found


def _about() -> Any:
    """Airflow's own record of this run; None outside of one."""
    try:
        return get_current_context()["ti"]
    except Exception:  # its class of error, and where it stands, differ by version
        return None


def _tag(buffer: Any) -> None:
    run = _about()
    if run is not None:
        buffer.tag([f"dag:{run.dag_id}", f"task:{run.task_id}"])


def _context() -> Mapping[str, Any]:
    """What a trace is searched by."""
    run = _about()
    if run is None:
        return {}
    found = {"dag_id": run.dag_id, "task_id": run.task_id, "run_id": run.run_id,
             "attempt": run.try_number}  # fmt: skip
    if run.map_index is not None and run.map_index >= 0:
        found["map_index"] = run.map_index
    return found


def _judge(buffer: Any, error: BaseException) -> None:
    """A task that is skipped, or tried again, is a warning."""
    kind, run = type(error).__name__, _about()
    if kind == "AirflowSkipException":
        buffer.excused = True
    elif kind != "AirflowFailException" and run is not None:
        buffer.excused = run.try_number <= (getattr(run, "max_tries", 0) or 0)

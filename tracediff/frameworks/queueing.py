"""What the task queues have in common: runs of tasks, what they reach, and finding a task again."""

from __future__ import annotations

import functools
import inspect
import logging
import sys
from collections.abc import Callable, Mapping
from typing import Any

from tracediff import values
from tracediff.frameworks.naming import key_of, settings
from tracediff.frameworks.recorded import Recorded
from tracediff.model import Trace
from tracediff.recording.faults import brief
from tracediff.recording.libraries.reach import (
    Reach,
    recorded_here,
    refuse_input,
    refuse_output,
)
from tracediff.recording.marks import source_of
from tracediff.recording.runs import Run, add_context
from tracediff.runtime import current

log = logging.getLogger("tracediff")
FRAMEWORK = "framework"
"""The context field that names the library whose worker ran the job."""

DATABASE = "database"
"""The context field that names the database of Redis, where it is not the first."""

HOOKED = "__tracediff_hooked__"
Judge = Callable[[Any, BaseException], None]
"""Says of an error that ended an attempt, and the run's buffer, what it means."""


def put(owner: Any, name: str, around: Callable[[Any], Any]) -> None:
    """Put a function around a method or function of a library, once, where this version has it."""
    real = getattr(owner, name, None)
    if real is not None and not hasattr(real, HOOKED):
        made = around(real)
        setattr(made, HOOKED, True)
        setattr(owner, name, made)


def task_of(
    library: str,
    name: str,
    function: Callable[..., Any],
    again: Callable[..., Any],
    shape: Callable[..., Any] | None = None,
) -> Recorded:
    """What records the runs of a task.

    Args:
        library: The library's name.
        name: The task's, with its module.
        function: What it runs, by which its unit is known.
        again: What a replay runs in its place.
        shape: Takes the arguments that are recorded, if not all that the function takes.
    """
    setattr(again, FRAMEWORK, library)
    return Recorded(
        key_of(name), source_of(function).unit, shape or function, again=again,
        source=source_of(function),
    )  # fmt: skip


def begun(
    recorded: Recorded, args: tuple[Any, ...], kwargs: dict[str, Any], said: Mapping[str, Any]
) -> Run | None:
    """Start recording a run; None when it is not recorded. Never raises.

    Args:
        recorded: What records the task.
        args: The task's positional arguments.
        kwargs: Its keyword arguments.
        said: The context fields of the run; ``task_id`` is a tag too.
    """
    run = recorded.begin(args, kwargs)
    if run is not None:
        run.buffer.tag([f"task:{said.get('task_id')}"])
        add_context(run.buffer, {name: one for name, one in said.items() if one is not None})
    return run


def database_of(client: Any) -> dict[str, int]:
    """The database that a client of Redis asks, as a context field."""
    pool = getattr(client, "connection_pool", None)
    number = getattr(pool, "connection_kwargs", {}).get("db")
    return {DATABASE: number} if isinstance(number, int) and number else {}


def judged(judge: Judge, buffer: Any, error: BaseException) -> None:
    """Let a library's rules say what an error means; never raises."""
    try:
        judge(buffer, error)
    except Exception:
        log.exception("tracediff cannot tell whether an attempt is made again")


def excuse(buffer: Any) -> None:
    """An attempt that is made again is a warning."""
    buffer.excused = True


class Back:
    """Makes the context what it was when a run began, however it ends.

    A time limit raises in the thread at any place, in the recorder too; the thread goes on with
    other tasks, which are no steps of this one.
    """

    __slots__ = ("_before",)

    def __enter__(self) -> None:
        self._before = current.get()

    def __exit__(self, *_: object) -> None:
        if current.get() is not self._before:
            current.set(self._before)


def ran(run: Run, judge: Judge, call: Callable[[], Any]) -> Any:
    """What a task's function gives, while its run is recorded."""
    try:
        result = call()
    except BaseException as error:
        judged(judge, run.buffer, error)
        run.failed(error)
        raise
    run.succeeded(result)
    return result


def through(
    reach: Reach,
    real: Callable[[], Any],
    told: Callable[[], tuple[Any, ...]],
    kept: Callable[[Any], Any] = lambda given: given,
    made: Callable[[Any], Any] = lambda said: said,
) -> Any:
    """What a library's call gives: for real, and recorded in a job; from the recording in a replay.

    Args:
        reach: The input or output.
        real: Makes the call.
        told: Gives the arguments that are recorded; asked in a job alone.
        kept: The plain data that is recorded of what the call gave.
        made: Makes what the call gives of the recorded data.
    """
    parent = recorded_here()
    if parent is None:
        refuse(reach)
        return real()
    buffer = parent.buffer
    given: list[Any] = []

    def run(*_: Any) -> Any:
        given.append(real())
        return looked_at(buffer, lambda: kept(given[0]), None)

    said = reach(parent, *looked_at(buffer, told, ()), run=run)
    return given[0] if given else made(said)


def refuse(reach: Reach) -> None:
    """In a replay nothing is reached outside of the job's context."""
    (refuse_output if reach.mark.kind == "output" else refuse_input)(reach.mark.name)


def looked_at(buffer: Any, look: Callable[[], Any], otherwise: Any) -> Any:
    """What is recorded of a library's objects; the call goes on where they are other ones."""
    try:
        return look()
    except Exception as error:
        buffer.warn(f"what a task queue was given could not be recorded: {brief(error)}")
        return otherwise


def cleaned(text: str | None) -> str | None:
    """The text of another task's error, as it is kept of this one's."""
    here = current.get()
    return here.buffer.scrub(text) if here is not None and type(text) is str else text


def named(
    function: Callable[..., Any] | None, args: Any, kwargs: Any
) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a task that is sent, by name where its function is known.

    By its name a secret one is known.
    """
    positional, by_name = list(args or ()), dict(kwargs or {})
    if function is None or not positional:
        return positional, by_name
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # a callable that Python knows no parameters of
        return positional, by_name
    names = [one.name for one in parameters
             if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]  # fmt: skip
    placed = dict(zip(names, positional, strict=False))
    if not placed.keys().isdisjoint(by_name):  # given twice, which the task will refuse
        return positional, by_name
    return positional[len(placed) :], {**placed, **by_name}


def is_stale(function: Any) -> bool:
    """Whether a function is of a module that was imported anew since, as replays do."""
    plain = inspect.unwrap(function)
    space = getattr(plain, "__globals__", None)
    module = sys.modules.get(getattr(plain, "__module__", None) or "")
    return space is not None and (module is None or vars(module) is not space)


def find_task(trace: Trace, make: Callable[[str, Callable[..., Any]], Recorded | None]) -> None:
    """Make known the function that a trace names, where the library has no list of its tasks.

    Only one that is defined in a module which ``jobs`` names, under the very name: a trace is
    untrusted.
    """
    config = settings()
    if config is None or not values.Allow(config.jobs).permits(trace.job):
        return
    module, _, qualname = trace.job.partition(":")
    found: Any = sys.modules.get(module)
    for name in qualname.split("."):
        found = getattr(found, name, None)
    if callable(found) and source_of(found).unit == trace.job:
        make(trace.job.replace(":", "."), found)


def served_again(function: Callable[..., Any], judge: Judge) -> Callable[..., Any]:
    """A function for a replay, whose errors mean what they meant when it was recorded."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            here = current.get()
            if here is not None:
                judged(judge, here.buffer, error)
            raise

    return run

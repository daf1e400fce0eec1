"""Jobs: the entry points that are recorded, and the registry a replay finds them in."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar, overload

from tracediff.config.checks import checked
from tracediff.model import Depth, Mode
from tracediff.recording import session
from tracediff.recording.codeversion import note_loaded
from tracediff.recording.generators import Turns, delegating, drive, turns_of
from tracediff.recording.marks import Mark, called, unit_of
from tracediff.recording.runs import Retention
from tracediff.recording.wrappers import Descriptor, instrument, within
from tracediff.runtime import current

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A registered entry point. ``unit`` is "module:qualname"."""

    key: str
    unit: str
    function: Callable[..., Any]
    mark: Mark
    depth: Depth | None = None
    mode: Mode | None = None
    sample: float | None = None
    retention: Retention = None
    meta: Callable[..., str] | None = None
    context: Callable[..., Mapping[str, Any]] | None = None
    factory: Callable[..., Any] | None = None
    seed: bool = False
    method: bool = False
    listed: bool = False  # recorded only where the setting `jobs` names its module
    tags: tuple[str, ...] = field(default=())


jobs: dict[str, list[Job]] = {}
"""The jobs that importing their modules defined, by key; the last definition of a unit counts."""


@overload
def job(key: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def job(
    key: str,
    /,
    *,
    depth: Depth | None = None,
    mode: Mode | None = None,
    sample: float | None = None,
    retention: Retention = None,
    meta: Callable[..., str] | None = None,
    context: Callable[..., Mapping[str, Any]] | None = None,
    factory: Callable[..., Any] | None = None,
    tags: Iterable[str] = (),
    ignore: Iterable[str] = (),
    seed: bool = False,
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def job(
    key: Any, /, *, ignore: Iterable[str] = (), tags: Iterable[str] = (), **options: Any
) -> Any:
    """Mark a function as a job: each call is recorded as a trace, when recording is on.

    Args:
        key: The job's key, a path such as ``commodity/calculate/one``; or the function itself.
        depth: How much is captured: ``inputs``, ``steps`` or ``full``.
        mode: When its traces are written: ``deferred``, when the job has ended, or ``live``, in
            parts while it runs.
        sample: The share of calls that are recorded, 0 to 1, decided before the job starts.
        retention: The days its traces are kept, or a function that gives them for a finished
            ``Trace``, called on the recorder's thread; None is for ever.
        meta: A function of the arguments that gives the text shown beside the key.
        context: A function of the arguments that gives extra fields to search by.
        factory: For a method: gives the receiver in a replay.
        tags: Tags of every trace.
        ignore: Names of arguments that are neither recorded nor compared.
        options: ``depth`` to ``factory`` above, and ``seed``:
        seed: Seed ``random`` when the job starts, so that a replay draws the same numbers.
    """
    if callable(key) or isinstance(key, Descriptor):
        return _wrap(None, key, (), (), {})
    return lambda function: _wrap(str(key), function, tuple(tags), ignore, options)


def _wrap(
    key: str | None,
    function: Any,
    tags: tuple[str, ...],
    ignore: Iterable[str],
    options: dict[str, Any],
    drop: int | None = None,
) -> Any:
    if options.get("mode") is not None:
        checked("mode", options["mode"], "@td.job")
    if isinstance(function, Descriptor):
        return within(function, lambda inner, drop: _wrap(key, inner, tags, ignore, options, drop))
    if key is None:
        key = unit_of(called(function)).replace(":", "/").replace(".", "/")
    mark = Mark("job", key, function, None, ignore, drop)
    nested = Mark("step", key, function, None, ignore, drop)
    made = Job(
        key=key,
        unit=mark.source.unit,
        function=function,
        mark=mark,
        method=bool(mark.drop),
        tags=tags,
        **options,
    )
    register(made)
    wrapper = _wrapper(made, nested)
    functools.update_wrapper(wrapper, function)
    wrapper.__tracediff_job__ = made  # type: ignore[attr-defined]  # how a replay finds it by name
    return wrapper


def _wrapper(made: Job, nested: Mark) -> Callable[..., Any]:
    running = called(made.function)
    if inspect.isasyncgenfunction(running):
        return _async_generator(made, turns_of(nested, made.function, served=False))
    inner = instrument(nested, made.function)
    if inspect.isgeneratorfunction(running):
        return _generator(made, inner)
    if inspect.iscoroutinefunction(running):
        return _coroutine(made, inner)
    return _plain(made, inner)


def register(made: Job) -> None:
    """Enter a job in the registry; a reload replaces what it defined before."""
    note_loaded(made.unit.partition(":")[0])
    known = jobs.setdefault(made.key, [])
    known[:] = [one for one in known if one.unit != made.unit]
    known.append(made)


def _plain(made: Job, nested: Callable[..., Any]) -> Callable[..., Any]:
    function, get = made.function, current.get

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if get() is not None:
            return nested(*args, **kwargs)
        run = session.begin(made, args, kwargs)
        if run is None:
            return function(*args, **kwargs)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            run.failed(error)
            raise
        run.succeeded(result)
        return result

    return wrapper


def _coroutine(made: Job, nested: Callable[..., Any]) -> Callable[..., Any]:
    function = made.function

    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        if current.get() is not None:
            return await nested(*args, **kwargs)
        run = session.begin(made, args, kwargs)
        if run is None:
            return await function(*args, **kwargs)
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            run.failed(error)
            raise
        run.succeeded(result)
        return result

    return wrapper


def _generator(made: Job, nested: Callable[..., Any]) -> Callable[..., Any]:
    function = made.function

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if current.get() is not None:
            return (yield from nested(*args, **kwargs))
        run = session.begin(made, args, kwargs)
        if run is None:
            return (yield from function(*args, **kwargs))
        run.leave()
        try:
            return (yield from drive(run.root, None, function(*args, **kwargs)))
        finally:
            run.finish()

    return wrapper


def _async_generator(
    made: Job, nested: Callable[[tuple[Any, ...], dict[str, Any]], Turns]
) -> Callable[..., Any]:
    def begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Turns:
        if current.get() is not None:
            return nested(args, kwargs)
        inner = made.function(*args, **kwargs)
        run = session.begin(made, args, kwargs)
        if run is None:
            return Turns(inner)
        run.leave()
        return Turns(inner, run.root, None, run.finish)

    return delegating(made.function, begin)

"""``step``, ``input`` and ``output``: functions and blocks that become steps of the active trace.

Outside a recorded job a wrapper only looks at one context variable and calls the function.
"""

from __future__ import annotations

import functools
import inspect
from _thread import get_ident
from collections.abc import Callable, Iterable
from time import perf_counter_ns
from typing import Any, ParamSpec, Self, TypeVar, overload

from tracediff import runtime
from tracediff.model import Kind
from tracediff.recording.generators import wrap_async_generator, wrap_generator
from tracediff.recording.serving import answer
from tracediff.recording.spans import (
    UNSET,
    Line,
    Mark,
    Packed,
    Span,
    mutations,
    open_span,
)
from tracediff.runtime import current

P = ParamSpec("P")
R = TypeVar("R")


def instrument(mark: Mark, function: Callable[P, R]) -> Callable[P, R]:
    """Wrap a function so that each call inside a recorded job is a step."""
    served = mark.kind != "step"
    if inspect.isasyncgenfunction(function):
        return wrap_async_generator(mark, function, served)  # type: ignore[return-value]  # same signature, seen by ParamSpec only at run time
    if inspect.isgeneratorfunction(function):
        return wrap_generator(mark, function, served)  # type: ignore[return-value]  # as above
    if inspect.iscoroutinefunction(function):
        return wrap_coroutine(mark, function, served)  # type: ignore[return-value]  # as above
    return wrap_input(mark, function) if served else wrap_step(mark, function)


def wrap_step(mark: Mark, function: Callable[P, R]) -> Callable[P, R]:
    """A step: recomputed in replay."""
    get, set_, reset = current.get, current.set, current.reset

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        parent = get()
        if parent is None or parent.buffer.shallow:
            return function(*args, **kwargs)
        span = open_span(mark, parent.buffer, parent, args, kwargs)
        token = set_(span)
        try:
            if span.buffer.server is not None:
                served = answer(span)
                if not served.live:
                    span.end = perf_counter_ns()
                    span.result = Packed(served.data or b"")
                    return served.result  # type: ignore[no-any-return]  # what the what-if says
            result = function(*args, **kwargs)
        except BaseException as error:
            span.end = perf_counter_ns()
            span.error = span.buffer.fault(error, parent)
            raise
        finally:
            reset(token)
        span.end = perf_counter_ns()
        if span.packed:
            mutations(span, args, kwargs)
        span.result = span.buffer.capture(result)
        return result

    return wrapper


def wrap_input(mark: Mark, function: Callable[P, R]) -> Callable[P, R]:
    """An input or output: served from the recording in replay."""
    get, set_, reset = current.get, current.set, current.reset

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        parent = get()
        if parent is None:
            if runtime.guard is not None:
                runtime.guard.refuse(mark.kind, mark.name)
            return function(*args, **kwargs)
        span = open_span(mark, parent.buffer, parent, args, kwargs)
        token = set_(span)
        try:
            if span.buffer.server is not None:
                served = answer(span)
                if not served.live:
                    span.result = Packed(served.data or b"")
                    return served.result  # type: ignore[no-any-return]  # what the recording says
            result = function(*args, **kwargs)
            span.result = span.buffer.capture(result)
        except BaseException as error:
            span.error = span.buffer.fault(error, parent)
            raise
        else:
            return result
        finally:
            span.end = perf_counter_ns()
            reset(token)

    return wrapper


def wrap_coroutine(mark: Mark, function: Callable[..., Any], served: bool) -> Callable[..., Any]:
    """A coroutine function, as a step or as an input."""

    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        parent = current.get()
        if parent is None or (parent.buffer.shallow and not served):
            if parent is None and served and runtime.guard is not None:
                runtime.guard.refuse(mark.kind, mark.name)
            return await function(*args, **kwargs)
        span = open_span(mark, parent.buffer, parent, args, kwargs)
        span.lane = task_lane()
        token = current.set(span)
        try:
            if span.buffer.server is not None:
                recorded = answer(span)
                if not recorded.live:
                    span.result = Packed(recorded.data or b"")
                    return recorded.result
            result = await function(*args, **kwargs)
            span.result = span.buffer.capture(result)
        except BaseException as error:
            span.error = span.buffer.fault(error, parent)
            raise
        else:
            if span.packed and not served:
                mutations(span, args, kwargs)
            return result
        finally:
            span.end = perf_counter_ns()
            leave(token)

    return wrapper


def task_lane() -> tuple[int, int]:
    """The asyncio task that runs, as (thread, task), so that siblings of other tasks are known."""
    import asyncio  # a program that awaits has imported it; others need not

    try:
        return (get_ident(), id(asyncio.current_task()))
    except RuntimeError:
        return (get_ident(), 0)


def leave(token: Any) -> None:
    """Restore the enclosing span, unless the block is left in another context than it was entered.

    An async generator may be closed by another task; that task's current span is its own.
    """
    try:
        current.reset(token)
    except ValueError:
        return


class Block(Span):
    """A step written as a ``with`` block; as a decorator it wraps a function.

    Set ``result`` to record one. The block's name is its identity in a comparison, with ``key``
    when it runs in a loop.
    """

    __slots__ = ("kind", "name", "options", "token")

    def __init__(self, kind: Kind, name: str, key: Any, ignore: Iterable[str]) -> None:
        self.kind = kind
        self.name = name
        self.options = (key, ignore)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """The function as a step with these options."""
        key, ignore = self.options
        if isinstance(function, classmethod | staticmethod):
            inner = Mark(self.kind, self.name, function.__func__, key, frozenset(ignore))
            return type(function)(instrument(inner, function.__func__))  # type: ignore[return-value]  # the descriptor it was
        return instrument(Mark(self.kind, self.name, function, key, frozenset(ignore)), function)

    def __enter__(self) -> Self:
        parent = current.get()
        self.parent = parent
        self.result = UNSET
        if parent is None or parent.buffer.shallow:
            self.token = None
            return self
        buffer = self.buffer = parent.buffer
        self.mark = Line(self.kind, self.name, False, 2)
        self.args = ()
        self.kwargs = None
        self.packed = False
        self.error = None
        self.state = None
        self.mutated = ()
        key = self.options[0]
        self.key = UNSET if key is None else buffer.capture(key)
        self.lane = get_ident()
        self.end = 0
        buffer.spans.append(self)
        self.token = current.set(self)
        self.start = perf_counter_ns()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        token = self.token
        if token is None:
            return
        self.end = perf_counter_ns()
        leave(token)
        if error is not None:
            self.error = self.buffer.fault(error, self.parent)
        if self.result is not UNSET:
            self.result = self.buffer.capture(self.result)


@overload
def step(name: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def step(name: str, /, *, key: Any = None, ignore: Iterable[str] = ()) -> Block: ...
def step(name: Any, /, *, key: Any = None, ignore: Iterable[str] = ()) -> Any:
    """Mark a function, or a ``with`` block, as a step of the calculation.

    Args:
        name: The step's name; or the function itself, whose name is taken then.
        key: What identifies this call among its siblings of the same name: a value for a block,
            for a decorator a function of the call's arguments.
        ignore: Names of arguments that are neither recorded nor compared.
    """
    if type(name) is str:
        return Block("step", name, key, ignore)
    return _decorate("step", name, key, ignore)


@overload
def input(name: Callable[P, R], /) -> Callable[P, R]: ...  # noqa: A001 - the word of the field
@overload
def input(  # noqa: A001 - the word of the field
    name: str, /, *, key: Callable[..., Any] | None = None, ignore: Iterable[str] = ()
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def input(  # noqa: A001 - the word of the field
    name: Any, /, *, key: Callable[..., Any] | None = None, ignore: Iterable[str] = ()
) -> Any:
    """Mark a function that reads the outside world: replay serves its recorded result.

    Args:
        name: The input's name; or the function itself, whose name is taken then.
        key: A function of the call's arguments that returns what identifies the call.
        ignore: Names of arguments that are neither recorded nor compared.
    """
    return _decorate("input", name, key, ignore)


@overload
def output(name: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def output(
    name: str, /, *, key: Callable[..., Any] | None = None, ignore: Iterable[str] = ()
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def output(
    name: Any, /, *, key: Callable[..., Any] | None = None, ignore: Iterable[str] = ()
) -> Any:
    """Mark a function that writes to the outside world: replay never runs it.

    Args:
        name: The output's name; or the function itself, whose name is taken then.
        key: A function of the call's arguments that returns what identifies the call.
        ignore: Names of arguments that are neither recorded nor compared.
    """
    return _decorate("output", name, key, ignore)


def _decorate(kind: Kind, name: Any, key: Any, ignore: Iterable[str]) -> Any:
    if callable(name) or isinstance(name, classmethod | staticmethod):
        inner = getattr(name, "__func__", name)
        return Block(kind, getattr(inner, "__name__", repr(inner)), key, ignore)(name)
    return Block(kind, name, key, ignore).__call__

"""``step``, ``input`` and ``output``: functions and blocks that become steps of the active trace.

Outside a recorded job a wrapper only looks at one context variable and calls the function.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from time import perf_counter_ns
from typing import Any, ParamSpec, TypeVar, overload

from tracediff import runtime
from tracediff.model import Kind
from tracediff.recording.buffers import UNSET, Packed
from tracediff.recording.generators import recorded_in, wrap_async_generator, wrap_generator
from tracediff.recording.marks import Mark, called
from tracediff.recording.serving import answer
from tracediff.recording.signatures import fitting
from tracediff.recording.spans import (
    Line,
    Span,
    ended,
    leave,
    mutations,
    new_span,
    open_span,
)
from tracediff.runtime import current

P = ParamSpec("P")
R = TypeVar("R")


Descriptor = (classmethod, staticmethod, property, functools.cached_property)
"""What may stand in place of a function in a class."""


def within(descriptor: Any, wrap: Callable[[Callable[..., Any], int | None], Any]) -> Any:
    """A method descriptor with what it holds wrapped.

    Args:
        descriptor: A class or static method, or a property.
        wrap: Gets the function and how many receivers it takes, None where that is to be seen.
    """
    if isinstance(descriptor, property):
        getter = descriptor.fget
        wrapped = None if getter is None else wrap(getter, 1)
        return type(descriptor)(wrapped, descriptor.fset, descriptor.fdel, descriptor.__doc__)
    if isinstance(descriptor, functools.cached_property):
        return type(descriptor)(wrap(descriptor.func, 1))
    receivers = 1 if isinstance(descriptor, classmethod) else 0
    return type(descriptor)(wrap(descriptor.__func__, receivers))


def name_of(function: Any) -> str:
    """A function's own name; of a partial that of its function, of an object that of its class."""
    while isinstance(function, functools.partial):
        function = function.func
    inner = getattr(function, "__func__", None) or getattr(function, "fget", None)
    inner = inner or getattr(function, "func", None) or function
    return str(getattr(inner, "__name__", None) or type(inner).__name__)


def instrument(mark: Mark, function: Callable[P, R]) -> Callable[P, R]:
    """Wrap a function so that each call inside a recorded job is a step."""
    served = mark.kind != "step"
    running = called(function)
    if inspect.isasyncgenfunction(running):
        return wrap_async_generator(mark, function, served)
    if inspect.isgeneratorfunction(running):
        return wrap_generator(mark, function, served)
    if inspect.iscoroutinefunction(running):
        return wrap_coroutine(mark, function, served)
    return wrap_input(mark, function) if served else wrap_step(mark, function)


def wrap_step(mark: Mark, function: Callable[P, R]) -> Callable[P, R]:
    """A step: recomputed in replay."""

    def general(*args: P.args, **kwargs: P.kwargs) -> R:
        parent = current.get()
        if parent is None:
            return function(*args, **kwargs)
        buffer = parent.buffer
        if buffer.shallow:
            buffer.skipped += 1
            return function(*args, **kwargs)
        span = open_span(mark, buffer, parent, args, kwargs)
        token = current.set(span)
        try:
            if buffer.answering:
                served = answer(span)
                if not served.live:
                    span.end = perf_counter_ns()
                    span.result = Packed(served.data or b"")
                    return served.result  # type: ignore[no-any-return]  # what the what-if says
            result = function(*args, **kwargs)
        except BaseException as error:
            span.end = perf_counter_ns()
            span.error = buffer.fault(error, parent)
            raise
        finally:
            current.reset(token)
        span.end = perf_counter_ns()
        ended(span, args, kwargs, result)
        return result

    wrapper: Callable[P, R] = fitting(mark, function, general) or general
    functools.update_wrapper(wrapper, function)
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
        if parent.buffer.full:
            parent.buffer.unserved += 1
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
        parent = recorded_in(mark, served)
        if parent is None:
            return await function(*args, **kwargs)
        if parent.buffer.running is None:
            parent.buffer.watch_tasks()
        span = open_span(mark, parent.buffer, parent, args, kwargs)
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


class Never:
    """A block that was not entered yet, or where nothing is recorded."""


class Used:
    """A block that was left."""


class Block:
    """A step written as a ``with`` block; as a decorator it wraps a function.

    Set ``result`` to record one. The block's name is its identity in a comparison, with ``key``
    when it runs in a loop.
    """

    __slots__ = ("ignored", "key_given", "name", "result", "span", "token")

    name: str
    key_given: Any
    ignored: Iterable[str]
    result: Any
    span: Span
    token: Any

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """The function as a step with these options."""
        wrapper: Callable[P, R] = marked("step", self.name, self.key_given, self.ignored)(function)
        return wrapper

    def __enter__(self) -> Block:  # noqa: PYI034 - entered again, it is another one
        parent = _get()
        if self.token is not Never:
            return self._enter_again()
        if parent is None:
            return self
        buffer = parent.buffer
        if buffer.shallow:
            buffer.skipped += 1
            return self
        key = UNSET if self.key_given is None else buffer.capture(self.key_given)
        span = self.span = new_span(Line("step", self.name, False, 2), buffer, parent, (), None)
        span.key = key
        self.result = UNSET
        self.token = _set(span)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        token = self.token
        if token is Never or token is Used:
            return
        if type(token) is list:
            self._exit_again(token, error)
            return
        span = self.span
        span.end = perf_counter_ns()
        leave(token)
        self.token = Used
        if error is not None:
            span.error = span.buffer.fault(error, span.parent)
        if self.result is not UNSET:
            span.result = span.buffer.capture(self.result)

    def _enter_again(self) -> Block:
        """One object in several ``with`` statements is a step in each of them."""
        fresh = step(self.name, key=self.key_given, ignore=self.ignored)
        fresh.__enter__()
        if fresh.token is not Never:
            fresh.span.mark = Line("step", self.name, False, 3)
        if type(self.token) is not list:
            self.token = [self.token]
        self.token.append(fresh)
        return fresh

    def _exit_again(self, opened: list[Any], error: BaseException | None) -> None:
        opened.pop().__exit__(type(error), error, None)
        if len(opened) == 1:
            self.token = opened[0]


def marked(kind: Kind, name: str, key: Any, ignore: Iterable[str]) -> Callable[[Any], Any]:
    """A decorator that makes a function, or what stands in its place in a class, such a step."""

    def wrap(inner: Callable[..., Any], drop: int | None = None) -> Callable[..., Any]:
        return instrument(Mark(kind, name, inner, key, ignore, drop), inner)

    return lambda function: (
        within(function, wrap) if isinstance(function, Descriptor) else wrap(function)
    )


_get, _set = current.get, current.set


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
    if isinstance(name, str):
        block = Block()  # its attributes are set here, since ``__init__`` would take longer
        block.name = name
        block.key_given = key
        block.ignored = ignore
        block.token = Never
        block.result = UNSET
        return block
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
    if callable(name) or isinstance(name, Descriptor):
        return marked(kind, name_of(name), key, ignore)(name)
    return marked(kind, name, key, ignore)

"""Generator functions as steps: the span is current only while the generator runs.

A span left current across ``yield`` would adopt the caller's next steps. What the generator
yielded is its result, since that is what a replay has to hand out again.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Generator
from time import perf_counter_ns
from typing import Any

from tracediff import runtime
from tracediff.recording.buffers import UNSET, Items
from tracediff.recording.marks import Mark
from tracediff.recording.serving import answer
from tracediff.recording.spans import Span, leave, open_span
from tracediff.runtime import Served, current


def wrap_generator(mark: Mark, function: Callable[..., Any], served: bool) -> Callable[..., Any]:
    """A generator function, as a step or as an input that replay serves item by item."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        parent = recorded_in(mark, served)
        if parent is None:
            return (yield from function(*args, **kwargs))
        span = open_span(mark, parent.buffer, parent, args, kwargs)
        if span.buffer.server is not None:
            recorded = _recorded(span, parent)
            if recorded is not None:
                yield from _again(span, parent, recorded)
                return None
        return (yield from drive(span, parent, function(*args, **kwargs)))

    return wrapper


def drive(span: Span, parent: Span | None, inner: Any) -> Generator[Any, Any, Any]:
    """Run a generator with its span current between the yields only."""
    items = Items()
    valued = span.args is not UNSET
    if valued:
        span.result = items
    inside = span
    resume: Callable[[], Any] = inner.__next__
    try:
        while True:
            token = current.set(inside)
            try:
                item = resume()
            finally:
                inside = current.get() or span  # a block of the generator's may be open
                leave(token)
            if valued:
                items.append(span.buffer.capture(item))
            try:
                sent = yield item
            except BaseException as error:
                resume = functools.partial(_thrown, inner, error)
            else:
                resume = functools.partial(inner.send, sent)
    except StopIteration as stop:
        return stop.value
    except GeneratorExit:
        raise
    except BaseException as error:
        span.error = span.buffer.fault(error, parent)
        raise
    finally:
        span.end = perf_counter_ns()


def _thrown(inner: Any, error: BaseException) -> Any:
    """Hand an exception on to a generator; closing one ends it even when it catches that."""
    if isinstance(error, GeneratorExit):
        inner.close()
        raise error
    return inner.throw(error)


def wrap_async_generator(
    mark: Mark, function: Callable[..., Any], served: bool
) -> Callable[..., Any]:
    """An async generator function, as a step or as an input that replay serves item by item."""
    return delegating(function, turns_of(mark, function, served))


def turns_of(
    mark: Mark, function: Callable[..., Any], served: bool
) -> Callable[[tuple[Any, ...], dict[str, Any]], Turns]:
    """What begins a call of an async generator function that is a step or an input."""

    def begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Turns:
        parent = recorded_in(mark, served)
        if parent is None:
            return Turns(function(*args, **kwargs))
        span = open_span(mark, parent.buffer, parent, args, kwargs)
        recorded = None if span.buffer.server is None else _recorded(span, parent)
        if recorded is not None:
            return Turns(_items(_again(span, parent, recorded)))
        return Turns(function(*args, **kwargs), span, parent)

    return begin


def delegating(
    function: Callable[..., Any], begin: Callable[[tuple[Any, ...], dict[str, Any]], Turns]
) -> Callable[..., Any]:
    """What ``yield from`` would do, which async generators do not have (PEP 380, 525)."""

    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        turns = begin(args, kwargs)
        inner = turns.inner
        try:
            item = await turns.resume(inner.__anext__())
            while True:
                try:
                    sent = yield item
                except GeneratorExit:
                    await turns.resume(inner.aclose(), last=True)
                    raise
                except BaseException as error:
                    item = await turns.resume(inner.athrow(error))
                else:
                    item = await turns.resume(inner.asend(sent))
        except StopAsyncIteration:
            return
        finally:
            turns.finish()

    return wrapper


class Turns:
    """An async generator whose span is current only while it runs.

    Args:
        inner: The generator.
        span: Its span, None when it is not recorded.
        parent: The span that was current when it began.
        done: Called when it has ended.
    """

    __slots__ = ("done", "inner", "inside", "parent", "span")

    def __init__(
        self,
        inner: Any,
        span: Span | None = None,
        parent: Span | None = None,
        done: Callable[[], None] | None = None,
    ) -> None:
        self.inner = inner
        self.span = span
        self.parent = parent
        self.done = done
        self.inside = span
        if span is not None and span.args is not UNSET:
            span.result = Items()

    async def resume(self, turn: Any, *, last: bool = False) -> Any:
        """Await the generator's next item, or its end."""
        span = self.span
        if span is None:
            return await turn
        token = current.set(self.inside)
        try:
            item = await turn
        except StopAsyncIteration:
            raise
        except BaseException as error:
            span.error = span.buffer.fault(error, self.parent)
            raise
        finally:
            self.inside = current.get() or span
            leave(token)
        if not last and span.args is not UNSET:
            span.result.append(span.buffer.capture(item))
        return item

    def finish(self) -> None:
        """Close the span."""
        if self.span is not None:
            self.span.end = perf_counter_ns()
        if self.done is not None:
            self.done()


async def _items(recorded: Generator[Any, Any, Any]) -> AsyncIterator[Any]:
    with contextlib.closing(recorded):
        for item in recorded:
            yield item


def recorded_in(mark: Mark, served: bool) -> Span | None:
    """The span that a call becomes a child of; None where it is not recorded."""
    parent: Span | None = current.get()
    if parent is None:
        if served and runtime.guard is not None:
            runtime.guard.refuse(mark.kind, mark.name)
        return None
    buffer = parent.buffer
    if served:
        buffer.unserved += buffer.full
        return None if buffer.full else parent
    buffer.skipped += buffer.shallow
    return None if buffer.shallow else parent


def _recorded(span: Span, parent: Span) -> Served | None:
    """The recorded items, None when the real generator must run."""
    try:
        served = answer(span, items=True)
    except BaseException as error:
        span.error = span.buffer.fault(error, parent)
        span.end = perf_counter_ns()
        raise
    return None if served.live else served


def _again(span: Span, parent: Span, served: Served) -> Generator[Any, Any, Any]:
    """Yield what was yielded, then raise what was raised."""
    span.result = Items(served.data)
    try:
        yield from served.result or ()
        if served.error is not None:
            raise served.error
    except GeneratorExit:
        raise
    except BaseException as error:
        span.error = span.buffer.fault(error, parent)
        raise
    finally:
        span.end = perf_counter_ns()

"""Generator functions as steps: the span is current only while the generator runs.

A span left current across ``yield`` would adopt the caller's next steps. What the generator
yielded is its result, since that is what a replay has to hand out again.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from time import perf_counter_ns
from typing import Any

from tracediff import runtime
from tracediff.recording.serving import answer
from tracediff.recording.spans import Mark, Packed, Span, open_span
from tracediff.runtime import current


def wrap_generator(mark: Mark, function: Callable[..., Any], served: bool) -> Callable[..., Any]:
    """A generator function, as a step or as an input that replay serves item by item."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        parent = _parent(mark, served)
        if parent is None:
            return (yield from function(*args, **kwargs))
        span = open_span(mark, parent.buffer, parent, args, kwargs)
        if span.buffer.server is not None:
            recorded = _recorded(span, parent)
            if recorded is not None:
                yield from recorded
                return None
        return (yield from _drive(span, parent, function(*args, **kwargs)))

    return wrapper


def _drive(span: Span, parent: Span, inner: Any) -> Iterator[Any]:
    """Run a generator with its span current between the yields only."""
    items: list[Any] = []
    send: Any = None
    thrown: BaseException | None = None
    try:
        while True:
            token = current.set(span)
            try:
                item = inner.throw(thrown) if thrown is not None else inner.send(send)
            finally:
                current.reset(token)
            items.append(span.buffer.capture(item))
            thrown = None
            try:
                send = yield item
            except GeneratorExit:
                inner.close()
                raise
            except BaseException as error:
                thrown = error
    except StopIteration as stop:
        return stop.value
    except GeneratorExit:
        raise
    except BaseException as error:
        span.error = span.buffer.fault(error, parent)
        raise
    finally:
        _finish(span, items)


def wrap_async_generator(
    mark: Mark, function: Callable[..., Any], served: bool
) -> Callable[..., Any]:
    """An async generator function, as a step or as an input that replay serves item by item."""

    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        parent = _parent(mark, served)
        if parent is None:
            async for item in function(*args, **kwargs):
                yield item
            return
        span = open_span(mark, parent.buffer, parent, args, kwargs)
        if span.buffer.server is not None:
            recorded = _recorded(span, parent)
            if recorded is not None:
                for item in recorded:
                    yield item
                return
        async for item in _adrive(span, parent, function(*args, **kwargs)):
            yield item

    return wrapper


async def _adrive(span: Span, parent: Span, inner: Any) -> AsyncIterator[Any]:
    """As ``_drive``; values sent into an async generator are not handed on."""
    items: list[Any] = []
    try:
        while True:
            token = current.set(span)
            try:
                item = await inner.__anext__()
            finally:
                with suppress(ValueError):  # closed by another task, whose context is its own
                    current.reset(token)
            items.append(span.buffer.capture(item))
            yield item
    except StopAsyncIteration:
        return
    except GeneratorExit:
        await inner.aclose()
        raise
    except BaseException as error:
        span.error = span.buffer.fault(error, parent)
        raise
    finally:
        _finish(span, items)


def _parent(mark: Mark, served: bool) -> Span | None:
    parent: Span | None = current.get()
    if parent is None and served and runtime.guard is not None:
        runtime.guard.refuse(mark.kind, mark.name)
    if parent is not None and parent.buffer.shallow and not served:
        return None
    return parent


def _recorded(span: Span, parent: Span) -> list[Any] | None:
    """The recorded items, None when the real generator must run."""
    try:
        served = answer(span)
    except BaseException as error:
        span.error = span.buffer.fault(error, parent)
        span.end = perf_counter_ns()
        raise
    if served.live:
        return None
    span.result = Packed(served.data or b"")
    span.end = perf_counter_ns()
    return list(served.result or ())


def _finish(span: Span, items: list[Any]) -> None:
    span.end = perf_counter_ns()
    encode = span.buffer.encode
    encoded = [item if type(item) is Packed else Packed(encode(item)) for item in items]
    span.result = Packed(span.buffer.join(encoded))

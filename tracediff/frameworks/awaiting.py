"""Inputs and outputs of a library whose calls are awaited."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import perf_counter_ns
from typing import Any

from tracediff.frameworks.queueing import looked_at, refuse
from tracediff.recording.buffers import Packed
from tracediff.recording.libraries.reach import Reach, recorded_here
from tracediff.recording.serving import answer
from tracediff.recording.spans import open_span
from tracediff.runtime import current


async def through_async(
    reach: Reach,
    real: Callable[[], Awaitable[Any]],
    told: Callable[[], tuple[Any, ...]],
    kept: Callable[[Any], Any] = lambda given: given,
    made: Callable[[Any], Any] = lambda said: said,
) -> Any:
    """What a library's awaited call gives, as ``through`` of calls that are not awaited.

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
        return await real()
    buffer = parent.buffer
    span = open_span(reach.mark, buffer, parent, looked_at(buffer, told, ()), {})
    token = current.set(span)
    try:
        if buffer.server is not None:
            served = answer(span)
            if not served.live:
                span.result = Packed(served.data or b"")
                return made(served.result)
        given = await real()
        span.result = buffer.capture(looked_at(buffer, lambda: kept(given), None))
    except BaseException as error:
        span.error = buffer.fault(error, parent)
        raise
    else:
        return given
    finally:
        span.end = perf_counter_ns()
        current.reset(token)

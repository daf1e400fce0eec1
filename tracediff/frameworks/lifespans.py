"""An ASGI application's own start, before a replay sends it a request.

What it makes without a server, as a client or an engine, is there for the endpoint. What it would
read or write is refused: the request is sent all the same, and the new trace says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import AsyncIterator, Mapping, MutableMapping, Sequence
from typing import Any

from tracediff import runtime
from tracediff.recording.faults import brief
from tracediff.runtime import Call, ReplayAbort, Served, current

SECONDS = 10.0
"""What a start may take."""


class _Starting:
    """Refuses whatever an application reaches while it starts."""

    steps: frozenset[str] = frozenset()
    begun = True

    def serve(self, call: Call) -> Served:
        raise self._refused(call.kind, call.name)

    def refuse(self, kind: str, name: str) -> None:
        raise self._refused(kind, name)

    def recorded(self, name: str) -> Sequence[bytes]:
        return ()

    def _refused(self, kind: str, name: str) -> ReplayAbort:
        return ReplayAbort(f"the {kind} {name!r} was reached while the application started")


@contextlib.asynccontextmanager
async def started(
    application: Any, state: MutableMapping[str, Any], marks: Mapping[str, Any]
) -> AsyncIterator[None]:
    """Run an application's start; it is cancelled in the end, without its shutdown.

    Args:
        application: The application.
        state: What it sets for its requests is put there.
        marks: More entries of the scope.
    """
    outside = contextvars.copy_context()
    outside.run(current.set, None)
    up: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
    task = asyncio.get_running_loop().create_task(
        _run(application, {"state": state, **marks}, up), context=outside
    )
    guard, runtime.guard = runtime.guard, _Starting()
    try:
        problem = await asyncio.wait_for(asyncio.shield(up), SECONDS)
    except TimeoutError:
        problem = f"it took longer than {SECONDS:g} s"
    finally:
        runtime.guard = guard
    here = current.get()
    if problem is not None and here is not None:
        here.buffer.warn(f"the application's start failed in the replay: {problem}")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task], timeout=1)


async def _run(application: Any, more: Mapping[str, Any], up: asyncio.Future[str | None]) -> None:
    asked = False

    async def receive() -> MutableMapping[str, Any]:
        nonlocal asked
        if not asked:
            asked = True
            return {"type": "lifespan.startup"}
        await asyncio.Event().wait()  # it is never told to shut down
        return {"type": "lifespan.shutdown"}

    async def send(message: MutableMapping[str, Any]) -> None:
        kind = message["type"]
        if kind == "lifespan.startup.complete":
            _say(up, None)
        elif kind == "lifespan.startup.failed":
            lines = str(message.get("message", "")).strip().splitlines()
            _say(up, lines[-1] if lines else "no reason was given")

    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, **more}
    try:
        await application(scope, receive, send)
        _say(up, None)
    except Exception:  # it has no start, which is how ASGI says so
        _say(up, None)
    except ReplayAbort as error:
        _say(up, brief(error))


def _say(up: asyncio.Future[str | None], what: str | None) -> None:
    if not up.done():
        up.set_result(what)

"""uvicorn ends by the signal that it got: what is recorded is saved before, when it shuts down."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

from uvicorn.server import Server

from tracediff.recording.session import flush

_HOOKED = "__tracediff_hooked__"
SECONDS = 5.0
"""The most that a server's end waits."""


def hook() -> None:
    """Save traces when a server shuts down, once."""
    kind: Any = Server
    real = kind.shutdown
    if hasattr(real, _HOOKED):
        return

    @functools.wraps(real)
    async def shutdown(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            await real(self, *args, **kwargs)
        finally:
            await asyncio.to_thread(flush, SECONDS)

    setattr(shutdown, _HOOKED, True)
    kind.shutdown = shutdown

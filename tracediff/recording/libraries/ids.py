"""``uuid``: ``uuid1`` and ``uuid4``. The others are worked out from their arguments."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from tracediff.config import Config
from tracediff.recording.libraries.patching import Patch
from tracediff.recording.libraries.reach import Reach, asked_by_python, recorded_here


def patches(config: Config) -> Iterable[Patch]:
    """What records the library."""
    for name in ("uuid1", "uuid4"):
        yield Patch(uuid, name, _recorded(getattr(uuid, name)), everywhere=True)


def _recorded(real: Callable[..., uuid.UUID]) -> Callable[..., uuid.UUID]:
    def made() -> uuid.UUID:
        return real()

    reach = Reach("input", f"uuid.{real.__name__}", made)

    @functools.wraps(real)
    def wrapper(*args: Any, **kwargs: Any) -> uuid.UUID:
        parent = recorded_here()
        if parent is None or asked_by_python():
            return real(*args, **kwargs)
        run = functools.partial(real, *args, **kwargs)
        return reach(parent, run=run)  # type: ignore[no-any-return]  # a recorded UUID

    return wrapper

"""``uuid``: ``uuid1`` and ``uuid4``. The others are worked out from their arguments.

The functions stay the objects that they are, with other code in them: a program may have taken them
long before, as the default of a model's field.
"""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable, Iterable
from types import FunctionType
from typing import Any

from tracediff.config import Config
from tracediff.recording.libraries.patching import Patch
from tracediff.recording.libraries.reach import Reach, asked_by_python, recorded_here

_PASSED = frozenset({"uuid"})
"""The module whose functions have the code below in them."""
_NUMBERED = frozenset({"arq", "celery", "dramatiq", "huey", "kombu", "pymongo", "redis", "rq"})
"""What numbers messages, producers, queues, sessions and locks, some once a process: what a job
sends is an output, which has the recorded id as its result."""

# The names that this code has in the module ``uuid``, whose globals it runs with.
_tracediff_uuid1: Callable[..., uuid.UUID]
_tracediff_uuid4: Callable[..., uuid.UUID]


def _uuid1(node: Any = None, clock_seq: Any = None) -> uuid.UUID:
    return _tracediff_uuid1(node, clock_seq)  # noqa: F821 - a global of the module uuid


def _uuid4() -> uuid.UUID:
    return _tracediff_uuid4()  # noqa: F821 - the same


def _copy(real: FunctionType) -> FunctionType:
    """The function with the code that it has now."""
    return FunctionType(real.__code__, real.__globals__, real.__name__, real.__defaults__)


_REAL = {name: _copy(getattr(uuid, name)) for name in ("uuid1", "uuid4")}


def patches(config: Config) -> Iterable[Patch]:
    """What records the library."""
    for instead in (_uuid1, _uuid4):
        name = instead.__name__[1:]
        yield Patch(uuid, f"_tracediff_{name}", _recorded(_REAL[name]))
        yield Patch(getattr(uuid, name), "__code__", instead.__code__)


def _recorded(real: Callable[..., uuid.UUID]) -> Callable[..., uuid.UUID]:
    def made() -> uuid.UUID:
        return real()

    reach = Reach("input", f"uuid.{real.__name__}", made)

    @functools.wraps(real)
    def wrapper(*args: Any, **kwargs: Any) -> uuid.UUID:
        parent = recorded_here()
        if parent is None or asked_by_python(_PASSED, _NUMBERED):
            return real(*args, **kwargs)
        run = functools.partial(real, *args, **kwargs)
        return reach(parent, run=run)  # type: ignore[no-any-return]  # a recorded UUID

    return wrapper

"""``random``: the functions that all others of the module draw from.

They are set on the module's one hidden generator, so that ``choice`` or ``shuffle`` draw from them
however they were imported. ``gauss`` is one too, since it keeps a number for its next call.
Generators of a program's own are seeded by it.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterable
from typing import Any

from tracediff.config import Config
from tracediff.recording.libraries.patching import Patch
from tracediff.recording.libraries.reach import Reach, asked_by_python, recorded_here

_PASSED = frozenset({"random"})
_WAITING = frozenset({"pymongo", "redis"})
"""What draws for itself which server it asks and how long it waits before it tries again."""


def patches(config: Config) -> Iterable[Patch]:
    """What records the library."""
    generator = random.choice.__self__  # type: ignore[attr-defined]  # a method of the hidden one
    for shape in (_random, _getrandbits, _gauss):
        name = shape.__name__[1:]
        instead = _recorded(getattr(random, name), shape)
        yield Patch(random, name, instead, everywhere=True)
        yield Patch(generator, name, instead)


def _random() -> None:
    """The arguments of ``random``."""


def _getrandbits(k: int) -> None:
    """The arguments of ``getrandbits``."""


def _gauss(mu: float = 0.0, sigma: float = 1.0) -> None:
    """The arguments of ``gauss``."""


def _recorded(real: Callable[..., Any], shape: Callable[..., None]) -> Callable[..., Any]:
    reach = Reach("input", f"random.{real.__name__}", shape)

    @functools.wraps(real)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        parent = recorded_here()
        if parent is None or asked_by_python(_PASSED, _WAITING):
            return real(*args, **kwargs)
        return reach(parent, *args, run=real, **kwargs)

    return wrapper

"""Carrying the active trace into threads that would not have it."""

from __future__ import annotations

import contextvars
import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def propagate(function: Callable[P, R]) -> Callable[P, R]:
    """A callable that runs in the current context, for a thread or an executor.

    Steps it makes become children of the step that is current now; it may run any number of times,
    also at once.
    """
    context = contextvars.copy_context()

    @functools.wraps(function)
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        return context.copy().run(function, *args, **kwargs)

    return inside

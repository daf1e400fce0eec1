"""Carrying the active trace into threads that would not have it."""

from __future__ import annotations

import contextvars
import functools
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def propagate(function: Callable[P, R]) -> Callable[P, R]:
    """A callable that runs in the current context, for a thread or an executor.

    Steps it makes become children of the step that is current now; it may run any number of times,
    also at once. A trace does not reach into other processes: there the function just runs.
    """
    return _Propagated(function, contextvars.copy_context())


class _Propagated(Generic[P, R]):
    def __init__(self, function: Callable[P, R], context: contextvars.Context) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._context = context

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._context.copy().run(self._function, *args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        return _plain, (self._function,)


def _plain(function: Callable[P, R]) -> Callable[P, R]:
    return function

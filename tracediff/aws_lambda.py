"""AWS Lambda: the invocations of a handler are jobs.

Decorate it::

    from tracediff.aws_lambda import handler

    @handler
    def main(event, context): ...

or change nothing in its module: have Lambda call ``tracediff.aws_lambda.run``, and name the
function's own handler in the variable ``LAMBDA_HANDLER``, as ``orders.main``.
"""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Callable
from typing import Any, TypeVar

from tracediff.frameworks import watch
from tracediff.frameworks.handlers import recorded_handler

__all__ = ["handler", "run"]

VARIABLE = "LAMBDA_HANDLER"
F = TypeVar("F", bound=Callable[..., Any])

watch()


def handler(function: F) -> F:
    """Make a job of each invocation of a handler.

    Args:
        function: Takes the event and the context.
    """
    return recorded_handler(function)  # type: ignore[return-value]  # it takes and gives the same


@functools.cache
def _named(name: str) -> Callable[..., Any]:
    module, _, function = name.rpartition(".")
    found: Any = getattr(importlib.import_module(module.replace("/", ".")), function)
    return recorded_handler(found)


def run(event: Any, context: Any) -> Any:
    """Invoke the handler that ``LAMBDA_HANDLER`` names.

    Args:
        event: The event.
        context: The context.

    Raises:
        LookupError: The variable names no handler.
    """
    name = os.environ.get(VARIABLE, "")
    if "." not in name:
        raise LookupError(f"{VARIABLE} names no handler: set it to MODULE.FUNCTION")
    return _named(name)(event, context)


if os.environ.get(VARIABLE):
    _named(os.environ[VARIABLE])  # while the function starts, as its own module would be

"""The project's modules that are loaded, and what stands in them: looked at, and never asked."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Final

from tracediff.replayability.stack import Stacks

DEEPEST: Final = 10
"""How many wrappers are looked through."""


def modules(stacks: Stacks) -> Iterator[tuple[str, ModuleType, str]]:
    """The project's modules by name, each with its file."""
    for name, module in list(sys.modules.items()):
        if type(module) is not ModuleType:
            continue
        file = vars(module).get("__file__")
        relative = stacks.relative(file) if isinstance(file, str) else None
        if relative is not None:
            yield name, module, relative


def attributes(value: Any) -> dict[str, Any] | None:
    """An object's own attributes; None where it keeps them otherwise."""
    try:
        found = object.__getattribute__(value, "__dict__")
    except AttributeError:  # an object with slots
        return None
    return found if type(found) is dict else None


def layers(value: Any) -> Iterator[Any]:
    """A value and what is beneath its decorators, from outside in."""
    for _ in range(DEEPEST):
        yield value
        if isinstance(value, staticmethod | classmethod):
            value = value.__func__
            continue
        inner = attributes(value)
        if inner is None or "__wrapped__" not in inner:
            return
        value = inner["__wrapped__"]

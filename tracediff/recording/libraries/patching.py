"""Putting functions in the place of a library's own, and those back."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import ModuleType
from typing import Any, NamedTuple

_MISSING = object()


class Patch(NamedTuple):
    """What stands in for an attribute of a module, class or object.

    ``everywhere``: also where a module took the function itself, by ``from time import time``.
    """

    owner: Any
    name: str
    instead: Any
    everywhere: bool = False


class Applied:
    """Patches that are in place, until ``undo``."""

    def __init__(self, patches: Iterable[Patch]) -> None:
        self._before: list[tuple[Any, str, Any]] = []
        moved: dict[int, Any] = {}
        for patch in patches:
            if patch.everywhere:
                moved[id(getattr(patch.owner, patch.name))] = patch.instead
            self._put(patch.owner, patch.name, patch.instead)
        if moved:
            self._rebind(moved)

    def undo(self) -> None:
        """Put back what was there."""
        while self._before:
            owner, name, value = self._before.pop()
            if value is _MISSING:
                delattr(owner, name)
            else:
                setattr(owner, name, value)

    def _put(self, owner: Any, name: str, value: Any) -> None:
        kept = owner.__code__ if name == "__code__" else vars(owner).get(name, _MISSING)
        self._before.append((owner, name, kept))
        setattr(owner, name, value)

    def _rebind(self, moved: dict[int, Any]) -> None:
        """Also in the programs' modules that were imported before."""
        loaded: list[tuple[str, Any]] = list(sys.modules.items())
        for name, module in loaded:
            top = name.partition(".")[0]
            if top in sys.stdlib_module_names or top == "tracediff":
                continue
            if type(module) is not ModuleType:  # a lazy one would be loaded by the look
                continue
            for held, value in list(vars(module).items()):
                if id(value) in moved:
                    self._put(module, held, moved[id(value)])

"""Objects that refer to each other: each is written once in a value, then only named.

A program's models do: an order has lines, each line its order. Written out along each way, a few
hundred of them would be millions.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from tracediff.values.nodeshapes import Shape


class Shared:
    """Writes the objects of a class that may come more than once in a value.

    Args:
        shape: Gives an object's shape where it comes first; told its number among those of the
            value that ``name`` has no name for.
        again: Gives what stands for it where it comes again: a shape with its name or number.
        name: What tells it from others of its class: canonical bytes, or None.
    """

    __slots__ = ("_again", "_name", "_shape")

    def __init__(
        self,
        shape: Callable[[Any, int | None], Shape],
        again: Callable[[Any, int | None], Shape],
        name: Callable[[Any], bytes | None],
    ) -> None:
        self._shape = shape
        self._again = again
        self._name = name

    def __call__(self, obj: Any) -> Shape:
        """Its shape where nothing else is in the value."""
        return self.among(obj, {})

    def among(self, obj: Any, seen: dict[Any, Any]) -> Shape:
        """Its shape in a value, of which ``seen`` knows the objects that came before."""
        at = id(obj)
        if at in seen:
            return self._again(obj, seen[at])
        name = self._name(obj)
        number = None
        if name is None or (type(obj), name) in seen:
            number = seen[None] = seen.get(None, -1) + 1
        else:
            seen[type(obj), name] = True
        seen[at] = number
        return self._shape(obj, number)


class Shells:
    """The objects of one value while it is read: made where they are first named, then filled.

    ``known`` is for who fills them, to find one by what a library knows it by.
    """

    def __init__(self) -> None:
        self.known: dict[Any, Any] = {}
        self._shells: dict[Any, Any] = {}
        self._filled: dict[int, Callable[[], None]] = {}

    def shell(self, cls: type, mark: Any, make: Callable[[type], Any]) -> Any:
        """The object of this name or number, which is empty until it is read."""
        key = cls, mark
        found = self._shells.get(key)
        if found is None:
            found = self._shells[key] = make(cls)
        return found

    def filled(self, obj: Any, finish: Callable[[], None]) -> None:
        """The object was read; ``finish`` is called when the others are too."""
        self._filled[id(obj)] = finish

    def finish(self) -> None:
        """All were read."""
        for finish in self._filled.values():
            finish()


class _Reading(threading.local):
    shells: Any = None  # those of the value that is being read, or None


_reading = _Reading()


def shells() -> Shells:
    """Those of the value that this thread is reading."""
    if _reading.shells is None:
        _reading.shells = Shells()
    found: Shells = _reading.shells
    return found


def read(decode: Callable[[], Any]) -> Any:
    """Read one value, with shells of its own."""
    before, _reading.shells = _reading.shells, None
    try:
        found = decode()
        made: Shells | None = _reading.shells
        if made is not None:
            made.finish()
        return found
    finally:
        _reading.shells = before

"""Functions that a benchmark autotraces: all of a module, so they have one of their own."""

from __future__ import annotations

from collections.abc import Iterator


def call(a: int, b: int) -> int:
    """What is autotraced by other code in its place."""
    return a


def raising(a: int, b: int) -> int:
    raise ValueError(a)


def items(a: int, b: int) -> Iterator[int]:
    yield from range(10)

"""Where a value that was not kept comes from."""

from __future__ import annotations

from collections.abc import Mapping

from tracediff import values
from tracediff.model import Value

MAX_PARTS = 100_000


def holds(value: Value | None, node: object) -> bool:
    """Whether this opaque or redacted node is somewhere in a recorded value."""
    left = [] if value is None else [values.inert(value)]
    for _ in range(MAX_PARTS):
        if not left:
            break
        part = left.pop()
        if type(part) is type(node) and part == node:
            return True
        left.extend(_parts(part))
    return False


def _parts(value: object) -> list[object]:
    if isinstance(value, Mapping):
        return [*value.keys(), *value.values()]
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    if isinstance(value, values.Record):
        return [value.base, *value.fields.values()]
    if isinstance(value, values.Pairs):
        return [part for pair in value.items for part in pair]
    return list(value.items) if isinstance(value, values.Members) else []

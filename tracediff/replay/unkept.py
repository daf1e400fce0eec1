"""Where a value that was not kept comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tracediff import values
from tracediff.model import Value

MAX_PARTS = 100_000


def holds(value: Value | None, node: object) -> bool:
    """Whether this opaque or redacted node is somewhere in a recorded value."""
    return any(
        type(part) is type(node) and (part == node or _is_one_of(part, node))
        for part in parts(value)
    )


def parts(value: Value | None) -> Iterator[object]:
    """A recorded value in its inert form, and all that is in it, so many at most."""
    left = [] if value is None else [values.inert(value)]
    for _ in range(MAX_PARTS):
        if not left:
            return
        part = left.pop()
        yield part
        left.extend(_parts(part))


def _is_one_of(part: object, node: object) -> bool:
    """A record without fields stands for any of its class."""
    return (
        isinstance(part, values.Record)
        and isinstance(node, values.Record)
        and (not node.fields and part.type == node.type)
    )


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

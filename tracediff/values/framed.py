"""Frames of libraries whose columns have names: those with a secret name are sealed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tracediff.values import tags
from tracediff.values.nodes import Redacted
from tracediff.values.nodeshapes import Shape, Shaper
from tracediff.values.placeholder import Placeholder, node_of
from tracediff.values.redaction import Redaction, sealed
from tracediff.values.refs import type_ref


class Framed:
    """Writes the frames of a class.

    Args:
        key: The kind that is written for a frame with sealed columns, as "pandas:sealed".
        shape: Gives a frame's shape.
        names: The names of its columns, and those that name all of it (its own, its index's).
        column: The column at a position, as a value.
        without: The frame without the columns at some positions.
    """

    __slots__ = ("_column", "_key", "_names", "_shape", "_without")

    def __init__(
        self,
        key: str,
        shape: Shaper,
        names: Callable[[Any], tuple[Sequence[Any], Sequence[Any]]],
        column: Callable[[Any, int], Any],
        without: Callable[[Any, set[int]], Any],
    ) -> None:
        self._key = key.encode()
        self._shape = shape
        self._names = names
        self._column = column
        self._without = without

    def __call__(self, obj: Any) -> Shape:
        """Its shape where nothing is secret."""
        return self._shape(obj)

    def among(self, obj: Any, redaction: Redaction, encode: Callable[[Any], bytes]) -> Shape:
        """Its shape without what has a secret name."""
        columns, whole = self._names(obj)
        if any(_is_secret(name, redaction) for name in whole):
            return sealed(obj, encode(obj), redaction)
        places = {at for at, name in enumerate(columns) if _is_secret(name, redaction)}
        if not places:
            return self._shape(obj)
        kept = [[columns[at], self._sealed(obj, at, redaction, encode)] for at in sorted(places)]
        parts = {"names": list(columns), "frame": self._without(obj, places), "sealed": kept}
        return tags.LIBRARY, [self._key, parts]

    def _sealed(
        self, obj: Any, at: int, redaction: Redaction, encode: Callable[[Any], bytes]
    ) -> Redacted:
        column = self._column(obj, at)
        held = _stand_in(column)
        if held is not None:
            return held
        key_id, digest = redaction.seal(encode(column))
        return Redacted(type_ref(type(column)), key_id, digest)


def _stand_in(column: Any) -> Redacted | None:
    """What a column was sealed as when it was recorded; a replay hands it on."""
    first = column.iloc[0] if hasattr(column, "iloc") and len(column) else None
    if type(first) is not Placeholder:
        return None
    node = node_of(first)
    return node if isinstance(node, Redacted) else None


def _is_secret(name: Any, redaction: Redaction) -> bool:
    """Whether a name, or one of the levels it is made of, is a secret's."""
    if isinstance(name, tuple):
        return any(_is_secret(one, redaction) for one in name)
    return type(name) is str and name not in redaction.safe and redaction.secret(name)

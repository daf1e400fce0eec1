"""What tells one call from another, where an argument has no exact form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from tracediff.values import nodes, tags
from tracediff.values.decode import decode
from tracediff.values.encode import encode
from tracediff.values.inert import InertBuilders
from tracediff.values.scalars import SCALARS


def identity(data: bytes) -> bytes:
    """The same canonical value with its opaque parts reduced to their types.

    A session or a client differs at each run; in the key of a call it counts by its type only.
    """
    if _OPAQUE_MARK not in data:
        return data
    return encode(decode(data, _ByType()))


def without_secrets(data: bytes) -> bytes | None:
    """The identity of a call whose sealed parts count by their types; None if it has none.

    Who replays a trace has other credentials, or seals with another key.
    """
    if _REDACTED_MARK not in data:
        return None
    found = encode(decode(data, _WithoutSecrets()))
    return found if found != identity(data) else None


class _ByType:
    leaves: ClassVar[dict[int, Callable[[bytes], Any]]] = InertBuilders.leaves
    trees: ClassVar[dict[int, Callable[[Any], Any]]] = {
        **InertBuilders.trees,
        tags.OPAQUE: lambda parts: nodes.Opaque(parts[0].decode(), "", None),
    }


class _WithoutSecrets:
    leaves: ClassVar[dict[int, Callable[[bytes], Any]]] = InertBuilders.leaves
    trees: ClassVar[dict[int, Callable[[Any], Any]]] = {
        **_ByType.trees,
        tags.REDACTED: lambda parts: nodes.Redacted(parts[0].decode(), "", b""),
    }


_REDACTED_MARK: Final = bytes((tags.REDACTED,))
_OPAQUE_MARK: Final = bytes((tags.OPAQUE,))


def aliases(args: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """Pairs of arguments that are one and the same changeable object; not part of any digest."""
    seen: dict[int, str] = {}
    found = []
    for name, value in args.items():
        if type(value) in SCALARS:
            continue
        first = seen.setdefault(id(value), name)
        if first != name:
            found.append((first, name))
    return tuple(found)

"""Holding a value as it is now, without encoding it: that is for the writer's thread.

Only what is made of plain dicts and lists, whose other members never change, can be held; the rest
is encoded at once. What is held is a *print* of the value: ormsgpack's bytes of it, in which a
member that ormsgpack has no form for stands by its address, and a list of these members, which
keeps their addresses theirs. The value can be built from that later, and is unchanged while its
print is the same.

A print would take for ever where the job has put a small graph into the value whose paths are many.
So what stands in the containers is compared first: that ends where anything differs.
"""

from __future__ import annotations

from collections.abc import Callable
from gc import get_referents
from typing import Any, Final

import ormsgpack
from ormsgpack import packb, unpackb

from tracediff import values

CONTAINERS: Final = frozenset({dict, list, tuple})

MOST: Final = 2_000
"""Members of a value that are worth looking at."""

LARGEST: Final = 16 * 1024
"""Bytes of a value that are worth looking at again to see a change."""

OVERHEAD: Final = 1_000
"""Bytes that holding a value takes beside its print, about."""

UNCLEAR: Final = "<what is held of it can be read in two ways>"

# Big integers are refused: they would stand by their address and not be among the leaves.
_OPTIONS: Final = values.OPTIONS & ~ormsgpack.OPT_PASSTHROUGH_BIG_INT
_NATIVE: Final = frozenset({int, float, bool, type(None)})
_LEAVES: Final = values.SCALARS - _NATIVE - {str, bytes}
_is_scalar: Final = values.SCALARS.issuperset

# Where an object is. Not ``id``, which a job might put in its place.
_address: Final[Any] = object.__hash__


class Held:
    """A dict, list or tuple as it was; ``size`` is about how many bytes its encoding takes."""

    __slots__ = ("containers", "data", "is_tuple", "leaves", "members", "print", "size")

    containers: list[Any]
    members: list[Any]
    leaves: list[Any]
    print: bytes
    size: int
    is_tuple: bool
    data: bytes | None

    def is_unchanged(self) -> bool:
        """Whether the value is what it was; False when in doubt."""
        containers = self.containers
        try:
            return (
                get_referents(*containers) == self.members
                and packb(containers[0], _address, _OPTIONS) == self.print
            )
        except (Exception, SystemExit):  # of an object that the job has put there
            return False

    def encoded(self, encode: Callable[[Any], bytes]) -> bytes:
        """Its canonical bytes, made once."""
        if self.data is None:
            self.data = encode(self.value())
        return self.data

    def value(self) -> Any:
        """The value as it was, in containers of its own."""
        if not self.leaves:
            found = unpackb(self.print)
        else:
            put = _Leaves(self.leaves)
            found = put.into(unpackb(self.print))
            if put.left:  # an integer is the address of a leaf, by chance
                kind = "tuple" if self.is_tuple else type(found).__name__
                return values.Opaque(f"builtins:{kind}", UNCLEAR, None)
        return tuple(found) if self.is_tuple else found


class _Leaves:
    """Puts leaves in the place of their addresses; ``left`` is how many have none yet."""

    def __init__(self, leaves: list[Any]) -> None:
        self.known = {_address(leaf): leaf for leaf in leaves}
        self.left = len(leaves)

    def into(self, found: Any) -> Any:
        """What was read from a print, with its leaves."""
        kind = type(found)
        if kind is int and found in self.known:
            self.left -= 1
            return self.known[found]
        if kind is dict:
            return {key: self.into(one) for key, one in found.items()}
        return [self.into(one) for one in found] if kind is list else found


def hold(value: Any) -> Held | None:
    """Hold a dict, list or tuple; None where it has members that may change, or is large."""
    is_tuple = type(value) is tuple
    if len(value) > MOST:
        return None
    level = [[*value] if is_tuple else value]
    containers = [*level]
    members: list[Any] = []
    leaves: list[Any] = []
    size = 0
    while level:
        count = sum(map(len, level))
        if count + len(members) > MOST:
            return None
        found = get_referents(*level)
        if len(found) != count:
            return None  # more than values: keys that are no str
        members += found
        level = []
        for each in found:
            kind = type(each)
            if kind is str:
                size += len(each)
            elif kind in _NATIVE:
                continue
            elif kind in _LEAVES:
                leaves.append(each)
            elif kind is dict or kind is list:
                level.append(each)
            elif kind is tuple and _is_scalar(map(type, each)):
                leaves.append(each)
            else:
                return None
        containers += level
    # Before it is made, since one text may stand in a thousand places.
    seen = None if size > LARGEST else _print(containers, members)
    if seen is None:
        return None
    held = Held()
    held.containers = containers
    held.members = members
    held.leaves = leaves
    held.print = seen
    held.size = len(seen)
    held.is_tuple = is_tuple
    held.data = None
    return held


def _print(containers: list[Any], members: list[Any]) -> bytes | None:
    """The print of a value; None where it has none, or another thread has changed the value."""
    try:
        found = packb(containers[0], _address, _OPTIONS)
    except TypeError:  # a key that is no str, an integer or a str that has no plain form
        return None
    if len(found) > LARGEST or get_referents(*containers) != members:
        return None
    return found

"""Seeing that a value has not changed, without encoding it again.

A snapshot holds what stands in each plain container of a value. While every one of these objects is
still in its place, and all but the containers are of types that never change, the value is what it
was. Where anything is another object, only encoding it tells whether it differs.
"""

from __future__ import annotations

from operator import is_
from typing import Any

from tracediff import values

CONTAINERS = frozenset({dict, list, tuple})

MOST = 256
"""Containers in one value, and members in one of them, that are worth looking at."""

Snapshot = list[tuple[Any, tuple[Any, ...], tuple[Any, ...]]]

_is_scalar = values.SCALARS.issuperset


def snapshot(value: Any) -> Snapshot | None:
    """What stands in the containers of a value; None where something else in it may change."""
    found: Snapshot = []
    waiting = [value]
    try:
        while waiting:
            one = waiting.pop()
            plain = type(one) is not dict
            members = tuple(one) if plain else tuple(one.values())
            found.append((one, (), members) if plain else (one, tuple(one), members))
            if not _is_scalar(map(type, members)):
                below = [each for each in members if type(each) not in values.SCALARS]
                if not CONTAINERS.issuperset(map(type, below)):
                    return None
                waiting += below
            if len(found) + len(waiting) > MOST or len(members) > MOST:
                return None
    except RuntimeError:  # another thread changes it meanwhile
        return None
    return found


def is_unchanged(found: Snapshot) -> bool:
    """Whether the same objects still stand at the same places."""
    try:
        for one, keys, members in found:
            if len(one) != len(members):
                return False
            if type(one) is not dict:
                if not all(map(is_, one, members)):
                    return False
            elif not (all(map(is_, one, keys)) and all(map(is_, one.values(), members))):
                return False
    except RuntimeError:  # as above
        return False
    return True

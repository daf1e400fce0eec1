"""Cycles: references of a decoded value replaced by the containers they point to."""

from __future__ import annotations

import types
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, Final

from tracediff.values.leafread import unreadable
from tracediff.values.nodes import Reference
from tracediff.values.placeholder import Placeholder
from tracediff.values.rebuild import set_fields
from tracediff.values.shapes import BASES, attributes

STATE: Final = "_sa_instance_state"
"""Where an instance of SQLAlchemy has what the library knows of it."""

Chain = tuple[Any, Any]
Setter = Callable[[Any], Any]


def tie(root: Any) -> Any:
    """Replace every Reference below ``root`` by the container that many levels above it."""
    if type(root) is Reference:
        raise unreadable("a reference to nowhere")
    root = _renewed(root, None)
    once: set[int] = set()
    stack: list[tuple[Any, Chain | None]] = [(root, None)]
    while stack:
        obj, above = stack.pop()
        if STATE in getattr(obj, "__dict__", ()):  # it is named in many places
            if id(obj) in once:
                continue
            once.add(id(obj))
        chain: Chain = (obj, above)
        for child, assign in _children(obj):
            if type(child) is Reference:
                _assign(assign, _target(chain, child.levels))
            elif not isinstance(child, _ATOMS) and not _is_tied(obj, child, above):
                renewed = _renewed(child, chain)
                if renewed is not child:
                    _assign(assign, renewed)
                stack.append((renewed, chain))
    return root


def _is_tied(obj: Any, child: Any, above: Chain | None) -> bool:
    """Whether a tuple's item is one of the containers around it: then it was put there just now."""
    if not isinstance(obj, tuple):
        return False
    while above is not None:
        if above[0] is child:
            return True
        above = above[1]
    return False


def _renewed(obj: Any, above: Chain | None) -> Any:
    """A tuple that holds references cannot be changed, so another one takes its place.

    None of them can lead to a tuple that is made here: a tuple cannot hold itself but through
    something that can be changed, and that is tied later.
    """
    if not isinstance(obj, tuple):
        return obj
    chain: Chain = (obj, above)
    items = [
        _target(chain, item.levels) if type(item) is Reference else _renewed(item, chain)
        for item in obj
    ]
    if all(new is old for new, old in zip(items, obj, strict=True)):
        return obj
    return set_fields(tuple.__new__(type(obj), items), attributes(type(obj))(obj))


def _target(chain: Chain | None, levels: int) -> Any:
    while chain is not None and levels:
        chain = chain[1]
        levels -= 1
    if chain is None:
        raise unreadable("a reference to nowhere")
    return chain[0]


def _assign(assign: Setter | None, target: Any) -> None:
    if assign is None:
        raise unreadable("a cycle through a value that cannot be changed")
    assign(target)


def _children(obj: Any) -> Iterator[tuple[Any, Setter | None]]:
    """The members of one container, each with what puts another in its place."""
    if isinstance(obj, list | deque):
        for index, item in enumerate(list(obj)):
            yield item, _item_setter(obj, index)
    elif isinstance(obj, dict):
        for key, item in list(obj.items()):
            yield key, None
            yield item, _key_setter(obj, key)
    elif isinstance(obj, tuple | set | frozenset):
        for item in tuple(obj):
            yield item, None
    elif isinstance(obj, BaseException):
        yield obj.args, _attribute_setter(obj, "args")
    if type(obj) not in BASES:
        yield from _attributes(obj)


def _attributes(obj: Any) -> Iterator[tuple[Any, Setter | None]]:
    for name, value in attributes(type(obj))(obj).items():
        if name == STATE:
            continue
        yield value, _attribute_setter(obj, name)


def _item_setter(obj: Any, index: int) -> Setter:
    kind = list if isinstance(obj, list) else deque
    return lambda value: kind.__setitem__(obj, index, value)


def _key_setter(obj: Any, key: Any) -> Setter:
    kind = OrderedDict if isinstance(obj, OrderedDict) else dict
    return lambda value: kind.__setitem__(obj, key, value)


def _attribute_setter(obj: Any, name: str) -> Setter:
    if STATE in getattr(obj, "__dict__", ()):
        return lambda value: obj.__dict__.__setitem__(name, value)  # past its descriptors
    return lambda value: object.__setattr__(obj, name, value)


_ATOMS: Final = (
    int,
    str,
    float,
    complex,
    bytes,
    bytearray,
    memoryview,
    type(None),
    type,
    range,
    types.FunctionType,
    types.ModuleType,
    Enum,
    Placeholder,
)

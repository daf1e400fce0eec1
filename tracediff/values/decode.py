"""Canonical bytes to values: the walk both decoders share.

Extensions are decoded from inside out by ormsgpack's hook; what is nested deeper than the
interpreter's stack should go is done over by generators on a stack of their own. Memory is bounded
by the size of the input: every item takes at least one byte of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from typing import Any, Final, Protocol

from ormsgpack import Ext, packb, unpackb

from tracediff.errors import TracediffError
from tracediff.values import tags
from tracediff.values.leafread import unreadable

_END_PAYLOAD: Final = os.urandom(16)
_END: Final = packb(Ext(tags.END, _END_PAYLOAD))
_MAX_DEPTH: Final = 40
_MAX_STACK: Final = 6 * tags.MAX_DEPTH
_HEAD: Final = b"\x92"


class Builders(Protocol):
    """What makes objects of payloads: one function a tag."""

    @property
    def leaves(self) -> dict[int, Callable[[bytes], Any]]:
        """What reads the payload of each kind without members."""

    @property
    def trees(self) -> dict[int, Callable[[Any], Any]]:
        """What builds each kind with members from them."""


class _TooDeepError(Exception):
    pass


class _Raw:
    __slots__ = ("payload", "tag")

    def __init__(self, tag: int, payload: bytes) -> None:
        self.tag = tag
        self.payload = payload


def decode(data: bytes, builders: Builders) -> Any:
    """Decode one value; raises CodecError ``value-unreadable``, or what a builder raises."""
    walk = _Walk(builders)
    try:
        return walk.decode(data)
    except _TooDeepError:
        return _decode_carefully(data, builders)
    except TracediffError:
        raise
    except Exception as error:
        raise unreadable(_reason(error)) from error


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:200]}"


class _Walk:
    __slots__ = ("depth", "error", "hook", "leaves", "trees")

    def __init__(self, builders: Builders) -> None:
        self.leaves = builders.leaves
        self.trees = builders.trees
        self.depth = 0
        self.error: BaseException | None = None
        self.hook = self._hook

    def decode(self, data: bytes) -> Any:
        """Decode the bytes up to a mark behind them, so that nothing can hide after the value."""
        try:
            value, end = unpackb(_HEAD + data + _END, ext_hook=self.hook)
        except ValueError:
            if self.error is not None:
                raise self.error from None
            raise
        if end is not tags:
            raise unreadable("something follows the value")
        return value

    def _hook(self, tag: int, payload: bytes) -> Any:
        try:
            leaf = self.leaves.get(tag)
            if leaf is not None:
                return leaf(payload)
            tree = self.trees.get(tag)
            if tree is None:
                if tag == tags.END and payload == _END_PAYLOAD:
                    return tags
                raise unreadable(f"an extension of unknown type {tag}")
            self.depth += 1
            if self.depth > _MAX_DEPTH:
                raise _TooDeepError
            parts = unpackb(payload, ext_hook=self.hook)
            self.depth -= 1
            return tree(parts)
        except BaseException as error:
            if self.error is None:
                self.error = error
            raise


def _decode_carefully(data: bytes, builders: Builders) -> Any:
    """The same without recursion: ``yield raw`` in a generator below is a call."""
    stack: list[Generator[Any, Any, Any]] = [_resolve(_Raw(tags.NESTED, data), builders)]
    value: Any = None
    try:
        while stack:
            try:
                child = stack[-1].send(value)
            except StopIteration as done:
                stack.pop()
                value = done.value
            else:
                if len(stack) > _MAX_STACK:
                    raise unreadable("nested too deep")
                stack.append(_resolve(child, builders))
                value = None
    except TracediffError:
        raise
    except Exception as error:
        raise unreadable(_reason(error)) from error
    return value


def _resolve(raw: Any, builders: Builders) -> Generator[Any, Any, Any]:
    if type(raw) is _Raw:
        leaf = builders.leaves.get(raw.tag)
        if leaf is not None:
            return leaf(raw.payload)
        tree = builders.trees.get(raw.tag)
        if tree is None:
            raise unreadable(f"an extension of unknown type {raw.tag}")
        parts = unpackb(raw.payload, ext_hook=_Raw)
        return tree((yield parts) if type(parts) in _INNER else parts)
    if type(raw) is list:
        for index, item in enumerate(raw):
            if type(item) in _INNER:
                raw[index] = yield item
    elif type(raw) is dict:
        for name, item in raw.items():
            if type(item) in _INNER:
                raw[name] = yield item
    return raw


_INNER: Final = frozenset({list, dict, _Raw})

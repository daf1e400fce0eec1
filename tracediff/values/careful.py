"""Python object to canonical bytes, the careful way: any depth, any cycle, any hostile object.

Gives the very bytes of ``tracediff.values.encode`` wherever that succeeds. One generator a node
and a stack of them instead of recursion, so that the interpreter's recursion limit plays no part.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import datetime, time, timezone
from typing import Any, Final

from ormsgpack import Ext, Fragment, packb
from xxhash import xxh3_128_digest

from tracediff.values import tags
from tracediff.values.framed import Framed
from tracediff.values.graphs import Shared
from tracediff.values.interrupts import is_interrupt
from tracediff.values.leaves import LEAVES, NATIVE, InexactError, SaidError, big_int, surrogates
from tracediff.values.nodes import Deep, Global, Reference
from tracediff.values.nodeshapes import reference
from tracediff.values.opaque import MAX_TEXT, describe
from tracediff.values.placeholder import Placeholder
from tracediff.values.redaction import FLAGS, Redaction, sealed, seals_itself
from tracediff.values.refs import clean, type_ref
from tracediff.values.shapes import attributes, shaper_of

Packed = tuple[bytes, int]
"""The bytes of a value, and how many arrays and maps they nest."""

Walk = Generator[Any, Packed, Packed]

_MAX_NODES: Final = 2_000_000
_MAX_BYTES: Final = 1 << 28
_MAX_SEEN: Final = 2_000
_CHILDLESS: Final = frozenset({Deep, Global, Reference, Placeholder, datetime, time, timezone})
_CONTAINERS: Final = frozenset({list, dict})


def encode_carefully(
    obj: Any, redaction: Redaction | None, warn: Callable[[str], None] | None
) -> bytes:
    """Return the canonical bytes of any object; never raises."""
    encoder = _Careful(redaction, _MAX_NODES)
    try:
        data = encoder.run(obj)
    except Exception as error:  # a recorder never breaks the job
        if is_interrupt(error):
            raise
        encoder.lost.append(f"cannot be recorded: {type(error).__name__}")
        data = tags.extension(tags.DEEP, _name(obj))
    if warn is not None:
        for message in dict.fromkeys(encoder.lost):
            warn(message)
    return data


def _name(obj: Any) -> bytes:
    return type_ref(type(obj)).encode()


class _Careful:
    def __init__(self, redaction: Redaction | None, nodes: int) -> None:
        self.redaction = redaction
        self.open: dict[int, int] = {}
        self.seen: dict[Any, Any] = {}
        self.path: list[str | int] = []
        self.nodes = nodes
        self.bytes = 0
        self.strict = False
        self.lost: list[str] = []

    def run(self, obj: Any) -> bytes:
        """Drive the generators; ``yield child`` in one of them is a call."""
        stack = [self._root(obj) if type(obj) is dict else self._node(obj)]
        packed: Packed | None = None
        while stack:
            try:
                child = stack[-1].send(packed)  # type: ignore[arg-type]  # None starts a generator
            except StopIteration as done:
                stack.pop()
                packed = done.value
            else:
                stack.append(self._node(child))
                packed = None
        return packed[0] if packed else b"\xc0"

    def _root(self, obj: dict[Any, Any]) -> Walk:
        """A dict on top neither counts as a level nor is nested, so that ``encode_map`` agrees."""
        self.open[id(obj)] = 0
        return (yield from self._dict(obj))

    def _node(self, obj: Any) -> Walk:
        self.nodes -= 1
        redaction = self.redaction
        if redaction is not None and self._secret(obj, redaction):
            return self._seal(obj, redaction), 0
        try:
            leaf = self._leaf(obj, type(obj))
        except Exception as error:  # foreign code; whatever it raised, this has no exact form
            if is_interrupt(error):
                raise
            return self._opaque(obj), 0
        if leaf is not None:
            self.bytes += len(leaf)
            return leaf, 0
        if id(obj) in self.seen:  # what stands for it has nothing in it that could lead back
            return (yield from self._container(obj))
        if id(obj) in self.open:
            levels = len(self.open) - 1 - self.open[id(obj)]
            return packb(reference(levels)), 0
        spent = self.nodes < 0 or self.bytes > _MAX_BYTES
        if (spent or len(self.open) >= tags.MAX_DEPTH) and type(obj) not in _CHILDLESS:
            self.lost.append("nested too deep or too large to be recorded whole")
            return tags.extension(tags.DEEP, _name(obj)), 0
        self.open[id(obj)] = len(self.open)
        packed = yield from self._container(obj)
        del self.open[id(obj)]
        return packed

    def _container(self, obj: Any) -> Walk:
        cls = type(obj)
        if cls is list:
            data, height = yield from self._items(obj)
        elif cls is dict:
            data, height = yield from self._dict(obj)
        else:
            try:
                shape = self._shape(obj)
            except Exception as error:  # foreign code; this has no exact form
                if is_interrupt(error):
                    raise
                return self._opaque(obj, str(error) if type(error) is SaidError else ""), 0
            if isinstance(shape, Ext):
                return packb(shape), 0
            tag, parts = shape
            data = yield from self._payload(tag, parts)
            return tags.extension(tag, data), 0
        if height >= tags.MAX_HEIGHT:
            return tags.extension(tags.NESTED, data), 0
        return data, height

    def _shape(self, obj: Any) -> Any:
        shaper = shaper_of(type(obj))
        if type(shaper) is Shared:
            return shaper.among(obj, self.seen)
        if type(shaper) is Framed and self.redaction is not None:
            nodes = min(self.nodes, _MAX_NODES)
            return shaper.among(obj, self.redaction, lambda one: _Careful(None, nodes).run(one))
        return shaper(obj)

    def _leaf(self, obj: Any, cls: type) -> bytes | None:
        if cls in NATIVE:
            if cls is str:
                return self._str(obj)
            if cls is int and not -(1 << 63) <= obj < 1 << 64:
                return packb(big_int(obj))
            return packb(obj)
        if cls is Ext or cls is Fragment:
            raise InexactError("a value of the wire format itself")
        if cls in _CONTAINERS:
            return None
        leaf = LEAVES.get(cls)
        return packb(leaf(obj)) if leaf is not None else None

    def _str(self, obj: str) -> bytes:
        redaction = self.redaction
        if redaction is not None and redaction.scrub_values and redaction.scrub is not None:
            obj = str(redaction.scrub(obj))
        try:
            return packb(obj)
        except TypeError:
            return packb(surrogates(obj))

    def _payload(self, tag: int, parts: list[Any]) -> Generator[Any, Packed, bytes]:
        if tag in (tags.SET, tags.FROZENSET):
            members = []
            for item in parts:
                members.append((yield item)[0])
            members.sort()
            return tags.array_header(len(members)) + b"".join(members)
        if tag in tags.PARTS:
            return (yield from self._parts(parts))
        return (yield from self._items(parts))[0]

    def _parts(self, parts: list[Any]) -> Generator[Any, Packed, bytes]:
        """The parts themselves are no level of the value: only what is in them is."""
        data = [tags.array_header(len(parts))]
        for part in parts:
            if type(part) is dict:
                packed, height = yield from self._dict(part)
            elif type(part) is list:
                packed, height = yield from self._items(part)
            elif type(part) is bytes:
                packed, height = packb(part), 0
            else:
                packed, height = yield part
            if height >= tags.MAX_HEIGHT:
                packed = tags.extension(tags.NESTED, packed)
            data.append(packed)
        return b"".join(data)

    def _items(self, items: list[Any]) -> Walk:
        data, top = [tags.array_header(len(items))], 0
        path = self.path
        for index, item in enumerate(list(items)):
            path.append(index)
            packed, height = yield item
            path.pop()
            data.append(packed)
            top = max(top, height)
        return b"".join(data), top + 1

    def _dict(self, obj: dict[Any, Any]) -> Walk:
        pairs = list(obj.items())
        native = all(type(key) is str and clean(key) == key for key, _ in pairs)
        head = tags.map_header(len(pairs)) if native else tags.array_header(2 * len(pairs))
        data, top = [head], 0
        redaction, path = self.redaction, self.path
        for key, value in pairs:
            if native:
                data.append(packb(key))
            else:
                data.append((yield key)[0])
            flag = type(value) in FLAGS
            if redaction is not None and not flag and _names_secret(key, redaction):
                data.append(self._seal(value, redaction))
                continue
            path.append(key if type(key) is str or type(key) is int else "*")
            packed, height = yield value
            path.pop()
            data.append(packed)
            top = max(top, height)
        if native:
            return b"".join(data), top + 1
        return tags.extension(tags.PAIRS, b"".join(data)), 0

    def _secret(self, obj: Any, redaction: Redaction) -> bool:
        if (redaction.types and isinstance(obj, redaction.types)) or seals_itself(type(obj)):
            return True
        rule = redaction.path_rule
        return rule is not None and bool(self.path) and rule(tuple(self.path))

    def _seal(self, obj: Any, redaction: Redaction) -> bytes:
        inner = _Careful(None, min(self.nodes, _MAX_NODES))
        held = attributes(type(obj))(obj) if seals_itself(type(obj)) else obj
        return packb(sealed(obj, inner.run(held), redaction))

    def _opaque(self, obj: Any, reason: str = "") -> bytes:
        """Type, bounded repr, and a digest of the attributes if all of them are exact."""
        if self.strict:
            raise InexactError("inside a value that has no exact form itself")
        redaction = self.redaction
        text = describe(obj, redaction.scrub if redaction is not None else None)
        if reason:
            text = f"{text[: MAX_TEXT - len(reason) - 3]} ({reason})"
        seen = None if seals_itself(type(obj)) else _visible(obj, redaction)
        parts = [_name(obj), text.encode(), seen]
        return tags.extension(tags.OPAQUE, packb(parts))


def _visible(obj: Any, redaction: Redaction | None) -> bytes | None:
    """A digest of the attributes of an opaque object, if they are few and all exact."""
    try:
        fields = attributes(type(obj))(obj)
        if not fields:
            return None
        inner = _Careful(redaction, _MAX_SEEN)
        inner.strict = True
        data = inner.run(fields)
        return None if inner.lost else xxh3_128_digest(data)
    except Exception as error:  # nothing can be said of them, then
        if is_interrupt(error):
            raise
        return None


def _names_secret(key: Any, redaction: Redaction) -> bool:
    return type(key) is str and key not in redaction.safe and redaction.secret(key)

"""Python object to canonical bytes: the fast way, for all but what is deep, cyclic or hostile.

ormsgpack walks what is native and asks ``default`` about the rest, so Python code runs for the
containers only: to see that nothing in them is of a type that ormsgpack would convert by itself
(a bytearray, a memoryview), that a dict's keys are str, and that no key names a secret. Whatever
goes wrong here, ``tracediff.values.careful`` starts over and finds out what it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from ormsgpack import Ext, Fragment, packb, unpackb
from xxhash import xxh3_128_digest

from tracediff.values import tags
from tracediff.values.careful import encode_carefully
from tracediff.values.framed import Framed
from tracediff.values.graphs import Shared
from tracediff.values.interrupts import is_interrupt
from tracediff.values.leaves import DATETIME, FLAT, LEAVES, NATIVE, datetime_bytes
from tracediff.values.redaction import Redaction, sealed, secret_names
from tracediff.values.shapes import SHAPES, plan

OPTIONS: Final = tags.OPTIONS
_SCALAR: Final = FLAT - {type}
NUMBERS: Final = frozenset({type(None), bool, int, float, Decimal})
_STR: Final = frozenset({str})
_ASKED: Final = frozenset({list, dict, bytearray, memoryview, Ext, Fragment})
_DECIMAL: Final = tags.DECIMAL
_LONG_DECIMAL: Final = 64
_DECIMAL_HEADS: Final = (
    b"",
    *(tags.extension(_DECIMAL, bytes(size))[:-size] for size in range(1, _LONG_DECIMAL)),
)
"""What stands before the text of a Decimal, by its length."""
_RECORD: Final = tags.RECORD
_TUPLE: Final = tags.TUPLE
_RECORD_HEAD: Final = b"\x93"
_MAX_DEPTH: Final = 40
_MAX_ITEMS: Final = 2_000_000
_MIN_HIGH: Final = 2 * tags.MAX_HEIGHT
_LONG_MAP: Final = frozenset({0xDE, 0xDF})
_CONTAINERS: Final = bytes((*range(0x80, 0xA0), 0xDC, 0xDD, 0xDE, 0xDF))
"""The bytes that begin an array or a map, and what others may begin with too."""
_MAX_FLAT: Final = 20_000
_MAX_BYTES: Final = 1 << 28
_is_flat = FLAT.issuperset
_is_str = _STR.issuperset
_is_plain = _ASKED.isdisjoint
_is_container = frozenset({dict, list}).issuperset


class _GiveUpError(Exception):
    """This value needs the careful encoder."""


def encode(
    obj: object,
    *,
    redaction: Redaction | None = None,
    warn: Callable[[str], None] | None = None,
) -> bytes:
    """Return the canonical exact bytes of any object; never raises.

    What has no exact form becomes an opaque value.

    Args:
        obj: Anything.
        redaction: What is secret, if anything is.
        warn: Called with one sentence when something of the value could not be kept.
    """
    try:
        if redaction is not None and (
            redaction.types or redaction.scrub_values or redaction.path_rule is not None
        ):
            return encode_carefully(obj, redaction, warn)
        cls = type(obj)
        if cls is dict:
            if _is_flat_dict(obj, redaction):
                return packb(obj, _leaf, OPTIONS)
        elif cls in _SCALAR:
            return packb(obj, _leaf, OPTIONS)
        encoder = _Encoder(redaction)
        try:
            if (cls is dict or cls is list) and encoder.is_clean(obj):
                return packb(obj, encoder.default, OPTIONS)
            return encoder.pack(obj)
        except Exception:
            if encoder.interrupt is not None:
                raise encoder.interrupt from None
            raise
    except Exception as error:  # the careful encoder finds out, and contains it
        if is_interrupt(error):
            raise
        return encode_carefully(obj, redaction, warn)


def encode_number(obj: object) -> bytes:
    """The same for an object of one of the exact types ``NUMBERS``, sooner."""
    if type(obj) is Decimal:
        text = str(obj).encode()
        if len(text) < _LONG_DECIMAL:
            return _DECIMAL_HEADS[len(text)] + text
    return packb(obj, _leaf, OPTIONS)


def _is_flat_dict(obj: Any, redaction: Redaction | None) -> bool:
    return (
        _is_str(map(type, obj))
        and _is_flat(map(type, obj.values()))
        and (redaction is None or redaction.safe.issuperset(obj))
    )


def encode_map(pairs: Iterable[tuple[str, bytes]]) -> bytes:
    """A dict of values that are encoded already, by concatenation; equals encoding the dict."""
    pairs = list(pairs)
    parts = [tags.map_header(len(pairs))]
    try:
        for name, data in pairs:
            parts += (packb(name), nestable(data) if len(data) > _MIN_HIGH else data)
    except TypeError:
        return _encode_odd_map(pairs)
    return b"".join(parts)


def encode_numbers(names: tuple[str, ...], numbers: Iterable[object]) -> bytes:
    """A dict of objects of the exact types ``NUMBERS``, by names that are parameters'."""
    head, keys = _keys(names)
    parts = [head]
    add = parts.append
    for key, number in zip(keys, numbers):  # noqa: B905 - to say strict costs a fifth of it all
        add(key)
        if type(number) is Decimal:
            text = str(number).encode()
            if len(text) < _LONG_DECIMAL:
                add(_DECIMAL_HEADS[len(text)])
                add(text)
                continue
        add(packb(number, _leaf, OPTIONS))
    return b"".join(parts)


@lru_cache(maxsize=1024)
def _keys(names: tuple[str, ...]) -> tuple[bytes, list[bytes]]:
    """The header and the keys of a dict, encoded; a function has them at each call."""
    return tags.map_header(len(names)), list(map(packb, names))


def _encode_odd_map(pairs: list[tuple[str, bytes]]) -> bytes:
    parts = [tags.array_header(2 * len(pairs))]
    for name, data in pairs:
        parts += (encode(name), nestable(data))
    return tags.extension(tags.PAIRS, b"".join(parts))


def nestable(data: bytes) -> bytes:
    """A value on top may be a dict of any height; inside another it may not."""
    if data[0] & 0xF0 != 0x80 and data[0] not in _LONG_MAP:
        return data
    if len(data) - len(data.translate(None, _CONTAINERS)) < tags.MAX_HEIGHT:
        return data  # too few bytes that could begin a container
    level: list[Any] = [unpackb(bytes(data), ext_hook=_nothing)]  # it refuses a subclass of bytes
    for _ in range(tags.MAX_HEIGHT - 1):
        level = [
            item
            for one in level
            for item in (one.values() if type(one) is dict else one)
            if type(item) is dict or type(item) is list
        ]
        if not level:
            return data
    return tags.extension(tags.NESTED, data)


def _nothing(tag: int, payload: bytes) -> None:
    return None


def digest(data: bytes) -> bytes:
    """The xxh3-128 digest of canonical bytes: 16 bytes, for comparison, not for trust."""
    return xxh3_128_digest(data)


def _leaf(obj: Any) -> Ext:
    return LEAVES[type(obj)](obj)


class _Encoder:
    """One value on its way to bytes; counts what it visits, so that a bomb ends."""

    __slots__ = ("depth", "interrupt", "left", "redaction", "seen")

    def __init__(self, redaction: Redaction | None) -> None:
        self.redaction = redaction
        self.seen: dict[Any, Any] = {}
        self.depth = 0
        self.left = _MAX_ITEMS
        self.interrupt: BaseException | None = None

    def pack(self, obj: Any) -> bytes:
        return packb(self.plain(obj), self.default, OPTIONS)

    def is_clean(self, obj: Any) -> bool:
        """Whether ormsgpack gets all of these dicts and lists right, and no key is a secret.

        Most values are like that; one walk that copies nothing finds it out, level by level.
        """
        safe = self.redaction.safe if self.redaction is not None else None
        left, level = self.left, [obj]
        for _ in range(_MAX_DEPTH):
            below: list[Any] = []
            for one in level:
                members = one
                if type(one) is dict:
                    members = one.values()
                    if not _is_str(map(type, one)) or not (safe is None or safe.issuperset(one)):
                        return False
                left -= len(one) + 1
                if left < 0 or len(one) > _MAX_FLAT:
                    return False
                if not _is_plain(map(type, members)):
                    asked = [item for item in members if type(item) in _ASKED]
                    if not _is_container(map(type, asked)):
                        return False
                    below += asked
            if not below:
                self.left = left
                return True
            level = below
        return False

    def plain(self, obj: Any) -> Any:
        """The same value with nothing in it that ormsgpack would get wrong."""
        cls = type(obj)
        if cls is dict:
            return self._dict(obj)
        if cls is list:
            self._count(obj)
            if _is_plain(map(type, obj)):
                return obj
            self._descend()
            plain, asked = self.plain, _ASKED
            items = [plain(item) if type(item) in asked else item for item in obj]
            self.depth -= 1
            return items
        if cls is bytearray:
            return LEAVES[bytearray](obj)
        if cls is memoryview:
            return self.default(obj)
        if cls is Ext or cls is Fragment:
            raise _GiveUpError
        return obj

    def _dict(self, obj: dict[Any, Any]) -> Any:
        self._count(obj)
        if not _is_str(map(type, obj)):
            return self._pairs(obj)
        redaction = self.redaction
        if redaction is not None and not obj.keys() <= redaction.safe:
            secrets = secret_names(obj, redaction)
            if secrets:
                obj = self._redact(obj, secrets, redaction)
                if any(type(value) is Ext for name, value in obj.items() if name not in secrets):
                    raise _GiveUpError
                return self._values(obj, _ASKED - {Ext})
        if _is_plain(map(type, obj.values())):
            return obj
        return self._values(obj, _ASKED)

    def _values(self, obj: dict[str, Any], asked: frozenset[type]) -> dict[str, Any]:
        self._descend()
        plain = self.plain
        found = {
            name: plain(value) if type(value) in asked else value for name, value in obj.items()
        }
        self.depth -= 1
        return found

    def _redact(
        self, obj: dict[str, Any], secrets: list[str], redaction: Redaction
    ) -> dict[str, Any]:
        """A copy in which what has a secret name is sealed; what is in there needs no sealing."""
        inner = _Encoder(None)
        inner.depth, inner.left = self.depth, self.left
        copy = dict(obj)
        for name in secrets:
            copy[name] = sealed(obj[name], inner.pack(obj[name]), redaction)
        return copy

    def _pairs(self, obj: dict[Any, Any]) -> Ext:
        redaction = self.redaction
        if redaction is not None and secret_names(obj, redaction):
            raise _GiveUpError
        self._descend()
        flat: list[Any] = []
        for pair in obj.items():
            flat += pair
        data = Ext(tags.PAIRS, self.pack(flat))
        self.depth -= 1
        return data

    def _count(self, obj: Any) -> None:
        size = len(obj)
        self.left -= size + 1
        if self.left < 0 or size > _MAX_FLAT:
            self._weigh(obj)

    def _weigh(self, obj: Any) -> None:
        """A long list is fine unless it repeats something large over and over."""
        if self.left < 0:
            raise _GiveUpError
        members = obj.values() if type(obj) is dict else obj
        total = sum(len(item) for item in members if type(item) is str or type(item) is bytes)
        if total > _MAX_BYTES:
            raise _GiveUpError

    def _descend(self) -> None:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise _GiveUpError

    def default(self, obj: Any) -> Ext:
        """Called by ormsgpack for whatever is not native; it would hide what is raised here."""
        try:
            cls = type(obj)
            if cls is Decimal:  # the most common, and asked for one by one
                return Ext(_DECIMAL, str(obj).encode())
            leaf = LEAVES.get(cls)
            if leaf is not None:
                return leaf(obj)
            if cls is tuple and _is_flat(map(type, obj)):
                self.left -= len(obj)
                return Ext(_TUPLE, packb([*obj], _leaf, OPTIONS))
            if cls is datetime and obj.tzinfo is UTC:
                return Ext(tags.AWARE_DATETIME, _UTC_HEAD + datetime_bytes(obj) + _UTC_TAIL)
            return self._extension(obj, cls)
        except Exception as error:
            if is_interrupt(error):
                self.interrupt = error
            raise
        except BaseException as error:
            self.interrupt = error
            raise

    def _extension(self, obj: Any, cls: type) -> Ext:
        shaper = SHAPES.get(cls) or plan(cls)
        if type(shaper) is Shared:
            shape = shaper.among(obj, self.seen)
        elif type(shaper) is Framed and self.redaction is not None:
            shape = shaper.among(obj, self.redaction, encode)
        else:
            shape = shaper(obj)
        if isinstance(shape, Ext):
            return shape
        tag, parts = shape
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise _GiveUpError
        if tag == _RECORD and len(parts) == 3:
            payload = _RECORD_HEAD + packb(parts[0]) + packb(parts[1]) + self.pack(parts[2])
        elif tag in (tags.SET, tags.FROZENSET):
            payload = self._members(parts)
        else:
            payload = packb(self.plain(parts), self.default, OPTIONS)
        self.depth -= 1
        return Ext(tag, payload)

    def _members(self, parts: list[Any]) -> bytes:
        """A set's members, sorted by their bytes: its order is not data."""
        self._count(parts)
        default, plain = self.default, self.plain
        if NATIVE.issuperset(map(type, parts)):
            packed = [packb(item, default, OPTIONS) for item in parts]
        else:
            packed = [packb(plain(item), default, OPTIONS) for item in parts]
        packed.sort()
        return tags.array_header(len(packed)) + b"".join(packed)


# What stands around the wall-clock part of a datetime in UTC, the most common of zones.
_UTC_HEAD: Final = tags.array_header(2) + b"\xc4" + bytes((DATETIME.size,))
_UTC_TAIL: Final = encode(UTC)

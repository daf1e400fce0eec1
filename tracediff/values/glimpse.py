"""The beginning of a large value, read without the rest of it.

A line of a report shows some eighty characters of a value. To decode ten megabytes for them takes
longer than all else on a page, so no more members are read than that many characters show. What is
left out lies behind the place where the text of the whole value would be cut; where a value is so
deep that it does not, "…" stands for it.
"""

from __future__ import annotations

import re
from typing import Any, Final

from ormsgpack import unpackb

from tracediff.errors import CodecError
from tracediff.model import MISSING, Value
from tracediff.values import nodes, tags
from tracediff.values.inert import InertBuilders, inert
from tracediff.values.leafread import read_text

_SMALL: Final = 16 * 1024
_TEXT: Final = 16 * 1024
_FRAME: Final = 4 << 20
_DEEPEST: Final = 30  # ``text`` shows eight levels, which are up to three each
_MORE: Final = nodes.Opaque("", "…")
_SIZES: Final = {  # the bytes of the length that follows a header
    0xC4: 1, 0xC5: 2, 0xC6: 4, 0xC7: 1, 0xC8: 2, 0xC9: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4,
    0xDC: 2, 0xDD: 4, 0xDE: 2, 0xDF: 4,
}  # fmt: skip
_FIXED: Final = {  # a header with all that belongs to it
    0xC0: 1, 0xC2: 1, 0xC3: 1, 0xCA: 5, 0xCB: 9, 0xCC: 2, 0xCD: 3, 0xCE: 5, 0xCF: 9,
    0xD0: 2, 0xD1: 3, 0xD2: 5, 0xD3: 9,
}  # fmt: skip
_FIXED_EXTENSIONS: Final = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
_CUT_LEAVES: Final = frozenset({tags.SURROGATES, tags.BYTEARRAY})


def glimpse(data: bytes | Value, characters: int) -> object:
    """Decode as much of a value as an excerpt of that many characters shows; all of a small one.

    Raises:
        CodecError: ``value-unreadable``; these bytes begin no value.
    """
    raw = data.data if isinstance(data, Value) else data
    if len(raw) <= _SMALL:
        return inert(raw)
    reader = _Beginning(raw, [2 * characters + 100])
    try:
        return reader.read(0)
    except CodecError:
        raise
    except Exception:  # what is wrong with these bytes, the whole reader says
        return inert(raw)


class _Beginning:
    """Reads one value after the other, until as many were read as can be shown."""

    def __init__(self, data: bytes, left: list[int]) -> None:
        self._data = data
        self._at = 0
        self._left = left
        self.cut = False

    def read(self, depth: int) -> Any:
        """Return the next value, or its beginning: ``cut`` tells."""
        self._left[0] -= 1
        head = self._data[self._at]
        if head < 0x80 or head >= 0xE0 or head in _FIXED:
            return unpackb(self._take(_FIXED.get(head, 1)))
        if head < 0x90 or head in (0xDE, 0xDF):
            return self._map(self._length(head, 0x80), depth)
        if head < 0xA0 or head in (0xDC, 0xDD):
            return self._array(self._length(head, 0x90), depth)
        if head < 0xC0 or head in (0xD9, 0xDA, 0xDB):
            raw = self._raw(self._length(head, 0xA0))
            return raw.decode("utf-8", "ignore" if len(raw) == _TEXT else "strict")
        if head in (0xC4, 0xC5, 0xC6):
            return self._raw(self._length(head, 0))
        size = _FIXED_EXTENSIONS.get(head) or self._length(head, 0, extension=True)
        if head in _FIXED_EXTENSIONS:
            self._at += 1
        tag = self._data[self._at]
        self._at += 1
        return self._extension(tag, size, depth)

    def _take(self, size: int) -> bytes:
        self._at += size
        return self._data[self._at - size : self._at]

    def _raw(self, size: int) -> bytes:
        """The beginning of a text or of bytes; what follows them can still be read."""
        found = self._data[self._at : self._at + min(size, _TEXT)]
        self._at += size
        return found

    def _length(self, head: int, fixed: int, *, extension: bool = False) -> int:
        self._at += 1
        if head in _SIZES:
            return int.from_bytes(self._take(_SIZES[head]), "big")
        if extension:
            raise ValueError("no header of a value")
        return head - fixed

    def _over(self, depth: int) -> bool:
        if self._left[0] <= 0 or depth > _DEEPEST:
            self.cut = True
        return self.cut

    def _array(self, count: int, depth: int) -> list[Any]:
        found: list[Any] = []
        while len(found) < count:
            if self._over(depth):
                return [*found, _MORE]
            found.append(self.read(depth + 1))
        return found

    def _map(self, count: int, depth: int) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for _ in range(count):
            if self._over(depth):
                found[_MORE] = _MORE
                break
            name = self.read(depth + 1)
            found[name] = self.read(depth + 1)
        return found

    def _extension(self, tag: int, size: int, depth: int) -> Any:
        leaf = InertBuilders.leaves.get(tag)
        if leaf is not None:
            payload = self._raw(size) if tag in _CUT_LEAVES else self._take(size)
            if tag == tags.SURROGATES and size > _TEXT:  # not in the middle of a character
                payload = re.sub(rb"[\xc0-\xff][\x80-\xbf]*\Z", b"", payload)
            return leaf(payload)
        payload = self._take(size)
        if tag in (tags.SET, tags.FROZENSET) and size <= 4 * _SMALL:
            return inert(tags.extension(tag, payload))  # shown in an order of its own
        if tag == tags.LIBRARY and size <= _FRAME and _is_frame(payload):
            return inert(tags.extension(tag, payload))  # its size and columns are what is shown
        inner = _Beginning(payload, self._left)
        parts = inner.read(depth if tag == tags.NESTED else depth + 1)
        if not inner.cut and not _cuts(payload, parts):
            return InertBuilders.trees[tag](parts)
        self.cut = self.cut or inner.cut
        return _part(tag, parts)


def _is_frame(payload: bytes) -> bool:
    """Whether a library's value is one that is shown by its size; its kind stands first."""
    from tracediff.values.frames import KINDS  # most values hold none

    return payload[:2] == b"\x92\xc4" and payload[3 : 3 + payload[2]] in KINDS


def _cuts(payload: bytes, parts: Any) -> bool:
    """Whether a payload holds bytes that were cut, which its builder would not take."""
    return (
        len(payload) > _TEXT
        and isinstance(parts, list)
        and any(isinstance(one, bytes) and len(one) == _TEXT for one in parts)
    )


def _part(tag: int, parts: Any) -> Any:
    """What stands for a container that was not read to its end."""
    if tag == tags.NESTED:
        return parts
    if tag == tags.TUPLE:
        return tuple(parts)
    if tag in (tags.SET, tags.FROZENSET):
        return nodes.Members(tuple(parts), tag == tags.FROZENSET)
    if tag == tags.PAIRS:
        return nodes.Pairs(tuple(zip(parts[::2], parts[1::2], strict=False)))
    if tag == tags.RECORD and len(parts) >= 3 and isinstance(parts[2], dict):
        base = parts[3] if len(parts) == 4 else MISSING
        fields = {"…" if name is _MORE else name: one for name, one in parts[2].items()}
        return nodes.Record(read_text(parts[0]), tags.KINDS[parts[1]], base, fields)
    if tag == tags.LIBRARY and len(parts) == 2:
        return nodes.Record(read_text(parts[0]), "library", parts[1])
    if tag == tags.MEMORYVIEW and len(parts) == 4:
        return memoryview(parts[3])
    if tag in (tags.ORDERED, tags.COUNTER, tags.PROXY, tags.DEFAULTDICT, tags.DEQUE):
        return InertBuilders.trees[tag](parts)
    return _MORE

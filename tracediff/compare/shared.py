"""Opening two long lists whose ends are equal: what they share is decoded once.

Decoding takes most of the time of comparing two long lists. Where the bytes of both sides are equal
from an item's start to another's end, the items are, so the second list takes them from the first.
"""

from __future__ import annotations

import os
from itertools import accumulate
from typing import Any, Final

from ormsgpack import packb

from tracediff.compare.raw import opened, token, unpack
from tracediff.values import tags

_LONG: Final = 50_000
_CHUNK: Final = 256
_PAIR: Final = b"\x92"
_END: Final = os.urandom(16)
_HEADERS: Final = {0xDC: 3, 0xDD: 5}


def opened_both(old: bytes, new: bytes) -> tuple[Any, Any]:
    """Both values as raw ones; equal items at the ends of long lists are the same objects.

    Raises:
        CodecError: ``value-unreadable``; one of them is no value.
    """
    left = opened(old)
    if type(left) is not list or len(old) <= _LONG:
        return left, opened(new)
    right = _sharing(old, left, new)
    return left, right if right is not None else opened(new)


def _sharing(old: bytes, items: list[Any], new: bytes) -> list[Any] | None:
    """The new list, taking from the old one what is equal at both ends; None if it cannot."""
    start, other = _HEADERS.get(old[0]), _HEADERS.get(new[0])
    if start is None or other is None:
        return None
    size = int.from_bytes(new[1:other], "big")
    before, after = memoryview(old)[start:], memoryview(new)[other:]
    chunks = [items[at : at + _CHUNK] for at in range(0, len(items), _CHUNK)]
    ends = list(accumulate(len(token(one)) - len(tags.array_header(len(one))) for one in chunks))
    if ends[-1] != len(before):
        return None
    shorter = min(len(before), len(after))
    same = _equal_start(before, after, shorter)
    same_end = _equal_end(before, after, shorter - same)
    first = sum(end <= same for end in ends)
    last = sum(len(before) - end <= same_end for end in ends)
    head, tail = items[: first * _CHUNK], items[(len(ends) - last + 1) * _CHUNK :]
    between = after[ends[first - 1] if first else 0 :]
    if last:
        between = between[: len(between) - (len(before) - ends[-last])]
    if size < len(head) + len(tail):
        return None
    middle = _items(bytes(between), size - len(head) - len(tail))
    return None if middle is None else [*head, *middle, *tail]


def _equal_start(old: memoryview, new: memoryview, size: int) -> int:
    """How many of the first ``size`` bytes are equal from the start on."""
    low, high = 0, size
    while low < high:
        middle = (low + high + 1) // 2
        if old[low:middle] == new[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _equal_end(old: memoryview, new: memoryview, size: int) -> int:
    """How many of the last ``size`` bytes are equal up to the end."""
    low, high = 0, size
    while low < high:
        middle = (low + high + 1) // 2
        if bytes(old[len(old) - middle : len(old) - low]) == bytes(
            new[len(new) - middle : len(new) - low]
        ):
            low = middle
        else:
            high = middle - 1
    return low


def _items(data: bytes, size: int) -> list[Any] | None:
    """The ``size`` items that these bytes are exactly."""
    try:
        found, end = unpack(_PAIR + tags.array_header(size) + data + packb(_END))
    except Exception:  # noqa: BLE001 - these bytes are not items; the whole is read instead
        return None
    items: list[Any] = found
    return items if end == _END else None

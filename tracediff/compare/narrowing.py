"""Finding the member of two dicts that all their differences are in, from their bytes alone.

Two recorded values mostly differ in one field. Equal bytes are equal members, so what stands before
and after that field need not be decoded: its neighbours are stepped over by their sizes.
"""

from __future__ import annotations

from typing import Final

_LONG: Final = 4_000
"""Beyond that many bytes, decoding is faster than stepping over members one by one."""


def narrowed(old: bytes, new: bytes) -> tuple[tuple[str, ...], bytes, bytes]:
    """The innermost member that holds all that differs between two encoded values.

    Returns:
        Its keys from outside in, and its bytes on both sides; of what is no dict with texts for
        keys, the values themselves.
    """
    path: tuple[str, ...] = ()
    start, end, other = 0, len(old), len(new)
    if old == new or end + other > _LONG:
        return path, old, new
    ends = _equal_ends(old, new)
    try:
        while (member := _member(old, new, start, ends)) is not None:
            key, start, end, other = member
            path = (*path, key)
    except (IndexError, UnicodeDecodeError):  # no value: who decodes it says so
        return (), old, new
    return path, old[start:end], new[start:other]


def _equal_ends(old: bytes, new: bytes) -> tuple[int, int]:
    """How many bytes are equal at the start and at the end."""
    size = min(len(old), len(new))
    before = int.from_bytes(old[:size], "big") ^ int.from_bytes(new[:size], "big")
    after = before
    if len(old) != len(new):
        after = int.from_bytes(old[-size:], "big") ^ int.from_bytes(new[-size:], "big")
    head = size - (before.bit_length() + 7) // 8
    return head, ((after & -after).bit_length() - 1) // 8 if after else size


def _member(
    old: bytes, new: bytes, start: int, ends: tuple[int, int]
) -> tuple[str, int, int, int] | None:
    """The key, the start and both ends of the dict's member in which everything differs."""
    head, tail = ends
    code = old[start]
    if 0x80 <= code < 0x90:
        count, at = code - 0x80, start + 1
    elif code == 0xDE:
        count, at = int.from_bytes(old[start + 1 : start + 3], "big"), start + 3
    else:
        return None
    while count and at < head:
        code = old[at]
        if 0xA0 <= code < 0xC0:
            text = at + 1
            value = text + code - 0xA0
        elif code == 0xD9:
            text = at + 2
            value = text + old[at + 1]
        else:
            return None
        if value > head:
            return None  # the key is another one
        end = _end(old, value)
        if end > head:
            other = _end(new, value)
            after = len(old) - end
            if after != len(new) - other or after > tail:
                return None  # more than this one member differs
            return old[text:value].decode(), value, end, other
        at = end
        count -= 1
    return None


def _end(data: bytes, at: int) -> int:
    """Where the value ends that begins there."""
    left = 1
    while left:
        left -= 1
        size, members = _SIZES[data[at]]
        if size > 0:
            at += size
            left += members
            continue
        length = int.from_bytes(data[at + 1 : at + 1 - size], "big")
        at += 1 - size
        if members > 0:
            left += members * length
        else:
            at += length - members
    return at


def _sizes() -> list[tuple[int, int]]:
    """Of each first byte: the size, or minus that of the length; and how many members follow.

    With a length, members are so many for each it counts; minus one stands for an extension's tag.
    """
    sizes = [(1, 0)] * 256
    for count in range(16):
        sizes[0x80 + count] = (1, 2 * count)
        sizes[0x90 + count] = (1, count)
    for length in range(32):
        sizes[0xA0 + length] = (1 + length, 0)
    for power, width in enumerate((1, 2, 4)):
        sizes[0xC4 + power] = sizes[0xD9 + power] = (-width, 0)
        sizes[0xC7 + power] = (-width, -1)
    for power in range(2):
        sizes[0xDC + power] = (-(2 << power), 1)
        sizes[0xDE + power] = (-(2 << power), 2)
    for power in range(4):
        sizes[0xCC + power] = sizes[0xD0 + power] = (1 + (1 << power), 0)
    for power in range(5):
        sizes[0xD4 + power] = (2 + (1 << power), 0)
    sizes[0xCA], sizes[0xCB] = (5, 0), (9, 0)
    return sizes


_SIZES: Final = _sizes()

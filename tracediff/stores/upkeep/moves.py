"""What goes into a segment that takes the place of another, and where its frames are then."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tracediff.stores.segments import TOMBSTONE, Damage, Frame
from tracediff.stores.upkeep.base import Living, Move, OpenedSegment

Renew = Callable[[Frame], bytes | None]
"""What encrypts a frame anew: the new frame, None for one that is copied as it is."""


def moved(
    segment: OpenedSegment,
    frames: Sequence[Frame | Damage],
    living: Mapping[str, Living],
    key: str,
    renew: Renew | None = None,
) -> tuple[bytes, list[Move]]:
    """The new segment's bytes, and the moves of those frames that rows point to.

    Args:
        segment: The old segment.
        frames: What is kept of it.
        living: Where its traces' frames are.
        key: The key of the new one.
        renew: Encrypts a frame anew; without it all are copied verbatim.
    """
    moves = []
    copied: list[bytes | memoryview] = []
    at = 0
    view = memoryview(segment.data)
    for one in frames:
        data: bytes | memoryview = view[one.offset : one.offset + one.length]
        if isinstance(one, Frame) and one.kind != TOMBSTONE:
            data = (renew(one) if renew is not None else None) or data
            old = (segment.key, one.offset, one.length)
            new = (key, at, len(data))
            found = living.get(one.id)
            moves += [
                Move(id=one.id, number=number, old=old, new=new)
                for number, place in (found.places.items() if found is not None else ())
                if place == old
            ]
        copied.append(data)
        at += len(data)
    return b"".join(copied), moves

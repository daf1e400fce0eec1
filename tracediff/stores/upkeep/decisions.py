"""What upkeep decides: which frames are dead and why, and what that is worth."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tracediff.model import Row
from tracediff.stores.base import Index
from tracediff.stores.segments import TOMBSTONE, Damage, Frame
from tracediff.stores.upkeep.base import Living

Fate = Literal["living", "expired", "deleted", "duplicate", "orphaned", "tombstone"]
Plan = Literal["leave", "rewrite", "remove"]

WORTH_BYTES = 64 * 1024
WORTH_SHARE = 0.2
"""Dead bytes, or their share of a segment, from which it is worth writing it anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The frames of a segment by what becomes of them."""

    kept: Sequence[Frame | Damage]
    dead: Sequence[tuple[Frame, Fate]]
    hurt: int = 0
    """Bytes of which nobody can say whose they are."""

    newer: bool = False
    """Whether only a newer tracediff can read some of it."""

    counts: Mapping[Fate, tuple[int, int]] = field(default_factory=dict)

    @property
    def dead_bytes(self) -> int:
        """The bytes of the dead frames."""
        return sum(frame.length for frame, _ in self.dead)

    @property
    def ids(self) -> set[str]:
        """Whose frames are dead."""
        return {frame.id for frame, _ in self.dead if frame.kind != TOMBSTONE}


def judge(
    key: str,
    items: Iterable[Frame | Damage],
    living: Mapping[str, Living],
    buried: Mapping[str, int],
    now: int,
) -> Judged:
    """Say of every frame of a segment whether it lives, and if not, why.

    Args:
        key: The segment's key.
        items: What it holds, in order.
        living: Those of its traces that have a row.
        buried: Those of its traces that were deleted, up to which generation.
        now: What expires until then has expired.
    """
    kept: list[Frame | Damage] = []
    dead: list[tuple[Frame, Fate]] = []
    hurt, newer = 0, False
    sums: Counter[Fate] = Counter()
    sizes: Counter[Fate] = Counter()
    for one in items:
        if isinstance(one, Damage):
            if not one.torn:
                kept.append(one)
                hurt += one.length
                newer = newer or one.newer
            continue
        fate = _fate(key, one, living, buried, now)
        sums[fate] += 1
        sizes[fate] += one.length
        if fate == "living":
            kept.append(one)
        else:
            dead.append((one, fate))
    counts = {fate: (sums[fate], sizes[fate]) for fate in sums}
    return Judged(kept=kept, dead=dead, hurt=hurt, newer=newer, counts=counts)


def _fate(
    key: str,
    frame: Frame,
    living: Mapping[str, Living],
    buried: Mapping[str, int],
    now: int,
) -> Fate:
    if frame.kind == TOMBSTONE:
        return "living" if buried.get(frame.id, -1) == frame.generation else "tombstone"
    found = living.get(frame.id)
    if found is not None:
        if is_over(found.expires_at, now):
            return "expired"
        at = (key, frame.offset, frame.length)
        return "living" if at in found.places.values() else "duplicate"
    if frame.id in buried:
        return "deleted"
    return "expired" if is_over(_expiry(frame), now) else "orphaned"


def is_over(expires_at: int | None, now: int) -> bool:
    """Whether what expires then has expired."""
    return expires_at is not None and expires_at <= now


def silent(index: Index, ids: Sequence[str], before: int) -> list[Row]:
    """Those of these traces that run, as their rows say now, and were not heard of since."""
    rows = (row for one in ids for row in index.find(one, 1) if row.id == one)
    return [
        row for row in rows if row.state == "running" and row.started_at + row.duration < before
    ]


def _expiry(frame: Frame) -> int | None:
    """When the trace of a frame without a row was to expire, as far as it says so."""
    try:
        found = json.loads(frame.row)
    except (ValueError, RecursionError):  # it does not say so
        return None
    expires = found.get("expires_at") if isinstance(found, dict) else None
    return expires if isinstance(expires, int) else None


def plan(judged: Judged, size: int, *, thorough: bool) -> Plan:
    """What to do with a segment.

    One with bytes that nobody can read stays as it is, unless ``thorough``: what is hurt may be
    somebody's only copy. What only a newer tracediff can read, only a newer one may move.

    Args:
        judged: Its frames.
        size: Its bytes.
        thorough: Write it anew however little that frees.
    """
    if not judged.dead or judged.newer:
        return "leave"
    if judged.hurt:
        return "rewrite" if thorough else "leave"
    if not judged.kept:
        return "remove"
    freed = judged.dead_bytes
    # What an interrupted run copied and did not remove is nobody's: the bytes are there twice.
    twice = any(fate == "duplicate" for _, fate in judged.dead)
    if thorough or twice or freed >= WORTH_BYTES or freed >= WORTH_SHARE * size:
        return "rewrite"
    return "leave"

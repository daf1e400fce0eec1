"""Copies of chosen traces that no row tells of: an interrupted ``gc`` or upload left them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from tracediff.stores.segments import TOMBSTONE, Frame
from tracediff.stores.upkeep.base import Kept
from tracediff.stores.upkeep.tally import Tally


def copies(kept: Kept, chosen: Callable[[str], bool], going: Callable[[], None]) -> Iterator[str]:
    """The segments that have any; those of which all lives are not read.

    Args:
        kept: The store.
        chosen: Whether a trace is one of those.
        going: Called now and then.
    """
    now = time.time_ns()
    with Tally() as tally:
        for pages in (kept.ledger.survey_rows(now, 0), kept.ledger.survey_parts(now)):
            for page in pages:
                going()
                tally.add(page.tallied)
        for kind, one in kept.walk():
            if kind == "segment" and tally.living(one.key)[1] < one.size:
                going()
                if has_frames(kept, one.key, chosen):
                    yield one.key


def has_frames(kept: Kept, key: str, chosen: Callable[[str], bool]) -> bool:
    """Whether a segment has bytes of any of these traces."""
    with kept.opened(key) as segment:
        return segment is not None and any(
            isinstance(one, Frame) and one.kind != TOMBSTONE and chosen(one.id)
            for one in segment.items
        )

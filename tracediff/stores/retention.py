"""Retention classes: how long a segment's object lives, out of a finite set.

A store of objects expires them by a rule for each prefix, so traces that are kept for about as long
share segments below one prefix: ``30d/…`` for thirty days, ``keep/…`` for ever. A trace goes to the
shortest class that keeps it long enough; its row expires on its own day.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

CLASSES = (1, 3, 7, 14, 30, 90, 180, 365)
"""Days, unless the settings name others."""

KEEP = "keep"
_CLASS = re.compile(r"keep|[1-9]\d{0,5}d")


def retention_class(days: int | None, classes: Sequence[int] = CLASSES) -> str:
    """The class of a trace that is to be kept for so many days; None means for ever."""
    if days is None:
        return KEEP
    fitting = [one for one in classes if one >= days]
    return f"{min(fitting)}d" if fitting else KEEP


def is_class(text: str) -> bool:
    """Whether a key's first part is the name of a retention class."""
    return _CLASS.fullmatch(text) is not None

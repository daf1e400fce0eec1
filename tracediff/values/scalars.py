"""Types whose exact instances never change, so that a recorder may keep them by reference."""

from __future__ import annotations

import types
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from tracediff.values.leaves import ADDRESSES, PATHS

SCALARS: Final[frozenset[type]] = frozenset(
    {
        type(None),
        bool,
        int,
        float,
        complex,
        str,
        bytes,
        Decimal,
        Fraction,
        date,
        datetime,
        time,
        timedelta,
        timezone,
        ZoneInfo,
        UUID,
        range,
        types.EllipsisType,
        types.NotImplementedType,
        *PATHS,
        *ADDRESSES,
    }
)
"""Exact immutable types; instances of their subclasses may change."""


def is_scalar(cls: type) -> bool:
    """Whether exact instances of ``cls`` never change."""
    return cls in SCALARS

"""What a job can see of its surroundings: time zone, locale, Decimal context, seed."""

from __future__ import annotations

import decimal
import locale
import os
import sys
import time
from functools import lru_cache

from tracediff.model import Environment


def environment(seed: int) -> Environment:
    """The environment as it is on the calling thread."""
    context = decimal.getcontext()
    return Environment(
        timezone=timezone_name(os.environ.get("TZ")),
        locale=locale.setlocale(locale.LC_ALL) if "locale" in sys.modules else "C",
        decimal_prec=context.prec,
        decimal_rounding=context.rounding,
        seed=seed,
    )


@lru_cache(maxsize=8)
def timezone_name(setting: str | None) -> str:
    """The local zone by its IANA name where it has one, else as a POSIX offset such as "UTC-2"."""
    if setting:
        return setting.removeprefix(":")
    link = os.path.realpath("/etc/localtime")
    _, found, name = link.partition("zoneinfo/")
    if found:
        return name.removeprefix("posix/").removeprefix("right/")
    offset = time.localtime().tm_gmtoff
    return "UTC" if not offset else f"UTC{-offset / 3600:+g}"

"""The time zones of dateutil that say no place: UTC, and that of the machine."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from tracediff.values import tags
from tracediff.values.nodeshapes import Shape, Shaper

zones: Any = import_module("dateutil.tz")


def encoder(cls: type) -> Shaper | None:
    """What writes instances of exactly this class."""
    return _SHAPERS.get(cls)


def _utc(obj: Any) -> Shape:
    return tags.LIBRARY, [b"dateutil:tzutc", None]


def _local(obj: Any) -> Shape:
    return tags.LIBRARY, [b"dateutil:tzlocal", None]


_SHAPERS: Final[dict[type, Shaper]] = {zones.tzutc: _utc, zones.tzlocal: _local}

DECODERS: Final[dict[str, Callable[[Any], Any]]] = {
    "dateutil:tzutc": lambda _: zones.tzutc(),
    "dateutil:tzlocal": lambda _: zones.tzlocal(),
}

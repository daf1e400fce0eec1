"""How exactly a place must match: tolerances by path."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from fractions import Fraction
from functools import lru_cache
from typing import Any

from tracediff.model import Tolerance

EXACT = Tolerance()
_NUMBERS = (int, float, Decimal, Fraction)


class Rules:
    """Tolerances in the order they were given; for each bound the last one that matches holds."""

    def __init__(self, tolerances: Sequence[Tolerance] = ()) -> None:
        self._rules = [(_pattern(one.path), one) for one in tolerances]
        self.any = bool(self._rules)

    def at(self, path: tuple[str | int, ...]) -> Tolerance:
        """What holds at a path of step names, aspect and field names, outermost first."""
        if not self.any:
            return EXACT
        text = "/".join(map(str, path))
        merged: dict[str, Any] = {}
        for pattern, rule in self._rules:
            if pattern.fullmatch(text):
                for field in fields(rule):
                    value = getattr(rule, field.name)
                    if field.name != "path" and value not in (None, False, ()):
                        merged[field.name] = value
        return Tolerance(**merged) if merged else EXACT


@lru_cache(maxsize=512)
def _pattern(glob: str) -> re.Pattern[str]:
    """A glob over "/" as an expression; what it matches, it matches with all that lies below."""
    parts = []
    for segment in glob.strip("/").split("/"):
        if segment == "**":
            parts.append("(?:[^/]+/)*")
        else:
            body = re.escape(segment).replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
            parts.append(body + "/")
    text = "".join(parts)
    if glob.rstrip("/").endswith("**"):
        return re.compile(text + ".*", re.DOTALL)
    return re.compile(text.removesuffix("/") + "(?:/.*)?", re.DOTALL)


def within(old: Any, new: Any, rule: Tolerance) -> bool:
    """Whether two different leaves are close enough; bounds are independent, one suffices."""
    if (type(old).__name__, type(new).__name__) in rule.types:
        return _numerically_equal(old, new) or _close(old, new, rule)
    if type(old) is not type(new):
        return False
    return _close(old, new, rule)


def _close(old: Any, new: Any, rule: Tolerance) -> bool:
    if isinstance(old, complex) and isinstance(new, complex):
        return _close(old.real, new.real, rule) and _close(old.imag, new.imag, rule)
    if isinstance(old, datetime | timedelta):
        return rule.abs is not None and _seconds_apart(old, new) <= Fraction(rule.abs)
    if not isinstance(old, _NUMBERS) or not isinstance(new, _NUMBERS) or isinstance(old, bool):
        return False
    if not _finite(old) or not _finite(new):
        return False
    exact_old, exact_new = Fraction(old), Fraction(new)
    apart = abs(exact_new - exact_old)
    if rule.abs is not None and apart <= Fraction(rule.abs):
        return True
    if rule.rel is not None and apart <= Fraction(rule.rel) * max(abs(exact_old), abs(exact_new)):
        return True
    if rule.ulp is not None and isinstance(old, float) and isinstance(new, float):
        return ulps(old, new) <= rule.ulp
    return rule.quantum is not None and _same_quantum(old, new, rule.quantum)


def _seconds_apart(old: Any, new: Any) -> Fraction:
    try:
        apart = abs(new - old)
    except (TypeError, OverflowError):  # naive against aware
        return Fraction(10**30)
    return Fraction(apart // timedelta(microseconds=1), 10**6)


def _finite(number: Any) -> bool:
    if isinstance(number, Decimal):
        return number.is_finite()
    return not isinstance(number, float) or math.isfinite(number)


def _numerically_equal(old: Any, new: Any) -> bool:
    if isinstance(old, _NUMBERS) and isinstance(new, _NUMBERS) and _finite(old) and _finite(new):
        return Fraction(old) == Fraction(new)
    try:
        return bool(old == new)
    except Exception:  # noqa: BLE001 - values of two types need not know each other
        return False


def _same_quantum(old: Any, new: Any, quantum: str) -> bool:
    """Whether both round to the same multiple of the minor unit (half to even)."""
    try:
        unit = Fraction(quantum)
    except (ValueError, ZeroDivisionError):
        return False
    return unit > 0 and round(Fraction(old) / unit) == round(Fraction(new) / unit)


def ulps(old: float, new: float) -> int:
    """How many floats lie between two finite ones; both zeros count as one."""
    return abs(_ordinal(old) - _ordinal(new))


def _ordinal(number: float) -> int:
    bits: int = struct.unpack("<q", struct.pack("<d", number))[0]
    return bits if bits >= 0 else -(bits & 0x7FFF_FFFF_FFFF_FFFF)


def delta(old: Any, new: Any) -> Any:
    """New minus old where both are numbers or times, exact where the type is; else None."""
    if isinstance(old, bool) or isinstance(new, bool):
        return None
    if isinstance(old, datetime | timedelta):
        try:
            return new - old if type(new) is type(old) else None
        except (TypeError, OverflowError):
            return None
    if not isinstance(old, _NUMBERS) or not isinstance(new, _NUMBERS):
        return None
    if isinstance(old, float) and isinstance(new, float):
        return new - old
    if not _finite(old) or not _finite(new):
        return None
    if isinstance(old, int | Decimal) and isinstance(new, int | Decimal):
        return _decimal_delta(old, new)
    return Fraction(new) - Fraction(old)


def _decimal_delta(old: int | Decimal, new: int | Decimal) -> Any:
    if isinstance(old, int) and isinstance(new, int):
        return new - old
    try:
        wide = Context(prec=10_000, rounding=ROUND_HALF_EVEN, Emin=-999_999, Emax=999_999, traps=[])
        return wide.subtract(Decimal(new), Decimal(old))
    except (InvalidOperation, MemoryError, OverflowError):
        return None

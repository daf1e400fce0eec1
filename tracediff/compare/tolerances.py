"""How exactly a place must match: tolerances by path."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal, Inexact
from fractions import Fraction
from functools import lru_cache
from typing import Any

from tracediff.model import Tolerance
from tracediff.values import Member, Record

EXACT = Tolerance()
_NUMBERS = (int, float, Decimal, Fraction)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONG = 5_000
_TIMES = (date, timedelta)
_WIDE = Context(prec=3 * _LONG, Emin=-(10**6), Emax=10**6, traps=[Inexact])


class Rules:
    """Tolerances in the order they were given; for each bound the last one that matches holds."""

    def __init__(self, tolerances: Sequence[Tolerance] = ()) -> None:
        self._rules = [(_segments(one.path), one) for one in tolerances]
        self.any = bool(self._rules)

    def at(self, path: tuple[str | int, ...]) -> Tolerance:
        """What holds at a path of step names, aspect and field names, outermost first."""
        if not self.any:
            return EXACT
        names = "/".join(map(str, path)).split("/")
        merged: dict[str, Any] = {}
        for pattern, rule in self._rules:
            if _matches(pattern, names):
                for field in fields(rule):
                    value = getattr(rule, field.name)
                    if field.name != "path" and not (
                        value is None or value is False or value == ()
                    ):
                        merged[field.name] = value
        return Tolerance(**merged) if merged else EXACT

    def below(self, path: tuple[str | int, ...]) -> tuple[re.Pattern[str], ...]:
        """What a name right below a path must match so that another rule may hold there."""
        names = "/".join(map(str, path)).split("/")
        found = []
        for pattern, _ in self._rules:
            if not _matches(pattern, names):
                states = _behind(pattern, names)
                found += [pattern[at] for at in states if at < len(pattern)]
        return tuple(filter(None, found))


@lru_cache(maxsize=512)
def _segments(glob: str) -> tuple[re.Pattern[str] | None, ...]:
    """A glob over "/" as expressions, one a segment; None for any number of segments."""
    found: list[re.Pattern[str] | None] = []
    for segment in glob.strip("/").split("/"):
        body = re.escape(segment).replace(r"\*", ".*").replace(r"\?", ".")
        found.append(None if segment == "**" else re.compile(body, re.DOTALL))
    return tuple(found)


def _matches(pattern: tuple[re.Pattern[str] | None, ...], path: list[str]) -> bool:
    """Whether a glob matches a path or one above it: what it matches, it matches with all below."""
    states = _skipped({0}, pattern)
    for name in path:
        if len(pattern) in states:
            return True
        after: set[int] = set()
        for at in states:
            expression = pattern[at]
            if expression is None:
                after.add(at)
            elif expression.fullmatch(name):
                after.add(at + 1)
        states = _skipped(after, pattern)
    return len(pattern) in states


def _behind(pattern: tuple[re.Pattern[str] | None, ...], path: list[str]) -> set[int]:
    """Where in a pattern one is behind a path."""
    states = _skipped({0}, pattern)
    for name in path:
        after: set[int] = set()
        for at in states:
            if at < len(pattern):
                expression = pattern[at]
                if expression is None:
                    after.add(at)
                elif expression.fullmatch(name):
                    after.add(at + 1)
        states = _skipped(after, pattern)
    return states


def _skipped(states: set[int], pattern: tuple[re.Pattern[str] | None, ...]) -> set[int]:
    """The states with those behind a ``**``, which may stand for nothing."""
    for start in sorted(states):
        at = start
        while at < len(pattern) and pattern[at] is None:
            at += 1
            states.add(at)
    return states


def within(old: Any, new: Any, rule: Tolerance) -> bool:
    """Whether two different leaves are close enough; bounds are independent, one suffices."""
    if accepted(old, new, rule):
        return _numerically_equal(old, new) or _close(old, new, rule)
    if type(old) is not type(new):
        return False
    return _close(old, new, rule)


def accepted(old: Any, new: Any, rule: Tolerance) -> bool:
    """Whether the rule expects a value of the one type where the other was."""
    return bool(rule.types) and any(
        one in rule.types for one in ((a, b) for a in _names(old) for b in _names(new))
    )


def _names(value: Any) -> tuple[str, ...]:
    """What a value's type is called: a user's class by its own name or with its module."""
    if isinstance(value, Record | Member):
        return (value.type, value.type.rpartition(":")[2])
    return (type(value).__name__,)


def _close(old: Any, new: Any, rule: Tolerance) -> bool:
    if not _bounded(rule):
        return False
    if isinstance(old, complex) and isinstance(new, complex):
        return _close(old.real, new.real, rule) and _close(old.imag, new.imag, rule)
    if isinstance(old, datetime | timedelta):
        return rule.abs is not None and _seconds_apart(old, new) <= _bound(rule.abs, binary=False)
    if not isinstance(old, _NUMBERS) or not isinstance(new, _NUMBERS) or isinstance(old, bool):
        return False
    if not _plain(old) or not _plain(new):
        return False
    exact_old, exact_new = Fraction(old), Fraction(new)
    apart = abs(exact_new - exact_old)
    binary = isinstance(old, float) and isinstance(new, float)
    if rule.abs is not None and apart <= _bound(rule.abs, binary=binary):
        return True
    if rule.rel is not None and apart <= _bound(rule.rel, binary=binary) * max(
        abs(exact_old), abs(exact_new)
    ):
        return True
    if rule.ulp is not None and isinstance(old, float) and isinstance(new, float):
        return ulps(old, new) <= rule.ulp
    return rule.quantum is not None and _same_quantum(old, new, rule.quantum)


def _bounded(rule: Tolerance) -> bool:
    return not (rule.rel is None and rule.abs is None and rule.ulp is None and not rule.quantum)


def _bound(written: float, *, binary: bool) -> Fraction:
    """A bound as it was written, where 0.3 is three tenths, though no float is.

    Between floats the float itself will do too, so that 0.0 and 0.3 are 0.3 apart.
    """
    exact = Fraction(repr(written))
    return max(exact, Fraction(written)) if binary else exact


def _seconds_apart(old: Any, new: Any) -> Fraction:
    apart = _time_delta(old, new)
    if apart is None:  # naive against aware
        return Fraction(10**30)
    return Fraction(abs(apart) // timedelta(microseconds=1), 10**6)


def _time_delta(old: Any, new: Any) -> timedelta | None:
    """How far apart two times are: two instants by their UTC, whatever their zones say."""
    try:
        if isinstance(old, datetime) and old.tzinfo is not None and new.tzinfo is not None:
            old, new = old - _EPOCH, new - _EPOCH
        apart: timedelta = new - old
    except (TypeError, OverflowError):
        return None
    return apart


def _finite(number: Any) -> bool:
    if isinstance(number, Decimal):
        return number.is_finite()
    return not isinstance(number, float) or math.isfinite(number)


def _plain(number: Any) -> bool:
    """Whether a number is finite, and of a size that exact arithmetic can be done with."""
    if not _finite(number):
        return False
    if isinstance(number, Decimal):
        return abs(number.adjusted()) < _LONG and len(number.as_tuple().digits) < _LONG
    return not isinstance(number, int) or number.bit_length() < 4 * _LONG


def _numerically_equal(old: Any, new: Any) -> bool:
    if isinstance(old, _NUMBERS) and isinstance(new, _NUMBERS) and _plain(old) and _plain(new):
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
    if type(old) is type(new) is Decimal:
        return _decimal_delta(old, new)
    if isinstance(old, bool) or isinstance(new, bool):
        return None
    if isinstance(old, _TIMES):
        return _time_delta(old, new) if type(new) is type(old) else None
    if not isinstance(old, _NUMBERS) or not isinstance(new, _NUMBERS):
        return None
    if isinstance(old, float) and isinstance(new, float):
        return new - old if math.isfinite(new - old) else None
    if isinstance(old, int) and isinstance(new, int):
        return new - old
    if isinstance(old, Decimal) and isinstance(new, Decimal):
        return _decimal_delta(old, new)
    if not _plain(old) or not _plain(new):
        return None
    if isinstance(old, int | Decimal) and isinstance(new, int | Decimal):
        return _decimal_delta(Decimal(old), Decimal(new))
    return Fraction(new) - Fraction(old)


def _decimal_delta(old: Decimal, new: Decimal) -> Decimal | None:
    """The difference of two decimals, None where it has too many digits to be told exactly."""
    try:
        difference = _WIDE.subtract(new, old)
    except Inexact:
        return None
    return difference if difference.is_finite() else None

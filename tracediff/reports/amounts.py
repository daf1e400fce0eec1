"""How exact amounts are written: signed, of one precision, and in per cents that add up."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, InvalidOperation
from fractions import Fraction
from math import floor, isfinite
from typing import Final

from tracediff.reports import excerpt
from tracediff.reports.clean import clean

_FARTHEST: Final = 400  # digits before or after the point; a float has 308
_LONGEST: Final = 24
_UNITS: Final = (" s", " %", "%")
_SUMS = Context(prec=900, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])
_WIDE = Context(prec=40, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])


def number(value: object) -> Fraction | None:
    """Return a value as an exact number; None for what is none, or too long to draw.

    Of a float it is what its text says, of a time the seconds.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return Fraction(value) if value.bit_length() < 4 * _FARTHEST else None
    if isinstance(value, Fraction):
        long = max(value.numerator.bit_length(), value.denominator.bit_length()) >= 4 * _FARTHEST
        return None if long else value
    if isinstance(value, Decimal):
        near = value.is_finite() and len(value.as_tuple().digits) < _FARTHEST
        return Fraction(value) if near and abs(value.adjusted()) < _FARTHEST else None
    if isinstance(value, float):
        return Fraction(float.__repr__(value)) if isfinite(value) else None
    if isinstance(value, timedelta):
        return Fraction(value // timedelta(microseconds=1), 10**6)
    return None


def decimal(amount: Fraction) -> Decimal:
    """Return the nearest decimal of forty digits."""
    return _WIDE.divide(Decimal(amount.numerator), Decimal(amount.denominator))


def to_nearest(amount: Fraction, finest: Decimal) -> Decimal:
    """Return the nearest multiple of a power of ten; more exact where it would be too long."""
    exact = decimal(amount)
    rounded = exact.quantize(finest, context=_WIDE)
    return rounded if rounded.is_finite() else exact


def parsed(shown: str) -> Decimal | None:
    """Return the number that a shown amount is; None where it is none."""
    return _read(shown)[0]


def unit(shown: str) -> str:
    """Return what stands behind the number of a shown amount: ``%``, `` s`` or nothing."""
    return _read(shown)[1]


def _read(shown: str) -> tuple[Decimal | None, str]:
    behind = next((one for one in _UNITS if shown.endswith(one)), "")
    try:
        found = Decimal(shown.removesuffix(behind))
    except InvalidOperation:
        return None, ""
    return (found, behind) if found.is_finite() else (None, "")


def signed(shown: str) -> str:
    """Return a shown amount with its sign."""
    found, behind = _read(shown)
    if found is None:
        return excerpt.cut(clean(shown[: 2 * _LONGEST]), _LONGEST)
    return plain(found, sign=True) + behind


def plain(amount: Decimal, *, sign: bool = False) -> str:
    """Return a number with all its digits, or rounded and with an exponent if they are many."""
    if amount.is_zero():
        amount, sign = amount.copy_abs(), False
    mark = "+" if sign else ""
    text = f"{amount:{mark}f}" if abs(amount.adjusted()) < _LONGEST else f"{amount:{mark}.6g}"
    return text if len(text) <= _LONGEST else f"{amount:{mark}.8g}"


def like(amount: Fraction, shown: str) -> str:
    """Return an amount with its sign, in the precision of another; two digits more if tiny."""
    model, exact = parsed(shown), decimal(amount)
    if model is None or not exact.is_finite():
        return plain(exact, sign=True) if exact.is_finite() else "?"
    places = model.as_tuple().exponent
    finest = Decimal((0, (1,), places if isinstance(places, int) else 0))
    for step in (finest, finest.scaleb(-2)):
        rounded = to_nearest(amount, step)
        if rounded or not amount:
            return plain(rounded, sign=True) + unit(shown)
    return f"{exact:+.2g}{unit(shown)}"


def of_whole(shown: str) -> str:
    """Return a share of an indicator, shown as a part of 1, in per cent."""
    found, behind = _read(shown)
    if found is None or behind:
        return excerpt.cut(clean(shown[: 2 * _LONGEST]), _LONGEST)
    text = f"{found.scaleb(2, context=_WIDE):f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text}%"


def part(amount: Fraction) -> str:
    """Return a part of a whole in per cent, to a tenth: ``12.5%``."""
    return of_whole(f"{round(decimal(amount), 3):f}")


def per_cents(shares: Sequence[Fraction], change: Fraction) -> tuple[str, ...]:
    """Return what part of the change each share is; all of them add up to that of their sum.

    They are rounded to a tenth by largest remainder.

    Args:
        shares: The parts, of any sign.
        change: The whole; no per cents are given of nothing.
    """
    if not change:
        return ("",) * len(shares)
    exact = [share / change * 1000 for share in shares]
    tenths = [floor(one) for one in exact]
    left = round(sum(exact)) - sum(tenths)
    order = sorted(range(len(exact)), key=lambda at: (tenths[at] - exact[at], at))
    for at in order[: max(left, 0)]:
        tenths[at] += 1
    return tuple(f"{_tenths(one)}%" for one in tenths)


def _tenths(count: int) -> str:
    if abs(count) >= 10**9:
        return f"{Decimal(count) / 10:.2g}" if abs(count) < 10**300 else "…"
    return f"{'-' if count < 0 else ''}{abs(count) // 10:,}.{abs(count) % 10}"


def added(shown: Sequence[str]) -> Decimal | None:
    """Return the sum of shown amounts; None where one of them is no number."""
    found = [parsed(one) for one in shown]
    total = Decimal(0)
    for one in found:
        if one is None:
            return None
        total = _SUMS.add(total, one)
    return total


def summed(amount: Fraction) -> str:
    """A sum over many traces, with its sign: two places, more where that would be nothing."""
    places = 2
    while amount and places < 12 and not round(amount, places):
        places += 1
    scaled = round(amount * 10**places)
    if abs(scaled) >= 10**27:
        return f"≈{Decimal(scaled).scaleb(-places):+.6g}"
    return f"{Decimal(scaled).scaleb(-places):+,.{places}f}"

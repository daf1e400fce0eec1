"""Shares as text that still adds up: exact amounts rounded by largest remainder."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Context, Decimal
from fractions import Fraction
from math import floor

Number = int | float | Decimal | Fraction | timedelta

MORE_DIGITS = 4
"""How many digits beyond those of the values a share may get, so that it does not look like 0."""

_FLOAT_DIGITS = 12  # of a change: longer ones are mostly what binary fractions leave over
_DECIMAL_DIGITS = 40
_SHORT = 6  # digits of a change that has too many
_CENTS = -2
_PRECISION = 17  # no float has more digits
_LONGEST = 30  # zeros to write out rather than an exponent
_FAR = Fraction(1, 20)
_ENDLESS = -(10**6)

_WIDE = Context(prec=3, Emax=10**17, Emin=-(10**17))


def apportion(shares: Sequence[Fraction], total: Fraction, quantum: Decimal) -> tuple[Decimal, ...]:
    """Round shares so that their sum is the rounded total: the method of largest remainder.

    Each is rounded down to a multiple of ``quantum``; what is left of the total, one quantum at a
    time, goes to those that lost most. Alexander Hamilton's method of 1792 for seats: M. L.
    Balinski and H. P. Young, "Fair Representation", 1982. Where two lost the same, the larger share
    comes first, then the earlier. A share of zero stays zero.

    Args:
        shares: The exact amounts.
        total: What they add up to.
        quantum: The unit to round to.

    Raises:
        ValueError: There is a total, and no share of it.
    """
    unit = abs(Fraction(quantum))
    counts = _counts(shares, round(total / unit), unit)
    _, digits, exponent = quantum.as_tuple()
    size = int("".join(map(str, digits)))
    return tuple(_decimal(count * size, int(exponent)) for count in counts)


def quantum_of(old: Number, new: Number) -> Decimal:
    """The unit of the last digit that either value shows: 1 of whole numbers, 0.01 of 12.50.

    Floats show what ``repr`` gives, fractions their decimal digits, times their seconds. A change
    that has more than twelve digits then (of Decimals: forty), as 0.1 + 0.2 would, gets six, but no
    fewer than two after the point.
    """
    return _decimal(1, _exponent(old, new))


def shown(shares: Sequence[Fraction], old: Number, new: Number) -> tuple[str, tuple[str, ...]]:
    """The change from old to new and the shares of it, as text; the shares add up to the change.

    The change is exact, of floats the difference of what ``repr`` gives; except where
    ``quantum_of`` leaves digits out. The shares get up to four digits more than the values where
    they would be shown as 0, or far from what they are. Times are in seconds.
    """
    change = _amount(new) - _amount(old)
    least = _exponent(old, new)
    exponent = _fair_exponent(shares, change, least)
    total, counts = _rounded(shares, change, exponent)
    if any(isinstance(one, float | Fraction) for one in (old, new)):
        while exponent and any((total, *counts)) and not any(one % 10 for one in (total, *counts)):
            exponent += 1
            total //= 10
            counts = [one // 10 for one in counts]
    of_total = exponent
    while total and not total % 10 and (of_total < least or of_total > 0):
        of_total += 1
        total //= 10
    unit = " s" if isinstance(old, timedelta) or isinstance(new, timedelta) else ""
    return _text(total, of_total) + unit, tuple(_text(one, exponent) + unit for one in counts)


def _fair_exponent(shares: Sequence[Fraction], change: Fraction, least: int) -> int:
    """The coarsest that is not too coarse: no share looks like 0, all are about what they are."""
    tried = [least - more for more in range(MORE_DIGITS + 1)]
    near = []
    for exponent in tried:
        unit = Fraction(10) ** exponent
        _, counts = _rounded(shares, change, exponent)
        pairs = list(zip(counts, shares, strict=True))
        off = sum(abs(count * unit - share) for count, share in pairs)
        if off <= _FAR * sum(map(abs, shares)):
            if all(count for count, share in pairs if share):
                return exponent
            near.append(exponent)
    return near[0] if near else tried[-1]


def _rounded(shares: Sequence[Fraction], change: Fraction, exponent: int) -> tuple[int, list[int]]:
    unit = Fraction(10) ** exponent
    total = round(change / unit)
    return total, _counts(shares, total, unit)


def _counts(shares: Sequence[Fraction], total: int, unit: Fraction) -> list[int]:
    """The shares in whole units, by largest remainder; a fall is shared out as a rise is."""
    if total < 0:
        return [-count for count in _counts([-share for share in shares], -total, unit)]
    exact = [share / unit for share in shares]
    counts = [floor(one) for one in exact]
    order = sorted(
        (at for at, share in enumerate(shares) if share),
        key=lambda at: (counts[at] - exact[at], -abs(exact[at]), at),
    )
    left = total - sum(counts)
    if not order:
        if left:
            raise ValueError("there is a total, and no share of it")
        return counts
    # Between 0 and the number of remainders, where the total is what the shares add up to.
    each, rest = divmod(left, len(order))
    for place, at in enumerate(order):
        counts[at] += each + (place < rest)
    return counts


def _amount(value: Number) -> Fraction:
    if isinstance(value, timedelta):
        return Fraction(value // timedelta(microseconds=1), 10**6)
    return Fraction(Decimal(float.__repr__(value)) if isinstance(value, float) else value)


def _exponent(old: Number, new: Number) -> int:
    """The power of ten of the last digit to show."""
    least = min(_last_digit(old), _last_digit(new))
    first, second = _amount(old), _amount(new)
    binary = isinstance(old, float | Fraction) or isinstance(new, float | Fraction)
    top = _first_digit(second - first)
    if top - least >= (_FLOAT_DIGITS if binary else _DECIMAL_DIGITS) and least < 0:
        least = max(least, min(top - _SHORT + 1, _CENTS))
    if isinstance(old, float) or isinstance(new, float):
        least = max(least, _first_digit(max(abs(first), abs(second))) - _PRECISION + 1)
    return least


def _first_digit(amount: Fraction) -> int:
    numerator, denominator = Decimal(amount.numerator), Decimal(amount.denominator)
    return _WIDE.divide(abs(numerator), denominator).adjusted() if amount else 0


def _last_digit(value: Number) -> int:
    if isinstance(value, float):
        return int(Decimal(float.__repr__(value)).as_tuple().exponent)
    if isinstance(value, Decimal):
        return min(int(value.as_tuple().exponent), 0)
    if isinstance(value, timedelta):
        return 0 if not value.microseconds else -3 if not value.microseconds % 1000 else -6
    return _decimal_places(Fraction(value).denominator)


def _decimal_places(denominator: int) -> int:
    """The last digit of a fraction written as a decimal number, far away if it never ends."""
    for places in range(_FLOAT_DIGITS + 1):
        if not 10**places % denominator:
            return -places
    return _ENDLESS


def _decimal(count: int, exponent: int) -> Decimal:
    """Exactly count * 10^exponent, whatever the context's precision."""
    return Decimal((int(count < 0), Decimal(abs(count)).as_tuple().digits, exponent))


def _text(count: int, exponent: int) -> str:
    number = _decimal(count, exponent)
    return f"{number:f}" if -_LONGEST <= exponent <= 0 else str(number)

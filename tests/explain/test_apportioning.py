"""Rounded shares add up, and say no more than they are."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracediff.explain.apportioning import apportion, quantum_of, shown

SHARES = st.lists(st.fractions(-1000, 1000, max_denominator=5040), min_size=1, max_size=8)
QUANTA = st.sampled_from([Decimal(one) for one in ("1", "0.01", "0.05", "1E+2", "1E-12", "0.1")])
NUMBERS = st.one_of(
    st.integers(),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.decimals(-(10**9), 10**9, places=2),
    st.floats(allow_nan=False, allow_infinity=False),
    st.fractions(),
    st.timedeltas(),
)


@given(SHARES, QUANTA)
def test_rounded_shares_add_up_each_within_one_quantum(shares: Any, quantum: Decimal) -> None:
    total = sum(shares)
    rounded = apportion(shares, total, quantum)
    unit = Fraction(quantum)
    assert sum(map(Fraction, rounded)) == round(total / unit) * unit
    for share, one in zip(shares, rounded, strict=True):
        assert abs(Fraction(one) - share) < unit
        assert one.as_tuple().exponent == quantum.as_tuple().exponent
        assert share or not one
        assert Fraction(one) * share >= 0
        assert not (one.is_zero() and one.is_signed())


@given(SHARES, QUANTA, st.data())
def test_another_order_of_the_shares_gives_the_same(
    shares: Any, quantum: Decimal, data: st.DataObject
) -> None:
    other = data.draw(st.permutations(shares))
    total = sum(shares)
    first = zip(shares, apportion(shares, total, quantum), strict=True)
    assert sorted(zip(other, apportion(other, total, quantum), strict=True)) == sorted(first)


@given(SHARES)
def test_a_fall_is_shared_as_the_rise_was(shares: Any) -> None:
    quantum = Decimal("0.01")
    if not round(sum(shares) * 100):
        return  # neither
    down = apportion([-share for share in shares], -sum(shares), quantum)
    assert [-one for one in down] == list(apportion(shares, sum(shares), quantum))


def test_the_largest_remainders_get_what_is_left() -> None:
    shares = [Fraction(1004, 1000), Fraction(413, 1000), Fraction(0), Fraction(-117, 1000)]
    rounded = apportion(shares, Fraction(13, 10), Decimal("0.01"))
    assert [str(one) for one in rounded] == ["1.01", "0.41", "0.00", "-0.12"]
    thirds = apportion([Fraction(1, 3)] * 3, Fraction(1), Decimal("0.01"))
    assert [str(one) for one in thirds] == ["0.34", "0.33", "0.33"]


def test_a_total_that_is_not_theirs_is_met_all_the_same() -> None:
    """The shares of floats add up to the difference of the binary numbers."""
    shares = [Fraction(21.54) - Fraction(19.99), Fraction(0)]
    assert [str(one) for one in apportion(shares, Fraction("1.56"), Decimal("0.01"))] == [
        "1.56",
        "0.00",
    ]
    assert list(apportion([Fraction(2), Fraction(4)], Fraction(3), Decimal(1))) == [0, 3]
    assert not apportion([], Fraction(0), Decimal(1))
    with pytest.raises(ValueError, match="no share"):
        apportion([Fraction(0)], Fraction(1), Decimal(1))


@pytest.mark.parametrize(
    ("old", "new", "quantum"),
    [
        (1, 12, "1"),
        (Decimal("12.5"), Decimal("12.75"), "0.01"),
        (Decimal("1E+3"), Decimal("5E+3"), "1"),
        (3, Decimal("1.20"), "0.01"),
        (19.99, 21.54, "0.01"),
        (0.1, 0.1 + 0.2, "0.000001"),
        (1234567.123456, 7654321.987654, "0.01"),
        (1e20, 3e20, "1E+20"),
        (Fraction(1, 4), Fraction(1, 2), "0.01"),
        (Fraction(1, 3), Fraction(2, 3), "0.000001"),
        (timedelta(0), timedelta(minutes=3), "1"),
        (timedelta(0), timedelta(milliseconds=3), "0.001"),
        (timedelta(0), timedelta(microseconds=1500), "0.000001"),
    ],
)
def test_the_last_digit_of_both_values_is_the_unit(old: Any, new: Any, quantum: str) -> None:
    assert str(quantum_of(old, new)) == quantum
    assert str(quantum_of(new, old)) == quantum


HALVES, THIRDS = (Fraction(1, 2),) * 2, (Fraction(2, 3), Fraction(1, 3))


@pytest.mark.parametrize(
    ("old", "new", "parts", "change", "texts"),
    [
        (0, 1, HALVES, "1", ("0.5", "0.5")),
        (0, 5, HALVES, "5", ("2.5", "2.5")),
        (0, 1001, HALVES, "1001", ("501", "500")),
        (0, 2, (Fraction(7, 12), Fraction(5, 12)), "2", ("1.2", "0.8")),
        (7, 3, (Fraction(3, 2), Fraction(0), Fraction(-1, 2)), "-4", ("-6", "0", "2")),
        (Decimal("1.00"), Decimal("2.42"), THIRDS, "1.42", ("0.95", "0.47")),
        (Decimal("1.00"), Decimal("1.02"), THIRDS, "0.02", ("0.013", "0.007")),
        (Decimal("1.5"), Decimal("1.25"), HALVES, "-0.25", ("-0.13", "-0.12")),
        (19.99, 21.54, HALVES, "1.55", ("0.78", "0.77")),
        (0.1, 0.1 + 0.2, HALVES, "0.2", ("0.1", "0.1")),
        (1e20, 3e20, HALVES, "2E+20", ("1E+20", "1E+20")),
        (0.0, 1e300, HALVES, "1E+300", ("5E+299", "5E+299")),
        (Fraction(1, 3), Fraction(2, 3), HALVES, "0.333333", ("0.166667", "0.166666")),
        (timedelta(0), timedelta(seconds=90), HALVES, "90 s", ("45 s", "45 s")),
        (0, 100, (1 - Fraction(1, 10**5), Fraction(1, 10**5)), "100", ("99.999", "0.001")),
        (0, 100, (1 - Fraction(1, 10**9), Fraction(1, 10**9)), "100", ("100", "0")),
    ],
)
def test_what_is_shown(old: Any, new: Any, parts: Any, change: str, texts: Any) -> None:
    difference = new - old if not isinstance(new, timedelta) else (new - old).seconds
    whole = Fraction(difference)
    assert shown([part * whole for part in parts], old, new) == (change, texts)


@given(NUMBERS, NUMBERS, st.lists(st.integers(-20, 20), min_size=1, max_size=8))
def test_what_is_shown_adds_up(old: Any, new: Any, weights: list[int]) -> None:
    if isinstance(old, timedelta) != isinstance(new, timedelta):
        return
    if not sum(weights):
        weights = [*weights, 1]

    def amount(value: Any) -> Fraction:
        if isinstance(value, timedelta):
            return Fraction(value // timedelta(microseconds=1), 10**6)
        return Fraction(value)

    change = amount(new) - amount(old)
    text, texts = shown([change * one / sum(weights) for one in weights], old, new)
    numbers = [Fraction(one.removesuffix(" s")) for one in (text, *texts)]
    assert numbers[0] == sum(numbers[1:])
    if change:
        assert abs(numbers[0] / change - 1) < Fraction(1, 10**5)
    both = [amount(old), amount(new)]
    if not any(isinstance(one, float | Fraction) for one in (old, new)) and all(
        abs(one) < 10**15 and one * 10**15 % 1 == 0 for one in both
    ):
        assert numbers[0] == change

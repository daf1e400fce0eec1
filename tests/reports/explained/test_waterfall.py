"""Amounts and the geometry of the waterfall: totals meet, per cents add up, the axis says where."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracediff.explained import Explanation
from tracediff.reports import amounts
from tracediff.reports.waterfall import MOST, main_effect, waterfall

HEADS = ("recorded", "now")
MANY = st.lists(st.fractions(max_denominator=10**6), min_size=1, max_size=40)


def drawn(explaining: dict[str, Any], old: Any, new: Any, shares: list[str], **more: Any) -> Any:
    causes = tuple(explaining["cause"](f"m:f{at}", "m.py", at + 1) for at in range(len(shares)))
    effect = explaining["effect"](("result",), old, new, shares, **more)
    found = explaining["explained"](old, new, causes=causes, effects=(effect,), main=0)
    return waterfall(found, effect, HEADS)


def test_each_row_starts_where_the_one_before_it_ends(any_explanation: Explanation) -> None:
    main = main_effect(any_explanation)
    if main is None:
        assert any_explanation.refused or not any_explanation.comparison.different
        return
    found = waterfall(any_explanation, main, HEADS)
    first, *steps, last = found.bars
    assert (first.kind, last.kind) == ("old", "new")
    at = first.end
    for bar in steps:
        assert bar.start == at
        at = bar.end
    assert at == last.end
    assert last.end - first.end == main.change
    for bar in found.bars:
        assert 0 <= found.at(bar.start) <= 1
        assert 0 <= found.at(bar.end) <= 1
    assert all(0 <= found.at(value) <= 1 for value, _ in found.ticks)
    assert 2 <= len(found.ticks) <= 8


def test_small_causes_are_one_row(explanation: Any) -> None:
    found = explanation("many")
    bars = waterfall(found, found.effects[0], HEADS).bars
    assert len(bars) == MOST + 2
    assert bars[-2].name == "49 smaller causes"
    rest = sum(Decimal(one) for one in found.effects[0].shown[MOST - 1 :])
    assert Decimal(bars[-2].amount) == rest
    every = waterfall(found, found.effects[0], HEADS, 61).bars
    assert len(every) == 62


@pytest.mark.parametrize(
    ("old", "shares", "zoomed", "low", "high"),
    [
        ("100", ["1"], True, "99.8", "101"),
        ("100", ["40"], False, "0", "140"),
        ("-100", ["-1"], True, "-101", "-99.8"),
        ("-1", ["3", "-1"], False, "-1", "2"),
        ("0", ["5"], False, "0", "5"),
        ("5", ["-5"], False, "0", "5"),
    ],
)
def test_the_axis_begins_at_zero_unless_little_would_be_seen(
    old: str, shares: list[str], zoomed: bool, low: str, high: str, explaining: dict[str, Any]
) -> None:
    new = Decimal(old) + sum(map(Decimal, shares))
    found = drawn(explaining, Decimal(old), new, shares)
    assert found.zoomed is zoomed
    assert (found.low, found.high) == (Fraction(low), Fraction(high))


def test_a_cause_without_a_part_in_it_has_no_row(explaining: dict[str, Any]) -> None:
    found = drawn(explaining, 1, 3, ["2", "0"])
    assert [bar.cause for bar in found.bars] == [None, 0, None]


def test_names_that_are_the_same_are_told_apart(explaining: dict[str, Any]) -> None:
    causes = tuple(explaining["cause"](name, "m.py", 1) for name in ("a:f", "b:f", "b:g"))
    effect = explaining["effect"](("result",), 1, 4, ["1", "1", "1"])
    found = explaining["explained"](1, 4, causes=causes, effects=(effect,), main=0)
    bars = waterfall(found, effect, HEADS).bars
    assert [bar.name for bar in bars[1:-1]] == ["a:f", "b:f", "g"]


@given(MANY)
def test_per_cents_add_up(shares: list[Fraction]) -> None:
    change = sum(shares, Fraction(0))
    found = amounts.per_cents(shares, change)
    if not change:
        assert set(found) == {""}
        return
    exact = [share / change * 100 for share in shares]
    if max(map(abs, exact)) < 10**7:
        told = [Decimal(one.removesuffix("%").replace(",", "")) for one in found]
        assert sum(told) == 100
        assert all(abs(Fraction(a) - b) < Fraction(1, 10) for a, b in zip(told, exact, strict=True))


@pytest.mark.parametrize(
    ("shown", "told"),
    [("2.41", "+2.41"), ("-0.10", "-0.10"), ("+3", "+3"), ("0.00", "0.00"), ("-0.00", "0.00"),
     ("1E+3", "+1000"), ("1e-30", "+1e-30"), ("50%", "+50%"), ("-1.50 s", "-1.50 s"),
     ("n/a\x1b", "n/a\\x1b")],
)  # fmt: skip
def test_a_share_is_written_with_its_sign(shown: str, told: str) -> None:
    assert amounts.signed(shown) == told


def test_an_amount_takes_the_precision_of_another() -> None:
    assert amounts.like(Fraction(1, 3), "2.41") == "+0.33"
    assert amounts.like(Fraction(-1, 3000), "2.41") == "-0.0003"
    assert amounts.like(Fraction(1, 10**9), "2.41") == "+1e-9"
    assert amounts.like(Fraction(0), "2.41") == "0.00"
    assert amounts.like(Fraction(5, 2), "?") == "+2.5"
    assert amounts.like(Fraction(1, 3), "-2.5 s") == "+0.3 s"


def test_shares_of_a_fact_are_per_cents() -> None:
    assert amounts.of_whole("0.6667") == "66.67%"
    assert amounts.of_whole("1") == "100%"
    assert amounts.of_whole("-0.5000") == "-50%"
    assert amounts.of_whole("33 %") == "33 %"
    assert amounts.part(Fraction(1)) == "100%"
    assert amounts.part(Fraction(-1, 8)) == "-12.5%"
    assert amounts.part(Fraction(1, 3)) == "33.3%"


@pytest.mark.parametrize(
    "value",
    [True, None, "1", float("nan"), float("inf"), Decimal("NaN"), Decimal("1E+999999"),
     Decimal("-Infinity"), 10**5000, Fraction(1, 10**5000)],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_is_no_number_or_too_long_is_not_drawn(value: Any) -> None:
    assert amounts.number(value) is None


def test_numbers_are_exact() -> None:
    assert amounts.number(Decimal("0.1")) == Fraction(1, 10)
    assert amounts.number(0.1) == Fraction(1, 10)
    assert amounts.number(timedelta(hours=-1, microseconds=1)) == -3600 + Fraction(1, 10**6)
    assert amounts.number(3) == 3


@pytest.mark.parametrize(
    "old",
    [10**300, Decimal("1E-300"), 1e308, 5e-324, Decimal("1E+9999")],
    ids=lambda value: type(value).__name__,
)
def test_numbers_of_any_size_are_drawn(old: Any, explaining: dict[str, Any]) -> None:
    change = amounts.number(old) or Fraction(1)
    found = drawn(explaining, old, old, [str(change), str(change)], shown_change="?",
                  shown=("?", "?"))  # fmt: skip
    assert len(found.bars) == 4
    assert all(len(text) <= 24 for _, text in found.ticks)

"""Amounts that JSON has as texts are added up, as those that Django answers with."""

from __future__ import annotations

from fractions import Fraction

import pytest

from tracediff.explain.outcomes import number


@pytest.mark.parametrize(
    ("text", "amount"),
    [("443.83", Fraction(44383, 100)), ("-0.50", Fraction(-1, 2)), ("12.0", Fraction(12))],
)
def test_a_text_that_is_a_decimal_is_an_amount(text, amount):
    assert number(text) == amount


@pytest.mark.parametrize("text", ["1001", "1.2.3", "1e5", "NaN", ".5", "5.", " 1.0", "EUR 1.00"])
def test_any_other_text_is_none(text):
    assert number(text) is None

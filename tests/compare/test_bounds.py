"""A tolerance's bound is the number that was written, not the float nearest to it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tracediff import values
from tracediff.compare import value_changes
from tracediff.compare.tolerances import Rules
from tracediff.model import Tolerance, Value


def accepted(old: object, new: object, rule: Tolerance) -> bool:
    sides = (Value(values.encode(one)) for one in (old, new))
    (change,) = value_changes(*sides, rules=Rules([rule]))
    return change.within


@pytest.mark.parametrize("tenths", range(1, 100))
def test_a_difference_of_just_the_bound_is_accepted(tenths: int) -> None:
    step = Decimal(tenths) / 10
    rule = Tolerance(abs=float(step))
    assert accepted(Decimal("1.0"), Decimal("1.0") + step, rule)
    assert not accepted(Decimal("1.0"), Decimal("1.0") + step + Decimal("1e-20"), rule)


def test_a_share_of_just_the_bound_is_accepted() -> None:
    assert accepted(Decimal(970), Decimal(1000), Tolerance(rel=0.03))
    assert not accepted(Decimal(969), Decimal(1000), Tolerance(rel=0.03))

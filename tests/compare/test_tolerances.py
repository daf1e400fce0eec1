"""Tolerances: where they hold, what each bound accepts, which of several wins."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracediff.compare.tolerances import Rules, ulps
from tracediff.compare.walker import MAX_CHANGES, value_changes, walked
from tracediff.model import FieldChange, Tolerance, Value
from tracediff.values import Record, encode

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


def changes(old: Any, new: Any, *rules: Tolerance, at: tuple[str, ...] = ()) -> list[FieldChange]:
    pair = Value(encode(old)), Value(encode(new))
    return list(value_changes(*pair, rules=Rules(rules), at=at))


def accepted(old: Any, new: Any, **bounds: Any) -> bool:
    (found,) = changes(old, new, Tolerance(**bounds))
    return found.within


@pytest.mark.parametrize(
    ("old", "new", "bounds", "within"),
    [
        (100.0, 100.0 + 1e-7, {"rel": 1e-9}, True),
        (100.0, 100.0 + 2e-7, {"rel": 1e-9}, False),
        (1e12, 1e12 + 999, {"abs": 1}, False),
        (1e12, 1e12 + 999, {"rel": 1e-9}, True),
        (0.0, 1e-12, {"rel": 1e-3}, False),
        (0.0, 1e-12, {"abs": 1e-12}, True),
        (Decimal("1.00"), Decimal("1.01"), {"abs": 0.01}, True),
        (Decimal("1.00"), Decimal("1.02"), {"abs": 0.01}, False),
        (Decimal("1.0"), Decimal("1.00"), {"abs": 0.0}, True),
        (5, 6, {"abs": 1}, True),
        (Fraction(1, 3), Fraction(1, 3) + Fraction(1, 10**9), {"rel": 1e-6}, True),
        (0.3, 0.1 + 0.2, {"ulp": 1}, True),
        (0.3, 0.30000000000000016, {"ulp": 1}, False),
        (0.0, -0.0, {"ulp": 0}, True),
        (-5e-324, 5e-324, {"ulp": 2}, True),
        (-5e-324, 5e-324, {"ulp": 1}, False),
        (1, 2, {"ulp": 5}, False),
        (Decimal("1.004"), Decimal("0.996"), {"quantum": "0.01"}, True),
        (Decimal("1.004"), Decimal("1.006"), {"quantum": "0.01"}, False),
        (1.004, 0.996, {"quantum": "0.01"}, True),
        (1.0, 2.0, {"quantum": "0"}, False),
        (1.0, 2.0, {"quantum": "cent"}, False),
        (math.nan, 1.0, {"rel": 1e9, "abs": 1e300, "ulp": 2**62}, False),
        (math.inf, 1e308, {"rel": 1e9, "abs": 1e300, "ulp": 2**62}, False),
        (Decimal("NaN"), Decimal(1), {"abs": 1e9}, False),
        (Decimal("1E+999999999999"), Decimal(1), {"rel": 1e9}, False),
        (True, False, {"abs": 5}, False),
        (1 + 1j, 1 + 1.0001j, {"abs": 1e-3}, True),
        (1 + 1j, 2 + 1j, {"abs": 1e-3}, False),
        (timedelta(seconds=1), timedelta(seconds=2), {"abs": 1}, True),
        (timedelta(seconds=1), timedelta(seconds=3), {"abs": 1}, False),
        (NOON, NOON + timedelta(seconds=1), {"abs": 1}, True),
        (NOON, NOON + timedelta(seconds=2), {"abs": 1}, False),
        (datetime(2024, 1, 1), datetime(2024, 1, 1, tzinfo=UTC), {"abs": 1e9}, False),
        (1, 1.0, {"abs": 5}, False),
        ("a", "b", {"abs": 5}, False),
    ],
)  # fmt: skip
def test_what_a_bound_accepts(old: Any, new: Any, bounds: dict[str, Any], within: bool) -> None:
    assert accepted(old, new, **bounds) is within
    assert accepted(new, old, **bounds) is within


def test_bounds_are_independent() -> None:
    both = {"rel": 1e-6, "abs": 1e-3}
    assert accepted(1e9, 1e9 + 100, **both)
    assert accepted(0.0, 1e-3, **both)
    assert not accepted(1.0, 1.1, **both)


@pytest.mark.parametrize(
    ("glob", "path", "holds"),
    [
        ("**", "a/b/result", True),
        ("**/weight", "a/b/result/weight", True),
        ("**/weight", "weight", True),
        ("**/weight", "a/weight/kg", True),
        ("**/weight", "a/weights", False),
        ("VAT/result", "VAT/result/rate", True),
        ("VAT/result", "job/VAT/result", False),
        ("*/result", "VAT/result", True),
        ("*/result", "a/VAT/result", False),
        ("a/**/z", "a/z", True),
        ("a/**/z", "a/b/c/z", True),
        ("a/**/z", "b/a/z", False),
        ("lines/?/net", "lines/3/net", True),
        ("lines/?/net", "lines/33/net", False),
        ("**/lines/*/net", "x/lines/33/net", True),
        ("a.b", "axb", False),
        ("[ab]", "a", False),
        ("**/pr*ce", "x/pr\nce", True),
    ],
)
def test_where_a_tolerance_holds(glob: str, path: str, holds: bool) -> None:
    rules = Rules([Tolerance(path=glob, abs=1)])
    assert (rules.at(tuple(path.split("/"))).abs == 1) is holds


def test_a_long_path_and_many_stars_end_quickly() -> None:
    rules = Rules([Tolerance(path="**/a/**/a/**/a/**/b", abs=1)])
    assert rules.at(("a",) * 200).abs is None


def test_for_each_bound_the_last_that_matches_wins() -> None:
    rules = Rules(
        [
            Tolerance(path="**", rel=1e-6, abs=1),
            Tolerance(path="**/net", rel=1e-9),
            Tolerance(path="**/tax", rel=0.0, abs=0.0),
        ]
    )
    assert (rules.at(("net",)).rel, rules.at(("net",)).abs) == (1e-9, 1)
    assert (rules.at(("tax",)).rel, rules.at(("tax",)).abs) == (0.0, 0.0)
    assert (rules.at(("x",)).rel, rules.at(("x",)).abs) == (1e-6, 1)


def test_a_tolerance_holds_at_its_place_only() -> None:
    old, new = {"net": 1.0, "tax": 1.0}, {"net": 1.0001, "tax": 1.0001}
    found = changes(old, new, Tolerance(path="**/net", abs=0.01), at=("VAT", "result"))
    assert [(one.path, one.within) for one in found] == [(("net",), True), (("tax",), False)]
    found = changes(old, new, Tolerance(path="VAT/result", abs=0.01), at=("VAT", "result"))
    assert all(one.within for one in found)


def test_an_ignored_place_is_no_change() -> None:
    old, new = {"at": 1, "net": 1}, {"at": 2, "net": 2}
    (found,) = changes(old, new, Tolerance(path="**/at", ignore=True))
    assert found.path == ("net",)
    assert changes(old, {"net": 1}, Tolerance(path="**/at", ignore=True)) == []
    assert changes([1], (2,), Tolerance(ignore=True)) == []


def test_unordered_lists_are_multisets() -> None:
    rule = Tolerance(path="tags", unordered=True)
    assert changes({"tags": [1, 2, 2]}, {"tags": [2, 1, 2]}, rule) == []
    (found,) = changes({"tags": [1, 2, 2]}, {"tags": [2, 1]}, rule)
    assert (found.kind, found.path) == ("removed", ("tags", 2))
    assert changes([1, 2], [2, 1], rule) != []
    rows = [{"id": at, "net": at} for at in range(5)]
    turned = [*rows[3:], {"id": 1, "net": 9}, rows[0], rows[2]]
    (found,) = changes({"tags": rows}, {"tags": turned}, rule)
    assert (found.path, found.old, found.new) == (("tags", 1, "net"), 1, 9)


def test_unordered_dicts_forget_the_order_of_keys_only() -> None:
    rule = Tolerance(unordered=True)
    assert changes({"a": 1, "b": 2}, {"b": 2, "a": 1}, rule) == []
    (found,) = changes({"a": 1, "b": 2}, {"b": 3, "a": 1}, rule)
    assert found.path == ("b",)


def test_expected_type_changes_are_accepted_when_the_value_is_the_same() -> None:
    rule = Tolerance(types=(("float", "Decimal"), ("list", "tuple")))
    (found,) = changes(1.5, Decimal("1.50"), rule)
    assert (found.kind, found.within) == ("type", True)
    assert not changes(1.5, Decimal("1.51"), rule)[0].within
    assert not changes(Decimal("1.5"), 1.5, rule)[0].within
    assert changes(1.5, Decimal("1.51"), rule, Tolerance(abs=0.1))[0].within
    found = changes([1, 2], (1, 3), rule)
    assert [(one.kind, one.path, one.within) for one in found] == [
        ("type", (), True),
        ("changed", (1,), False),
    ]


def test_a_renamed_class_may_be_expected() -> None:
    old, new = (Record(name, "dataclass", fields={"a": 1}) for name in ("m:Old", "n:New"))
    assert not changes(old, new)[0].within
    for names in (("Old", "New"), ("m:Old", "n:New")):
        found = changes(old, new, Tolerance(types=(names,)))
        assert [one.within for one in found] == [True]
    later = Record("n:New", "dataclass", fields={"a": 2})
    found = changes(old, later, Tolerance(types=(("Old", "New"),)))
    assert [(one.path, one.within) for one in found] == [((), True), (("a",), False)]


def test_drift_is_counted_and_never_hides_what_is_beyond() -> None:
    size = MAX_CHANGES * 3
    old = [float(at) for at in range(size)]
    new = [one + 1e-9 for one in old[:-1]] + [7.0]
    pair = Value(encode(old)), Value(encode(new))
    found = walked(*pair, rules=Rules([Tolerance(abs=1e-6)]), at=(), clock=None)
    changed = sum(a != b for a, b in zip(old[:-1], new[:-1], strict=True))
    assert found.drift == changed > MAX_CHANGES
    assert [one.path for one in found.changes if not one.within] == [(size - 1,)]
    assert found.cut


@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_ulps_are_a_distance(a: float, b: float) -> None:
    assert ulps(a, b) == ulps(b, a)
    assert (ulps(a, b) == 0) == (a == b)
    assert ulps(a, math.nextafter(a, math.inf)) == 1 or a == math.nextafter(a, math.inf)

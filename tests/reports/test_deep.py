"""A second reading of small containers: shorter where it can be, never another verdict."""

from __future__ import annotations

import subprocess
import sys
from collections import OrderedDict, deque
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracediff.compare import value_changes
from tracediff.model import FieldChange, Value
from tracediff.reports import deep
from tracediff.reports.deep import deep_lines
from tracediff.values import Record, encode, inert


def lines(old: Any, new: Any, limit: int = 20) -> list[str]:
    before, after = Value(encode(old)), Value(encode(new))
    return deep_lines(inert(before), inert(after), limit, value_changes(before, after))


ROWS = [{"id": at, "sku": f"S-{at}", "net": Decimal(at), "qty": at * 7} for at in range(6)]
TURNED = [ROWS[4], {**ROWS[1], "net": Decimal("1.50")}, ROWS[0], ROWS[5], ROWS[3], ROWS[2]]


def test_one_change_is_one_line() -> None:
    old = {"lines": [{"net": Decimal("12.10")}], "tags": ["a"]}
    assert lines(old, {"lines": [{"net": Decimal("12.40")}], "tags": ["a"]}) == [
        "lines[0].net: 12.10 → 12.40"
    ]
    assert lines(old, {"lines": [{"net": Decimal("12.10")}], "tags": ["a", "b"]}) == [
        "tags[1]: 'b' was added"
    ]
    assert lines(5, 6) == ["5 → 6"]


def test_field_changes_are_told_where_another_reading_is_no_shorter() -> None:
    found = lines({"a": 1, "tags": ["x"]}, {"a": 2, "tags": ["x", "y"]})
    assert found == ["a: 1 → 2", "tags[1]: 'y' was added"]


def test_shuffled_rows_are_read_without_their_order() -> None:
    own = value_changes(Value(encode(ROWS)), Value(encode(TURNED)))
    found = lines(ROWS, TURNED)
    assert found == ["[1].net: 1 → 1.50", "in another order"]
    assert len(found) < len(own)


def test_members_and_repetitions_are_told() -> None:
    old, new = {"tags": ["a", "b", "b", "c", "e"]}, {"tags": ["e", "c", "b", "a", "d"]}
    assert lines(old, new) == [
        "tags: 'd' was added",
        "tags: 'b' 2 times → 1 time",
        "tags: in another order",
    ]


def test_a_text_is_told_by_its_lines() -> None:
    old = {"a": list("xyz"), "text": "one\ntwo\nthree"}
    new = {"a": list("zxy"), "text": "one\ntwo!\nthree"}
    found = deep_lines(old, new, 9)
    assert found == ["text: -two", "text: +two!", "a: in another order"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (1e12, 1e12 + 999),
        (0.0, -0.0),
        (float("nan"), 1.0),
        (Decimal("1.0"), Decimal("1.00")),
        (1, True),
        (1, 1.0),
        (datetime(2024, 1, 1), datetime(2024, 1, 1, tzinfo=UTC)),
        ([1], (1,)),
        ({1: "a"}, {True: "a"}),
        ({1: "a"}, {"1": "a"}),
        ({1}, frozenset({1})),
        (Record("m:A", "dataclass", fields={"x": 1}), Record("m:B", "dataclass", fields={"x": 1})),
    ],
)
def test_what_deepdiff_takes_for_equal_is_told_in_both_readings(old: Any, new: Any) -> None:
    assert lines({"a": [old]}, {"a": [new]})
    rows = [[index, index] for index in range(8)]
    shuffled = {"a": [*reversed(rows), [new, "x", "y", "z"]]}
    found = deep_lines({"a": [*rows, [old, "x", "y", "z"]]}, shuffled, 20)
    assert found[-1] == "a: in another order"
    assert len(found) > 1


def test_equal_bits_are_never_told() -> None:
    same = [float("nan"), Decimal("1.00"), -0.0, OrderedDict(a=1), deque([1], 2), {1, 2}]
    assert deep_lines(same, list(same), 20) == []
    found = deep_lines([*same, 1, 2, 3], [3, 2, 1, *same, 4], 20)
    assert found == ["4 was added", "in another order"]


@pytest.mark.parametrize("limit", [0, 1, 2, 3])
def test_no_more_lines_than_asked_for(limit: int) -> None:
    found = lines({"a": 1, "b": 2, "c": 3}, {"a": 2, "b": 3, "c": 4}, limit)
    assert len(found) == limit
    if limit in (1, 2):
        assert found[-1] == f"… {4 - limit} more differences"


def test_lines_are_safe_to_print() -> None:
    evil = "\x1b[2Jx"
    for found in (
        lines({"a": 1, evil: 1}, {"a": 2, evil: evil}),
        deep_lines({"t": f"a\n{evil}", "l": [1, 2]}, {"t": "a\nb", "l": [2, 1]}, 9),
    ):
        assert found
        assert not any("\x1b" in line or "\n" in line for line in found)


def test_what_is_large_is_told_by_its_field_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(deep, "_differences", lambda old, _: asked.append(old) or [])
    rows = [{"id": at, "text": "x" * 40} for at in range(1_000)]
    own = value_changes(Value(encode(rows)), Value(encode(rows[::-1])))
    found = deep_lines(rows, rows[::-1], 5, own)
    assert len(found) == 5
    nested: Any = 1
    for _ in range(300):
        nested = [nested, 2]
    assert deep_lines([nested, 1], [1, nested], 5, ()) == []
    assert asked == []


@pytest.mark.parametrize(("bound", "most"), [("SECONDS", -1.0), ("LOOKS", 20)])
def test_what_takes_too_long_is_told_by_its_field_changes(
    monkeypatch: pytest.MonkeyPatch, bound: str, most: float
) -> None:
    assert lines(ROWS, TURNED)[-1] == "in another order"
    monkeypatch.setattr(deep, bound, most)
    own = value_changes(Value(encode(ROWS)), Value(encode(TURNED)))
    assert lines(ROWS, TURNED, 99) == [deep._told(one) for one in own]


def test_order_of_keys_is_told_in_words() -> None:
    change = FieldChange(path=("a",), kind="order", old=["x", "y"], new=["y", "x"])
    assert deep_lines({}, {}, 5, [change]) == ["a: keys in another order"]


def test_only_what_needs_it_imports_deepdiff() -> None:
    program = (
        "import sys; import tracediff.reports.deep as d; from tracediff.model import FieldChange;"
        "d.deep_lines([1], [2], 5, [FieldChange(path=(0,), kind='changed', old=1, new=2)]);"
        "assert 'deepdiff' not in sys.modules;"
        "assert d.deep_lines([1, 2, 3], [3, 1, 5], 5); assert 'deepdiff' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


LEAVES = st.sampled_from([0, 1, True, 1.0, -0.0, 0.0, Decimal("1.0"), Decimal("1.00"), "a", "a\nb"])
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(LEAVES, inner, max_size=3),
    max_leaves=8,
)


@given(VALUES, VALUES)
def test_what_differs_is_always_told_and_what_does_not_never(old: Any, new: Any) -> None:
    same = encode(old) == encode(new)
    assert bool(lines(old, new)) is not same
    if same:
        assert deep_lines(old, new, 20) == []

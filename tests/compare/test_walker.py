"""The value walker tells apart what differs in type or bits, and by how much."""

from __future__ import annotations

import math
import struct
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass, make_dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracediff.compare.raw import opened
from tracediff.compare.shared import opened_both
from tracediff.compare.walker import MAX_CHANGES, value_changes
from tracediff.model import MISSING, FieldChange, Value
from tracediff.values import Opaque, encode, inert

Short = tuple[str, tuple[Any, ...]]


def value(obj: Any) -> Value:
    return Value(encode(obj))


def changes(old: Any, new: Any) -> tuple[FieldChange, ...]:
    return value_changes(value(old), value(new))


def kinds(old: Any, new: Any) -> list[Short]:
    return [(one.kind, one.path) for one in changes(old, new)]


def floats(bits: int) -> float:
    found: float = struct.unpack("<d", struct.pack("<Q", bits))[0]
    return found


@dataclass(frozen=True)
class Line:
    """A record of the user's."""

    sku: str
    net: Decimal


class Point(NamedTuple):
    """Another one."""

    x: int
    y: int


class Colour(Enum):
    """An enum of the user's."""

    RED = 1
    BLUE = 2


CET = timezone(timedelta(hours=1))
NAN = floats(0x7FF8000000000000)
OTHER_NAN = floats(0x7FF8000000000001)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (1e12, 1e12 + 999),
        (0.1 + 0.2, 0.3),
        (0.0, -0.0),
        (NAN, 1.0),
        (NAN, OTHER_NAN),
        (math.inf, -math.inf),
        (Decimal("1.0"), Decimal("1.00")),
        (Decimal("0"), Decimal("-0")),
        (Decimal("1.000000000000000000000000000001"), Decimal("1.000000000000000000000000000002")),
        (datetime(2024, 1, 1), datetime(2024, 1, 1, tzinfo=UTC)),
        (datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, 1, tzinfo=CET)),
        ("a", "A"),
        ("é", "e\u0301"),
        (b"a", b"b"),
        (Colour.RED, Colour.BLUE),
        (2**70, 2**70 + 1),
        (range(3), range(4)),
        (complex(0.0, 1), complex(-0.0, 1)),
    ],
)  # fmt: skip
def test_equal_looking_leaves_are_one_change(old: Any, new: Any) -> None:
    assert kinds(old, new) == [("changed", ())]
    assert kinds([old], [new]) == [("changed", (0,))]
    assert kinds({"a": old}, {"a": new}) == [("changed", ("a",))]
    assert kinds((0, old), (0, new)) == [("changed", (1,))]


@pytest.mark.parametrize(
    "one",
    [NAN, OTHER_NAN, -0.0, Decimal("NaN"), Decimal("1.00"), "\ud800", 2**70, None, {1: {2: {3}}}],
)
def test_nothing_differs_from_itself_bit_for_bit(one: Any) -> None:
    assert changes(one, one) == ()
    assert changes({"a": [one, 1]}, {"a": [one, 2]})[0].path == ("a", 1)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (1, 1.0),
        (1, True),
        (0, False),
        (1, Decimal(1)),
        (1.0, Decimal("1.0")),
        (1, "1"),
        (b"a", bytearray(b"a")),
        ("a", b"a"),
        ([1], (1,)),
        ({1}, frozenset({1})),
        ({"a": 1}, OrderedDict(a=1)),
        ({"a": 1}, Counter(a=1)),
        ([1], deque([1])),
        (date(2024, 1, 1), datetime(2024, 1, 1)),
        (Point(1, 2), (1, 2)),
        (Colour.RED, 1),
        (None, 0),
        (Line("a", Decimal(1)), {"sku": "a", "net": Decimal(1)}),
        ({}, []),
    ],
)
def test_another_type_is_a_change_of_type(old: Any, new: Any) -> None:
    assert kinds(old, new) == [("type", ())]
    assert kinds({"a": [old]}, {"a": [new]}) == [("type", ("a", 0))]


def test_records_of_two_classes_differ_in_type_even_with_equal_fields() -> None:
    other = make_dataclass("Other", ["sku", "net"])
    assert kinds(Line("a", Decimal(1)), other("a", Decimal(1))) == [("type", ())]


def test_keys_count_with_their_type() -> None:
    assert sorted(kinds({1: "a"}, {True: "a"})) == [("added", ("True",)), ("removed", (1,))]
    assert sorted(kinds({1: "a"}, {"1": "a"})) == [("added", ("1",)), ("removed", (1,))]
    assert sorted(kinds({Decimal("1.0"): 1}, {Decimal("1.00"): 1})) == [
        ("added", ("1.00",)),
        ("removed", ("1.0",)),
    ]
    assert [one.kind for one in changes({(1,): "a"}, {(True,): "a"})] == ["removed", "added"]
    assert kinds({0.0: 1}, {-0.0: 1}) != []
    assert kinds({NAN: 1}, {NAN: 2}) == [("changed", ("nan",))]
    assert kinds({1: "a", "1": "b"}, {1: "a", "1": "c"}) == [("changed", ("1",))]


def test_a_dict_is_told_key_by_key() -> None:
    found = changes({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 5, "d": 4})
    assert [(one.kind, one.path, one.old, one.new) for one in found] == [
        ("changed", ("b",), 2, 5),
        ("removed", ("c",), 3, MISSING),
        ("added", ("d",), MISSING, 4),
    ]


def test_the_order_of_keys_is_data() -> None:
    (found,) = changes({"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert (found.kind, found.old, found.new) == ("order", ["a", "b"], ["b", "a"])
    assert kinds({"a": 1, "b": 2}, {"b": 3, "a": 1}) == [("order", ()), ("changed", ("b",))]
    assert kinds({"a": 1, "b": 2, "c": 3}, {"a": 1, "c": 3}) == [("removed", ("b",))]


ROWS = [{"id": at, "sku": f"S-{at}", "net": Decimal(at), "qty": 1} for at in range(8)]


def test_an_inserted_row_is_one_change() -> None:
    row = {"id": 99, "sku": "S-99", "net": Decimal(5), "qty": 1}
    for at in range(len(ROWS) + 1):
        assert kinds(ROWS, [*ROWS[:at], row, *ROWS[at:]]) == [("added", (at,))]
        assert kinds([*ROWS[:at], row, *ROWS[at:]], ROWS) == [("removed", (at,))]


def test_a_row_inserted_beside_a_changed_one_stays_one_change() -> None:
    row = {"id": 99, "sku": "S-99", "net": Decimal(5), "qty": 1}
    changed = {**ROWS[3], "net": Decimal("3.1")}
    assert kinds(ROWS, [*ROWS[:3], row, changed, *ROWS[4:]]) == [
        ("added", (3,)),
        ("changed", (3, "net")),
    ]
    assert kinds(ROWS, [*ROWS[:3], changed, row, *ROWS[4:]]) == [
        ("changed", (3, "net")),
        ("added", (4,)),
    ]


def test_a_removed_and_a_changed_row_are_told_apart() -> None:
    changed = {**ROWS[4], "sku": "S-4b"}
    assert kinds(ROWS, [*ROWS[:3], changed, *ROWS[5:]]) == [
        ("removed", (3,)),
        ("changed", (4, "sku")),
    ]


def test_items_without_fields_change_in_place() -> None:
    assert kinds([1, 2, 3], [1, 5, 3]) == [("changed", (1,))]
    assert kinds([1, 2, 3], [1, 2, 3, 4]) == [("added", (3,))]
    assert kinds(["a", "b", "c"], ["b", "c"]) == [("removed", (0,))]


def test_sets_are_told_by_their_members() -> None:
    assert kinds({1, 2}, {2, 3}) == [("removed", ("1",)), ("added", ("3",))]
    assert kinds(frozenset("ab"), frozenset("ba")) == []
    assert kinds({1}, {True}) == [("removed", ("1",)), ("added", ("True",))]
    assert kinds({Colour.RED, Line("a", Decimal(1))}, {Colour.RED})[0][0] == "removed"


def test_records_are_told_by_their_fields() -> None:
    assert kinds(Line("a", Decimal("1.0")), Line("a", Decimal("1.00"))) == [("changed", ("net",))]
    assert kinds(Point(1, 2), Point(1, 3)) == [("changed", ("y",))]
    old, new = [Line("a", Decimal(1)), Line("b", Decimal(2))], [Line("b", Decimal(2))]
    assert kinds(old, new) == [("removed", (0,))]
    deep = {"lines": (Line("a", Decimal(1)),)}
    assert kinds(deep, {"lines": (Line("b", Decimal(1)),)}) == [("changed", ("lines", 0, "sku"))]


def test_what_a_container_is_besides_its_members_counts() -> None:
    assert kinds(defaultdict(int, a=1), defaultdict(list, a=1)) == [("changed", ())]
    assert kinds(deque([1], 3), deque([1], 4)) == [("changed", ())]
    assert kinds(deque([1], 3), deque([2], 3)) == [("changed", (0,))]
    assert kinds(defaultdict(int, a=1), defaultdict(int, a=2)) == [("changed", ("a",))]
    assert kinds(Counter(a=1), Counter(a=2)) == [("changed", ("a",))]


def test_opaque_values_differ_by_all_that_is_known_of_them() -> None:
    one = Opaque("m:Session", "<Session>", b"1" * 16)
    assert changes(one, one) == ()
    assert kinds(one, Opaque("m:Session", "<Session>", b"2" * 16)) == [("changed", ())]
    assert kinds([one, 1], [one, 2]) == [("changed", (1,))]


def nested(depth: int, leaf: Any) -> Any:
    for _ in range(depth):
        leaf = [leaf]
    return leaf


def test_depth_is_no_limit() -> None:
    assert kinds(nested(400, 1), nested(400, 2)) == [("changed", (0,) * 400)]
    assert changes(nested(1000, 1), nested(1000, 1)) == ()
    assert len(changes({"a": nested(1000, 1), "b": 1}, {"a": nested(1000, 2), "b": 2})) >= 1
    odd: Any = 1
    for at in range(300):
        odd = {"k": (odd,)} if at % 2 else Line("s", odd)
    assert len(changes(odd, nested(300, 1))) == 1


def test_big_lists_are_aligned() -> None:
    rows = [{"id": at, "net": Decimal(at)} for at in range(20_000)]
    new = [*rows[:8_000], {"id": -1, "net": Decimal(1)}, *rows[8_000:]]
    assert kinds(rows, new) == [("added", (8_000,))]
    assert kinds(new, rows) == [("removed", (8_000,))]
    assert kinds(rows, [*rows, 1]) == [("added", (20_000,))]
    assert kinds(rows, rows[1:]) == [("removed", (0,))]
    assert kinds({"rows": rows}, {"rows": new}) == [("added", ("rows", 8_000))]
    assert kinds(rows * 2, [*rows, *rows[1:]])[0][0] == "removed"
    twice = [*rows[:100], 1, *rows[100:19_000], 2, *rows[19_000:]]
    assert kinds(rows, twice) == [("added", (100,)), ("added", (19_001,))]


@given(
    st.lists(st.integers(0, 3), min_size=5, max_size=30),
    st.lists(st.integers(0, 3), max_size=30),
    st.lists(st.integers(0, 3), max_size=30),
)
def test_lists_that_share_their_ends_are_opened_right(
    middle: list[int], start: list[int], end: list[int]
) -> None:
    unit = [{"n": at % 7, "pad": "x" * 60} for at in range(400)]
    old = [*start, *unit, *middle, *unit, *end]
    new = [*start, *unit, *middle[1:], *unit, *end]
    assert len(encode(new)) > 50_000
    found = changes(old, new)
    assert sum(one.kind == "removed" for one in found) - sum(
        one.kind == "added" for one in found
    ) == len(old) - len(new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ([{"row": "x" * 90}] * 1000, [{"row": "x" * 90}] * 1600),
        ([{"row": "x" * 90}] * 1600, [{"row": "x" * 90}] * 1000),
        ([f"row {at:99}" for at in range(999)], [f"row {at:99}" for at in range(999) if at != 4]),
        ([f"row {at:99}" for at in range(1000)], [f"row {at:99}" for at in range(-400, 1000)]),
        ([f"row {at:99}" for at in range(600)] + [97] * 600,
         [f"row {at:99}" for at in range(600)] + [0] * 600 + ["a" * 600]),
        ([f"row {at:99}" for at in range(600)] + [97] * 3000,
         [f"row {at:99}" for at in range(600)] + ["a" * 3000]),
        ([f"row {at:99}" for at in range(600)] + ["a" * 600, *range(90)],
         [f"row {at:99}" for at in range(600)] + [97] * 600),
    ],
)  # fmt: skip
def test_long_lists_are_opened_to_what_they_are(old: list[Any], new: list[Any]) -> None:
    left, right = opened_both(encode(old), encode(new))
    assert left == opened(encode(old))
    assert right == opened(encode(new))


def test_long_lists_in_other_than_canonical_bytes_are_opened_to_what_they_are() -> None:
    rows: list[Any] = [f"{at:90}" for at in range(1_000)]
    plain = encode([1, *rows]), encode([1, *rows[:500], "x", *rows[501:]])
    # The same 1 in three bytes, as only a made-up trace has it.
    wide = [data[:3] + b"\xd1\x00\x01" + data[4:] for data in plain]
    for old, new in (wide, wide[::-1], (wide[0], plain[1]), (plain[0], wide[1])):
        assert opened_both(old, new) == (opened(old), opened(new))


def test_equal_ends_of_long_lists_are_the_same_objects() -> None:
    rows = [{"row": f"{at:90}"} for at in range(2_000)]
    left, right = opened_both(encode(rows), encode([*rows[:900], 1, *rows[901:]]))
    assert right[900] == 1
    same = [a is b for a, b in zip(left, right, strict=True)]
    assert all(same[:700])
    assert all(same[-900:])
    left, right = opened_both(encode(rows[:1] * 1_000), encode(rows[:1] * 1_600))
    assert right[0] is left[0]


def test_what_differs_without_end_is_cut() -> None:
    found = changes(list(range(5_000)), [str(at) for at in range(5_000)])
    assert len(found) == MAX_CHANGES


@pytest.mark.parametrize(
    ("old", "new", "delta"),
    [
        (3, 5, 2),
        (2**80, 2**80 + 1, 1),
        (Decimal("0.1"), Decimal("0.30"), Decimal("0.20")),
        (Decimal("1E+20"), Decimal("1E-20"), Decimal("1E-20") - Decimal("1E+20").copy_abs()),
        (Fraction(1, 3), Fraction(1, 2), Fraction(1, 6)),
        (1.5, 2.0, 0.5),
        (1, Decimal("1.5"), Decimal("0.5")),
        (1, Fraction(1, 2), Fraction(-1, 2)),
        (timedelta(1), timedelta(3), timedelta(2)),
        (date(2024, 1, 31), date(2024, 2, 1), timedelta(1)),
        (datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC), timedelta(1)),
    ],
)
def test_deltas_are_exact(old: Any, new: Any, delta: Any) -> None:
    (found,) = changes(old, new)
    if isinstance(delta, Decimal) and delta.adjusted() > 10:
        assert Fraction(found.delta) == Fraction(new) - Fraction(old)
    else:
        assert (found.delta, type(found.delta)) == (delta, type(delta))


def test_the_delta_of_instants_knows_the_clock_went_back() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    old = datetime(2024, 10, 27, 2, 30, tzinfo=berlin)
    (found,) = changes(old, old.replace(fold=1))
    assert found.delta == timedelta(hours=1)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (True, 2),
        (1, False),
        (math.inf, 1.0),
        (NAN, 1.0),
        (1e308, -1e308),
        (Decimal("NaN"), Decimal(1)),
        (Decimal("1E+999999999999"), Decimal(1)),
        (Decimal("1E+999999999999"), 1),
        (Decimal("1E+999999999999"), 1.5),
        (Decimal("1E+20000"), Decimal("1E-20000")),
        ("1", "2"),
        (datetime(2024, 1, 1), datetime(2024, 1, 1, tzinfo=UTC)),
    ],
)
def test_no_delta_where_none_can_be_told(old: Any, new: Any) -> None:
    (found,) = changes(old, new)
    assert found.delta is None


def test_a_missing_value_is_not_none() -> None:
    assert value_changes(None, None) == ()
    (found,) = value_changes(None, value(None))
    assert (found.kind, found.old, found.new) == ("added", MISSING, None)
    (found,) = value_changes(value(1), None)
    assert (found.kind, found.old, found.new) == ("removed", 1, MISSING)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=4)
    | st.decimals(allow_nan=False)
    | st.sampled_from([Line("a", Decimal(1)), Point(1, 2), Colour.RED, date(2024, 1, 1)]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=2) | st.integers(0, 2), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(VALUES, VALUES)
def test_a_change_is_found_exactly_where_the_bytes_differ(old: Any, new: Any) -> None:
    left, right = value(old), value(new)
    found = value_changes(left, right)
    assert (found == ()) == (left.data == right.data)
    back = value_changes(right, left)
    assert bool(back) == bool(found)
    for change in found:
        if change.path == () and change.kind in ("changed", "type"):
            assert encode(change.old) == encode(inert(left))
            assert encode(change.new) == encode(inert(right))


@given(VALUES)
def test_no_value_differs_from_itself(one: Any) -> None:
    assert value_changes(value(one), value(one)) == ()
    assert value_changes(value([one]), value([one, one]))[0].kind == "added"

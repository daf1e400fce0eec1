"""Only the member that differs is decoded, and what is found in it is what the whole walk finds."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracediff.compare.narrowing import narrowed
from tracediff.compare.tolerances import Rules
from tracediff.compare.walker import value_changes
from tracediff.model import Tolerance, Value
from tracediff.values import encode, inert

NOWHERE = Rules([Tolerance(path="no/such/place", rel=0.5)])
"""A rule that matches nothing, with which the whole of a value is walked."""

NEIGHBOURS = [
    None,
    True,
    *(sign * 2**size + 1 for sign in (1, -1) for size in (3, 6, 7, 8, 15, 16, 31, 32, 62, 63, 90)),
    0.5,
    *("x" * size for size in (0, 1, 31, 32, 255, 256)),
    *(b"x" * size for size in (0, 1, 255, 256)),
    *([0] * size for size in (0, 1, 15, 16, 300)),
    *({f"k{at}": [at] for at in range(size)} for size in (0, 1, 15, 16, 100)),
    *(Decimal("1" * size) for size in (1, 2, 4, 8, 16, 17, 300)),
    (1, [2, {"a": 3}]),
    {1: 2},
    1j,
]


@pytest.mark.parametrize("neighbour", NEIGHBOURS, ids=lambda one: repr(one)[:20])
def test_members_of_every_size_are_stepped_over(neighbour):
    old = {"before": neighbour, "it": {"here": 1, "there": neighbour}, "after": neighbour}
    new = {**old, "it": {**old["it"], "here": "other"}}
    path, left, right = narrowed(encode(old), encode(new))
    assert path == ("it", "here")
    assert (inert(left), inert(right)) == (1, "other")


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ({"a": 1, "b": 1}, {"a": 2, "b": 2}, ()),
        ({"a": 1, "b": 1}, {"a": 1, "c": 1}, ()),
        ({"a": 1}, {"a": 1, "b": 1}, ()),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, ()),
        ({"a": {"b": 1, "c": 1}}, {"a": {"b": 2, "c": 2}}, ("a",)),
        ({"a": [1, 2]}, {"a": [1, 3]}, ("a",)),
        ({"a": "xy"}, {"a": "xyz"}, ("a",)),
        ({"a": 1}, {"a": {"a": 1}}, ("a",)),
        ({"k" * 40: {"ž": 1}}, {"k" * 40: {"ž": 2}}, ("k" * 40, "ž")),
        ([1], [2], ()),
        ({1: 1}, {1: 2}, ()),
    ],
)
def test_it_goes_as_deep_as_one_member_holds_all_that_differs(old, new, path):
    assert narrowed(encode(old), encode(new))[0] == path


@pytest.mark.parametrize(
    "data", [b"", b"\x81", b"\x81\xa1", b"\x81\xa1a", b"\x81\xa1a\xc4", b"\xde"]
)
def test_bytes_that_are_no_value_are_left_to_the_decoder(data):
    for other in (b"\x81\xa1a\x01", b"\x81\xa1\xff\x01", b""):
        assert narrowed(data, other) == ((), data, other)


leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.decimals()
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from("abcd"), inner, max_size=4),
        st.tuples(inner, inner),
    ),
    max_leaves=20,
)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Any, Any]:
    """Two values, mostly dicts that differ in a few members."""
    old = draw(st.dictionaries(st.sampled_from("abcdefgh"), values, min_size=1, max_size=8))
    new = dict(old)
    for key in draw(st.lists(st.sampled_from(sorted(old)), max_size=2)):
        new[key] = draw(values)
    for level in range(draw(st.integers(0, 2))):
        old, new = {"x": 1, "in": old, "y": [level]}, {"x": 1, "in": new, "y": [level]}
    return old, new


@given(pairs())
def test_the_changes_are_those_of_the_whole_walk(pair):
    old, new = (Value(encode(one)) for one in pair)
    # As texts, in which NaN equals itself and -0.0 is not 0.0.
    assert repr(value_changes(old, new)) == repr(value_changes(old, new, rules=NOWHERE))

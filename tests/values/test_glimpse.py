"""The beginning of a large value reads as the whole value's text begins."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracediff import values
from tracediff.errors import CodecError
from tracediff.values import glimpse, inert, text


@dataclass
class Money:
    amount: object
    currency: str


LONG = "z" * 40_000
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.decimals(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=4)
        | st.tuples(inner, inner)
        | st.builds(Money, inner, st.text(max_size=3))
        | st.frozensets(st.integers() | st.text(), max_size=4)
    ),
    max_leaves=12,
)


def same(obj, limit):
    data = values.encode(obj)
    assert text(glimpse(data, limit), limit) == text(inert(data), limit)


@given(PLAIN, st.sampled_from([10, 80, 400]))
def test_a_large_value_begins_as_it_does_when_it_is_read_whole(obj, limit):
    same([obj, LONG], limit)
    same({"a": obj, "b": [obj] * 3_000}, limit)
    same(Money(obj, LONG), limit)


@pytest.mark.parametrize(
    "obj",
    [
        list(range(100_000)), tuple(range(100_000)), dict.fromkeys(range(9000), "x"),
        [Money(at, "EUR") for at in range(9_000)], deque(range(100_000)), LONG, LONG.encode(),
        OrderedDict.fromkeys(range(9_000)), Counter(dict.fromkeys(range(9000), 1)),
        {str(at): [at] * 50 for at in range(900)}, bytearray(LONG.encode()), "\ud800" + LONG,
        set(range(2_000)), {(1, at): 2 for at in range(9_000)},
    ],
)  # fmt: skip
def test_large_containers_of_each_kind_begin_as_they_do(obj):
    same(obj, 80)


def test_only_the_beginning_is_read():
    data = values.encode([LONG, *range(1_000_000)])
    assert len(glimpse(data, 80)) < 1_000


def test_where_a_value_is_too_deep_to_go_on_it_says_so():
    deep: list[object] = [LONG]
    for _ in range(200):
        deep = [deep]
    assert text(glimpse(values.encode([deep, LONG]), 80), 80) == "[[[[[[[[…]]]]]]], …]"


def test_bytes_that_are_no_value_are_refused():
    with pytest.raises(CodecError):
        glimpse(b"\xc1" * 40_000, 80)
    with pytest.raises(CodecError):
        glimpse(b"\xdd\xff\xff\xff\xff" + b"\xc1" * 40_000, 80)

"""How values read on one line."""

from __future__ import annotations

from collections import OrderedDict
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pandas as pd
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracediff.values import (
    Global,
    Member,
    Opaque,
    Record,
    Redacted,
    encode,
    from_json,
    glimpse,
    inert,
    json_safe,
    text,
)


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        (Decimal("12.30"), "12.30"),
        ("a'b\n", '"a\'b\\n"'),
        (1.5, "1.5"),
        (None, "None"),
        ((1,), "(1,)"),
        ([1, "a"], "[1, 'a']"),
        ({"a": Decimal("1.0"), 2: None}, "{'a': 1.0, 2: None}"),
        ({"b", "a"}, "{'a', 'b'}"),
        (set(), "set()"),
        (OrderedDict(a=1), "OrderedDict({'a': 1})"),
        (datetime(2020, 1, 2, tzinfo=UTC), "2020-01-02 00:00:00+00:00"),
        (
            Record("shop.model:Price", "dataclass", fields={"net": Decimal("1.10")}),
            "Price(net=1.10)",
        ),
        (Record("m:f.<locals>.P", "dataclass", fields={}), "P()"),
        (Record("builtins:ValueError", "exception", ("x", 1)), "ValueError('x', 1)"),
        (Member("m:Colour", "RED", 1), "Colour.RED"),
        (Opaque("m:Session", "<Session>"), "<Session>"),
        (Redacted("builtins:str", "k", b"\x12\x34"), "<redacted str 1234>"),
        (Global("m:Price.make"), "m.Price.make"),
        ("x" * 300, "'" + "x" * 198 + "…"),
    ],
)
def test_text(obj: Any, expected: str) -> None:
    assert text(obj) == expected


@given(
    st.recursive(st.text() | st.integers() | st.binary(), lambda it: st.lists(it) | st.tuples(it))
)
def test_text_is_one_short_line(obj: Any) -> None:
    line = text(obj, 40)
    assert len(line) <= 40
    assert "\n" not in line


def test_deep_and_long_values_are_cut() -> None:
    obj: Any = 1
    for _ in range(400):
        obj = [obj]
    assert text(inert(encode(obj))).count("[") < 20
    assert len(text(list(range(10**6)))) == 200


def test_an_integer_with_more_digits_than_python_prints() -> None:
    assert text(10**6000) == hex(10**6000)[:199] + "…"


def test_json_safe_leads_back() -> None:
    obj = {"a": Decimal("12.30"), "b": (1, {"$x": 1})}
    assert json_safe(obj) == {
        "a": {"$decimal": "12.30"},
        "b": {"$tuple": [1, {"$object": {"$x": 1}}]},
    }
    assert from_json(json_safe(obj)) == encode(obj)


class Model(pydantic.BaseModel, extra="allow"):
    rate: float
    _own: int = 3


def test_frames_are_told_by_their_size_and_columns_and_models_by_their_fields() -> None:
    wide = pd.DataFrame({f"c{at}": range(2_000) for at in range(8)})
    assert text(inert(encode(wide))) == "frame(2,000 × 8: c0, c1, c2, c3, c4, c5, …)"
    assert text(inert(encode(pd.DataFrame()))) == "frame(0 × 0)"
    assert text(glimpse(encode({"a": wide, "b": 1}), 100)) == text(
        {"a": inert(encode(wide)), "b": 1}
    )
    model = Model.model_validate({"rate": 1.5, "more": "x"})
    assert text(inert(encode(model))) == "Model(rate=1.5, more='x', _own=3)"

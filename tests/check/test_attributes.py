"""The attributes of traces: plain values by name, and nothing that is secret, large or hostile."""

from __future__ import annotations

import enum
from collections import OrderedDict, deque
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracediff import values
from tracediff.check import attributes
from tracediff.check.attributes import MOST, attributes_of
from tracediff.model import ErrorInfo, Step, Trace, Value
from tracediff.testing import make_trace


class Colour(enum.Enum):
    RED = "#f00"


@dataclass(frozen=True)
class Address:
    country: str
    door: int


@dataclass(frozen=True)
class Order:
    address: Address
    total: Decimal
    colour: Colour


class Size(NamedTuple):
    width: int
    height: float


class Code(str):
    __slots__ = ()


def job(arguments: object, *inputs: tuple[str, object], **fields: Any) -> Trace:
    steps = [Step(parent=-1, kind="job", name="price", args=value(arguments))]
    steps += [Step(parent=0, kind="input", name=name, result=value(it)) for name, it in inputs]
    return make_trace(steps=tuple(steps), tags=(), **fields)


def value(obj: object) -> Value:
    return Value(values.encode(obj))


def found(trace: Trace) -> dict[str, Any]:
    """Its attributes, but for those that every trace has."""
    pairs = attributes_of(trace)
    assert all(isinstance(it, str | int | float | bool | None) for _, it in pairs)
    return {name: it for name, it in pairs if name not in ("key", "state")}


def given_as(obj: object) -> Any:
    """What one argument gives under its own name."""
    return found(job({"it": obj}))


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        (None, None),
        (True, True),
        (7, 7),
        (2**70, float(2**70)),
        (0.25, 0.25),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
        (Decimal("31.50"), 31.5),
        (Fraction(1, 4), 0.25),
        (Fraction(2**80, 2**78 + 1), 2**80 / (2**78 + 1)),
        ("DE", "DE"),
        ("é" * 60, "é" * 60),
        (date(2024, 3, 1), "2024-03-01"),
        (datetime(2024, 3, 1, 23, 59), "2024-03-01"),
        (datetime(2024, 3, 1, 23, 59, tzinfo=UTC), "2024-03-01"),
        (datetime(2024, 3, 1, 23, 59, tzinfo=ZoneInfo("Europe/Prague")), "2024-03-01"),
        (Colour.RED, "RED"),
        (Code("8518"), "8518"),
    ],
)
def test_a_plain_value_is_an_attribute(obj, expected):
    seen = given_as(obj)
    assert seen == {"it": expected}
    assert type(seen["it"]) is type(expected)


@pytest.mark.parametrize(
    "obj",
    ["x" * 61, b"bytes", 1 + 2j, object(), len, int, 10**400, Decimal("sNaN"), np.arange(3)],
    ids=lambda it: type(it).__name__,
)
def test_what_is_long_or_no_plain_value_is_none(obj):
    assert given_as(obj) == {}


def test_fields_of_objects_and_mappings_are_named_by_their_way_in():
    order = Order(address=Address("DE", 7), total=Decimal("9.5"), colour=Colour.RED)
    assert found(job({"order": order, "size": Size(3, 4.5), "more": {"a": {"b": {"c": 1}}}})) == {
        "order.address.country": "DE",
        "order.address.door": 7,
        "order.total": 9.5,
        "order.colour": "RED",
        "size.width": 3,
        "size.height": 4.5,
    }


def test_lists_have_a_length_and_short_ones_contain_their_texts():
    traits = ("battery", "glass")
    pairs = set(attributes_of(job({"traits": traits, "rows": [{"x": 1}] * 9, "none": []})))
    assert pairs >= {
        ("traits.length", 2),
        ("traits contains", "battery"),
        ("traits contains", "glass"),
        ("rows.length", 9),
        ("none.length", 0),
    }
    assert not any("x" in name for name, _ in pairs)


@pytest.mark.parametrize(
    "obj", [{1: "one", "name": "x"}, OrderedDict(name="x"), deque([1, 2]), {"x", "y"}]
)
def test_other_containers_are_looked_into(obj):
    seen = given_as(obj)
    assert seen.get("it.name") == "x" or seen["it.length"] == 2


def test_results_of_inputs_go_by_the_name_of_the_step_three_calls_of_each():
    calls = [("Rate", n / 10) for n in range(5)]
    trace = job({}, *calls, ("Main product", {"category": "audio", "weight": Decimal("2.2")}))
    assert found(trace) == {
        "input Rate": 0.0,
        "input Main product.category": "audio",
        "input Main product.weight": 2.2,
        "input Rate (2)": 0.1,
        "input Rate (3)": 0.2,
    }


def test_an_input_that_raised_has_its_error():
    error = ErrorInfo(type="shop:NotThereError", message="product 7")
    steps = (
        Step(parent=-1, kind="job", name="price"),
        Step(parent=0, kind="input", name="Stock", state="error", error=error),
    )
    assert found(make_trace(steps=steps)) == {"input Stock.error": "shop:NotThereError"}


def test_tags_context_key_state_and_path_are_attributes():
    trace = make_trace(
        tags=("category:audio", "vip", ":odd"),
        context={"country": "DE", "load": 0.5, "text": "x" * 99},
        state="warning",
    )
    pairs = attributes_of(trace, signature=bytes.fromhex("0123456789ab"))
    assert set(pairs) >= {
        ("tag category", "audio"),
        ("tag vip", True),
        ("context country", "DE"),
        ("context load", 0.5),
        ("key", "price/one"),
        ("state", "warning"),
        ("path", "01234567"),
    }
    assert not {name for name, _ in pairs} & {"tag ", "context text"}


def test_nothing_secret_or_opaque_is_told():
    secret = values.Redacted("builtins:str", "k1", b"digest")
    opaque = values.Opaque("shop:Session", "<Session of alice>", b"digest")
    trace = job({"card": secret, "session": opaque}, ("Login", {"token": secret, "user": opaque}))
    assert found(trace) == {}


def test_there_are_at_most_so_many_and_inputs_are_among_them():
    wide = {f"a{n}": n for n in range(500)}
    trace = make_trace(
        steps=job(wide, *[(f"Input {n}", wide) for n in range(40)]).steps,
        tags=tuple(f"t{n}:x" for n in range(200)),
        context={f"c{n}": n for n in range(200)},
    )
    pairs = attributes_of(trace)
    assert len(pairs) == MOST == len(set(pairs))
    kinds = {name.partition(" ")[0] for name, _ in pairs}
    assert kinds >= {"tag", "context", "input", "a0"}


@pytest.fixture
def unpacked(monkeypatch):
    """The bytes that were unpacked, counted where they are."""
    sizes = []
    real = attributes.unpackb

    def counting(data, **options):
        sizes.append(len(data))
        return real(data, **options)

    monkeypatch.setattr(attributes, "unpackb", counting)
    return sizes


def nested(levels: int) -> object:
    it: object = "bottom"
    for _ in range(levels):
        it = {"in": (it,)}
    return it


def cycle() -> object:
    it: dict[str, Any] = {"name": "x"}
    it["self"] = it
    return it


@pytest.mark.parametrize(
    "obj",
    [
        [*range(300_000)],
        {f"k{n}": {"x": (n, n)} for n in range(10_000)},
        [(n, (n,)) for n in range(30_000)],
        "x" * 1_000_000,
        nested(400),
        cycle(),
    ],
    ids=["numbers", "mappings", "tuples", "text", "deep", "cycle"],
)
def test_what_is_read_of_a_large_or_deep_value_is_bounded(obj, unpacked):
    trace = job({"it": obj}, ("Big", obj), ("Small", 7))
    pairs = dict(attributes_of(trace))
    assert sum(unpacked) <= 2 * attributes._BYTES
    assert len(pairs) <= MOST
    assert pairs.get("input Small", 7) == 7


def test_a_list_that_is_too_long_to_read_has_its_length_all_the_same(unpacked):
    trace = job({}, ("Rows", [*range(300_000)]), ("More", tuple(range(300_000))))
    pairs = dict(attributes_of(trace))
    assert pairs["input Rows.length"] == pairs["input More.length"] == 300_000
    assert sum(unpacked) <= 2 * attributes._BYTES


@given(st.binary(max_size=200))
def test_bytes_that_are_no_value_do_no_harm(data):
    steps = (
        Step(parent=-1, kind="job", name="price", args=Value(data)),
        Step(parent=0, kind="input", name="Odd", result=Value(data)),
        Step(parent=0, kind="input", name="Good", result=value(7)),
    )
    assert ("input Good", 7) in attributes_of(make_trace(steps=steps))


@given(st.data())
def test_a_value_that_was_damaged_does_no_harm(data):
    order = Order(address=Address("DE", 7), total=Decimal("9.5"), colour=Colour.RED)
    whole = values.encode(
        [order, Fraction(1, 3), datetime(2024, 3, 1, tzinfo=UTC), {1: {2}}, deque([1])]
    )
    at = data.draw(st.integers(0, len(whole) - 1))
    hurt = whole[:at] + data.draw(st.binary(max_size=3)) + whole[at + 1 :]
    steps = (
        Step(parent=-1, kind="job", name="price", args=value({"it": 1})),
        Step(parent=0, kind="input", name="Odd", result=Value(hurt)),
    )
    pairs = attributes_of(make_trace(steps=steps))
    assert ("it", 1) in pairs
    assert all(isinstance(it, str | int | float | bool | None) for _, it in pairs)


def test_a_trace_without_steps_has_its_key():
    assert ("key", "price/one") in attributes_of(make_trace(steps=()))

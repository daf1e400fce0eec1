"""A value that is unchanged is not encoded again, and one that is changed always is."""

from __future__ import annotations

from collections import OrderedDict
from decimal import Decimal
from types import SimpleNamespace

import pytest

import tracediff as td
from tracediff import values
from tracediff.recording import spans
from tracediff.recording.redaction import Redactor
from tracediff.recording.snapshots import MOST, is_unchanged, snapshot


def nested():
    return {"price": Decimal("1.0"), "sizes": (1, [2, 3]), "parts": [{"name": "a"}, {"name": "b"}]}


def test_an_untouched_value_is_unchanged():
    value = nested()
    found = snapshot(value)
    assert found is not None
    assert is_unchanged(found)


def test_the_same_object_put_back_is_unchanged():
    value = nested()
    found = snapshot(value)
    price = value["price"]
    value["price"] = 0
    assert not is_unchanged(found)
    value["price"] = price
    assert is_unchanged(found)


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.update(price=Decimal("1.00")),
        lambda value: value.update(price=1.0),
        lambda value: value.update(more=1),
        lambda value: value.pop("price"),
        lambda value: value.update(sizes=(1, [2, 3])),
        lambda value: value["sizes"][1].append(4),
        lambda value: value["sizes"][1].reverse(),
        lambda value: value["parts"].pop(),
        lambda value: value["parts"].reverse(),
        lambda value: value["parts"][1].update(name="c"),
        lambda value: value.update(price=value.pop("price")),  # to the end
        lambda value: value["parts"][0].update(names=value["parts"][0].pop("name")),
    ],
)
def test_no_change_is_missed(change):
    value = nested()
    found = snapshot(value)
    change(value)
    assert not is_unchanged(found)


@pytest.mark.parametrize(
    "value",
    [
        {"a": SimpleNamespace()},
        [bytearray(b"x")],
        [[{1}]],
        [OrderedDict(a=1)],
        [float.__new__(type("Float", (float,), {}), 1)],
        list(range(MOST + 1)),
        [[0] for _ in range(MOST)],
    ],
)
def test_what_may_change_unseen_or_is_long_has_no_snapshot(value):
    assert snapshot(value) is None


def test_a_value_inside_itself_has_no_snapshot():
    value = []
    value.append(value)
    assert snapshot(value) is None


@pytest.fixture
def buffer(monkeypatch):
    buffer = spans.Buffer(Redactor((), lambda: b"k" * 32), "steps")
    encode, buffer.encoded = buffer.encode, []

    def counting(value):
        buffer.encoded.append(value)
        return encode(value)

    buffer.encode = counting
    return buffer


@pytest.fixture(autouse=True)
def _countable(monkeypatch):
    class Buffer(spans.Buffer):
        __slots__ = ("encoded",)

    monkeypatch.setattr(spans, "Buffer", Buffer)


def test_what_is_unchanged_is_encoded_once(buffer):
    value = nested()
    first = buffer.capture(value)
    assert first == values.encode(value)
    assert buffer.capture(value) is first
    assert buffer.is_unchanged(value, first)
    assert len(buffer.encoded) == 1
    assert buffer.bytes == 2 * len(first)


def test_what_was_changed_between_is_encoded_as_it_is(buffer):
    value = nested()
    first = buffer.capture(value)
    value["parts"][0]["name"] = "changed"
    assert not buffer.is_unchanged(value, first)
    assert buffer.capture(value) == values.encode(value) != first


def test_an_equal_object_in_place_of_another_is_no_change(buffer):
    value = {"price": Decimal("1.0")}
    first = buffer.capture(value)
    value["price"] = Decimal("1.0")
    assert buffer.is_unchanged(value, first)
    assert len(buffer.encoded) == 2


def test_a_new_object_at_the_address_of_an_old_one_is_not_taken_for_it(buffer):
    for number in range(1000):
        assert buffer.capture([number]) == values.encode([number])


def test_what_is_remembered_is_bounded(buffer):
    kept = [[number] for number in range(3 * spans.MAX_KNOWN)]
    for value in kept:
        buffer.capture(value)
    assert len(buffer.known) <= spans.MAX_KNOWN
    large = ["x" * spans.MUTATION_LIMIT]
    buffer.capture(large)
    assert id(large) not in buffer.known


def test_each_step_shows_what_it_was_given(recording):
    @td.step("grow")
    def grow(order):
        order["lines"].append(len(order["lines"]))
        return order

    @td.step("look")
    def look(order):
        return order

    def job():
        order = {"lines": []}
        look(grow(look(grow(order))))

    trace = recording.run(job)
    shown = [(values.inert(one.args), values.inert(one.result)) for one in trace.steps[1:]]
    assert [(len(args["order"]["lines"]), len(found["lines"])) for args, found in shown] == [
        (0, 1),
        (1, 1),
        (1, 2),
        (2, 2),
    ]
    assert [one.mutated for one in trace.steps[1:]] == [("order",), (), ("order",), ()]

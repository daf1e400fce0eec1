"""What is held is the value as it was; what is unchanged is not held again, nor encoded."""

from __future__ import annotations

import threading
import uuid
from collections import OrderedDict
from datetime import date, datetime, timezone
from decimal import Decimal
from types import SimpleNamespace

import pytest

import tracediff as td
from tracediff import values
from tracediff.recording import buffers
from tracediff.recording.redaction import Redactor
from tracediff.recording.snapshots import LARGEST, MOST, hold


def nested():
    return {
        "price": Decimal("1.0"),
        "sizes": [1, [2, 3]],
        "pair": ("a", Decimal("2.0")),
        "parts": [{"name": "a"}, {"name": "b"}],
        "left": None,
    }


def test_an_untouched_value_is_unchanged():
    held = hold(nested())
    assert held is not None
    assert held.is_unchanged()


def test_the_same_object_put_back_is_unchanged():
    value = nested()
    held = hold(value)
    price = value["price"]
    value["price"] = 0
    assert not held.is_unchanged()
    value["price"] = price
    assert held.is_unchanged()


CHANGES = [
    lambda value: value.update(price=Decimal("1.00")),
    lambda value: value.update(price=1.0),
    lambda value: value.update(price=object.__hash__(value["price"])),
    lambda value: value.update(left=value["price"], price=None),
    lambda value: value.update(more=1),
    lambda value: value.pop("price"),
    lambda value: value.update(sizes=[1.0, [2, 3]]),
    lambda value: value.update(sizes=[True, [2, 3]]),
    lambda value: value["sizes"][1].append(4),
    lambda value: value["sizes"][1].reverse(),
    lambda value: value["sizes"].append(value["sizes"][1].pop()),
    lambda value: value.update(pair=("a", Decimal("2.00"))),
    lambda value: value["parts"].pop(),
    lambda value: value["parts"].reverse(),
    lambda value: value["parts"][1].update(name="c"),
    lambda value: value["parts"][1].update(NAME=value["parts"][1].pop("name")),
    lambda value: value.update(left=value.pop("left")) or value.update(price=value.pop("price")),
]


@pytest.mark.parametrize("change", CHANGES)
def test_no_change_is_missed_and_none_reaches_what_is_held(change):
    value = nested()
    held = hold(value)
    change(value)
    assert not held.is_unchanged()
    assert held.encoded(values.encode) == values.encode(nested())


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        (),
        (1, "a"),
        ([1], {"a": [2]}, None),
        [float("nan"), -0.0, float("inf"), 2**63, 2**64 - 1, -(2**63), 0, True, None, ""],
        {"at": datetime(2024, 1, 1, tzinfo=timezone.utc), "on": date(2024, 1, 1)},  # noqa: UP017 - a scalar of its own kind
        [uuid.UUID(int=7), 1j, range(3), (1, 2), ("x", Decimal("1.10"))],
        [[[[[[[[]]]]]]], [{}], {"a": {"b": {}}}],
    ],
)
def test_what_is_held_is_encoded_as_the_value_itself(value):
    held = hold(value)
    assert held.encoded(values.encode) == values.encode(value)
    assert type(held.value()) is type(value)


def test_one_object_in_two_places_is_held_in_both():
    part, price = [Decimal("1.5")], Decimal("2.5")
    value = {"a": part, "b": part, "c": price, "d": [price]}
    assert hold(value).encoded(values.encode) == values.encode(value)


@pytest.mark.parametrize(
    "value",
    [
        {"a": SimpleNamespace()},
        [bytearray(b"x")],
        [b"x"],
        [[{1}]],
        [OrderedDict(a=1)],
        [float.__new__(type("Float", (float,), {}), 1)],
        {1: 2},
        {type("Name", (str,), {})("a"): 1},
        {"\ud800": 1},
        [2**64],
        [([1],)],
        list(range(MOST + 1)),
        [[0] for _ in range(MOST)],
        ["x" * (LARGEST + 1)],
        ["x" * 10_000_000] * 1_000,
    ],
)
def test_what_may_change_unseen_or_is_large_is_not_held(value):
    assert hold(value) is None


def test_a_value_inside_itself_is_not_held():
    value = []
    value.append(value)
    assert hold(value) is None


@pytest.mark.timeout(20)
def test_a_graph_of_many_paths_that_is_put_into_a_value_ends_the_look_at_it():
    nodes = [{"left": at + 1, "right": at + 1} for at in range(100)]
    held = hold(nodes)
    for node in nodes[:-1]:
        node["left"], node["right"] = nodes[node["left"]], nodes[node["right"]]
    assert not held.is_unchanged()


def test_an_object_that_cannot_be_compared_is_a_change():
    class Odd:
        def __eq__(self, other):
            raise SystemExit

        __hash__ = None

    value = nested()
    held = hold(value)
    value["left"] = Odd()
    assert not held.is_unchanged()


def test_what_another_thread_changes_meanwhile_is_never_held_half():
    value, stop = {}, threading.Event()

    def change():
        while not stop.is_set():
            for at in range(50):
                value[f"{at}"] = [Decimal(at)]
            value.clear()

    changing = threading.Thread(target=change)
    changing.start()
    try:
        kept = [held for held in (hold(value) for _ in range(10_000)) if held is not None]
    finally:
        stop.set()
        changing.join()
    assert kept
    values_ = [held.value() for held in kept]
    whole = [one for one in values_ if isinstance(one, dict)]  # the rest say they cannot be read
    assert len(whole) > len(values_) / 2
    for found in whole:
        for key, one in found.items():
            assert one == [Decimal(key)]


@pytest.fixture
def buffer(monkeypatch):
    buffer = buffers.Buffer(Redactor((), lambda: b"k" * 32), "steps")
    encode, buffer.encoded = buffer.encode, []

    def counting(value):
        buffer.encoded.append(value)
        return encode(value)

    buffer.encode = counting
    return buffer


@pytest.fixture(autouse=True)
def _countable(monkeypatch):
    class Buffer(buffers.Buffer):
        __slots__ = ("encoded",)

    monkeypatch.setattr(buffers, "Buffer", Buffer)


def test_what_is_unchanged_is_held_once_and_encoded_only_when_asked_for(buffer):
    value = nested()
    first = buffer.capture(value)
    assert buffer.capture(value) is first
    assert buffer.is_unchanged("value", value, first)
    assert buffer.encoded == []
    assert buffer.packed(first) == buffer.packed(first) == values.encode(value)
    assert len(buffer.encoded) == 1
    assert buffer.bytes >= 2 * len(values.encode(value))


def test_what_was_changed_between_is_kept_as_it_is(buffer):
    value = nested()
    first, before = buffer.capture(value), values.encode(value)
    value["parts"][0]["name"] = "changed"
    assert not buffer.is_unchanged("value", value, first)
    assert buffer.packed(buffer.capture(value)) == values.encode(value)
    assert buffer.packed(first) == before


def test_an_equal_object_in_place_of_another_is_no_change(buffer):
    value = {"price": Decimal("1.0")}
    first = buffer.capture(value)
    value["price"] = Decimal("1.0")
    assert buffer.is_unchanged("value", value, first)
    assert len(buffer.encoded) == 2


def test_a_new_object_at_the_address_of_an_old_one_is_not_taken_for_it(buffer):
    for number in range(1000):
        assert buffer.packed(buffer.capture([number])) == values.encode([number])
        assert buffer.packed(buffer.capture(([number],))) == values.encode(([number],))


def test_what_is_remembered_is_bounded(buffer):
    kept = [[number] for number in range(3 * buffers.MAX_KNOWN)]
    for value in kept:
        buffer.capture(value)
    assert len(buffer.known) <= buffers.MAX_KNOWN


def test_the_bytes_that_are_held_are_counted(buffer):
    for number in range(100):
        buffer.capture([f"{number}" * 1000])
    assert buffer.bytes > 100_000


def test_a_secret_in_what_is_held_is_sealed_when_it_is_encoded(buffer):
    held = buffer.capture({"parts": [{"password": "hunter2hunter2"}]})
    assert type(held) is buffers.Held
    assert b"hunter2" not in buffer.packed(held)


def test_a_trace_shows_values_as_they_were_however_late_it_is_assembled(recording, args, result):
    order = {"lines": [{"net": 1}], "total": None}

    @td.step("price")
    def price(given):
        return given["lines"]

    def job():
        price(order)
        for line in order["lines"]:
            line["net"] = 2
        order["lines"].append({"net": 3})

    trace = recording.run(job)
    assert args(trace.steps[1]) == {"given": {"lines": [{"net": 1}], "total": None}}
    assert result(trace.steps[1]) == [{"net": 1}]


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

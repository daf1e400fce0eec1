"""The fast way of encoding gives what the careful one gives, where it takes a short cut."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from tracediff import values
from tracediff.recording.redaction import Redactor
from tracediff.values import tags
from tracediff.values.careful import encode_carefully

NOON = datetime(2024, 3, 1, 12, 0, 0, 5)


def nested(height):
    value = 1
    for level in range(height):
        value = {"a": value} if level % 2 else [value]
    return value


def carefully(value, redaction=None):
    return encode_carefully(value, redaction, None)


@pytest.mark.parametrize(
    "height", [1, 39, 40, 41, *range(tags.MAX_HEIGHT - 3, tags.MAX_HEIGHT + 4)]
)
def test_nested_containers_are_written_alike_at_any_height(height):
    value = nested(height)
    assert values.encode(value) == carefully(value)
    assert values.encode_map([("x", values.encode(value))]) == carefully({"x": value})


@pytest.mark.parametrize(
    "when",
    [
        NOON,
        NOON.replace(tzinfo=UTC),
        NOON.replace(tzinfo=UTC, fold=1),
        NOON.replace(tzinfo=timezone(timedelta(0))),
        NOON.replace(tzinfo=timezone(timedelta(0), "UTC")),
        NOON.replace(tzinfo=timezone(timedelta(hours=1))),
        NOON.replace(tzinfo=ZoneInfo("UTC")),
        NOON.replace(tzinfo=ZoneInfo("Europe/Prague")),
    ],
)
def test_every_zone_is_written_alike(when):
    for value in (when, [when], {"when": [{"at": when}]}):
        assert values.encode(value) == carefully(value)


@pytest.mark.parametrize(
    "value",
    [
        {"parts": [{"amount": Decimal("1.0")}, {"amount": Decimal("NaN")}]},
        [{"a": bytearray(b"x")}],
        [[memoryview(b"x")]],
        [{1: "a"}, {"a": 1}],
        {"a": [{(1, 2): {"b": {}}}]},
        [[], {}, [[]], [{}]],
        {"a": 2**70, "b": [-(2**70)]},
    ],
)
def test_what_needs_another_look_gets_one(value):
    assert values.encode(value) == carefully(value)


@pytest.mark.parametrize(
    "value",
    [
        {"password": "x"},
        [{"password": "x"}],
        {"a": [{"b": {"password": ["x"]}}]},
        {"a": [{"harmless": 1}, {"password": 1}]},
    ],
)
def test_a_secret_is_sealed_at_any_level(value):
    redactor = Redactor((), lambda: b"k" * 32)
    for _ in range(2):  # the second time the harmless names are known
        data = values.encode(value, redaction=redactor)
        assert data == carefully(value, redactor)
        assert data != carefully(value)


NUMBERS = [
    None,
    True,
    0,
    -1,
    2**64,
    -(2**200),
    0.0,
    -0.0,
    float("nan"),
    *(Decimal(10) ** size for size in (0, 1, 3, 7, 15, 61, 62, 63, 64, 300)),
    Decimal("-0.00"),
    Decimal("NaN123"),
    Decimal("-Infinity"),
]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_is_written_alike(number):
    assert type(number) in values.NUMBERS
    assert values.encode_number(number) == carefully(number)


@pytest.mark.parametrize("count", [0, 1, 2, 15, 16, 17, len(NUMBERS)])
def test_numbers_by_name_are_written_as_their_dict(count):
    named = {f"parameter_{at}": number for at, number in enumerate(NUMBERS[:count])}
    assert values.encode_numbers(tuple(named), named.values()) == carefully(named)

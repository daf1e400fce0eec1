"""The types of BSON round-trip exactly, as canonical bytes and as text, and are read without it."""

from __future__ import annotations

import datetime as dt
from typing import Any

import bson
import pytest
from bson.raw_bson import RawBSONDocument

from tracediff import values
from tracediff.recording.redaction import Redactor

EXACT: list[Any] = [
    bson.ObjectId("6b08acb826ba410f1fc95b4c"),
    bson.Int64(-(2**63)),
    *(bson.Decimal128(text) for text in ("1.50", "-0E-6176", "NaN", "-Infinity", "sNaN")),
    *(bson.Binary(b"a\0\xff", subtype) for subtype in (0, 2, 3, 4, 5, 6, 128)),
    bson.Regex("^a+$", "imsux"),
    bson.Regex(b"\xff", 0),
    bson.Timestamp(4_294_967_295, 1),
    bson.DBRef("items", bson.ObjectId(b"123456789012")),
    bson.DBRef("items", 1, "shop", more={"a": [1]}),
    bson.Code("f()"),
    bson.Code("f()", {"a": bson.Int64(1)}),
    bson.MinKey(),
    bson.MaxKey(),
    bson.datetime_ms.DatetimeMS(10**15),
    bson.SON([("b", 1), ("a", {"c": bson.SON()})]),
    RawBSONDocument(bson.encode({"a": bson.Int64(2), "at": dt.datetime(2026, 1, 2)})),
]


@pytest.mark.parametrize("value", EXACT, ids=repr)
def test_it_comes_back_as_it_was(value: Any) -> None:
    data = values.encode({"one": value, "many": [value, (value,)]})
    again: Any = values.live(data, values.Allow(()))
    assert type(again["one"]) is type(value)
    assert again["one"] == value or str(value).endswith("NaN")
    assert values.encode(again) == data
    assert values.from_json(values.to_json(data)) == data


def test_a_document_with_a_secret_is_sealed_in_its_raw_form_too() -> None:
    raw = RawBSONDocument(bson.encode({"user": "ann", "password": "hunter22"}))
    data = values.encode(raw, redaction=Redactor((), lambda: b"key"))
    assert b"hunter22" not in data
    assert b"ann" in data

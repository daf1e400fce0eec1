"""Rows as documents: small, exact, bounded."""

from __future__ import annotations

import math

import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracediff.model import DEPTHS, STATES, Row
from tracediff.recording.ids import new_id
from tracediff.stores.mongo import documents
from tracediff.stores.mongo.documents import decode_row, encode_row
from tracediff.stores.mongo.labels import EVERYTHING, MOST_CONTEXT, OTHER_CONTEXT, row_labels
from tracediff.testing import make_row, refused

TYPICAL = make_row(
    new_id(),
    key="commodity/calculate/one",
    tags=("ri:313421", "country:SK", "store:17"),
    meta="product_id=313421 store_id=17 "[:30],
    context={"country": "SK", "store": 17},
    job="pricing.job:calculate",
    commit="1a2b3c4d5e" * 4,
    duration=5_123_456,
    steps=52,
    expires_at=1_760_000_000 * 10**9,
    location=("90/prod/20261125/01hk3v5x7z9b2d4f6h8k.seg", 12_345_678, 6_123),
)


def read(row: Row) -> Row:
    """What comes back of a row, by way of bytes."""
    return decode_row(bson.decode(encode_row(row).raw, documents_codec()))


def documents_codec():
    from tracediff.stores.mongo.connection import _CODEC

    return _CODEC


def test_a_typical_row_has_at_most_450_bytes():
    assert len(encode_row(TYPICAL).raw) <= 450
    assert read(TYPICAL) == TYPICAL


def test_a_typical_row_can_be_read_by_eye_where_it_is_searched():
    document = bson.decode(encode_row(TYPICAL).raw)
    assert document["k"] == TYPICAL.key
    assert tuple(document["g"]) == TYPICAL.tags
    assert document["c"] == TYPICAL.context
    assert "e" not in document


@given(
    st.builds(
        Row,
        id=st.just("a"),
        key=st.text(),
        state=st.sampled_from(STATES),
        started_at=st.integers(-(2**63), 2**63 - 1),
        duration=st.integers(),
        steps=st.integers(),
        tags=st.lists(st.text(st.characters()), max_size=5).map(tuple),
        meta=st.text(st.characters()),
        context=st.dictionaries(
            st.text(st.characters()),
            st.one_of(st.text(), st.integers(), st.floats(), st.booleans()),
            max_size=12,
        ),
        depth=st.sampled_from(DEPTHS),
        job=st.text(),
        outcome=st.binary(max_size=20),
        path_signature=st.binary(max_size=20),
        commit=st.one_of(st.none(), st.text(), st.text("0123456789abcdefABC", min_size=39)),
        error=st.none() | st.text(),
        expires_at=st.none() | st.integers(),
        location=st.tuples(st.sampled_from(["", "ä/b"]), st.integers(0, 9), st.integers(0, 2**62)),
    )
)
def test_any_row_comes_back_as_it_was(row):
    assert repr(read(row)) == repr(row)


@pytest.mark.parametrize(
    "fields",
    [
        {"context": {"$where": 1}},
        {"context": {"a.b": 1}},
        {"context": {"": math.nan}},
        {"context": {"a\0b": -0.0}},
        {"context": {"n": 2**63}},
        {"tags": ("\udfff",)},
        {"meta": "\ud800"},
        {"key": "a\0b\n"},
    ],
)
def test_what_bson_or_its_tools_cannot_hold_comes_back_too(fields):
    row = make_row("a", **fields)
    assert repr(read(row)) == repr(row)


def test_a_row_that_is_too_large_is_refused():
    for fields in (
        {"tags": ("x" * 2**20,)},
        {"tags": tuple(map(str, range(10_000)))},
        {"meta": "x" * documents.LARGEST},
        {"context": {str(n): "x" * 1000 for n in range(100)}},
    ):
        with refused("row-invalid"):
            encode_row(make_row("a", **fields))
    encode_row(make_row("a", tags=tuple(map(str, range(documents.MOST_TAGS)))))


def test_labels_are_bounded_and_never_those_with_a_meaning_of_their_own():
    many = {f"n{number}": number for number in range(50)}
    row = make_row("a", key="/".join("abcdefghijklmnopqrstuvwxyz"), context=many)
    labels = row_labels(row)
    assert len(labels) <= 2 + MOST_CONTEXT + 1 + 16
    assert labels.count(EVERYTHING) == labels.count(OTHER_CONTEXT) == 1
    assert OTHER_CONTEXT not in row_labels(TYPICAL)


def test_an_expiry_is_never_before_its_time():
    for at in (10**18, 10**18 + 1, -1, 1):
        document = bson.decode(encode_row(make_row("a", expires_at=at)).raw, documents_codec())
        assert int(document["x"]) * 10**6 >= at
        assert int(document["x"]) * 10**6 - at < 10**6

"""What psycopg puts into errors, parameters and rows."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg.types.json import Json, Jsonb
from psycopg.types.multirange import Multirange
from psycopg.types.range import Range

from tracediff import values
from tracediff.recording.faults import describe
from tracediff.recording.redaction import Redactor
from tracediff.replay.errors import rebuild

ALLOW = values.Allow([])


@pytest.mark.parametrize(
    "value",
    [Range(1, 5), Range(1, None, "[]"), Range(empty=True), Multirange([Range(1, 2), Range(4, 5)])],
)
def test_ranges_come_as_they_were(value: Any) -> None:
    data = values.encode(value)
    assert values.live(data, ALLOW) == value
    assert values.encode(values.live(data, ALLOW)) == data


@pytest.mark.parametrize("kind", [Json, Jsonb])
def test_json_is_told_apart_by_its_content(kind: Any) -> None:
    data = values.encode(kind({"a": [1]}))
    read: Any = values.live(data, ALLOW)
    assert (type(read), read.obj) == (kind, {"a": [1]})
    assert values.encode(kind({"a": [2]})) != data


def test_an_error_of_a_connection_holds_no_password() -> None:
    redactor = Redactor((), lambda: b"key")
    with pytest.raises(psycopg.OperationalError) as caught:
        psycopg.connect("host=127.0.0.1 port=1 user=ann password=hunter22 connect_timeout=2")
    held: Any = caught.value.pgconn
    assert b"hunter22" in held.password  # which is why
    info = describe(caught.value, redactor.encoder(str, texts=True), redactor.scrub)
    assert info.value is not None
    assert b"hunter22" not in info.value.data
    again: Any = rebuild(info, ALLOW)
    assert (type(again), str(again), again.pgconn) == (
        psycopg.OperationalError, str(caught.value), None)  # fmt: skip


def test_named_tuples_that_psycopg_makes_come_as_they_were() -> None:
    rows: Any = psycopg.rows
    made = rows._make_nt("utf-8", b"id", b"name")
    row = made(1, ["x"])
    found = values.live(values.encode(row), ALLOW)
    assert found == row
    assert (type(found).__name__, found.id, found._fields) == ("Row", 1, ("id", "name"))

"""Rows of asyncpg and what is in them."""

from __future__ import annotations

import uuid
from typing import Any

import asyncpg
import pytest
from asyncpg.pgproto.pgproto import UUID

from tracediff import values
from tracediff.values._asyncpg import Maker, record


class Row(asyncpg.Record):
    """A class of a program's own."""

    def __getattr__(self, name: str) -> Any:
        return self[name]


def again(value: Any) -> Any:
    """What comes back of a value."""
    return values.live(values.encode(value), values.Allow([]))


def test_a_record_comes_back_as_one() -> None:
    found = again([record(("id", "name"), (1, "x")), record((), ())])
    assert [type(one) for one in found] == [asyncpg.Record] * 2
    assert dict(found[0]) == {"id": 1, "name": "x"}
    assert len(found[1]) == 0


def test_columns_may_have_one_name() -> None:
    found = again(record(("a", "a"), (1, [2])))
    assert list(found.items()) == [("a", 1), ("a", [2])]


def test_records_of_a_class_hold_any_object() -> None:
    maker = Maker(("one", "other"), Row)
    thing = object()
    rows = [maker.record((thing, None)), maker.record((1, "2"))]
    assert [type(row) for row in rows] == [Row] * 2
    assert (rows[0].one, rows[0].other, rows[1][1]) == (thing, None, "2")


@pytest.mark.parametrize(
    "value",
    [
        UUID(uuid.UUID(int=7).bytes), asyncpg.Range(1, 5), asyncpg.Range(None, 5, upper_inc=True),
        asyncpg.Range(empty=True), asyncpg.BitString("1011"),
        asyncpg.Point(1, 2), asyncpg.Circle((1, 2), 3), asyncpg.Line(1, 2, 3),
        asyncpg.Box((3, 4), (1, 2)), asyncpg.Path((1, 2), (3, 4), is_closed=True),
        asyncpg.Polygon((1, 2), (3, 4), (5, 6)),
    ],
)  # fmt: skip
def test_what_is_in_a_row_comes_back(value: Any) -> None:
    found = again(value)
    assert (type(found), found) == (type(value), value)

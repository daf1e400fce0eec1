"""What statements that are not recorded are answered."""

from __future__ import annotations

import pytest

from tracediff.recording.buffers import Buffer
from tracediff.recording.libraries.madeup import made_up
from tracediff.recording.redaction import Redactor
from tracediff.values import Placeholder


@pytest.fixture
def buffer() -> Buffer:
    return Buffer(Redactor((), lambda: b"key"), "inputs")


def test_rows_of_one_insert_have_ids_that_rise(buffer: Buffer) -> None:
    sql = "INSERT INTO log (a) SELECT p0 FROM x RETURNING log.id, log.made, log.id AS id__1"
    said, rows = made_up(buffer, sql, {"a__0": 1, "a__1": 2}, 1)
    assert said == {"rowcount": 2, "lastrowid": -1, "columns": ["id", "made", "id__1"]}
    assert rows is not None
    assert [(row[0], row[2]) for row in rows] == [(-2, -2), (-1, -1)]
    assert all(isinstance(row[1], Placeholder) for row in rows)
    assert made_up(buffer, "INSERT INTO log (a) VALUES (?)", {"a": 1}, 1) == (
        {"rowcount": 1, "lastrowid": -3}, [()])  # fmt: skip


def test_what_changes_rows_goes_on_and_what_asks_for_them_does_not(buffer: Buffer) -> None:
    assert made_up(buffer, "UPDATE log SET a = 1", (), 3) == ({"rowcount": 3}, [])
    assert made_up(buffer, "DELETE FROM log RETURNING a", (), 1)[1] is None
    assert made_up(buffer, "SELECT a FROM log", (), 1) == ({"columns": ["a"]}, [])

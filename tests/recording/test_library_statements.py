"""What is read of the text of a statement."""

from __future__ import annotations

import sys

import pytest

from tracediff.recording.libraries.statements import changing, selected, subject


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "  -- of the shop\n/* all; delete from x */ select * from item",
        "(SELECT a FROM x) UNION (SELECT a FROM y)",
        "SELECT * FROM item WHERE name = 'insert into x' FOR UPDATE",
        "SELECT 'it''s into ' || $tag$ into the $tag$ FROM item",
        """SELECT "delete from ", 'a\\' AS "into " FROM item""",
        "SELECT nextval('item_id_seq')",
        "WITH a AS (SELECT replace(name, 'a', 'b') AS name FROM x FOR UPDATE OF x) SELECT * FROM a",
        "WITH a AS (SELECT 1) SELECT * FROM a FOR NO KEY UPDATE NOWAIT",
        "VALUES (1, 2)",
        "TABLE item",
        "EXPLAIN ANALYZE SELECT 1",
        "SHOW transaction_isolation",
        "PRAGMA table_info(item)",
    ],
)
def test_a_statement_that_reads_is_an_input(sql: str) -> None:
    assert not changing(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO item VALUES (1)",
        "-- select\nUPDATE item SET a = 1",
        "WITH a AS (INSERT INTO x VALUES (1) RETURNING id) SELECT * FROM a",
        "with gone as (delete\nfrom x returning *) select count(*) from gone",
        "WITH a AS (SELECT 1) UPDATE x SET a = 1",
        "SELECT * INTO more FROM item",
        "SELECT pg_notify('shop', 'sold')",
        "SELECT setval('item_id_seq', 9)",
        "SELECT pg_advisory_xact_lock(7)",
        "EXPLAIN ANALYZE DELETE FROM item",
        "CALL settle(1)",
        "BEGIN",
        "SAVEPOINT a",
        "SET search_path TO x",
        "PRAGMA journal_mode = wal",
        "",
    ],
)
def test_any_other_statement_is_an_output(sql: str) -> None:
    assert changing(sql)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT a, 'from x' FROM ONLY public.\"item\" AS b", "SELECT item"),
        ("SELECT * FROM (SELECT 1 FROM x) AS y", "SELECT x"),
        ("select nextval('x')", "SELECT"),
        ("INSERT OR IGNORE INTO `item` (a) VALUES (1)", "INSERT item"),
        ("UPDATE shop.item SET a = 1", "UPDATE item"),
        ("WITH a AS (DELETE FROM item RETURNING *) SELECT * FROM a", "WITH item"),
        ("CREATE UNIQUE INDEX IF NOT EXISTS by_name ON item (name)", "CREATE UNIQUE INDEX by_name"),
        ("DROP TABLE item", "DROP TABLE item"),
        ("ROLLBACK TO SAVEPOINT a", "ROLLBACK TO"),
        ("SAVEPOINT a", "SAVEPOINT"),
        ("", "statement"),
    ],
)
def test_a_statement_is_named_by_what_it_does_to_which_table(sql: str, said: str) -> None:
    assert subject(sql) == said


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        ("SELECT a, t.b, count(c, d) AS e, (SELECT f FROM g) AS h FROM i", ["a", "b", "e", "h"]),
        ('SELECT "a b", 1 AS c', ["a b", "c"]),
        ("SELECT a.* FROM a", None),
        ("SHOW x", None),
    ],
)
def test_the_columns_of_a_query_are_read_where_it_names_them(
    sql: str, columns: list[str] | None
) -> None:
    assert selected(sql) == columns


def test_a_long_statement_is_not_kept_when_it_was_read() -> None:
    sql = f"INSERT INTO a VALUES {', '.join(['(1)'] * 10_000)}"
    before = sys.getrefcount(sql)
    assert (subject(sql), changing(sql)) == ("INSERT a", True)
    assert sys.getrefcount(sql) == before

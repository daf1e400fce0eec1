"""Which parameters of a statement belong to which column."""

from __future__ import annotations

import pytest

from tracediff.recording.libraries.sealing import columns_of, secret_names
from tracediff.recording.libraries.statements import MAX_KEPT
from tracediff.recording.redaction import Redactor


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        ('INSERT INTO a (name, "pass word") VALUES (?, f(?)), (now(), ?)',
         ["name", "pass word", "pass word"]),
        ("INSERT INTO a (x) VALUES (%s) ON CONFLICT (x) DO UPDATE SET token = %s RETURNING y",
         ["x", "token"]),
        ("INSERT INTO a VALUES (?, ?)", ["", ""]),
        ("INSERT INTO a (x) SELECT %s FROM b WHERE pin = %s", ["", "pin"]),
        ("UPDATE a SET pin = %s, b.name=%s WHERE lower(token) IN (%s, %s) LIMIT %s",
         ["pin", "name", "token", "token", ""]),
        ("SELECT '?' -- ?\nFROM a WHERE pin = upper(?) OR x::text BETWEEN ? AND ?",
         ["pin", "x", "x"]),
        ("SELECT ? AS pin FROM `a` WHERE [pin] LIKE ?", ["", "pin"]),
    ],
)  # fmt: skip
def test_a_parameter_goes_with_the_column_it_is_compared_with_set_or_inserted_into(
    sql: str, columns: list[str]
) -> None:
    assert [name for _, name in columns_of(sql)] == columns


def test_parameters_by_name_and_number_are_told_by_these() -> None:
    sql = "UPDATE a SET x = :p, y = %(q)s WHERE z = $2 AND pin = $1"
    assert columns_of(sql) == (("p", "x"), ("q", "y"), ("2", "z"), ("1", "pin"))


@pytest.mark.parametrize(
    ("sql", "columns", "names"),
    [
        ('SELECT "auth_user"."id" AS "p", "auth_user"."password" AS "q" FROM "auth_user"',
         ["p", "q"], ["p", "password"]),
        ("SELECT name || ':' || password, count(password) n, m FROM a", ["c", "n", "m"],
         ["password", "n", "m"]),
        ("SELECT a.*, password AS p FROM a", ["x", "y", "p"], ["x", "y", "p"]),
        ("INSERT INTO a (token) VALUES (?) RETURNING id, token AS t", ["id", "t"],
         ["id", "token"]),
        ("SELECT (SELECT x FROM auth_token WHERE y = 1) AS a, (SELECT pin_token FROM b) b",
         ["a", "b"], ["a", "pin_token"]),
    ],
)  # fmt: skip
def test_an_alias_is_as_secret_as_the_column_it_is_made_of(
    sql: str, columns: list[str], names: list[str]
) -> None:
    assert list(secret_names(Redactor((), bytes), sql, columns)) == names


def test_an_alias_in_a_statement_too_long_to_be_remembered_is_as_well() -> None:
    some = ", ".join(map(str, range(6_000)))
    assert len(some) > MAX_KEPT
    sql = f"SELECT id, password AS p FROM auth_user WHERE id IN ({some})"
    assert list(secret_names(Redactor((), bytes), sql, ["id", "p"])) == ["id", "password"]

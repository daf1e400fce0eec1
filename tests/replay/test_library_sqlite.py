"""``sqlite3`` as a library of ``inputs``: recorded with a database, replayed without one."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tracediff import values
from tracediff.model import Trace

JOBS = """
    import sqlite3

    def raised(call, *args):
        try:
            call(*args)
        except sqlite3.Error as error:
            return type(error).__name__, str(error), error.sqlite_errorname

    @td.job("read")
    def read(path):
        con = sqlite3.connect(path)
        cursor = con.execute("SELECT id, name, price FROM item WHERE id > ? ORDER BY id", (0,))
        first, two, rest, none = (cursor.fetchone(), cursor.fetchmany(2), cursor.fetchall(),
                                  cursor.fetchone())
        columns = [column[0] for column in cursor.description]
        below = con.execute("SELECT name FROM item WHERE id < :top", {"top": 3})
        looped = [name for (name,) in below]
        con.row_factory = sqlite3.Row
        double = "SELECT id AS number, price * 2 AS 'the \\"double\\"' FROM item"
        row = con.execute(double).fetchone()
        con.row_factory = lambda cursor, row: [one[0] for one in cursor.description] + list(row)
        own = con.execute("SELECT name FROM item WHERE id = 1").fetchall()
        half = con.cursor()
        half.row_factory = None
        half.execute("WITH a AS (SELECT id FROM item) SELECT id FROM a ORDER BY id")
        read = [next(half), next(half)]
        missing = raised(con.execute, "SELECT * FROM nowhere")
        half.close()
        closed = con.close()
        return [first, two, rest, none, columns, looped, dict(row), row["number"], tuple(row),
                row.keys(), own, read, missing, closed, cursor.rowcount]

    @td.job("write")
    def write(path):
        con = sqlite3.connect(path)
        with con:
            made = con.execute("INSERT INTO item (name, price) VALUES (?, ?)", ("pin", 0.5))
            many = con.executemany("UPDATE item SET price = ? WHERE id = ?",
                                   ((i * 1.5, i) for i in (1, 2)))
            inside = con.in_transaction
        try:
            with con:
                con.execute("DELETE FROM item")
                gone = con.execute("SELECT count(*) FROM item").fetchone()
                raise KeyError("no")
        except KeyError:
            pass
        again = raised(con.execute, "INSERT INTO item (id, name) VALUES (1, 'twice')")
        con.rollback()
        back = con.execute("INSERT INTO item (name) VALUES ('new') RETURNING id, name").fetchall()
        con.commit()
        left = con.execute("SELECT count(*), sum(price) FROM item").fetchone()
        con.executescript("CREATE TABLE more (a); INSERT INTO more VALUES (1);")
        con.close()
        return [made.lastrowid, made.rowcount, many.rowcount, inside, gone, again, back, left]

    @td.job("part")
    def part(path, count):
        con = sqlite3.connect(path)
        cursor = con.execute("SELECT id FROM item ORDER BY id")
        found = [cursor.fetchone() for _ in range(READ or count)]
        cursor.close()
        con.close()
        return found

    @td.job("login")
    def login(path, given):
        con = sqlite3.connect(path)
        with con:
            con.execute("CREATE TABLE member (name, password, token)")
            con.execute("INSERT INTO member (name, password) VALUES (?, ?)", ("ann", given))
            more = [("bob", given + "2"), ("cid", None)]
            con.executemany("INSERT INTO member (name, password) VALUES (?, ?)", more)
        found = con.execute("SELECT * FROM member WHERE password = ?", (given,)).fetchone()
        name, password, token = found
        named = con.execute("SELECT name FROM member WHERE password = :p", {"p": given}).fetchall()
        rows = con.execute("SELECT name, password FROM member WHERE password IS NULL").fetchall()
        con.execute(f"UPDATE member SET token = '{given}3' WHERE name = 'bob'")
        con.execute("SELECT upper(m.password) p, 1 FROM member m WHERE name = 'ann'").fetchall()
        con.close()
        return name, token is None, named, rows

    @td.job("nowhere")
    def nowhere(path):
        return raised(sqlite3.connect, path + "/none/there.db")

    READ = 0
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "stock.db"
    with contextlib.closing(sqlite3.connect(path)) as made, made:
        made.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, price REAL)")
        rows = [("pen", 1.25), ("ink", 8.5), ("pad", None), ("cup", 3.0)]
        made.executemany("INSERT INTO item (name, price) VALUES (?, ?)", rows)
    return path


@pytest.fixture
def sql_shop(shop: Any) -> Any:
    shop.settings('inputs = ["sqlite3"]\n')
    shop.jobs(JOBS)
    return shop


@pytest.fixture
def check(sql_shop: Any) -> Callable[[Trace], None]:
    def replayed(trace: Trace) -> None:
        new = sql_shop.replay(trace)
        assert not new.replay.misses, new.replay.misses
        assert not new.replay.unused
        assert sql_shop.result(new) == sql_shop.result(trace)
        assert [(one.name, one.result) for one in new.steps] == [
            (one.name, one.result) for one in trace.steps
        ]

    return replayed


def test_rows_are_served_without_the_database(
    sql_shop: Any, database: Path, check: Callable[[Trace], None]
) -> None:
    (trace,) = sql_shop.record(f"read({str(database)!r})")
    found = sql_shop.result(trace)
    assert found[:6] == [(1, "pen", 1.25), [(2, "ink", 8.5), (3, "pad", None)], [(4, "cup", 3.0)],
                         None, ["id", "name", "price"], ["pen", "ink"]]  # fmt: skip
    assert found[6:12] == [{"number": 1, 'the "double"': 2.5}, 1, (1, 2.5),
                           ["number", 'the "double"'], [["name", "pen"]], [(1,), (2,)]]  # fmt: skip
    assert found[12] == ("OperationalError", "no such table: nowhere", "SQLITE_ERROR")
    database.unlink()
    check(trace)
    assert not database.exists()


def test_statements_are_outputs_and_transactions_roll_back(
    sql_shop: Any, database: Path, check: Callable[[Trace], None]
) -> None:
    (trace,) = sql_shop.record(f"write({str(database)!r})")
    found = sql_shop.result(trace)
    assert found[:5] == [5, 1, 2, True, (0,)]
    assert found[5][0] == "IntegrityError"
    assert found[6] == [(6, "new")]
    with contextlib.closing(sqlite3.connect(database)) as real:
        assert real.execute("SELECT count(*) FROM item").fetchone() == (6,)
    kinds = [one.kind for one in trace.steps if one.name != "sqlite3.connect"]
    assert kinds.count("output") == 10
    database.unlink()
    check(trace)
    assert not database.exists()


def test_a_cursor_read_half_has_no_more_rows_than_were_read(
    sql_shop: Any, database: Path, check: Callable[[Trace], None]
) -> None:
    half, whole = sql_shop.record(f"part({str(database)!r}, 2); part({str(database)!r}, 6)")
    assert values.inert(half.steps[3].result) == [(1,), (2,)]
    check(half)
    check(whole)
    sql_shop.change("READ = 0", "READ = 3")
    (miss,) = sql_shop.replay(half).replay.misses
    assert miss.name == "sqlite3 rows that were not fetched"


def test_parameters_and_columns_with_secret_names_are_sealed(
    sql_shop: Any, database: Path, check: Callable[[Trace], None]
) -> None:
    (trace,) = sql_shop.record(f"""
        import base64
        login({str(database)!r}, base64.b64decode("aHVudGVyMjI=").decode())
    """)
    assert sql_shop.result(trace) == ("ann", True, [("ann",)], [("cid", None)])
    kept = [step.result.data + step.args.data for step in trace.steps[1:] if step.result]
    assert len(kept) > 8
    assert not any(b"hunter22" in data.lower() for data in kept)
    check(trace)


def test_a_database_that_cannot_be_opened_raises_again(
    sql_shop: Any, tmp_path: Path, check: Callable[[Trace], None]
) -> None:
    (trace,) = sql_shop.record(f"nowhere({str(tmp_path)!r})")
    assert sql_shop.result(trace)[0] == "OperationalError"
    (tmp_path / "none").mkdir()
    check(trace)


def test_a_connection_of_the_module_is_recorded_where_recording_was_on_before(
    sql_shop: Any, database: Path, check: Callable[[Trace], None]
) -> None:
    sql_shop.jobs(f"""
        import sqlite3
        td.configure() if __import__("os").environ.get("TRACEDIFF_REPLAYING") is None else None
        CON = sqlite3.connect({str(database)!r})

        @td.job("shared")
        def shared():
            with CON:
                CON.execute("DELETE FROM item WHERE id = 1")
            return CON.execute("SELECT count(*) FROM item").fetchone()
    """)
    (trace,) = sql_shop.record("shared(); CON.close()")
    assert sql_shop.result(trace) == (3,)
    check(trace)
    database.unlink()


def test_outside_of_a_job_and_in_memory_nothing_is_recorded(sql_shop: Any, database: Path) -> None:
    sql_shop.jobs("""
        import sqlite3

        @td.job("plain")
        def plain(path):
            con = sqlite3.connect(":memory:")
            found = con.execute("SELECT 1").fetchall()
            con.close()
            return found
    """)
    (trace,) = sql_shop.record(f"""
        plain("x")
        con = sqlite3.connect({str(database)!r})
        assert con.execute("SELECT count(*) FROM item").fetchall() == [(4,)]
        with con:
            assert con.execute("DELETE FROM item").rowcount == 4
        assert list(con.execute("SELECT * FROM item")) == []
        assert con.in_transaction is False
        con.close()
    """)
    assert len(trace.steps) == 1

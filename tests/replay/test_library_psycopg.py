"""``psycopg`` as a library of ``inputs``: recorded on PostgreSQL, replayed where it is gone."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from servers.postgres import Postgres
from servers.proxy import Proxy
from tracediff import values
from tracediff.model import Trace

pytestmark = pytest.mark.slow  # what they share takes some seconds to be recorded

JOBS = """
    import asyncio
    import base64
    import datetime as dt
    import itertools
    import os
    import threading
    import uuid
    from concurrent.futures import ThreadPoolExecutor
    from dataclasses import dataclass
    from decimal import Decimal

    import psycopg
    from psycopg import connect, errors, sql
    from psycopg.rows import class_row, dict_row, namedtuple_row, scalar_row
    from psycopg.types.json import Jsonb
    from psycopg.types.range import Range
    from psycopg_pool import AsyncConnectionPool, ConnectionPool, PoolTimeout

    # Where there is no server, the connections are to one that never was.
    URL = os.environ.get("SHOP_URL", "postgresql://ann:none@127.0.0.1:1/none")
    def prepare(con):
        con.execute("SET application_name = 'shop'")
        con.commit()

    pool = ConnectionPool(URL, min_size=1, max_size=2, open=False, configure=prepare,
                          check=ConnectionPool.check_connection, reset=prepare)
    early = psycopg.connect(URL, autocommit=True)  # before anything is recorded
    READ = 0

    @dataclass
    class Item:
        id: int
        name: str
        price: Decimal

    def types(con):
        cur = con.cursor()
        cur.execute("CREATE TEMP TABLE thing (id uuid, data jsonb, tags text[], blob bytea,"
                    " day date, at timestamptz, took interval, span int4range, host inet,"
                    " weight float8)")
        cur.execute("INSERT INTO thing VALUES (%s,%s,%s,%s,%s,%s,%s,%s,%s,%s)", (
            uuid.UUID(int=7), Jsonb({"a": [1, None]}), ["x", None], bytes([0, 255]),
            dt.date(2026, 1, 2), dt.datetime(2026, 1, 2, 3, tzinfo=dt.UTC), dt.timedelta(1, 5),
            Range(1, 5), "10.0.0.1", 0.1))
        row = cur.execute("SELECT * FROM thing").fetchone()
        return [str(row[0]), row[1], row[2], row[3], row[4], row[5].utcoffset(), row[6],
                str(row[7]), str(row[8]), row[9], [one.name for one in cur.description],
                cur.description[9].type_display, cur.rowcount, cur.statusmessage]

    @td.job("reads")
    def reads():
        with psycopg.connect(URL) as con:
            found = {"types": types(con), "version": con.info.server_version > 90000,
                     "zone": con.info.parameter_status("server_encoding")}
            query = "SELECT id, name, price FROM item WHERE id < %s ORDER BY id"
            with con.cursor(row_factory=class_row(Item)) as cur:
                found["class"] = [one.price for one in cur.execute(query, (3,))]
            with con.cursor(row_factory=dict_row) as cur:
                found["dict"] = cur.execute(query, [2]).fetchall()
            with con.cursor(row_factory=namedtuple_row) as cur:
                found["named"] = cur.execute(sql.SQL(query), (2,)).fetchone().name
            with con.cursor(row_factory=scalar_row) as cur:
                found["scalar"] = cur.execute("SELECT count(*) FROM item").fetchone()
            cur = con.execute("SELECT n FROM generate_series(1, 9) n; SELECT 'two'")
            found["sets"] = [cur.fetchmany(2), cur.nextset(), cur.fetchall(), cur.nextset()]
            cur = con.execute("SELECT n FROM generate_series(1, 9) n")
            cur.scroll(3)
            found["scroll"] = [cur.fetchone(), cur.scroll(0, "absolute"), cur.fetchmany(2),
                               cur.rownumber, cur.rowcount]
            found["named"] = con.execute(
                sql.SQL("SELECT {} FROM {} WHERE name = {}").format(
                    sql.Identifier("id"), sql.Identifier("item"), sql.Literal("it's"))).fetchall()
            found["quoted"] = (sql.Literal("it's").as_string(con),
                               sql.Identifier('a"b').as_string(con))
        return found

    @td.job("parts")
    def parts():
        numbers = "SELECT n, n * 2 AS twice FROM generate_series(1, 1000) AS n"
        with connect(URL) as con:
            half = con.execute(numbers).fetchmany(READ or 3)
            with con.cursor("named", row_factory=dict_row) as cur:
                cur.itersize = 4
                cur.execute(numbers)
                server = [row["n"] for row in itertools.islice(cur, 6)]
                server.append(cur.fetchone()["twice"])
                names = [one.name for one in cur.description]
            with con.cursor("scrolled", scrollable=True) as cur:
                cur.execute(numbers)
                cur.scroll(10)
                scrolled = cur.fetchmany(2)
            cur = con.cursor()
            streamed = list(itertools.islice(cur.stream(numbers), 5))
            cur.close()
            con.rollback()  # what is left of a stream is cancelled, if it is not there yet
            whole = sum(row[0] for row in con.cursor().stream(numbers + " LIMIT 3"))
            empty = list(con.cursor().stream("SELECT 1 WHERE false"))
            return half, server, names, scrolled, streamed, whole, empty

    @td.job("writes")
    def writes():
        found = {}
        with psycopg.connect(URL) as con:
            cur = con.cursor()
            cur.executemany("INSERT INTO item (name, price) VALUES (%s, %s) RETURNING name",
                            [("many 1", 1), ("many 2", 2)], returning=True)
            found["returning"] = [one.fetchone() for one in cur.results()]
            cur.executemany("UPDATE item SET price = %s WHERE name = %s",
                            iter([(8, "many 1"), (9, "many 2")]))
            found["many"] = cur.rowcount
            found["moved"] = con.execute("DELETE FROM item WHERE name LIKE 'many%'").rowcount
            con.rollback()
            found["status"] = con.info.transaction_status.name
            with con.transaction():
                con.execute("INSERT INTO item (name, price) VALUES ('kept', 1)")
                try:
                    with con.transaction():
                        con.execute("INSERT INTO item (name, price) VALUES ('kept', 2)")
                except errors.UniqueViolation as error:
                    found["unique"] = (error.sqlstate, error.diag.constraint_name, str(error)[:13])
                with con.transaction(force_rollback=True):
                    con.execute("DELETE FROM item")
            try:
                con.execute("SELECT * FROM nowhere")
            except psycopg.Error as error:
                found["nowhere"] = type(error).__name__, error.sqlstate
            try:
                con.execute("SELECT 1")
            except errors.InFailedSqlTransaction:
                found["failed"] = con.info.transaction_status.name
            con.rollback()
            con.execute("INSERT INTO line (item_id) VALUES (10000)")
            try:
                con.commit()  # where the constraint is looked at
            except errors.ForeignKeyViolation as error:
                found["late"] = error.diag.constraint_name
            found["count"] = con.execute("SELECT count(*) FROM item").fetchone()
        found["closed"] = con.closed
        return found

    @td.job("copies")
    def copies():
        with psycopg.connect(URL) as con, con.cursor() as cur:
            with cur.copy("COPY item (name, price) FROM STDIN") as copy:
                copy.write_row(("copied", Decimal("1.50")))
                copy.write("more\\t2\\n")
            found = [cur.rowcount]
            with cur.copy("COPY (SELECT name, price FROM item WHERE name IN ('copied', 'more')"
                          " ORDER BY name) TO STDOUT") as copy:
                copy.set_types(["text", "numeric"])
                found.append(list(copy.rows()))
            with cur.copy("COPY (SELECT 1 AS a, 'x' AS b) TO STDOUT (FORMAT binary)") as copy:
                found.append(b"".join(bytes(one) for one in copy).startswith(b"PGCOPY"))
            con.commit()
            try:
                with cur.copy("COPY (SELECT n FROM generate_series(1, 99999) n) TO STDOUT") as copy:
                    found.append(bytes(copy.read()))
                    raise LookupError  # by which psycopg leaves the rest
            except LookupError:
                con.rollback()
            try:
                with cur.copy("COPY item (name, price) FROM STDIN") as copy:
                    copy.write("copied\\t3\\n")
            except errors.UniqueViolation as error:
                found.append(error.diag.constraint_name)
            con.rollback()
            try:
                with cur.copy("COPY nowhere TO STDOUT") as copy:
                    pass
            except errors.UndefinedTable as error:
                found.append(error.sqlstate)
            con.rollback()
        return found

    @td.job("pools")
    def pools():
        pool.open()

        def price(number):
            with pool.connection() as con:
                return con.execute("SELECT price FROM item WHERE id = %s", (number,)).fetchone()[0]

        with ThreadPoolExecutor(3) as threads:
            found = list(threads.map(td.propagate(price), [1, 2, 3, 1, 2, 3]))
        with pool.connection() as con:
            con.execute("UPDATE item SET price = price WHERE id = 1")
        found.append(early.execute("SELECT name FROM item WHERE id = 1").fetchone())
        with pool.connection(), pool.connection():
            try:
                pool.getconn(timeout=0.05)
            except PoolTimeout as error:
                found.append(str(error))
        return found

    @td.job("async")
    async def run_async():
        async def one(number):
            async with apool.connection() as con:
                cur = await con.execute("SELECT name FROM item WHERE id = %s", (number,))
                return (await cur.fetchone())[0]

        async def prepare(con):
            await con.execute("SET application_name = 'shop'")
            await con.commit()

        async with AsyncConnectionPool(URL, min_size=2, open=False, configure=prepare) as apool:
            await apool.wait()
            found = list(await asyncio.gather(*(one(number) for number in (3, 1, 2))))
        async with await psycopg.AsyncConnection.connect(URL) as con:
            async with con.cursor("named") as cur:
                await cur.execute("SELECT n FROM generate_series(1, 9) n")
                found.append([row[0] async for row in cur])
            found.append([row[0] async for row in con.cursor().stream("VALUES (1), (2)")])
            async with con.transaction():
                cur = con.cursor()
                await cur.executemany("INSERT INTO item (name, price) VALUES (%s, 1)", [("a1",)])
                async with cur.copy("COPY item (name, price) FROM STDIN") as copy:
                    await copy.write_row(("a2", 2))
                async with cur.copy("COPY (VALUES (1), (2)) TO STDOUT") as copy:
                    found.append([bytes(block) async for block in copy])
            await con.execute("DELETE FROM item WHERE name IN ('a1', 'a2')")
        return found

    @td.job("cancelled")
    async def cancelled():
        found = []
        async with await psycopg.AsyncConnection.connect(URL, autocommit=True) as con:
            try:
                await asyncio.wait_for(con.execute("SELECT pg_sleep(30)"), 0.2)
            except TimeoutError:
                found.append("timeout")
            await con.execute("SET statement_timeout = 50")
            try:
                await con.execute("SELECT pg_sleep(31)")
            except errors.QueryCanceled as error:
                found.append(error.sqlstate)
            found.append(await (await con.execute("SELECT 1")).fetchone())
        return found

    @td.job("killed")
    def killed():
        con = psycopg.connect(URL, autocommit=True)
        pid = con.info.backend_pid
        found = []
        with psycopg.connect(URL) as victim:
            cur = victim.cursor("half")
            cur.execute("SELECT n FROM generate_series(1, 1000) n")
            found.append(cur.fetchmany(2))
            con.execute("SELECT pg_terminate_backend(%s)", (victim.info.backend_pid,))
            try:
                cur.fetchmany(2)
            except psycopg.OperationalError as error:
                found.append((type(error).__name__, error.sqlstate))
            found.append((victim.closed, victim.broken))
        con.close()
        try:
            con.execute("SELECT 1")
        except psycopg.OperationalError as error:
            found.append(str(error))
        return found

    @td.job("refused")
    def refused(encoded):
        given = base64.b64decode(encoded).decode()
        found = []
        for url in (URL.replace("postgres:", "postgres:" + given).replace(":none@", f":{given}@"),
                    f"postgresql://ann:{given}@127.0.0.1:1/gone"):
            try:
                psycopg.connect(url)
            except psycopg.OperationalError as error:
                found.append((type(error).__name__, given in str(error)))
        return found

    @td.job("members")
    def members(encoded):
        given = base64.b64decode(encoded).decode()
        with psycopg.connect(URL) as con:
            con.execute("INSERT INTO member (name, password, token) VALUES (%s, %s, %s)",
                        ("ann", given, given + "-token"))
            found = [con.execute("SELECT name FROM member WHERE password = %(p)s",
                                 {"p": given}).fetchone()]
            (token,) = con.execute("SELECT token FROM member WHERE name = 'ann'").fetchone()
            con.execute("UPDATE member SET token = %s", (token,))
            with con.transaction():
                try:
                    with con.transaction():
                        con.execute("INSERT INTO member (name, token) VALUES ('bob', %s)",
                                    (given + "-token",))
                except errors.UniqueViolation as error:
                    found.append(error.diag.constraint_name)
            con.execute("UPDATE member SET password = 'lit-" + given + "'")
        return found

    @td.job("lost")
    def lost():  # in a thread without the job's context
        found = []
        def write():
            try:
                early.execute("INSERT INTO line (item_id) VALUES (1)")
            except BaseException as error:
                found.append(type(error).__name__)
        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
        return found
"""

RUN = """
    import psycopg
    with psycopg.connect(URL) as con:
        con.execute(
            "CREATE TABLE item (id serial PRIMARY KEY, name text UNIQUE, price numeric(10, 2));"
            "CREATE TABLE line (id serial, item_id int CONSTRAINT of_item REFERENCES item(id)"
            "  DEFERRABLE INITIALLY DEFERRED);"
            "CREATE TABLE member (name text, password text,"
            "  token text CONSTRAINT one_token UNIQUE);"
            "INSERT INTO item (name, price) SELECT 'item ' || n, n FROM generate_series(1, 3) n")
    reads(); parts(); writes(); copies(); pools(); killed(); lost()
    asyncio.run(run_async()); asyncio.run(cancelled())
    refused("aGlkZGVuMjI="); members("aHVudGVyMjI=")
    pool.close(); early.close()
"""


class Recorded:
    """The traces of a project that was recorded in one process, by key."""

    def __init__(self, project: Any, traces: list[Trace], repeats: Any) -> None:
        self.project = project
        self.traces = {trace.key: trace for trace in traces}
        self._repeats = repeats

    def check(self, key: str) -> Any:
        """What a job returned, which replays to the last step."""
        trace = self.traces[key]
        self._repeats(self.project, trace)
        assert trace.warnings == ()
        return self.project.result(trace)


@pytest.fixture(scope="module")
def recorded(new_shop: Callable[[], Any], postgres: Postgres, repeats: Any) -> Recorded:
    """All of the jobs, recorded; the server cannot be reached any more."""
    project = new_shop()
    project.settings('inputs = ["psycopg"]\n')
    project.jobs(JOBS)
    url = postgres.create_database(f"psycopg_{uuid.uuid4().hex}")
    with Proxy("127.0.0.1", postgres.port) as proxy:
        traces = project.record(RUN, SHOP_URL=url.replace(str(postgres.port), str(proxy.port)))
    return Recorded(project, traces, repeats)


def test_rows_of_every_type_and_factory_are_served_without_the_server(recorded: Recorded) -> None:
    found = recorded.check("reads")
    types = found["types"]
    assert types[1:4] == [{"a": [1, None]}, ["x", None], b"\0\xff"]
    assert types[7:10] == ["[1, 5)", "10.0.0.1", 0.1]
    assert types[11:] == ["float8", 1, "SELECT 1"]
    assert found["version"] is True
    assert found["zone"] == "UTF8"
    assert found["scalar"] == 3
    assert found["sets"] == [[(1,), (2,)], True, [("two",)], None]
    assert found["scroll"] == [(4,), None, [(1,), (2,)], 2, 9]
    assert found["quoted"] == ("'it''s'", '"a""b"')


def test_of_rows_read_half_that_half_is_recorded(recorded: Recorded) -> None:
    half, server, names, scrolled, streamed, whole, empty = recorded.check("parts")
    assert half == [(1, 2), (2, 4), (3, 6)]
    assert server == [1, 2, 3, 4, 5, 6, 14] or server[:6] == [1, 2, 3, 4, 5, 6]
    assert names == ["n", "twice"]
    assert scrolled == [(11, 22), (12, 24)]
    assert streamed == [(n, 2 * n) for n in range(1, 6)]
    assert (whole, empty) == (6, [])
    recorded.project.change("READ = 0", "READ = 5")
    try:
        (miss,) = recorded.project.replay(recorded.traces["parts"]).replay.misses
    finally:
        recorded.project.change("READ = 5", "READ = 0")
    assert miss.name == "psycopg rows that were not fetched"


def test_what_writes_is_an_output_and_gives_or_raises_what_it_did(recorded: Recorded) -> None:
    assert recorded.check("writes") == {
        "returning": [("many 1",), ("many 2",)], "many": 2, "moved": 2, "status": "IDLE",
        "unique": ("23505", "item_name_key", "duplicate key"),
        "nowhere": ("UndefinedTable", "42P01"), "failed": "INERROR", "late": "of_item",
        "count": (4,), "closed": True,
    }  # fmt: skip
    steps = [(one.kind, one.name.removeprefix("psycopg "))
             for one in recorded.traces["writes"].steps[1:8]]  # fmt: skip
    assert steps == [
        ("input", "connect"), ("output", "INSERT item"), ("output", "UPDATE item"),
        ("output", "DELETE item"), ("output", "rollback"), ("output", "INSERT item"),
        ("output", "SAVEPOINT"),
    ]  # fmt: skip


def test_a_copy_is_read_by_block_and_written_at_its_end(recorded: Recorded) -> None:
    count, rows, binary, first, refused, missing = recorded.check("copies")
    assert count == 2
    assert [name for name, _ in rows] == ["copied", "more"]
    assert (binary, first, refused, missing) == (True, b"1\n", "item_name_key", "42P01")
    sent = [one for one in recorded.traces["copies"].steps if one.name == "psycopg copied data"]
    assert sent[0].args is not None
    assert values.inert(sent[0].args)["data"] == "more\t2\ncopied\t1.50\n"


def test_pools_give_connections_that_are_served(recorded: Recorded) -> None:
    found = recorded.check("pools")
    assert [str(one) for one in found[:6]] == ["1.00", "2.00", "3.00"] * 2
    assert found[6:] == [("item 1",), "couldn't get a connection after 0.05 sec"]


def test_tasks_share_a_pool(recorded: Recorded) -> None:
    assert recorded.check("async") == [
        "item 3", "item 1", "item 2", [*range(1, 10)], [1, 2], [b"1\n", b"2\n"]
    ]  # fmt: skip


@pytest.mark.in_turn
def test_what_was_cancelled_or_took_too_long_is_so_again(recorded: Recorded) -> None:
    assert recorded.check("cancelled") == ["timeout", "57014", (1,)]


@pytest.mark.in_turn
def test_a_server_process_that_ends_amid_a_cursor(recorded: Recorded) -> None:
    half, error, state, closed = recorded.check("killed")
    assert half == [(1,), (2,)]
    assert error == ("AdminShutdown", "57P01")
    assert state == (True, True)
    assert closed == "the connection is closed"


def test_no_secret_reaches_the_store(recorded: Recorded, postgres: Postgres) -> None:
    assert recorded.check("refused") == [("OperationalError", False)] * 2
    assert recorded.check("members") == [("ann",), "one_token"]
    kept = recorded.project.stored()
    assert b"psycopg SELECT item" in kept
    secrets = (b"hunter22", b"hidden22", postgres.password.encode())
    assert [one for one in secrets if one in kept] == []


def test_a_thread_without_the_job_is_refused_in_a_replay(recorded: Recorded) -> None:
    trace = recorded.traces["lost"]
    assert recorded.project.result(trace) == []
    (miss,) = recorded.project.replay(trace).replay.misses
    assert (miss.kind, miss.name) == ("output", "psycopg INSERT line")


MISSING = """
    import os
    import psycopg
    from psycopg.rows import scalar_row

    URL = os.environ.get("SHOP_URL", "postgresql://ann:none@127.0.0.1:1/none")
    MORE = 0

    @td.job("missing")
    def missing():
        with psycopg.connect(URL) as con:
            found = [con.execute("SELECT 1").fetchone()]
            if MORE == 1:
                found.append(con.execute("SELECT count(*) FROM item").fetchone())
            if MORE == 2:
                cur = con.execute("INSERT INTO item (name) VALUES (%s) RETURNING id", ("new",))
                found.append(cur.fetchone()[0])
        return found

    @td.job("both")
    def both():
        import sqlalchemy as sa
        engine = sa.create_engine(URL.replace("postgresql:", "postgresql+psycopg:"))
        with engine.connect() as con:
            found = [con.execute(sa.text("SELECT name FROM item")).scalar()]
        with engine.connect() as con:  # of the pool, once more
            found.append(con.execute(sa.text("SELECT count(*) FROM item")).scalar())
        with psycopg.connect(URL, row_factory=scalar_row) as con:
            found.append(con.execute("SELECT max(name) FROM item").fetchone())
        engine.dispose()
        return found
"""


@pytest.fixture(scope="module")
def missing(new_shop: Callable[[], Any], postgres: Postgres) -> Any:
    """A project whose job may ask more than it did, and its traces."""
    project = new_shop()
    project.settings('inputs = ["psycopg", "sqlalchemy"]\n')
    project.jobs(MISSING)
    name = f"missing_{uuid.uuid4().hex}"
    url = postgres.create_database(name)
    with postgres.connect(name) as connection:
        connection.execute("CREATE TABLE item (id serial, name text)")
        connection.execute("INSERT INTO item (name) VALUES ('one')")
    traces = {one.key: one for one in project.record("missing(); both()", SHOP_URL=url)}
    return project, traces, url


@pytest.mark.in_turn
def test_what_sqlalchemy_asks_of_psycopg_is_recorded_once(missing: Any, repeats: Any) -> None:
    project, traces, _ = missing
    assert project.result(traces["both"]) == ["one", 1, "one"]
    assert [one.name for one in traces["both"].steps[1:]] == [
        "sqlalchemy connect", "sqlalchemy SELECT item", "sqlalchemy SELECT item",
        "psycopg connect", "psycopg SELECT item",
    ]  # fmt: skip
    repeats(project, traces["both"])


@pytest.mark.in_turn
def test_what_is_not_recorded_misses_or_is_made_up(
    missing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, traces, url = missing
    trace = traces["missing"]
    project.change("MORE = 0", "MORE = 1")
    (miss,) = project.replay(trace).replay.misses
    assert miss.name == "psycopg SELECT item"
    monkeypatch.setenv("SHOP_URL", url)  # where a replay may read
    live = project.replay(trace, on_miss="live")
    assert project.result(live) == [(1,), (1,)]
    project.change("MORE = 1", "MORE = 2")
    new = project.replay(trace, on_miss="stub")
    assert project.result(new) == [(1,), -1]
    assert "made up" in new.warnings[0]
    project.change("MORE = 2", "MORE = 0")

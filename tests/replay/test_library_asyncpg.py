"""``asyncpg`` as a library of ``inputs``: recorded on PostgreSQL, replayed where it is gone."""

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
    import io
    import json
    import os
    import uuid
    from decimal import Decimal

    import asyncpg
    from asyncpg import connect

    # Where there is no server, the connections are to one that never was.
    URL = os.environ.get("SHOP_URL", "postgresql://ann:none@127.0.0.1:1/none")
    READ = 0

    class Row(asyncpg.Record):
        def __getattr__(self, name):
            return self[name]

    async def types(con):
        await con.execute("CREATE TEMP TABLE thing (id uuid, data jsonb, tags text[], blob bytea,"
                          " day date, at timestamptz, took interval, span int4range, host inet,"
                          " weight float8, price numeric)")
        await con.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads,
                                 schema="pg_catalog")
        await con.execute(
            "INSERT INTO thing VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            uuid.UUID(int=7), {"a": [1, None]}, ["x", None], bytes([0, 255]), dt.date(2026, 1, 2),
            dt.datetime(2026, 1, 2, 3, tzinfo=dt.UTC), dt.timedelta(1, 5), asyncpg.Range(1, 5),
            "10.0.0.1", 0.1, Decimal("1.10"))
        row = await con.fetchrow("SELECT * FROM thing")
        return [str(row["id"]), type(row["id"]) is type(await con.fetchval("SELECT id FROM thing")),
                row["data"], row["tags"], row[3], row["day"], row["at"].utcoffset(), row["took"],
                [row["span"].lower, row["span"].upper], str(row["host"]), row["weight"],
                str(row["price"]), list(row.keys())]

    @td.job("reads")
    async def reads():
        con = await asyncpg.connect(URL)
        try:
            found = {"types": await types(con), "version": con.get_server_version().major > 9,
                     "encoding": con.get_settings().server_encoding}
            rows = await con.fetch("SELECT id, name, price FROM item WHERE id < $1 ORDER BY id", 3)
            found["records"] = [type(rows[0]) is asyncpg.Record, rows[1].get("name"), len(rows),
                                dict(rows[0]), rows[0][1:], "price" in rows[0], repr(rows[0])]
            row = await con.fetchrow("SELECT name FROM item WHERE id = $1", 2, record_class=Row)
            found["own"] = isinstance(row, Row), row.name
            found["twice"] = list((await con.fetchrow("SELECT 1 AS a, 2 AS a")).items())
            found["none"] = [await con.fetchval("SELECT name FROM item WHERE id = 99"),
                             await con.fetchrow("SELECT name FROM item WHERE id = 99"),
                             await con.fetch("SELECT name FROM item WHERE id = 99")]
            found["status"] = await con.execute("SELECT name FROM item")
            found["text"] = await con.execute("SELECT 1; SELECT 2")
            found["row"] = await con.fetchval("SELECT ROW(1, 'x'::text)")
            statement = await con.prepare("SELECT name FROM item WHERE id = $1")
            found["prepared"] = [await statement.fetchval(1), (await statement.fetch(2))[0]["name"],
                                 (await statement.fetchrow(3))["name"], statement.get_statusmsg(),
                                 statement.get_parameters()[0].name,
                                 statement.get_attributes()[0].type.name]
            for query in ("SELECT * FROM nowhere", "SELEC 1"):
                try:
                    await con.prepare(query)
                except asyncpg.PostgresError as error:
                    found[query] = type(error).__name__, error.sqlstate
        finally:
            await con.close()
        found["closed"] = con.is_closed()
        return found

    @td.job("parts")
    async def parts():
        numbers = "SELECT n, n * 2 AS twice FROM generate_series(1, 1000) AS n"
        con = await connect(URL)
        async with con.transaction():
            pages, cur = [], await con.cursor(numbers)
            for size in (2, 3):
                pages.append([row["n"] for row in await cur.fetch(size)])
            pages.append(await cur.forward(5))
            pages.append((await cur.fetchrow())["twice"])
            some = []
            async for row in con.cursor(numbers, prefetch=READ or 4):
                some.append(row[0])
                if len(some) == (READ or 6):
                    break
            statement = await con.prepare("SELECT n FROM generate_series(1, $1::int) AS n")
            whole = [row["n"] async for row in statement.cursor(3)]
        one = await con.fetchrow(numbers)
        await con.close()
        return pages, some, whole, one["n"]

    @td.job("writes")
    async def writes():
        found = {}
        con = await asyncpg.connect(URL)
        await con.executemany("INSERT INTO item (name, price) VALUES ($1, $2)",
                              [("many 1", 1), ("many 2", 2)])
        found["returning"] = [row["name"] for row in await con.fetchmany(
            "INSERT INTO item (name, price) VALUES ($1, 1) RETURNING name", [("m3",), ("m4",)])]
        found["moved"] = await con.execute("DELETE FROM item WHERE name LIKE 'm%'")
        try:
            async with con.transaction():
                await con.execute("DELETE FROM item")
                raise LookupError
        except LookupError:
            found["in"] = con.is_in_transaction()
        async with con.transaction():
            await con.execute("INSERT INTO item (name, price) VALUES ($1, $2)", "kept", 1)
            try:
                async with con.transaction():
                    await con.execute("INSERT INTO item (name, price) VALUES ('kept', 2)")
            except asyncpg.UniqueViolationError as error:
                found["unique"] = error.sqlstate, error.constraint_name, error.detail
            found["in2"] = con.is_in_transaction()
        try:
            await con.fetch("SELECT * FROM nowhere WHERE id = $1", 1)
        except asyncpg.UndefinedTableError as error:
            found["nowhere"] = str(error)
        try:
            async with con.transaction():
                await con.execute("INSERT INTO line (item_id) VALUES (10000)")
        except asyncpg.ForeignKeyViolationError as error:
            found["late"] = error.constraint_name
        try:
            await con.fetch("SELECT $1::int", "text")
        except asyncpg.DataError as error:
            found["argument"] = str(error)[:34]
        found["count"] = await con.fetchval("SELECT count(*) FROM item")
        await con.close()
        return found

    @td.job("copies")
    async def copies():
        con = await asyncpg.connect(URL)
        found = [await con.copy_records_to_table("item", columns=["name", "price"],
                                                 records=iter([("copied", Decimal("1.5"))])),
                 await con.copy_to_table("item", columns=["name", "price"],
                                         source=io.BytesIO(b"more\\t2\\n"))]
        out = io.BytesIO()
        found.append(await con.copy_from_query(
            "SELECT name FROM item WHERE name IN ('copied', 'more') ORDER BY name", output=out))
        found.append(out.getvalue())
        try:
            await con.copy_to_table("item", columns=["name", "price"],
                                    source=io.BytesIO(b"more\\t3\\n"))
        except asyncpg.UniqueViolationError as error:
            found.append(error.constraint_name)
        await con.execute("DELETE FROM item WHERE name IN ('copied', 'more')")
        await con.close()
        return found

    @td.job("pools")
    async def pools():
        async def price(number):
            async with pool.acquire() as con:
                return await con.fetchval("SELECT price FROM item WHERE id = $1", number)

        async def prepare(con):
            await con.execute("SET application_name = 'shop'")
            await con.set_type_codec("json", encoder=json.dumps, decoder=json.loads,
                                     schema="pg_catalog")

        async with asyncpg.create_pool(URL, min_size=1, max_size=2, record_class=Row,
                                       init=prepare) as pool:
            found = list(await asyncio.gather(*(price(number) for number in (3, 1, 2))))
            found.append((await pool.fetchrow("SELECT name FROM item WHERE id = 1")).name)
            found.append(await pool.execute("UPDATE item SET price = price WHERE id = 1"))
            async with pool.acquire(), pool.acquire():
                try:
                    await pool.acquire(timeout=0.05)
                except TimeoutError as error:
                    found.append(type(error).__name__)
        return found

    @td.job("cancelled")
    async def cancelled():
        found = []
        con = await asyncpg.connect(URL)
        try:
            await asyncio.wait_for(con.fetch("SELECT pg_sleep(30)"), 0.2)
        except TimeoutError:
            found.append("timeout")
        con.terminate()
        con = await asyncpg.connect(URL)
        try:
            await con.fetch("SELECT pg_sleep(31)", timeout=0.05)
        except TimeoutError:
            found.append("own timeout")
        con.terminate()
        con = await asyncpg.connect(URL)
        await con.execute("SET statement_timeout = 50")
        try:
            await con.execute("SELECT pg_sleep(32)")
        except asyncpg.QueryCanceledError as error:
            found.append(error.sqlstate)
        found.append(await con.fetchval("SHOW server_encoding"))
        await con.close()
        return found

    @td.job("killed")
    async def killed():
        found = []
        con, victim = await asyncpg.connect(URL), await asyncpg.connect(URL)
        try:
            async with victim.transaction():
                cur = await victim.cursor("SELECT n FROM generate_series(1, 1000) n")
                found.append([row["n"] for row in await cur.fetch(2)])
                await con.execute("SELECT pg_terminate_backend($1)", victim.get_server_pid())
                await cur.fetch(2)
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            found.append(isinstance(error, (asyncpg.AdminShutdownError, asyncpg.InterfaceError)))
        found.append(victim.is_closed())
        await con.close()
        try:
            await con.fetch("SELECT 1")
        except asyncpg.InterfaceError as error:
            found.append(str(error))
        return found

    @td.job("refused")
    async def refused(encoded):
        given = base64.b64decode(encoded).decode()
        found = []
        for options in ({"dsn": URL, "password": given},
                        {"dsn": f"postgresql://ann:{given}@127.0.0.1:1/gone"}):
            try:
                await asyncpg.connect(**options)
            except (OSError, asyncpg.PostgresError) as error:
                found.append((type(error).__name__, given in str(error)))
        return found

    @td.job("members")
    async def members(encoded):
        given = base64.b64decode(encoded).decode()
        con = await asyncpg.connect(URL)
        await con.execute("INSERT INTO member (name, password, token) VALUES ($1, $2, $3)",
                          "ann", given, given + "-token")
        found = [await con.fetchval("SELECT name FROM member WHERE password = $1", given)]
        row = await con.fetchrow("SELECT token FROM member WHERE name = 'ann'")
        await con.execute("UPDATE member SET token = $1", row["token"])
        try:
            await con.execute("INSERT INTO member (name, token) VALUES ('bob', $1)",
                              given + "-token")
        except asyncpg.UniqueViolationError as error:
            found.append(error.constraint_name)
        await con.execute("UPDATE member SET password = 'lit-" + given + "'")
        await con.close()
        return found

    @td.input("all items")
    async def items():
        con = await asyncpg.connect(URL)
        rows = await con.fetch("SELECT id, name FROM item WHERE id < 3 ORDER BY id")
        await con.close()
        return rows

    @td.job("values")
    async def run_values():
        rows = await items()
        return [rows[1]["name"], rows[0]]
"""

RUN = """
    async def main():
        con = await asyncpg.connect(URL)
        await con.execute(
            "CREATE TABLE item (id serial PRIMARY KEY, name text UNIQUE, price numeric(10, 2));"
            "CREATE TABLE line (id serial, item_id int CONSTRAINT of_item REFERENCES item(id)"
            "  DEFERRABLE INITIALLY DEFERRED);"
            "CREATE TABLE member (name text, password text,"
            "  token text CONSTRAINT one_token UNIQUE);"
            "INSERT INTO item (name, price) SELECT 'item ' || n, n FROM generate_series(1, 3) n")
        await con.close()
        await reads(); await parts(); await writes(); await copies(); await pools()
        await cancelled(); await killed(); await run_values()
        await refused("aGlkZGVuMjI="); await members("aHVudGVyMjI=")
    asyncio.run(main())
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
    project.settings('inputs = ["asyncpg"]\n')
    project.jobs(JOBS)
    url = postgres.create_database(f"asyncpg_{uuid.uuid4().hex}")
    with Proxy("127.0.0.1", postgres.port) as proxy:
        traces = project.record(RUN, SHOP_URL=url.replace(str(postgres.port), str(proxy.port)))
    return Recorded(project, traces, repeats)


def test_records_of_every_type_are_served_without_the_server(recorded: Recorded) -> None:
    found = recorded.check("reads")
    types = found["types"]
    assert types[1:5] == [True, {"a": [1, None]}, ["x", None], b"\0\xff"]
    assert types[8:12] == [[1, 5], "10.0.0.1", 0.1, "1.10"]
    assert (found["version"], found["encoding"], found["closed"]) == (True, "UTF8", True)
    assert found["records"][0:3] == [True, "item 2", 2]
    assert found["own"] == (True, "item 2")
    assert found["twice"] == [("a", 1), ("a", 2)]
    assert found["none"] == [None, None, []]
    assert (found["status"], found["text"]) == ("SELECT 3", "SELECT 1")
    assert found["prepared"] == ["item 1", "item 2", "item 3", None, "int4", "text"]
    assert found["SELECT * FROM nowhere"] == ("UndefinedTableError", "42P01")
    assert found["SELEC 1"] == ("PostgresSyntaxError", "42601")


def test_of_a_cursor_read_half_that_half_is_recorded(recorded: Recorded) -> None:
    assert recorded.check("parts") == (
        [[1, 2], [3, 4, 5], 5, 22], [1, 2, 3, 4, 5, 6], [1, 2, 3], 1
    )  # fmt: skip
    recorded.project.change("READ = 0", "READ = 20")
    try:
        (miss,) = recorded.project.replay(recorded.traces["parts"]).replay.misses
    finally:
        recorded.project.change("READ = 20", "READ = 0")
    assert miss.name == "asyncpg rows that were not fetched"


def test_what_writes_is_an_output_and_gives_or_raises_what_it_did(recorded: Recorded) -> None:
    assert recorded.check("writes") == {
        "returning": ["m3", "m4"], "moved": "DELETE 4", "in": False, "in2": True,
        "unique": ("23505", "item_name_key", "Key (name)=(kept) already exists."),
        "nowhere": 'relation "nowhere" does not exist', "late": "of_item",
        "argument": "invalid input for query argument $", "count": 4,
    }  # fmt: skip
    steps = [(one.kind, one.name.removeprefix("asyncpg "))
             for one in recorded.traces["writes"].steps[1:10]]  # fmt: skip
    assert steps == [
        ("input", "connect"), ("output", "INSERT item"), ("output", "INSERT item"),
        ("output", "DELETE item"), ("output", "DELETE item"), ("output", "rollback"),
        ("output", "INSERT item"), ("output", "SAVEPOINT"), ("output", "INSERT item"),
    ]  # fmt: skip


def test_a_copy_is_one_step(recorded: Recorded) -> None:
    assert recorded.check("copies") == [
        "COPY 1", "COPY 1", "COPY 2", b"copied\nmore\n", "item_name_key"
    ]  # fmt: skip
    sent = [one for one in recorded.traces["copies"].steps if one.name == "asyncpg COPY item"]
    assert [values.inert(one.args)["data"] for one in sent if one.args is not None][1] == (
        "more\t2\n"
    )


def test_pools_give_connections_that_are_served(recorded: Recorded) -> None:
    found = recorded.check("pools")
    assert [str(one) for one in found[:3]] == ["3.00", "1.00", "2.00"]
    assert found[3:] == ["item 1", "UPDATE 1", "TimeoutError"]


@pytest.mark.in_turn
def test_what_was_cancelled_or_took_too_long_is_so_again(recorded: Recorded) -> None:
    assert recorded.check("cancelled") == ["timeout", "own timeout", "57014", "UTF8"]


@pytest.mark.in_turn
def test_a_server_process_that_ends_amid_a_cursor(recorded: Recorded) -> None:
    assert recorded.check("killed") == [[1, 2], True, True, "connection is closed"]


def test_records_are_values(recorded: Recorded) -> None:
    name, row = recorded.check("values")
    assert name == "item 2"
    assert (row.type, row.base) == ("asyncpg:Record", {"id": 1, "name": "item 1"})


def test_no_secret_reaches_the_store(recorded: Recorded, postgres: Postgres) -> None:
    assert recorded.check("refused") == [
        ("InvalidPasswordError", False), ("ConnectionRefusedError", False)
    ]  # fmt: skip
    assert recorded.check("members") == ["ann", "one_token"]
    kept = recorded.project.stored()
    assert b"asyncpg SELECT item" in kept
    secrets = (b"hunter22", b"hidden22", postgres.password.encode())
    assert [one for one in secrets if one in kept] == []


MISSING = """
    import asyncio
    import os
    import asyncpg
    import sqlalchemy as sa
    from sqlalchemy.ext.asyncio import create_async_engine

    URL = os.environ.get("SHOP_URL", "postgresql://ann:none@127.0.0.1:1/none")
    MORE = 0

    @td.job("missing")
    async def missing():
        con = await asyncpg.connect(URL)
        found = [await con.fetchval("SELECT 1")]
        if MORE == 1:
            found.append(await con.fetchval("SELECT count(*) FROM item"))
        if MORE == 2:
            found.append(await con.fetchval("INSERT INTO item (name) VALUES ($1) RETURNING id",
                                            "new"))
        await con.close()
        return found

    @td.job("both")
    async def both():
        engine = create_async_engine(URL.replace("postgresql:", "postgresql+asyncpg:"))
        async with engine.connect() as con:
            found = [(await con.execute(sa.text("SELECT name FROM item"))).scalar()]
        async with engine.begin() as con:
            await con.execute(sa.text("UPDATE item SET name = 'two'"))
        con = await asyncpg.connect(URL)
        found.append(await con.fetchval("SELECT max(name) FROM item"))
        await con.close()
        await engine.dispose()
        return found

    @td.job("other thread")
    async def other_thread():  # a task of it has no context of the job
        def lost():
            async def write():
                con = await asyncpg.connect(URL)
                await con.execute("INSERT INTO item (name) VALUES ('lost')")
            asyncio.run(write())
        await asyncio.get_running_loop().run_in_executor(None, lost)
"""


@pytest.fixture(scope="module")
def missing(new_shop: Callable[[], Any], postgres: Postgres) -> Any:
    """A project whose job may ask more than it did, and its traces."""
    project = new_shop()
    project.settings('inputs = ["asyncpg", "sqlalchemy"]\nreplay_allow = ["inputs"]\n')
    project.jobs(MISSING)
    name = f"missing_{uuid.uuid4().hex}"
    url = postgres.create_database(name)
    with postgres.connect(name) as connection:
        connection.execute("CREATE TABLE item (id serial, name text)")
        connection.execute("INSERT INTO item (name) VALUES ('one')")
    calls = "asyncio.run(missing()); asyncio.run(both()); asyncio.run(other_thread())"
    traces = {one.key: one for one in project.record(calls, SHOP_URL=url)}
    return project, traces, url


@pytest.mark.in_turn
def test_what_sqlalchemy_asks_of_asyncpg_is_recorded_once(missing: Any, repeats: Any) -> None:
    project, traces, _ = missing
    assert project.result(traces["both"]) == ["one", "two"]
    assert [one.name for one in traces["both"].steps[1:]] == [
        "sqlalchemy connect", "sqlalchemy SELECT item", "sqlalchemy UPDATE item",
        "sqlalchemy commit", "asyncpg connect", "asyncpg SELECT item",
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
    assert miss.name == "asyncpg SELECT item"
    monkeypatch.setenv("SHOP_URL", url)  # where a replay may read
    live = project.replay(trace, on_miss="live")
    assert project.result(live) == [1, 2]
    project.change("MORE = 1", "MORE = 2")
    new = project.replay(trace, on_miss="stub")
    assert project.result(new) == [1, -1]
    assert "made up" in new.warnings[0]
    project.change("MORE = 2", "MORE = 0")


@pytest.mark.in_turn
def test_a_thread_without_the_job_is_refused_in_a_replay(missing: Any) -> None:
    project, traces, _ = missing
    (miss,) = project.replay(traces["other thread"]).replay.misses
    assert (miss.kind, miss.name) == ("output", "asyncpg INSERT item")

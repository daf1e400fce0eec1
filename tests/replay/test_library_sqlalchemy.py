"""``sqlalchemy`` as a library of ``inputs``: recorded on PostgreSQL, replayed where it is gone."""

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

MODELS = """
    import datetime as dt
    import enum
    import os
    import uuid
    from decimal import Decimal

    import sqlalchemy as sa
    from sqlalchemy.dialects import postgresql as pg
    from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

    class Base(DeclarativeBase):
        pass

    class Colour(enum.Enum):
        RED = 1
        BLUE = 2

    class Item(Base):
        __tablename__ = "item"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str] = mapped_column(unique=True)
        price: Mapped[Decimal] = mapped_column(sa.Numeric(10, 2))
        lines: Mapped[list["Line"]] = relationship(back_populates="item", order_by="Line.id")

    class Line(Base):
        __tablename__ = "line"
        id: Mapped[int] = mapped_column(primary_key=True)
        item_id: Mapped[int] = mapped_column(
            sa.ForeignKey("item.id", deferrable=True, initially="DEFERRED"))
        count: Mapped[int]
        item: Mapped[Item] = relationship(back_populates="lines")

    class Thing(Base):
        __tablename__ = "thing"
        id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
        data: Mapped[dict] = mapped_column(pg.JSONB)
        plain: Mapped[dict] = mapped_column(sa.JSON)
        tags: Mapped[list] = mapped_column(pg.ARRAY(sa.Text))
        blob: Mapped[bytes]
        day: Mapped[dt.date]
        at: Mapped[dt.datetime] = mapped_column(sa.DateTime(timezone=True))
        took: Mapped[dt.timedelta]
        colour: Mapped[Colour]
        span: Mapped[pg.Range[int]] = mapped_column(pg.INT4RANGE)
        spans: Mapped[list] = mapped_column(pg.INT4MULTIRANGE)
        host: Mapped[str] = mapped_column(pg.INET)
        weight: Mapped[float]

    class Member(Base):
        __tablename__ = "member"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str]
        password: Mapped[str | None]
        token: Mapped[str | None] = mapped_column(unique=True)

    # Where there is no server, the engine is one of a server that never was.
    URL = os.environ.get("SHOP_URL", "postgresql+psycopg://ann:none@127.0.0.1:1/none")
    engine = sa.create_engine(URL, pool_pre_ping=True, pool_size=3)
"""

JOBS = """
    import asyncio
    import base64
    import datetime as dt
    import itertools
    import threading
    import uuid
    from concurrent.futures import ThreadPoolExecutor
    from decimal import Decimal

    import sqlalchemy as sa
    from sqlalchemy.dialects import postgresql as pg
    from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
    from sqlalchemy.orm import Session, scoped_session, sessionmaker, selectinload

    from shop.models import *

    RATE = Decimal("1.10")

    @td.step("price of a line")
    def cost(count, price):
        return count * price * RATE

    def total(below):
        with Session(engine) as session:
            query = sa.select(Item).where(Item.id < below).order_by(Item.id)
            items = session.scalars(query.options(selectinload(Item.lines))).all()
            sums = {item.name: sum(cost(line.count, item.price) for line in item.lines)
                    for item in items}
            lazy = session.get(Item, 3).lines[0].count
            rows = session.execute(
                sa.select(Item.name, sa.func.count(Line.id).label("number"))
                .join(Line).group_by(Item.name).order_by(Item.name)).all()
            return sums, lazy, [(row.name, row.number, dict(row._mapping)) for row in rows]

    def types():
        key = uuid.UUID(int=7)
        with Session(engine) as session, session.begin():
            session.add(Thing(
                id=key, data={"a": [1, None]}, plain=[{"b": 2.5}], tags=["x", "y"],
                blob=bytes([0, 255]), day=dt.date(2026, 1, 2),
                at=dt.datetime(2026, 1, 2, 3, tzinfo=dt.UTC), took=dt.timedelta(days=1, seconds=5),
                colour=Colour.BLUE, span=pg.Range(1, 5), spans=[pg.Range(1, 2), pg.Range(4, 9)],
                host="10.0.0.1", weight=0.1))
        with Session(engine) as session:
            one = session.get(Thing, key)
            return [one.id, one.data, one.plain, one.tags, one.blob, one.day, one.at.utcoffset(),
                    one.took, one.colour.name, str(one.span), [str(span) for span in one.spans],
                    str(one.host), one.weight]

    def core():
        item = Item.__table__
        with engine.begin() as con:
            made = con.execute(sa.insert(item).returning(item.c.id, item.c.name), [
                {"name": f"many {n}", "price": n} for n in range(3)]).all()
            many = con.execute(sa.update(item).where(item.c.name == sa.bindparam("n"))
                               .values(price=sa.bindparam("p")),
                               [{"n": "many 1", "p": 9}, {"n": "many 2", "p": 8}]).rowcount
            drawn = con.scalar(sa.text("SELECT nextval('item_id_seq')"))
            locked = con.execute(sa.select(item.c.price).where(item.c.name == "many 1")
                                 .with_for_update()).scalar_one()
            moved = con.execute(sa.text(
                "WITH gone AS (DELETE FROM item WHERE name LIKE :n RETURNING name)"
                " SELECT count(*) FROM gone"), {"n": "many%"}).scalar_one()
            plain = con.exec_driver_sql("SELECT %s::int + 1, '%%'", (4,)).one()
        return [tuple(one) for one in made], many, drawn, locked, moved, tuple(plain)

    def refused(error):
        orig = error.orig
        return type(error).__name__, type(orig).__name__, orig.sqlstate, orig.diag.constraint_name

    def broken():
        found = []
        with Session(engine) as session:
            item = Item(name="new", price=2, lines=[Line(count=1)])
            session.add(item)
            session.flush()
            try:
                with session.begin_nested():
                    session.add(Item(name="new", price=1))
            except IntegrityError as error:
                found.append(refused(error))
            session.add(Line(item_id=10_000, count=1))
            try:
                session.commit()  # where the constraint is looked at
            except IntegrityError as error:
                found.append(refused(error))
            session.rollback()
            try:
                session.execute(sa.text("SELECT * FROM nowhere"))
            except ProgrammingError as error:
                found.append((type(error.orig).__name__, str(error.orig).splitlines()[0]))
            session.rollback()
            found.append(session.scalar(sa.select(sa.func.count()).select_from(Item)))
        return found

    READ = 0

    def part(size):
        numbers = sa.text("SELECT n FROM generate_series(1, 100) AS n")
        with engine.connect() as con:
            result = con.execution_options(yield_per=size).execute(numbers)
            streamed = [row.n for row in itertools.islice(result, 7)]
        with engine.connect() as con:
            half = con.execute(numbers)
            return streamed, [half.fetchone().n for _ in range(READ or 3)]

    def options():
        with engine.connect() as con:
            levels = [con.default_isolation_level, con.get_isolation_level()]
        with engine.connect() as con:
            auto = con.execution_options(isolation_level="AUTOCOMMIT")
            auto.execute(sa.text("CREATE TABLE made (id int)"))
            auto.execute(sa.text("DROP TABLE made"))
            levels.append(auto.get_isolation_level())
        with engine.connect() as con:
            strict = con.execution_options(isolation_level="SERIALIZABLE",
                                           postgresql_readonly=True)
            levels.append(strict.get_isolation_level())
            try:
                strict.execute(sa.text("DELETE FROM line"))
            except sa.exc.InternalError as error:
                levels.append(error.orig.sqlstate)
        return levels

    def look():
        looked = sa.inspect(engine)
        table = sa.Table("item", sa.MetaData(), autoload_with=engine)
        more = sa.MetaData()
        sa.Table("more", more, sa.Column("id", sa.Integer, primary_key=True))
        more.create_all(engine)
        there = sa.inspect(engine).has_table("more")
        more.drop_all(engine)
        return (sorted(map(str, looked.get_table_names())),
                [str(column.name) for column in table.c], str(table.c.price.type), there,
                engine.dialect.server_version_info > (9,))

    def raw():
        with engine.connect() as con:
            cursor = con.connection.cursor()
            cursor.execute("SELECT name FROM item WHERE id < %s ORDER BY id", (3,))
            found = list(cursor), [one[0] for one in cursor.description]
            cursor.close()
            return found

    def refused_connection():
        nowhere = sa.create_engine("postgresql+psycopg://ann:hidden22@127.0.0.1:1/gone")
        said = []
        for _ in range(2):
            try:
                with nowhere.connect():
                    pass
            except OperationalError as error:
                said.append((type(error.orig).__name__, "refused" in str(error.orig),
                             error.connection_invalidated))
        return said

    def secret(encoded):
        given = base64.b64decode(encoded).decode()
        with Session(engine) as session:
            ann = Member(name="ann", password=given, token=given + "-token")
            session.add(ann)
            session.commit()
            kept = ann.token is not None
            found = session.scalar(sa.select(Member.name).where(Member.password == given))
            missing = session.scalars(sa.select(Member.name).where(Member.password.is_(None))).all()
            session.add(Member(name="bob", token=given + "-token"))
            try:
                session.commit()
            except IntegrityError as error:
                session.rollback()
                refused = error.orig.diag.constraint_name
            session.execute(sa.text("UPDATE member SET password = 'lit-" + given + "'"))
            session.commit()
        return kept, found, missing, refused

    @td.job("reads")
    def reads():
        return {"total": total(4), "types": types(), "part": part(3)}

    @td.job("writes")
    def writes():
        return {"core": core(), "broken": broken(), "members": secret("aHVudGVyMjI=")}

    @td.job("connections")
    def connections():
        return {"options": options(), "look": look(), "raw": raw(), "refused": refused_connection()}

    @td.job("raised")
    def raising(encoded):
        given = base64.b64decode(encoded).decode()
        with engine.begin() as con:
            con.execute(sa.text("INSERT INTO member (name, token) VALUES (:n, :t)"),
                        {"n": "cid", "t": given + "-token"})

    @td.job("threads")
    def threads():
        local = scoped_session(sessionmaker(engine))

        def price(number):
            try:
                return local.scalar(sa.select(Item.price).where(Item.id == number))
            finally:
                local.remove()

        with ThreadPoolExecutor(3) as pool:
            return list(pool.map(td.propagate(price), [1, 2, 3, 1, 2, 3]))

    ASYNC = {}

    def async_engine():
        return ASYNC.setdefault("engine", create_async_engine(URL))

    @td.job("async")
    async def run_async(slow):
        async def one(number):
            async with AsyncSession(async_engine()) as session:
                if slow:
                    await session.execute(sa.text("SELECT pg_sleep(:s)"), {"s": number / 50})
                item = await session.scalar(
                    sa.select(Item).where(Item.id == number).options(selectinload(Item.lines)))
                return item.name, [line.count for line in item.lines]

        found = await asyncio.gather(*(one(number) for number in (3, 1, 2)))
        async with async_engine().connect() as con:
            streamed = await con.stream(sa.text("SELECT n FROM generate_series(1, 9) AS n"))
            some = [row.n async for row in streamed if row.n % 2]
        async with AsyncSession(async_engine()) as session, session.begin():
            session.add(Item(name="async", price=1))
        async with AsyncSession(async_engine()) as session:
            try:
                session.add(Item(name="async", price=1))
                await session.commit()
            except IntegrityError as error:
                refused = error.orig.sqlstate
        return found, some, refused

    @td.job("both")
    def both(number):
        with Session(engine) as session:
            price = session.scalar(sa.select(Item.price).where(Item.id == number))
            session.execute(sa.update(Item).where(Item.id == number).values(price=Item.price))
            session.commit()
            return price
"""

RUN = """
    import sqlalchemy as sa
    from sqlalchemy.orm import Session
    from shop.models import *
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all([Item(name=f"item {n}", price=n, lines=[Line(count=n), Line(count=1)])
                         for n in (1, 2, 3, 4)])
        session.add(Member(name="eve"))
        session.commit()
    reads(); writes(); connections()
    try:
        raising("aHVudGVyMjI=")
    except IntegrityError:  # the job is there to raise it
        pass
    threads()
    async def all_async():
        await run_async(True)
        await async_engine().dispose()
    asyncio.run(all_async())
    pairs = [threading.Thread(target=both, args=(n,)) for n in (1, 2, 3)]
    [one.start() for one in pairs]
    [one.join() for one in pairs]
    engine.dispose()
"""


class Recorded:
    """The traces of a project that was recorded in one process, by key."""

    def __init__(self, project: Any, traces: list[Trace]) -> None:
        self.project = project
        self.traces = traces

    def one(self, key: str) -> Trace:
        """The trace of a job that ran once."""
        (found,) = [trace for trace in self.traces if trace.key == key]
        return found

    def result(self, key: str) -> Any:
        """What that job returned."""
        return self.project.result(self.one(key))

    def check(self, trace: Trace, *, same_order: bool = True) -> None:
        """It replays exactly."""
        new = self.project.replay(trace)
        assert not new.replay.misses, new.replay.misses
        assert new.steps[0].error == trace.steps[0].error
        assert not new.replay.unused
        assert new.steps[0].result == trace.steps[0].result
        both = [[(one.kind, one.name, one.args, one.result) for one in side.steps]
                for side in (new, trace)]  # fmt: skip
        if not same_order:
            both = [sorted(side, key=repr) for side in both]
        assert both[0] == both[1]


@pytest.fixture(scope="session")
def recorded(new_shop: Callable[[], Any], postgres: Postgres) -> Recorded:
    """All of the jobs, recorded; the server cannot be reached any more."""
    project = new_shop()
    project.settings('inputs = ["sqlalchemy"]\n')
    project.write("shop/models.py", MODELS)
    project.jobs(JOBS)
    url = postgres.create_database(f"sqlalchemy_{uuid.uuid4().hex}")
    with Proxy("127.0.0.1", postgres.port) as proxy:
        url = url.replace("postgresql:", "postgresql+psycopg:")
        url = url.replace(str(postgres.port), str(proxy.port))
        traces = project.record(RUN, SHOP_URL=url)
    return Recorded(project, traces)


def test_rows_of_every_type_are_served_without_the_server(recorded: Recorded) -> None:
    found = recorded.result("reads")
    sums, lazy, rows = found["total"]
    assert {name: str(value) for name, value in sums.items()} == {
        "item 1": "2.2000", "item 2": "6.6000", "item 3": "13.2000"}  # fmt: skip
    assert lazy == 3
    assert rows[0] == ("item 1", 2, {"name": "item 1", "number": 2})
    types = found["types"]
    assert types[1:5] == [{"a": [1, None]}, [{"b": 2.5}], ["x", "y"], b"\0\xff"]
    assert types[8:12] == ["BLUE", "[1,5)", ["[1,2)", "[4,9)"], "10.0.0.1"]
    recorded.check(recorded.one("reads"))


def test_of_a_result_read_half_that_half_is_recorded(recorded: Recorded) -> None:
    assert recorded.result("reads")["part"] == ([1, 2, 3, 4, 5, 6, 7], [1, 2, 3])
    trace = recorded.one("reads")
    streamed, half = (values.inert(one.result) for one in trace.steps[-2:])
    assert [row[0] for row in streamed[1:]] == list(range(1, 8))
    assert half[1:] == [(1,), (2,), (3,)]
    recorded.project.change("READ = 0", "READ = 5")
    try:
        (miss,) = recorded.project.replay(trace).replay.misses
    finally:
        recorded.project.change("READ = 5", "READ = 0")
    assert miss.name == "sqlalchemy rows that were not fetched"


def test_what_writes_is_an_output_and_gives_or_raises_what_it_did(recorded: Recorded) -> None:
    found = recorded.result("writes")
    made, many, drawn, locked, moved, plain = found["core"]
    assert [name for _, name in made] == ["many 0", "many 1", "many 2"]
    assert (many, drawn, str(locked), moved, plain) == (2, made[-1][0] + 1, "9.00", 3, (5, "%"))
    trace = recorded.one("writes")
    assert [(one.kind, one.name.removeprefix("sqlalchemy ")) for one in trace.steps[2:9]] == [
        ("output", "INSERT item"), ("output", "UPDATE item"), ("input", "SELECT"),
        ("input", "SELECT item"), ("output", "WITH item"), ("input", "SELECT"),
        ("output", "commit"),
    ]  # fmt: skip
    nested, late, missing, count = found["broken"]
    assert nested == ("IntegrityError", "UniqueViolation", "23505", "item_name_key")
    assert late == ("IntegrityError", "ForeignKeyViolation", "23503", "line_item_id_fkey")
    assert missing == ("UndefinedTable", 'relation "nowhere" does not exist')
    assert count == 4
    recorded.check(trace)


def test_what_is_asked_of_connections_is_served(recorded: Recorded) -> None:
    assert recorded.result("connections") == {
        "options": ["READ COMMITTED", "READ COMMITTED", "READ COMMITTED", "SERIALIZABLE", "25006"],
        "look": (["item", "line", "member", "thing"], ["id", "name", "price"], "NUMERIC(10, 2)",
                 True, True),
        "raw": ([("item 1",), ("item 2",)], ["name"]),
        "refused": [("OperationalError", True, False)] * 2,
    }  # fmt: skip
    recorded.check(recorded.one("connections"))


def test_no_secret_reaches_the_store(recorded: Recorded, postgres: Postgres) -> None:
    assert recorded.result("writes")["members"] == (True, "ann", ["eve"], "member_token_key")
    refused = recorded.one("raised").steps[0].error
    assert refused is not None
    assert "UniqueViolation" in refused.message
    kept = recorded.project.stored()
    assert b"sqlalchemy SELECT item" in kept
    secrets = (b"hunter22", b"hidden22", postgres.password.encode())
    assert [one for one in secrets if one in kept] == []


@pytest.mark.parametrize("key", ["threads", "async"])
def test_threads_and_tasks_share_an_engine(recorded: Recorded, key: str) -> None:
    found = recorded.result(key)
    if key == "threads":
        assert [str(one) for one in found] == ["1.00", "2.00", "3.00"] * 2
    else:
        assert found == ([("item 3", [3, 1]), ("item 1", [1, 1]), ("item 2", [2, 1])],
                         [1, 3, 5, 7, 9], "23505")  # fmt: skip
    recorded.check(recorded.one(key), same_order=False)


def test_jobs_that_run_at_once_on_one_engine_are_told_apart(recorded: Recorded) -> None:
    traces = [trace for trace in recorded.traces if trace.key == "both"]
    assert sorted(str(recorded.project.result(trace)) for trace in traces) == [
        "1.00", "2.00", "3.00"]  # fmt: skip
    assert [len(trace.steps) for trace in traces] == [5, 5, 5]
    recorded.check(traces[1])

"""``sqlalchemy`` on SQLite: another driver, when it connects, and what it must refuse."""

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
    import asyncio
    import os
    import sqlite3
    import threading
    from decimal import Decimal

    import sqlalchemy as sa
    from sqlalchemy.exc import IntegrityError
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
    from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

    class Base(DeclarativeBase):
        pass

    class Log(Base):
        __tablename__ = "log"
        id: Mapped[int] = mapped_column(primary_key=True)
        text: Mapped[str]
        made: Mapped[str] = mapped_column(server_default="now")

    class Item(Base):
        __tablename__ = "item"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str] = mapped_column(unique=True)
        price: Mapped[float]
        log_id: Mapped[int | None] = mapped_column(deferred=True)

    PATH = os.environ.get("STOCK", "/nowhere/else.db")
    engine = sa.create_engine(f"sqlite:///{PATH}")
    other = sa.create_engine(f"sqlite:///{PATH}.other")
    aio = create_async_engine(f"sqlite+aiosqlite:///{PATH}")

    @sa.event.listens_for(engine, "connect")
    def strict(dbapi_connection, record):
        cursor = dbapi_connection.cursor()
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    if os.environ.get("EARLY"):
        Base.metadata.create_all(engine)
        with engine.connect() as held:
            held.execute(sa.text("SELECT 1"))

    RATE = 2

    @td.step("price")
    def price(item):
        return round(item.price * RATE, 2)

    @td.job("quote")
    def quote(name):
        with Session(engine) as session:
            item = session.scalar(sa.select(Item).where(Item.name == name))
            session.add(Item(name=f"{name} sold", price=price(item)))
            session.commit()
            return price(item)

    @td.job("write")
    def write():
        with Session(engine) as session:
            one = Item(name="one", price=1)
            session.add(one)
            session.add_all([Item(name=f"n{n}", price=n) for n in range(3)])
            session.flush()
            raw = session.execute(sa.text("INSERT INTO item (name, price) VALUES ('raw', 1)"))
            try:
                with session.begin_nested():
                    session.execute(sa.insert(Item), {"name": "one", "price": 2})
            except IntegrityError as error:
                refused = str(error.orig), error.orig.sqlite_errorname
            session.rollback()
            return one.id, raw.lastrowid, refused, session.scalar(sa.func.count(Item.id).select())

    @td.job("async")
    async def run_async():
        async def count(below):
            async with AsyncSession(aio) as session:
                return await session.scalar(
                    sa.select(sa.func.count()).select_from(Item).where(Item.price < below))

        found = await asyncio.gather(count(2), count(100))
        async with aio.begin() as con:
            await con.execute(sa.delete(Item).where(Item.name == "ink"))
            await con.run_sync(Base.metadata.create_all)
        return found

    @td.job("two")
    def two(first, second):
        def names(engine):
            with engine.connect() as con:
                return con.scalars(sa.text("SELECT name FROM item ORDER BY name")).all()

        return [names(one) for one in ((engine, other) if first < second else (other, engine))]

    @td.job("ask")
    def ask(below):
        with engine.connect() as con:
            query = sa.text("SELECT name FROM item WHERE price < :below ORDER BY id")
            return [row.name for row in con.execute(query, {"below": below})]

    @td.job("full")
    def full():
        made = []

        def creator():
            made.append(1)
            return sqlite3.connect(PATH)

        small = sa.create_engine("sqlite://", creator=creator, poolclass=sa.QueuePool, pool_size=1,
                                 max_overflow=0, pool_timeout=0.01)
        said = []
        for last in (False, True):
            with small.connect() as con:
                said.append(con.scalar(sa.text("SELECT count(*) FROM item")))
                try:
                    last or small.connect()
                except sa.exc.TimeoutError as error:
                    said.append(type(error).__name__)
        small.dispose()
        return said

    @td.job("driver")
    def driver():
        connection = engine.raw_connection()
        found = connection.cursor().execute("SELECT count(*) FROM item").fetchone()
        connection.close()
        return found

    @td.job("loose")
    def loose(write):
        done = []

        def run():
            try:
                with engine.begin() as con:
                    if write:
                        con.execute(sa.text("DELETE FROM item"))
                    done.append(con.scalar(sa.text("SELECT count(*) FROM item")))
            except BaseException as error:
                done.append(str(error))

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        return done
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "stock.db"
    for name, first in ((path, "pen"), (tmp_path / "stock.db.other", "cup")):
        with contextlib.closing(sqlite3.connect(name)) as made, made:
            made.execute(
                "CREATE TABLE item"
                " (id INTEGER PRIMARY KEY, name TEXT UNIQUE, price REAL, log_id INTEGER)"
            )
            rows = [(first, 1.25), ("ink", 8.5)]
            made.executemany("INSERT INTO item (name, price) VALUES (?, ?)", rows)
    return path


@pytest.fixture
def stock(shop: Any) -> Any:
    shop.settings('inputs = ["sqlalchemy"]\n')
    shop.jobs(JOBS)
    return shop


@pytest.fixture
def check(stock: Any) -> Callable[[Trace], None]:
    def replayed(trace: Trace) -> None:
        new = stock.replay(trace)
        assert not new.replay.misses, new.replay.misses
        assert new.steps[0].error == trace.steps[0].error
        assert not new.replay.unused
        assert [(one.name, one.result) for one in new.steps] == [
            (one.name, one.result) for one in trace.steps
        ]

    return replayed


def test_sqlite_is_served_without_its_file(
    stock: Any, database: Path, check: Callable[[Trace], None]
) -> None:
    write, tasks, early = stock.record(
        "write(); asyncio.run(run_async()); quote('pen')", STOCK=str(database)
    )
    assert stock.result(write) == (3, 7, ("UNIQUE constraint failed: item.name",
                                          "SQLITE_CONSTRAINT_UNIQUE"), 2)  # fmt: skip
    assert stock.result(tasks) == [1, 2]
    for trace in (write, early):
        check(trace)
    new = stock.replay(tasks)  # whose tasks take turns in another order
    assert not new.replay.misses, new.replay.misses
    assert not new.replay.unused
    assert new.steps[0].result == tasks.steps[0].result
    inserted = next(one for one in early.steps if one.name == "sqlalchemy INSERT item")
    assert values.inert(inserted.args)["parameters"] == {
        "log_id": None, "name": "pen sold", "price": 2.5}  # fmt: skip


def test_connections_and_tables_that_are_made_at_import_are_no_hindrance(
    stock: Any, database: Path, check: Callable[[Trace], None], tmp_path: Path
) -> None:
    (trace,) = stock.record("quote('pen')", STOCK=str(database), EARLY="1")
    assert [one.name for one in trace.steps[1:3]] == [
        "sqlalchemy connect",
        "sqlalchemy SELECT item",
    ]
    check(trace)


def test_what_the_driver_does_below_is_no_input_of_another_library(
    stock: Any, database: Path, check: Callable[[Trace], None]
) -> None:
    stock.settings('inputs = ["sqlalchemy", "sqlite3", "open", "os.environ"]\n')
    quote, full = stock.record("quote('pen'); full()", STOCK=str(database))
    for trace in (quote, full):
        others = [
            one for one in trace.steps[1:] if not one.name.startswith(("sqlalchemy", "price"))
        ]
        assert [one.name for one in others] == []
    assert stock.result(full) == [2 + 1, "TimeoutError", 2 + 1]
    connects = [one.error and one.error.type for one in full.steps if "connect" in one.name]
    assert connects == [None, "sqlalchemy.exc:TimeoutError"]
    database.unlink()
    check(full)


def test_two_databases_are_told_apart_by_their_names(
    stock: Any, database: Path, check: Callable[[Trace], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    (trace,) = stock.record("two(1, 2)", STOCK=str(database))
    assert stock.result(trace) == [["ink", "pen"], ["cup", "ink"]]
    check(trace)  # here both have other names, and are taken in their order
    monkeypatch.setenv("STOCK", str(database))
    stock.change("first < second", "first > second")
    assert stock.result(stock.replay(trace)) == [["cup", "ink"], ["ink", "pen"]]


def test_a_query_that_is_not_recorded_misses_or_is_answered_as_asked(
    stock: Any, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (trace,) = stock.record("ask(5)", STOCK=str(database))
    stock.change('{"below": below}', '{"below": below + 10}')
    failed = stock.replay(trace)
    assert "was called with arguments" in failed.steps[0].error.message
    (miss,) = failed.replay.misses
    assert miss.name == "sqlalchemy SELECT item"
    ((_, (change,)),) = miss.nearest
    assert change.path == ("parameters", "price")
    assert stock.result(stock.replay(trace, on_miss="nearest")) == ["pen"]
    assert stock.result(stock.replay(trace, on_miss="stub")) == []
    monkeypatch.setenv("STOCK", str(database))
    assert stock.result(stock.replay(trace, on_miss="live")) == ["pen", "ink"]


def test_new_statements_are_outputs_that_are_not_run(
    stock: Any, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (trace,) = stock.record("quote('pen')", STOCK=str(database))
    stock.change(
        "session.commit()",
        "session.execute(sa.update(Item).where(Item.id == 1).values(price=9)); "
        "item.name = 'other'; made = [Log(text='a'), Log(text='b')]; session.add_all(made); "
        "session.flush(); item.log_id = made[0].id; session.commit()",
    )
    monkeypatch.setenv("STOCK", str(database))
    new = stock.replay(trace)
    assert stock.result(new) == stock.result(trace)
    names = [one.name.removeprefix("sqlalchemy ") for one in new.steps if one.kind == "output"]
    assert names == ["INSERT item", "UPDATE item", "UPDATE item", "INSERT log", "INSERT log",
                     "UPDATE item", "commit"]  # fmt: skip
    last = [one for one in new.steps if one.name == "sqlalchemy UPDATE item"][-1]
    assert values.inert(last.args)["parameters"] == {"id": 1, "log_id": -1}
    made = "'INSERT log' is not in the recording and was not run: its rows have the ids {0} to {0}"
    assert new.warnings == tuple(f"{made.format(n)}, which are made up" for n in (-1, -2))
    with contextlib.closing(sqlite3.connect(database)) as real:
        assert real.execute("SELECT name FROM item WHERE id = 1").fetchone() == ("pen",)


def test_the_drivers_own_connection_is_plain_and_refused_in_a_replay(
    stock: Any, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (trace,) = stock.record("driver()", STOCK=str(database))
    assert stock.result(trace) == (2,)
    assert len(trace.steps) == 1
    monkeypatch.setenv("STOCK", str(database))
    new = stock.replay(trace)
    assert "raw_connection" in new.steps[0].error.message


def test_threads_outside_of_the_job_are_refused_in_a_replay(
    stock: Any, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, writes = stock.record("loose(False); loose(True)", STOCK=str(database))
    assert len(reads.steps) == len(writes.steps) == 1
    assert stock.result(reads) == [2]
    monkeypatch.setenv("STOCK", str(database))
    for trace in (reads, writes):
        (said,) = stock.result(stock.replay(trace))
        assert "was reached outside the replayed job" in said


def test_a_change_is_compared_and_explained(stock: Any, database: Path) -> None:
    (trace,) = stock.record("quote('pen')", STOCK=str(database))
    database.unlink()
    stock.change("RATE = 2", "RATE = 3")
    compared = stock.cli("compare", trace.id)
    assert compared.returncode == 1, compared.stdout + compared.stderr
    assert "2.5" in compared.stdout
    assert "3.75" in compared.stdout
    explained = stock.cli("explain", trace.id)
    assert "RATE" in explained.stdout, explained.stdout + explained.stderr
    assert not database.exists()


INSTANCES = """
    import os

    import sqlalchemy as sa
    from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

    class Base(DeclarativeBase):
        pass

    class Order(Base):
        __tablename__ = "orders"
        id: Mapped[int] = mapped_column(primary_key=True)
        note: Mapped[str | None] = mapped_column(deferred=True)
        lines: Mapped[list["Line"]] = relationship(back_populates="order")

    class Line(Base):
        __tablename__ = "line"
        id: Mapped[int] = mapped_column(primary_key=True)
        order_id: Mapped[int] = mapped_column(sa.ForeignKey("orders.id"))
        price: Mapped[int]
        order: Mapped[Order] = relationship(back_populates="lines")

    engine = sa.create_engine("sqlite:///" + os.environ.get("ORDERS", "/nowhere/else.db"))

    @td.input("Fetching the order")
    def fetch(session, number):
        order = session.get_one(Order, number)
        order.lines
        return order

    @td.step("sum")
    def sum_of(order):
        return sum(line.price for line in order.lines if line.order is order)

    @td.job("total")
    def total(order):
        return sum_of(order) * 2

    @td.job("fetched")
    def fetched(number):
        with Session(engine) as session:
            order = fetch(session, number)
            return sum_of(order), order, len(order.note)
"""


def test_instances_are_arguments_results_and_recorded_inputs(shop: Any, tmp_path: Path) -> None:
    shop.settings('inputs = ["sqlalchemy"]\n')
    shop.jobs(INSTANCES)
    path = tmp_path / "orders.db"
    total, fetched = shop.record(
        """
        Base.metadata.create_all(engine)
        with Session(engine) as session:
            session.add(Order(id=1, note="some", lines=[Line(price=2), Line(price=3)]))
            session.commit()
            order = session.scalars(sa.select(Order)).one()
            order.lines
            total(order)
        fetched(1)
        """,
        ORDERS=str(path),
    )
    path.unlink()
    new = shop.replay(total)
    assert shop.result(new) == 10
    assert new.steps[1].args == total.steps[1].args
    shown = values.text(values.inert(total.steps[1].args), limit=1000)
    assert "Order(id=1, lines=[Line(id=1, order_id=1, price=2), Line(" in shown
    new = shop.replay(fetched)  # where the note was loaded in the job, by a session of its own
    assert new.steps[0].error.message == "Order.note was not loaded when this was recorded"
    (miss,) = new.replay.misses
    assert miss.name == "Fetching the order"
    assert "selectinload" in str(miss.hint)

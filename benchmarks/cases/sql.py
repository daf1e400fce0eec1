"""What recording adds to queries of SQLAlchemy on a PostgreSQL of this machine.

Each query is in a session of its own, as a request of a service has one.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

import tracediff as td
from benchmarks.blocks import Ask, block, compared
from benchmarks.figures import Figure
from servers.postgres import Postgres


class Base(DeclarativeBase):
    """The tables."""


class Item(Base):
    """What is asked for."""

    __tablename__ = "item"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    price: Mapped[float]
    note: Mapped[str | None]


def one(engine: sa.Engine) -> None:
    """One instance by its key."""
    with Session(engine) as session:
        session.get_one(Item, 7)


def hundred(engine: sa.Engine) -> None:
    """A hundred instances."""
    with Session(engine) as session:
        session.scalars(sa.select(Item).where(Item.id <= 100)).all()


def written(engine: sa.Engine) -> None:
    """A row changed, and committed."""
    with Session(engine) as session:
        session.get_one(Item, 7).price += 1
        session.commit()


@td.job("benchmarks/queries", depth="inputs")
def recorded(ask: Ask) -> tuple[float, float]:
    """The block in a job."""
    return block(ask)


def of_query(name: str, ask: Ask, rounds: int, target: float | None = 5.0) -> list[Figure]:
    """The figures of one query."""
    figures, _ = compared(f"SQLAlchemy: {name}", name, ask, recorded, rounds, target)
    return figures


def measure(quick: bool) -> list[Figure]:
    td.configure(store="memory:", strict=True, inputs=["sqlalchemy"])
    rounds = 2 if quick else 100
    with tempfile.TemporaryDirectory() as place, Postgres(Path(place)) as postgres:
        url = postgres.create_database("shop").replace("postgresql:", "postgresql+psycopg:")
        engine = sa.create_engine(url)
        Base.metadata.create_all(engine)
        with Session(engine) as session:
            session.add_all([Item(id=n, name=f"item {n}", price=n / 2) for n in range(1, 101)])
            session.commit()
        figures = [
            *of_query("an instance in a session of its own", lambda: one(engine), rounds),
            *of_query("a hundred instances", lambda: hundred(engine), rounds),
            *of_query("an instance changed and committed", lambda: written(engine), rounds, None),
        ]
        engine.dispose()
    return figures

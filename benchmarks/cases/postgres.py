"""What recording adds to queries of psycopg and asyncpg on a PostgreSQL of this machine.

The connection is kept, as a service keeps one, and each query is a round trip.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import asyncpg
import psycopg

import tracediff as td
from benchmarks.blocks import Ask, block, compared
from benchmarks.figures import Figure
from servers.postgres import Postgres

ONE = "SELECT id, name, price, note FROM item WHERE id = "
HUNDRED = "SELECT id, name, price, note FROM item WHERE id <= "


@td.job("benchmarks/postgres", depth="inputs")
def recorded(ask: Ask) -> tuple[float, float]:
    """The block in a job."""
    return block(ask)


def of_psycopg(url: str, rounds: int) -> list[Figure]:
    """The figures of psycopg."""
    with psycopg.connect(url, autocommit=True) as connection:

        def one() -> Any:
            return connection.execute(ONE + "%s", (7,)).fetchone()

        def hundred() -> Any:
            return connection.execute(HUNDRED + "%s", (100,)).fetchall()

        def written() -> Any:
            return connection.execute("UPDATE item SET price = price + 1 WHERE id = %s", (7,))

        asked: list[tuple[str, Ask, float | None]] = [
            ("a row", one, 5.0), ("a hundred rows", hundred, 5.0), ("a row changed", written, None)
        ]  # fmt: skip
        return [
            figure
            for name, ask, target in asked
            for figure in compared(f"psycopg: {name}", f"psycopg, {name}", ask, recorded, rounds,
                                   target)[0]
        ]  # fmt: skip


def of_asyncpg(url: str, rounds: int) -> list[Figure]:
    """The figures of asyncpg; each query runs its event loop until it is answered."""
    with asyncio.Runner() as runner:
        connection: Any = runner.run(asyncpg.connect(url))
        loop = runner.get_loop()

        def asks(make: Any) -> Ask:
            async def ask() -> Any:
                return await make()

            return lambda: loop.run_until_complete(ask())

        asked: list[tuple[str, Ask, float | None]] = [
            ("a row", asks(lambda: connection.fetchrow(ONE + "$1", 7)), 5.0),
            ("a hundred rows", asks(lambda: connection.fetch(HUNDRED + "$1", 100)), 5.0),
        ]
        figures = [
            figure
            for name, ask, target in asked
            for figure in compared(f"asyncpg: {name}", f"asyncpg, {name}", ask, recorded, rounds,
                                   target)[0]
        ]  # fmt: skip
        runner.run(connection.close())
    return figures


def made(url: str) -> None:
    """The table that is asked."""
    with psycopg.connect(url) as connection:
        connection.execute(
            "CREATE TABLE item (id int PRIMARY KEY, name text, price float8, note text);"
            "INSERT INTO item SELECT n, 'item ' || n, n / 2.0 FROM generate_series(1, 100) n"
        )


def measure(quick: bool) -> list[Figure]:
    td.configure(store="memory:", strict=True, inputs=["asyncpg", "psycopg"])
    rounds = 2 if quick else 100
    with tempfile.TemporaryDirectory() as place, Postgres(Path(place)) as postgres:
        url = postgres.create_database("shop")
        made(url)
        return [*of_psycopg(url, rounds), *of_asyncpg(url, rounds)]

"""What recording adds to queries of psycopg and asyncpg on a PostgreSQL of this machine.

The connection is kept, as a service keeps one, and each query is a round trip. A row by its key
takes a tenth of a millisecond, of which any step is a large share: what is added is told in
microseconds too. The target is that of a query on which the server works for some milliseconds.
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
SUM = "SELECT sum(n) FROM generate_series(1, 20000) AS n WHERE n > "


@td.job("benchmarks/postgres", depth="inputs")
def recorded(ask: Ask) -> tuple[float, float]:
    """The block in a job."""
    return block(ask)


def of_query(library: str, name: str, ask: Ask, rounds: int, target: float | None) -> list[Figure]:
    """The figures of one query."""
    figures, added = compared(f"{library}: {name}", f"{library}, {name}", ask, recorded, rounds,
                              target)  # fmt: skip
    work = f"work of the job's thread that recording adds to it ({library}, {name})"
    return [*figures, Figure(what=work, unit="µs", value=added * figures[0].value)]


def of_psycopg(url: str, rounds: int) -> list[Figure]:
    """The figures of psycopg."""
    with psycopg.connect(url, autocommit=True) as connection:

        def one() -> Any:
            return connection.execute(ONE + "%s", (7,)).fetchone()

        def hundred() -> Any:
            return connection.execute(HUNDRED + "%s", (100,)).fetchall()

        def worked() -> Any:
            return connection.execute(SUM + "%s", (1,)).fetchone()

        return [
            *of_query("psycopg", "a row", one, rounds, None),
            *of_query("psycopg", "a hundred rows", hundred, rounds, None),
            *of_query("psycopg", "a sum of some milliseconds", worked, rounds, 5.0),
        ]


def of_asyncpg(url: str, rounds: int) -> list[Figure]:
    """The figures of asyncpg; each query runs its event loop until it is answered."""
    with asyncio.Runner() as runner:
        connection: Any = runner.run(asyncpg.connect(url))
        loop = runner.get_loop()

        async def one() -> Any:
            return await connection.fetchrow(ONE + "$1", 7)

        async def hundred() -> Any:
            return await connection.fetch(HUNDRED + "$1", 100)

        async def worked() -> Any:
            return await connection.fetchval(SUM + "$1", 1)

        figures = [
            figure
            for name, ask, target in (
                ("a row", one, None),
                ("a hundred rows", hundred, None),
                ("a sum of some milliseconds", worked, 5.0),
            )
            for figure in of_query(
                "asyncpg", name, lambda ask=ask: loop.run_until_complete(ask()), rounds, target
            )
        ]
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

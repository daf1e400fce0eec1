"""Connections to SQLite that threads and tasks share, recorded and replayed without the file."""

from __future__ import annotations

import sqlite3
from typing import Any

JOBS = """
    import asyncio, sqlite3
    from concurrent.futures import ThreadPoolExecutor

    def price(con, number):
        return con.execute("SELECT price FROM item WHERE id = ?", (number,)).fetchone()[0]

    @td.job("threads")
    def threads(path):
        con = sqlite3.connect(path, check_same_thread=False)
        with ThreadPoolExecutor(3) as pool:
            found = [pool.submit(td.propagate(price), con, n) for n in range(1, 5)]
            total = sum(one.result() for one in found)
        con.execute("UPDATE item SET price = ? WHERE id = 1", (total,))
        con.commit()
        con.close()
        return total

    @td.job("tasks")
    async def tasks(path):
        con = sqlite3.connect(path, check_same_thread=False)
        first = asyncio.to_thread(price, con, 1)
        async def own(number):
            await asyncio.sleep(0)
            other = sqlite3.connect(path)
            try:
                return price(other, number)
            finally:
                other.close()
        found = await asyncio.gather(first, *(own(n) for n in (2, 3, 4)))
        con.close()
        return found
    """


def test_connections_of_threads_and_tasks_are_served(shop: Any) -> None:
    shop.settings('inputs = ["sqlite3"]\n')
    shop.jobs(JOBS)
    path = shop.directory / "items.db"
    con = sqlite3.connect(path)
    with con:
        con.execute("CREATE TABLE item (id INTEGER, price INTEGER)")
        con.executemany("INSERT INTO item VALUES (?, ?)", [(n, n * 10) for n in range(1, 5)])
    con.close()
    traces = shop.record(
        f"threads({str(path)!r})\nimport asyncio\nasyncio.run(tasks({str(path)!r}))"
    )
    assert [shop.result(one) for one in traces] == [100, [100, 20, 30, 40]]
    path.unlink()
    for trace in traces:
        again = shop.replay(trace)
        assert shop.result(again) == shop.result(trace)
        assert again.replay.misses == ()
    with shop.project() as project:
        for trace in traces:
            assert not project.compare(trace.id).different
    assert not path.exists()

"""Unchanged code: the replay's tree is the recording's."""

from __future__ import annotations

import pytest

from tracediff.digests import outcome_digest, tree_digest

JOBS = {
    "functions": """
        from decimal import Decimal
        from dataclasses import dataclass, field

        @dataclass(frozen=True)
        class Line:
            id: int
            net: Decimal
            tags: list = field(default_factory=list)

        @td.input("Lines")
        def lines(order):
            return [Line(n, Decimal(n) / 3, [order]) for n in range(5)]

        @td.step("VAT", key=lambda line: line.id)
        def vat(line):
            line.tags.append("taxed")
            return line.net * Decimal("0.19")

        @td.output("Save")
        def save(total):
            return total

        @td.job("shop/unchanged")
        def job(order):
            td.note("Lines", head=True)
            with td.step("Sum") as step:
                step.result = total = sum(vat(line) for line in lines(order))
            td.tag(f"order:{order}")
            td.warn()
            return save(total)

        def main():
            return job(7)
        """,
    "coroutines": """
        import asyncio

        @td.input("Fetch")
        async def fetch(n):
            await asyncio.sleep((5 - n) / 1000)
            return n * n

        @td.step("Line")
        async def line(n):
            await asyncio.sleep(0)
            return await fetch(n) + 1

        @td.step("Fails")
        async def fails():
            await asyncio.sleep(0)
            raise LookupError("none")

        @td.job("shop/unchanged")
        async def job():
            done = await asyncio.gather(*map(line, range(5)), fails(), return_exceptions=True)
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(line(n)) for n in (8, 9)]
            return [str(one) for one in done] + [task.result() for task in tasks]

        def main():
            return asyncio.run(job())
        """,
    "threads": """
        from concurrent.futures import ThreadPoolExecutor

        @td.input("Fetch")
        def fetch(n):
            return n * n

        @td.step("Line")
        def line(n):
            return fetch(n) + 1

        @td.job("shop/unchanged")
        def job():
            with ThreadPoolExecutor(4) as pool:
                return list(pool.map(td.propagate(line), range(20)))

        def main():
            return job()
        """,
    "generators": """
        @td.input("Rows")
        def rows(n):
            for one in range(n):
                yield {"id": one}

        @td.step("Doubled")
        def doubled(source):
            for row in source:
                yield row["id"] * 2

        @td.job("shop/unchanged")
        def job():
            first = next(rows(9))
            return [first, list(doubled(rows(3)))]

        def main():
            return job()
        """,
    "errors": """
        class Denied(Exception):
            pass

        @td.input("Ask")
        def ask():
            raise Denied("no")

        @td.step("Try")
        def attempt():
            try:
                return ask()
            except Denied as error:
                raise RuntimeError("no price") from error

        @td.job("shop/unchanged")
        def job():
            return attempt()

        def main():
            try:
                job()
            except RuntimeError:
                pass
        """,
    "methods": """
        class Catalogue:
            def __init__(self, rate):
                self.rate = rate

            @td.input("Rate")
            def read(self, country):
                return self.rate

            @td.step("Price")
            def price(self, net):
                return net * self.read("de")

            @classmethod
            @td.step("Make")
            def make(cls, rate):
                return cls(rate).rate

        @td.job("shop/nested")
        def nested(net):
            return Catalogue(2).price(net)

        @td.job("shop/unchanged")
        def job():
            return [Catalogue(3).price(2), Catalogue.make(4), nested(5)]

        def main():
            return job()
        """,
}


@pytest.mark.parametrize("shape", JOBS)
def test_the_replay_of_unchanged_code_is_the_recording(shop, shape):
    shop.jobs(JOBS[shape])
    [trace] = shop.record("main()")
    new = shop.replay(trace)
    assert new.replay.misses == ()
    assert new.replay.unused == ()
    assert len(new.replay.served) == sum(s.kind in ("input", "output") for s in trace.steps)
    assert [(s.name, s.kind, s.state) for s in new.steps if not s.concurrent] == [
        (s.name, s.kind, s.state) for s in trace.steps if not s.concurrent
    ]
    assert tree_digest(new) == tree_digest(trace)
    assert outcome_digest(new) == outcome_digest(trace)
    assert (new.tags, new.state) == (trace.tags, trace.state)


def test_a_replay_can_be_replayed(shop):
    shop.jobs(JOBS["functions"])
    [trace] = shop.record("main()")
    again = shop.replay(shop.replay(trace))
    assert tree_digest(again) == tree_digest(trace)


def test_a_replay_has_the_recorded_key_depth_and_start_and_names_its_origin(shop):
    shop.jobs(JOBS["functions"])
    [trace] = shop.record("main()")
    new = shop.replay(trace)
    assert (new.key, new.job, new.depth, new.started_at, new.meta) == (
        trace.key, trace.job, trace.depth, trace.started_at, trace.meta,
    )  # fmt: skip
    assert new.replay.of == trace.id
    assert new.id != trace.id
